//! How far a replay has come, in a file: per partition the first line that is not settled, and where to look for it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::replay::PartitionBy;
use crate::config::ReplayConfig;
use crate::engine::decode::TsUnit;
use crate::engine::frame::EventTime;
use crate::error::Failure;
use crate::io::source::lines::Input;
use crate::limits::POSITION_MAX_BYTES;

pub(super) const SCHEMA: &str = "headcount.replay-position/1";

/// What is replayed: a position is good for the same again, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) topic: String,
    pub(super) partitions: usize,
    /// The file with its whole path; `-` is standard input.
    pub(super) input: String,
    /// Bytes of the file as it lies on disk.
    pub(super) size: Option<u64>,
    pub(super) partition_by: String,
    pub(super) shift_to_now: bool,
    #[serde(rename = "loop")]
    pub(super) is_loop: bool,
    pub(super) skip: u64,
    pub(super) uid_field: String,
    pub(super) ts_field: String,
    /// Positions that say nothing of it are of a time that knew seconds only.
    #[serde(default = "seconds")]
    pub(super) ts_unit: String,
}

fn seconds() -> String {
    TsUnit::Seconds.symbol().to_owned()
}

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Lines of this round before the first one of this partition that is not settled.
    pub(super) line: u64,
    /// Where the topic had no frame of ours yet that is behind that line; null if that is not known.
    pub(super) offset: Option<i64>,
}

/// How far it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) schema: String,
    pub(super) job: Job,
    /// Finished rounds of the file.
    pub(super) rounds: u64,
    /// Lines of the finished rounds, those passed over included.
    pub(super) lines_before: u64,
    /// Seconds added to event times in this round; null before its first one.
    pub(super) shift: Option<i64>,
    /// The greatest event time sent, shifted.
    pub(super) greatest: Option<EventTime>,
    pub(super) places: Vec<Place>,
}

impl Job {
    pub(super) fn new(config: &ReplayConfig, partitions: usize) -> Self {
        let (input, size) = match &config.input {
            Input::Stdin => ("-".to_owned(), None),
            Input::File(path) => {
                let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
                let size = fs::metadata(path).ok().filter(fs::Metadata::is_file);
                (whole.display().to_string(), size.map(|m| m.len()))
            }
        };
        Self {
            topic: config.topic.clone(),
            partitions,
            input,
            size,
            partition_by: match config.partition_by {
                PartitionBy::Uid => "uid".to_owned(),
                PartitionBy::RoundRobin => "round-robin".to_owned(),
            },
            shift_to_now: config.shift_to_now,
            is_loop: config.is_loop,
            skip: config.skip,
            uid_field: config.fields.uid.clone(),
            ts_field: config.fields.ts.clone(),
            ts_unit: config.fields.ts_unit.symbol().to_owned(),
        }
    }

    /// What differs from another job, with both values; nothing if it is the same.
    fn difference(&self, other: &Self) -> Option<String> {
        let size = |job: &Self| job.size.map_or("none".to_owned(), |size| size.to_string());
        let pairs = [
            ("topic", self.topic.clone(), other.topic.clone()),
            (
                "number of partitions",
                self.partitions.to_string(),
                other.partitions.to_string(),
            ),
            ("input", self.input.clone(), other.input.clone()),
            ("size of the input", size(self), size(other)),
            (
                "--partition-by",
                self.partition_by.clone(),
                other.partition_by.clone(),
            ),
            (
                "--shift-to-now",
                self.shift_to_now.to_string(),
                other.shift_to_now.to_string(),
            ),
            (
                "--loop",
                self.is_loop.to_string(),
                other.is_loop.to_string(),
            ),
            ("--skip", self.skip.to_string(), other.skip.to_string()),
            (
                "--uid-field",
                self.uid_field.clone(),
                other.uid_field.clone(),
            ),
            ("--ts-field", self.ts_field.clone(), other.ts_field.clone()),
            ("--ts-unit", self.ts_unit.clone(), other.ts_unit.clone()),
        ];
        let differs = pairs.into_iter().find(|(_, this, that)| this != that);
        differs.map(|(what, this, that)| format!("the {what} was {this} and is {that}"))
    }
}

/// The file that keeps the position.
#[derive(Debug)]
pub(super) struct PositionFile {
    path: PathBuf,
    /// The file as this replay read or saved it last, locked: a second replay finds that out, and a kill ends it.
    held: Option<File>,
}

impl PositionFile {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            held: None,
        }
    }

    /// The position that it holds for this job, for this replay alone from now on; nothing if there is no file.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, is another replay's at the moment, holds no position, or that of another job.
    pub(super) fn load(&mut self, job: &Job) -> Result<Option<Position>, Failure> {
        self.held = None;
        let shown = self.path.display();
        let unreadable = |error| Failure::NoInput(format!("cannot read {shown}: {error}"));
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(unreadable)?,
        };
        if !lock(&file) {
            return Err(self.is_taken());
        }
        let mut bytes = Vec::new();
        let limit = POSITION_MAX_BYTES + 1;
        let read = (&file).take(limit).read_to_end(&mut bytes);
        if read.map_err(unreadable)? as u64 == limit {
            bytes.clear();
        }
        let position: Option<Position> = serde_json::from_slice(&bytes).ok();
        // Lines are counted up from here: what no input has ever had is no position either.
        let is_count = |lines: u64| lines < 1 << 62;
        let is_whole = |p: &Position| {
            p.schema == SCHEMA
                && p.places.len() == p.job.partitions
                && p.places.iter().all(|place| is_count(place.line))
                && is_count(p.lines_before)
                && is_count(p.rounds)
        };
        let Some(position) = position.filter(is_whole) else {
            return Err(Failure::Data(format!(
                "{shown} holds no position of a replay; name another file for --resume, or delete it to start anew"
            )));
        };
        if let Some(difference) = position.job.difference(job) {
            return Err(Failure::Usage(format!(
                "{shown} holds the position of another replay: {difference}; name another file for --resume, or delete it to start anew"
            )));
        }
        self.held = Some(file);
        Ok(Some(position))
    }

    fn is_taken(&self) -> Failure {
        Failure::Usage(format!(
            "another replay keeps its position in {} at the moment; name another file for --resume, or wait for its end",
            self.path.display()
        ))
    }

    /// Whether the file is the one that this replay holds, or is missing as it was.
    fn is_ours(&self) -> bool {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let found = fs::metadata(&self.path).ok().map(identity);
        let held = self.held.as_ref();
        // One that somebody has deleted is made anew.
        found.is_none() || found == held.and_then(|file| file.metadata().ok()).map(identity)
    }

    /// Replaces the file: whoever reads it sees the old position or the new one.
    ///
    /// # Errors
    ///
    /// When the disk does not take it.
    pub(super) fn save(&mut self, position: &Position) -> Result<(), Failure> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let write = |new: &Path| -> io::Result<Option<File>> {
            // Not cut off before it is known to be nobody else's.
            let mut options = File::options();
            options.write(true).create(true).truncate(false);
            let mut file = options.open(new)?;
            if !lock(&file) || !self.is_ours() {
                return Ok(None);
            }
            file.set_len(0)?;
            serde_json::to_writer(&mut file, position)?;
            file.write_all(b"\n")?;
            // Before it takes the other one's place: else a power cut may leave neither.
            file.sync_data()?;
            fs::rename(new, &self.path)?;
            Ok(Some(file))
        };
        let written = write(&new).map_err(|error| {
            Failure::Output(format!(
                "cannot keep the position in {}: {error}",
                self.path.display()
            ))
        })?;
        match written {
            Some(file) => self.held = Some(file),
            None => return Err(self.is_taken()),
        }
        Ok(())
    }
}

/// Locks a file until it is closed; false if somebody else has. Where files cannot be locked nobody has.
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            topic: "users".to_owned(),
            partitions: 2,
            input: "/data/frames".to_owned(),
            size: Some(77),
            partition_by: "uid".to_owned(),
            shift_to_now: false,
            is_loop: false,
            skip: 0,
            uid_field: "uid".to_owned(),
            ts_field: "ts".to_owned(),
            ts_unit: "s".to_owned(),
        }
    }

    fn position() -> Position {
        let place = |line, offset| Place { line, offset };
        Position {
            schema: SCHEMA.to_owned(),
            job: job(),
            rounds: 1,
            lines_before: 50,
            shift: Some(-3),
            greatest: None,
            places: vec![place(7, Some(12)), place(9, None)],
        }
    }

    #[test]
    fn a_position_comes_back_as_it_was_saved() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = PositionFile::new(&dir.path().join("position"));
        assert_eq!(file.load(&job()), Ok(None));
        for _ in 0..2 {
            file.save(&position()).unwrap();
            assert_eq!(file.load(&job()), Ok(Some(position())));
        }
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing beside it"
        );
    }

    #[test]
    fn the_position_of_another_replay_is_refused_and_what_differs_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        PositionFile::new(&path).save(&position()).unwrap();
        let mut file = PositionFile::new(&path);
        for words in [
            "topic was users and is people",
            "partitions was 2 and is 3",
            "size of the input was 77 and is 78",
            "--skip was 0 and is 1",
            "--loop was false and is true",
            "--ts-unit was s and is ms",
        ] {
            let mut other = job();
            match words.split(' ').next() {
                Some("topic") => other.topic = "people".to_owned(),
                Some("partitions") => other.partitions = 3,
                Some("size") => other.size = Some(78),
                Some("--skip") => other.skip = 1,
                Some("--ts-unit") => other.ts_unit = "ms".to_owned(),
                _ => other.is_loop = true,
            }
            match file.load(&other) {
                Err(Failure::Usage(why)) => assert!(why.contains(words), "{why}"),
                loaded => panic!("{words}: {loaded:?}"),
            }
        }
    }

    #[test]
    fn a_position_that_names_no_unit_is_of_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        let text = serde_json::to_string(&position()).unwrap();
        let without = text.replace(r#","ts_unit":"s""#, "");
        assert_ne!(without, text);
        fs::write(&path, without).unwrap();
        assert_eq!(PositionFile::new(&path).load(&job()), Ok(Some(position())));
        let mut other = job();
        other.ts_unit = "ns".to_owned();
        let loaded = PositionFile::new(&path).load(&other);
        assert!(matches!(loaded, Err(Failure::Usage(_))), "{loaded:?}");
    }

    #[test]
    fn a_file_that_holds_no_position_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        for text in ["", "{}", "{\"uid\":\"a\",\"ts\":7}\n"] {
            fs::write(&path, text).unwrap();
            let loaded = PositionFile::new(&path).load(&job());
            assert!(
                matches!(loaded, Err(Failure::Data(_))),
                "{text}: {loaded:?}"
            );
        }
        assert!(matches!(
            PositionFile::new(&dir.path().join("no/position")).save(&position()),
            Err(Failure::Output(_))
        ));
    }

    #[test]
    fn a_position_belongs_to_one_replay_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        let taken = |result: Result<(), Failure>| match result {
            Err(Failure::Usage(why)) => assert!(why.contains("another replay"), "{why}"),
            other => panic!("{other:?}"),
        };
        // Two start where there is no file: the first to save has it.
        let (mut one, mut two) = (PositionFile::new(&path), PositionFile::new(&path));
        assert_eq!(one.load(&job()), Ok(None));
        assert_eq!(two.load(&job()), Ok(None));
        one.save(&position()).unwrap();
        taken(two.save(&position()));
        one.save(&position()).unwrap();
        taken(PositionFile::new(&path).load(&job()).map(drop));
        // A file that was deleted is made anew; one that is put there instead is not written over.
        fs::remove_file(&path).unwrap();
        one.save(&position()).unwrap();
        drop(one);
        assert_eq!(two.load(&job()), Ok(Some(position())));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        taken(two.save(&position()));
        assert_eq!(fs::read(&path).unwrap(), b"another's");
    }

    #[test]
    fn a_position_that_no_input_can_have_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("position");
        let edits: [fn(&mut Position); 3] = [
            |position| position.places[1].line = u64::MAX,
            |position| position.lines_before = u64::MAX,
            |position| position.rounds = u64::MAX,
        ];
        for edit in edits {
            let mut absurd = position();
            edit(&mut absurd);
            let mut file = PositionFile::new(&path);
            file.save(&absurd).unwrap();
            assert!(matches!(file.load(&job()), Err(Failure::Data(_))));
            drop(file);
            fs::remove_file(&path).unwrap();
        }
    }
}
