//! Puts together what is written at a checkpoint, and its digest, from what admission and shards hand over.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::codec::put_len;
use super::{SavedAdmission, SavedPart, SavedPartition, SavedSketches, SavedStretch, SavedWindow};
use crate::engine::calendar::{Period, WindowId};
use crate::engine::frame::EventTime;
use crate::engine::shard::Shelf;
use crate::engine::sketch::{Precision, canonical};
use crate::limits::PAGES;

/// A digest of everything that is *the same* for whoever counted the same frames (docs/FORMAT.md, *State*): `xxh3_128`, seed 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateDigest(pub u128);

/// What of the state changed at a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Partitions by name, in the order of their indices, all of them.
    pub partitions: Vec<(String, SavedPartition)>,
    /// The ledger, see [`SavedAdmission::ledger`].
    pub ledger: Vec<u8>,
    /// See [`SavedAdmission::rest`].
    pub rest: Vec<u8>,
    /// Windows, `None` for those that were forgotten.
    pub windows: Vec<(WindowId, Option<SavedWindow>)>,
    /// Canonical bytes of whole sketches.
    pub sketches: Vec<(WindowId, Vec<u8>)>,
    /// Of the trailing table.
    pub stretches: Vec<SavedStretch>,
}

/// What a window contributes to the digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Known {
    end: i64,
    frames: u64,
    late: u64,
    /// The hash of its sketch's canonical bytes; `None` while it has none.
    sketch: Option<u128>,
}

/// Knows of everything that was saved as much as the digest takes.
#[derive(Debug)]
pub struct Book {
    precision: Precision,
    retention_s: [i64; Period::ALL.len()],
    windows: BTreeMap<WindowId, Known>,
    /// By page and rank.
    stretches: BTreeMap<(usize, u8), u128>,
    /// The last digest, and the hash of what it took beside windows and stretches; `None` once one of these has changed. The
    /// checkpoints of an end say no more than what was put out, of windows by the hundred thousand.
    last: Option<(u128, StateDigest)>,
}

impl Book {
    /// A book of nothing.
    #[must_use]
    pub fn new(precision: Precision, retention_s: [i64; Period::ALL.len()]) -> Self {
        Self {
            precision,
            retention_s,
            windows: BTreeMap::new(),
            stretches: BTreeMap::new(),
            last: None,
        }
    }

    /// Enters a window as it was saved, with the hash of its sketch's canonical bytes.
    pub fn restore_window(&mut self, id: WindowId, window: &SavedWindow, sketch: Option<u128>) {
        let known = Known {
            end: window.end,
            frames: window.frames,
            late: window.late,
            sketch,
        };
        self.know(id, known);
    }

    fn know(&mut self, id: WindowId, known: Known) {
        if self.windows.insert(id, known) != Some(known) {
            self.last = None;
        }
    }

    /// Enters a stretch of the trailing table as it was saved.
    pub fn restore_stretch(&mut self, stretch: &SavedStretch) {
        let at = (stretch.page, stretch.rank);
        let hash = xxh3_128(&stretch.bytes);
        if self.stretches.insert(at, hash) != Some(hash) {
            self.last = None;
        }
    }

    /// Puts together what is to be written. `names` are the partitions' names, by index; the shelf has what was written
    /// before.
    ///
    /// # Errors
    ///
    /// When the shelf cannot be read.
    pub fn enter(
        &mut self,
        admission: SavedAdmission,
        sketches: SavedSketches,
        names: &[String],
        shelf: &mut dyn Shelf,
    ) -> Result<(Changes, StateDigest), String> {
        let mut whole = Vec::new();
        let mut parts = sketches.parts;
        parts.sort_by_key(|part| (part.id, part.first_page));
        for parts in parts.chunk_by(|a, b| a.id == b.id) {
            let id = parts[0].id;
            let bytes = self.assemble(id, parts, shelf)?;
            let known = self.known(id);
            let sketch = Some(xxh3_128(&bytes));
            self.know(id, Known { sketch, ..known });
            whole.push((id, bytes));
        }
        for (id, window) in &admission.windows {
            match window {
                None if self.windows.remove(id).is_some() => self.last = None,
                None => {}
                Some(window) => self.restore_window(*id, window, self.known(*id).sketch),
            }
        }
        sketches
            .stretches
            .iter()
            .for_each(|s| self.restore_stretch(s));
        let names = names.iter().cloned();
        let changes = Changes {
            partitions: names.zip(admission.partitions).collect(),
            ledger: admission.ledger,
            rest: admission.rest,
            windows: admission.windows,
            sketches: whole,
            stretches: sketches.stretches,
        };
        let head = self.head(&changes.partitions, &changes.ledger);
        let of_head = xxh3_128(&head);
        let digest = match self.last {
            Some((same, digest)) if same == of_head => digest,
            _ => self.digest_behind(&head, admission.greatest_clock),
        };
        debug_assert_eq!(digest, self.digest_behind(&head, admission.greatest_clock));
        self.last = Some((of_head, digest));
        Ok((changes, digest))
    }

    fn known(&self, id: WindowId) -> Known {
        self.windows.get(&id).copied().unwrap_or_default()
    }

    /// The whole sketch of a window: the parts that changed, and what was written before of the others.
    fn assemble(
        &self,
        id: WindowId,
        parts: &[SavedPart],
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u8>, String> {
        if parts.iter().map(|part| part.pages).sum::<usize>() == PAGES {
            return Ok(parts.iter().flat_map(|part| &part.bytes).copied().collect());
        }
        let known = self.windows.get(&id).and_then(|known| known.sketch);
        let mut whole = match known {
            Some(_) => shelf.fetch(id)?,
            None => canonical::nobody(),
        };
        for part in parts {
            let pages = part.first_page..part.first_page + part.pages;
            canonical::splice(self.precision, &mut whole, pages, &part.bytes)
                .map_err(|damaged| damaged.to_string())?;
        }
        Ok(whole)
    }

    /// The digest of what was entered, with these partitions by name and this ledger. `greatest_clock` is that of the
    /// partitions' clocks.
    #[must_use]
    pub fn digest(
        &self,
        partitions: &[(String, SavedPartition)],
        ledger: &[u8],
        greatest_clock: Option<EventTime>,
    ) -> StateDigest {
        self.digest_behind(&self.head(partitions, ledger), greatest_clock)
    }

    /// What comes first in the digest; the partitions' clocks, and so the greatest of them, are in it.
    fn head(&self, partitions: &[(String, SavedPartition)], ledger: &[u8]) -> Vec<u8> {
        let mut bytes = vec![self.precision.bits()];
        let mut partitions: Vec<_> = partitions.iter().collect();
        partitions.sort_unstable_by_key(|(name, _)| name);
        put_len(&mut bytes, partitions.len());
        for (name, partition) in partitions {
            put_len(&mut bytes, name.len());
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&partition.next_offset.to_le_bytes());
            put_len(&mut bytes, partition.clock.len());
            bytes.extend_from_slice(&partition.clock);
        }
        bytes.extend_from_slice(ledger);
        bytes
    }

    fn digest_behind(&self, head: &[u8], greatest_clock: Option<EventTime>) -> StateDigest {
        let greatest_clock = greatest_clock.map(i64::from);
        let mut hash = Xxh3::new();
        hash.update(head);
        for ((page, rank), stretch) in &self.stretches {
            hash.update(&(*page as u16).to_le_bytes());
            hash.update(&[*rank]);
            hash.update(&stretch.to_le_bytes());
        }
        for (id, known) in &self.windows {
            let retention_s = self.retention_s[id.period as usize];
            let is_over = greatest_clock.is_some_and(|clock| known.end + retention_s <= clock);
            let Some(sketch) = known.sketch.filter(|_| !is_over) else {
                continue;
            };
            hash.update(&[id.period as u8]);
            for number in [id.start as u64, known.frames, known.late] {
                hash.update(&number.to_le_bytes());
            }
            hash.update(&sketch.to_le_bytes());
        }
        StateDigest(hash.digest128())
    }
}
