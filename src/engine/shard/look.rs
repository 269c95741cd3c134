//! What a shard says to questions from outside: tallies of its trailing table, and its sketches as they are.

use super::{Kept, Shard};
use crate::engine::look::{Look, Piece, Seen};

impl Shard {
    /// Answers a question; nothing changes, and nothing that has left memory comes back into it. A pass over the trailing
    /// table that is under way is finished first: sightings wait for it that the answer has to show.
    #[must_use]
    pub fn look(&mut self, look: &Look) -> Seen {
        self.finish_pass();
        let starts = look.starts.iter();
        let sketches =
            look.sketches.iter().map(
                |id| match self.windows.get(*id).map(|window| &window.kept) {
                    Some(Kept::Warm(share) | Kept::Resting(_, share)) => Piece::Open(share.clone()),
                    Some(Kept::Packed(packed)) => Piece::Packed(packed.clone()),
                    Some(Kept::Shelved) => Piece::Shelved,
                    None => Piece::Nobody,
                },
            );
        Seen {
            pages: self.pages.clone(),
            trailing: starts
                .map(|start| self.trailing.tally_one(*start))
                .collect(),
            sketches: sketches.collect(),
        }
    }
}
