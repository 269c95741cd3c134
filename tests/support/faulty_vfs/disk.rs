//! A disk in memory: what a process sees of its files, what of it a power cut would leave, and the operation that fails.
//!
//! Every write, truncation, deletion, creation and sync is an operation and has a number, from 1. A sync makes a file
//! durable; what came after the last one survives a power cut or does not, by the dice.

use std::collections::BTreeMap;

use crate::dice::Dice;

/// What a disk writes in one piece.
const SECTOR: usize = 512;

/// Names and contents, as `std::fs` would see them.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What goes wrong with an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// There is no room: for a write or a new file; whatever else is asked for, works.
    Full,
    /// The device fails, whatever was asked of it.
    Io,
    /// There is room for half of a write.
    Short,
}

/// How often it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    Once,
    FromThenOn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Write,
    Sync,
    Truncate,
    Delete,
    Create,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    NoRoom,
    Failed,
    /// Nothing of that name.
    Absent,
    /// Open already: the disk knows no locks.
    Busy,
}

#[derive(Debug, Clone, Copy)]
enum Plan {
    Fail(u64, Fault, Lasting),
    Cut(u64),
}

enum Verdict {
    GoOn,
    Fail(Fault),
    Cut,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Resize(usize),
}

#[derive(Debug, Default)]
struct File {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// What a sync has yet to make durable, oldest first.
    unsynced: Vec<Change>,
    handles: usize,
    /// Its next sync makes the folder's names durable too.
    syncs_folder: bool,
}

/// Which file, whatever it is called by now.
pub type FileId = usize;

#[derive(Debug)]
pub struct Disk {
    /// Deleted ones too: a deletion may not survive.
    files: Vec<File>,
    seen_names: BTreeMap<String, FileId>,
    durable_names: BTreeMap<String, FileId>,
    /// Creations and deletions since the folder was last synced, oldest first.
    unsynced_names: Vec<(String, Option<FileId>)>,
    operations: u64,
    faults: u64,
    plan: Option<Plan>,
    after_cut: Option<Files>,
    dice: Dice,
}

/// Opening a file: may it be created, and what comes with it.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    pub may_create: bool,
    /// SQLite's Unix files sync their folder with a journal's first sync since it was opened, not with a database's.
    pub syncs_folder: bool,
    pub alone: bool,
}

impl Disk {
    pub fn new(seed: u64, files: Files) -> Self {
        let mut disk = Self {
            files: Vec::new(),
            seen_names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: Vec::new(),
            operations: 0,
            faults: 0,
            plan: None,
            after_cut: None,
            dice: Dice::new(seed),
        };
        for (name, bytes) in files {
            disk.seen_names.insert(name, disk.files.len());
            disk.files.push(File {
                seen: bytes.clone(),
                durable: bytes,
                ..File::default()
            });
        }
        disk.durable_names = disk.seen_names.clone();
        disk
    }

    pub fn fail_at(&mut self, operation: u64, fault: Fault, lasting: Lasting) {
        self.plan = Some(Plan::Fail(operation, fault, lasting));
    }

    pub fn cut_at(&mut self, operation: u64) {
        self.plan = Some(Plan::Cut(operation));
    }

    pub fn heal(&mut self) {
        self.plan = None;
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    pub fn faults(&self) -> u64 {
        self.faults
    }

    pub fn is_off(&self) -> bool {
        self.after_cut.is_some()
    }

    /// What any process sees, and what is left of a killed one.
    pub fn files(&self) -> Files {
        let seen = |(name, id): (&String, &FileId)| (name.clone(), self.files[*id].seen.clone());
        self.seen_names.iter().map(seen).collect()
    }

    /// What is left by the power cut; it happens now if it has not yet.
    pub fn files_after_cut(&mut self) -> Files {
        if self.after_cut.is_none() {
            self.cut();
        }
        self.after_cut.clone().unwrap_or_default()
    }

    fn judge(&mut self, operation: Operation) -> Result<Verdict, Refusal> {
        if self.is_off() {
            return Err(Refusal::Failed);
        }
        self.operations += 1;
        let verdict = match self.plan {
            Some(Plan::Cut(at)) if self.operations >= at => Verdict::Cut,
            Some(Plan::Fail(at, fault, lasting))
                if self.operations >= at && concerns(fault, operation) =>
            {
                self.faults += 1;
                if lasting == Lasting::Once {
                    self.plan = None;
                }
                Verdict::Fail(fault)
            }
            _ => Verdict::GoOn,
        };
        Ok(verdict)
    }

    pub fn exists(&self, name: &str) -> bool {
        let id = self.seen_names.get(name);
        // As SQLite's own Unix files have it: an empty journal is none.
        id.is_some_and(|id| !self.files[*id].seen.is_empty())
    }

    pub fn open(&mut self, name: Option<&str>, opening: Opening) -> Result<FileId, Refusal> {
        if self.is_off() {
            return Err(Refusal::Failed);
        }
        let known = name.and_then(|name| self.seen_names.get(name).copied());
        let id = match (known, name) {
            (Some(id), _) if opening.alone && self.files[id].handles > 0 => {
                return Err(Refusal::Busy);
            }
            (Some(id), _) => id,
            (None, Some(name)) if opening.may_create => self.create(name)?,
            (None, Some(_)) => return Err(Refusal::Absent),
            // A temporary file: nothing of it is to survive.
            (None, None) => self.add_file(),
        };
        self.files[id].handles += 1;
        self.files[id].syncs_folder |= opening.syncs_folder;
        Ok(id)
    }

    fn add_file(&mut self) -> FileId {
        self.files.push(File::default());
        self.files.len() - 1
    }

    fn create(&mut self, name: &str) -> Result<FileId, Refusal> {
        let verdict = self.judge(Operation::Create)?;
        if let Verdict::Fail(fault) = verdict {
            return Err(fault.refusal());
        }
        let id = self.add_file();
        self.seen_names.insert(name.to_owned(), id);
        self.unsynced_names.push((name.to_owned(), Some(id)));
        self.end(verdict).map(|()| id)
    }

    /// The operation was under way when the power went, and may have come to anything.
    fn end(&mut self, verdict: Verdict) -> Result<(), Refusal> {
        if let Verdict::Cut = verdict {
            self.cut();
            return Err(Refusal::Failed);
        }
        Ok(())
    }

    pub fn close(&mut self, id: FileId) {
        self.files[id].handles -= 1;
    }

    pub fn delete(&mut self, name: &str, sync_folder: bool) -> Result<(), Refusal> {
        if !self.seen_names.contains_key(name) {
            return Err(Refusal::Absent);
        }
        let verdict = self.judge(Operation::Delete)?;
        if let Verdict::Fail(fault) = verdict {
            return Err(fault.refusal());
        }
        self.seen_names.remove(name);
        self.unsynced_names.push((name.to_owned(), None));
        self.end(verdict)?;
        if sync_folder {
            match self.judge(Operation::Sync)? {
                Verdict::GoOn => self.sync_folder(),
                Verdict::Fail(fault) => return Err(fault.refusal()),
                cut @ Verdict::Cut => return self.end(cut),
            }
        }
        Ok(())
    }

    fn sync_folder(&mut self) {
        self.unsynced_names.clear();
        self.durable_names = self.seen_names.clone();
    }

    pub fn len(&self, id: FileId) -> usize {
        self.files[id].seen.len()
    }

    /// The bytes there are: fewer than asked for at the end of the file.
    pub fn read(&self, id: FileId, from: usize, length: usize) -> Result<&[u8], Refusal> {
        if self.is_off() {
            return Err(Refusal::Failed);
        }
        let seen = &self.files[id].seen;
        let from = from.min(seen.len());
        Ok(&seen[from..seen.len().min(from + length)])
    }

    pub fn write(&mut self, id: FileId, at: usize, bytes: &[u8]) -> Result<(), Refusal> {
        let verdict = self.judge(Operation::Write)?;
        let written = match verdict {
            Verdict::Fail(Fault::Short) => &bytes[..bytes.len() / 2],
            Verdict::Fail(_) => &[],
            _ => bytes,
        };
        if !written.is_empty() {
            self.change(id, Change::Write(at, written.to_vec()));
        }
        match verdict {
            Verdict::Fail(fault) => Err(fault.refusal()),
            verdict => self.end(verdict),
        }
    }

    pub fn truncate(&mut self, id: FileId, length: usize) -> Result<(), Refusal> {
        let verdict = self.judge(Operation::Truncate)?;
        if let Verdict::Fail(fault) = verdict {
            return Err(fault.refusal());
        }
        self.change(id, Change::Resize(length));
        self.end(verdict)
    }

    fn change(&mut self, id: FileId, change: Change) {
        let file = &mut self.files[id];
        change.apply(&mut file.seen);
        file.unsynced.push(change);
    }

    pub fn sync(&mut self, id: FileId) -> Result<(), Refusal> {
        match self.judge(Operation::Sync)? {
            Verdict::GoOn => {}
            Verdict::Fail(fault) => {
                // As in Linux: what could not be written counts as written from now on, and no later sync tries again.
                let file = &mut self.files[id];
                file.durable = survivor(file, &mut self.dice);
                file.unsynced.clear();
                return Err(fault.refusal());
            }
            cut @ Verdict::Cut => return self.end(cut),
        }
        let file = &mut self.files[id];
        for change in file.unsynced.drain(..) {
            change.apply(&mut file.durable);
        }
        if std::mem::take(&mut file.syncs_folder) {
            self.sync_folder();
        }
        Ok(())
    }

    fn cut(&mut self) {
        let mut names = self.durable_names.clone();
        let mut stuck = Vec::new();
        for (name, id) in &self.unsynced_names {
            // A name's later change survives only on top of its earlier one.
            if stuck.contains(&name) || self.dice.once_in(2) {
                stuck.push(name);
                continue;
            }
            match id {
                Some(id) => names.insert(name.clone(), *id),
                None => names.remove(name),
            };
        }
        let mut files = Files::new();
        for (name, id) in names {
            files.insert(name, survivor(&self.files[id], &mut self.dice));
        }
        self.after_cut = Some(files);
    }
}

fn concerns(fault: Fault, operation: Operation) -> bool {
    match fault {
        Fault::Full => matches!(operation, Operation::Write | Operation::Create),
        Fault::Short => operation == Operation::Write,
        Fault::Io => true,
    }
}

impl Fault {
    fn refusal(self) -> Refusal {
        match self {
            Self::Full | Self::Short => Refusal::NoRoom,
            Self::Io => Refusal::Failed,
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, new) => {
                let end = at + new.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(new);
            }
            Self::Resize(length) => bytes.resize(*length, 0),
        }
    }
}

/// What a power cut leaves of a file: the writes between two truncations survive or not, in any order and in part.
fn survivor(file: &File, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = file.durable.clone();
    // Nothing at all, everything and all between must be frequent.
    let lost_of_eight = dice.pick(&[0, 1, 4, 7, 8]);
    let is_resize = |change: &Change| matches!(change, Change::Resize(_));
    for run in file.unsynced.split_inclusive(is_resize) {
        let mut run = run.to_vec();
        let resize = run.pop_if(|last| is_resize(last));
        dice.shuffle(&mut run);
        run.extend(resize);
        for change in run {
            if dice.below(8) >= lost_of_eight {
                tear(change, dice, &mut bytes);
            } else if let Change::Write(at, new) = change {
                lose(at + new.len(), dice, &mut bytes);
            }
        }
    }
    bytes
}

/// Writes all of it, or some of its sectors.
fn tear(change: Change, dice: &mut Dice, bytes: &mut Vec<u8>) {
    let is_torn = dice.once_in(3);
    let Change::Write(at, new) = &change else {
        return change.apply(bytes);
    };
    if !is_torn {
        return change.apply(bytes);
    }
    let mut from = *at;
    let end = at + new.len();
    while from < end {
        let to = end.min((from / SECTOR + 1) * SECTOR);
        if dice.once_in(2) {
            Change::Write(from, new[from - at..to - at].to_vec()).apply(bytes);
        }
        from = to;
    }
}

/// A file may have grown though what it grew by was never written: there is then whatever the disk had there.
fn lose(end: usize, dice: &mut Dice, bytes: &mut Vec<u8>) {
    if bytes.len() < end && dice.once_in(4) {
        let zeros = dice.once_in(2);
        while bytes.len() < end {
            bytes.push(if zeros { 0 } else { dice.bits() as u8 });
        }
    }
}
