//! A shard: one worker's pages of every sketch.

use std::mem;
use std::ops::Range;

use super::barrier::{Answer, Question};
use super::calendar::{Calendar, Period, WindowId};
use super::frame::Sighting;
use super::sketch::Precision;
use super::sketch::estimate::Tally;
use super::sketch::share::{Packed, Share};
use super::trailing::Trailing;
use super::windows::WindowMap;

/// A window's share: at work, or at rest.
#[derive(Debug)]
enum Kept {
    Warm(Share),
    Packed(Packed),
}

/// Some pages of the trailing table and of every calendar window. No other shard has them.
#[derive(Debug)]
pub struct Shard {
    precision: Precision,
    pages: Range<usize>,
    trailing: Trailing,
    windows: WindowMap<Kept>,
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(precision: Precision, pages: Range<usize>, calendar: Calendar) -> Self {
        Self {
            precision,
            pages: pages.clone(),
            trailing: Trailing::new(precision, pages),
            windows: WindowMap::new(calendar),
        }
    }

    /// Records sightings, all of which must fall into this shard's pages.
    pub fn record(&mut self, sightings: &[Sighting]) {
        for sighting in sightings {
            self.trailing.record(sighting);
            for period in Period::ALL {
                if sighting.periods & period.bit() != 0 {
                    self.share(period, sighting).insert(sighting.hash);
                }
            }
        }
    }

    fn share(&mut self, period: Period, sighting: &Sighting) -> &mut Share {
        let (precision, pages) = (self.precision, &self.pages);
        let kept = self.windows.entry(period, sighting.ts, |_, _| {
            Kept::Warm(Share::new(precision, pages.clone()))
        });
        if let Kept::Packed(packed) = kept {
            *kept = Kept::Warm(packed.unpack());
        }
        match kept {
            Kept::Warm(share) => share,
            Kept::Packed(_) => unreachable!("it was unpacked above"),
        }
    }

    /// Answers a barrier, and packs and forgets what it says.
    pub fn answer(&mut self, question: &Question) -> Answer {
        let answer = Answer {
            trailing: question.trailing.as_ref().map(|s| self.trailing.tally(s)),
            windows: question.windows.iter().map(|id| self.tally(*id)).collect(),
        };
        for id in &question.evicted {
            self.windows.remove(*id);
        }
        for id in &question.cooled {
            if let Some(kept) = self.windows.get_mut(*id)
                && let Kept::Warm(share) = kept
            {
                let empty = Share::new(self.precision, self.pages.clone());
                *kept = Kept::Packed(mem::replace(share, empty).pack());
            }
        }
        answer
    }

    fn tally(&self, id: WindowId) -> Tally {
        let mut tally = Tally::default();
        match self.windows.get(id) {
            Some(Kept::Warm(share)) => share.tally(&mut tally),
            Some(Kept::Packed(packed)) => packed.tally(&mut tally),
            None => Share::new(self.precision, self.pages.clone()).tally(&mut tally),
        }
        tally
    }

    /// Appends the canonical bytes of this shard's pages of a window (docs/FORMAT.md). The bytes of all shards, one
    /// behind the other, are those of the window, for any number of shards.
    pub fn write_window(&self, id: WindowId, out: &mut Vec<u8>) {
        match self.windows.get(id) {
            Some(Kept::Warm(share)) => share.write_canonical(out),
            Some(Kept::Packed(packed)) => packed.unpack().write_canonical(out),
            None => Share::new(self.precision, self.pages.clone()).write_canonical(out),
        }
    }

    /// Appends the canonical bytes of this shard's pages of the trailing table, which add up likewise.
    pub fn write_trailing(&self, out: &mut Vec<u8>) {
        self.trailing.write_canonical(out);
    }

    /// The windows of which this shard holds anything.
    pub fn windows(&self) -> impl Iterator<Item = WindowId> {
        self.windows.ids()
    }
}
