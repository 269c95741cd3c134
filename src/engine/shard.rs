//! A shard: one worker's pages of every sketch.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use super::barrier::{Answer, Question};
use super::calendar::{Calendar, Period, WindowId};
use super::frame::Sighting;
use super::sketch::Precision;
use super::sketch::estimate::Tally;
use super::sketch::packed::{Packed, Packer};
use super::sketch::share::Share;
use super::trailing::Trailing;
use super::windows::WindowMap;
use crate::limits::RESTING_WINDOWS;

/// Sightings that are recorded one behind the other in each of the windows, so that what they need of one window is
/// fetched from memory together.
const TOGETHER: usize = 64;

/// A window's share: at work, waiting to be packed, or packed.
#[derive(Debug)]
enum Kept {
    Warm(Share),
    /// Listed in `Shard::resting` under this number.
    Resting(u64, Share),
    Packed(Packed),
}

impl Kept {
    fn into_share(self, packer: &mut Packer) -> Share {
        match self {
            Self::Warm(share) | Self::Resting(_, share) => share,
            Self::Packed(packed) => packer.unpack(packed),
        }
    }
}

/// Some pages of the trailing table and of every calendar window. No other shard has them.
#[derive(Debug)]
pub struct Shard {
    precision: Precision,
    pages: Range<usize>,
    trailing: Trailing,
    windows: WindowMap<Kept>,
    /// Windows that cooled, the first to be packed first, each with the number of its rest. One that was visited since
    /// rests under another number, or not at all.
    resting: VecDeque<(u64, WindowId)>,
    rests: u64,
    packer: Packer,
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
            resting: VecDeque::new(),
            rests: 0,
            packer: Packer::default(),
        }
    }

    /// Records sightings, all of which must fall into this shard's pages.
    pub fn record(&mut self, sightings: &[Sighting]) {
        for together in sightings.chunks(TOGETHER) {
            self.trailing.record_all(together);
            for period in Period::ALL {
                for sighting in together {
                    if sighting.periods & period.bit() != 0 {
                        self.share(period, sighting).insert(sighting.hash);
                    }
                }
            }
        }
    }

    fn share(&mut self, period: Period, sighting: &Sighting) -> &mut Share {
        let (precision, pages) = (self.precision, &self.pages);
        let kept = self.windows.entry(period, sighting.ts, |_, _| {
            Kept::Warm(Share::new(precision, pages.clone()))
        });
        if !matches!(kept, Kept::Warm(_)) {
            let nobody = Kept::Warm(Share::new(precision, pages.clone()));
            *kept = Kept::Warm(mem::replace(kept, nobody).into_share(&mut self.packer));
        }
        match kept {
            Kept::Warm(share) => share,
            _ => unreachable!("it was warmed above"),
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
            self.cool(*id);
        }
        answer
    }

    /// A window of few users is packed at once, which costs next to nothing; another one when enough others rest.
    fn cool(&mut self, id: WindowId) {
        let nobody = Share::new(self.precision, self.pages.clone());
        let Some(kept) = self.windows.get_mut(id) else {
            return;
        };
        match mem::replace(kept, Kept::Warm(nobody)) {
            Kept::Warm(share) if share.has_registers() => {
                self.rests += 1;
                *kept = Kept::Resting(self.rests, share);
                self.resting.push_back((self.rests, id));
            }
            Kept::Warm(share) => *kept = Kept::Packed(self.packer.pack(share)),
            other => *kept = other,
        }
        while self.resting.len() > RESTING_WINDOWS {
            self.pack_longest_at_rest();
        }
    }

    fn pack_longest_at_rest(&mut self) {
        let Some((rest, id)) = self.resting.pop_front() else {
            return;
        };
        let Some(kept) = self.windows.get_mut(id) else {
            return;
        };
        if matches!(kept, Kept::Resting(current, _) if *current == rest) {
            let nobody = Kept::Warm(Share::new(self.precision, self.pages.clone()));
            let share = mem::replace(kept, nobody).into_share(&mut self.packer);
            *kept = Kept::Packed(self.packer.pack(share));
        }
    }

    fn tally(&mut self, id: WindowId) -> Tally {
        let mut tally = Tally::default();
        match self.windows.get(id) {
            Some(Kept::Warm(share) | Kept::Resting(_, share)) => share.tally(&mut tally),
            Some(Kept::Packed(packed)) => self.packer.tally(packed, &mut tally),
            None => Share::new(self.precision, self.pages.clone()).tally(&mut tally),
        }
        tally
    }

    /// Appends the canonical bytes of this shard's pages of a window (docs/FORMAT.md). The bytes of all shards, one
    /// behind the other, are those of the window, for any number of shards.
    pub fn write_window(&self, id: WindowId, out: &mut Vec<u8>) {
        match self.windows.get(id) {
            Some(Kept::Warm(share) | Kept::Resting(_, share)) => share.write_canonical(out),
            Some(Kept::Packed(packed)) => packed.write_canonical(out),
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
