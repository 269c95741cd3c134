//! Routing: which shard owns which pages, and batches of sightings on their way there.

use std::mem;
use std::ops::Range;

use super::frame::Sighting;
use super::sketch::Precision;
use crate::limits::{BATCH_SIGHTINGS, PAGES};

/// The pages of each shard: contiguous, disjoint, together all.
#[must_use]
pub fn page_ranges(shards: usize) -> Vec<Range<usize>> {
    assert!((1..=PAGES).contains(&shards), "a shard owns whole pages");
    (0..shards)
        .map(|i| PAGES * i / shards..PAGES * (i + 1) / shards)
        .collect()
}

/// Gathers sightings into one batch a shard.
#[derive(Debug)]
pub struct Router {
    precision: Precision,
    shard_of_page: [u8; PAGES],
    batches: Vec<Vec<Sighting>>,
    batch_sightings: usize,
}

impl Router {
    /// A router to so many shards.
    #[must_use]
    pub fn new(precision: Precision, shards: usize) -> Self {
        Self::with_batch(precision, shards, BATCH_SIGHTINGS)
    }

    /// A router with batches of another size. The size changes no result.
    #[must_use]
    pub fn with_batch(precision: Precision, shards: usize, batch_sightings: usize) -> Self {
        let mut shard_of_page = [0; PAGES];
        for (shard, pages) in page_ranges(shards).into_iter().enumerate() {
            shard_of_page[pages].fill(shard as u8);
        }
        Self {
            precision,
            shard_of_page,
            batches: vec![Vec::with_capacity(batch_sightings); shards],
            batch_sightings,
        }
    }

    /// Adds a sighting; returns the shard whose batch it filled.
    pub fn push(&mut self, sighting: Sighting) -> Option<usize> {
        let page = self.precision.place(sighting.hash).page;
        let shard = usize::from(self.shard_of_page[page]);
        let batch = &mut self.batches[shard];
        batch.push(sighting);
        (batch.len() >= self.batch_sightings).then_some(shard)
    }

    /// Takes a shard's batch, leaving `empty` (a used one, for its memory) in its place.
    pub fn take(&mut self, shard: usize, mut empty: Vec<Sighting>) -> Vec<Sighting> {
        empty.clear();
        mem::replace(&mut self.batches[shard], empty)
    }

    /// Shows a shard's batch to who needs it only for the moment, and begins a new one.
    pub fn visit(&mut self, shard: usize, on: impl FnOnce(&[Sighting])) {
        on(&self.batches[shard]);
        self.batches[shard].clear();
    }

    /// Whether a shard has sightings waiting.
    #[must_use]
    pub fn has_sightings(&self, shard: usize) -> bool {
        !self.batches[shard].is_empty()
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.batches.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_own_all_pages_once() {
        for shards in 1..=PAGES {
            let pages: Vec<usize> = page_ranges(shards).into_iter().flatten().collect();
            assert_eq!(pages, (0..PAGES).collect::<Vec<_>>(), "{shards} shards");
        }
    }
}
