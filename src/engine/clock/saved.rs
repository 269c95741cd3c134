//! A partition's clock as bytes and back (docs/FORMAT.md, *State*).

use std::collections::VecDeque;

use super::votes::{Vote, Votes};
use super::{Claim, ClockRules, Held, PartitionClock};
use crate::engine::checkpoint::codec::{Damaged, Reader, put_len, put_time};
use crate::engine::frame::UserHash;
use crate::limits::{CLOCK_VOTES, MAX_JUMP_MAX_S};

impl PartitionClock {
    /// Appends everything that the clock goes by besides its rules. Clocks that saw the same frames write the same.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_time(out, self.clock);
        out.extend_from_slice(&self.frames.to_le_bytes());
        put_len(out, self.votes.len());
        for vote in self.votes.arrived() {
            out.extend_from_slice(&vote.ts.to_le_bytes());
            out.extend_from_slice(&vote.arrival.to_le_bytes());
        }
        put_len(out, self.pen.len());
        for Held { claim, arrival } in &self.pen {
            out.extend_from_slice(&arrival.to_le_bytes());
            out.extend_from_slice(&claim.hash.0.to_le_bytes());
            out.extend_from_slice(&claim.offset.to_le_bytes());
        }
    }

    /// Reads what [`Self::write`] wrote, to go on under these rules.
    ///
    /// # Errors
    ///
    /// When no clock can have written it.
    pub fn read(rules: ClockRules, from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let clock = from.time()?;
        let mut frames = from.u64()?;
        // A partition has no more offsets than that, and counting on must not overflow.
        from.check(i64::try_from(frames).is_ok())?;
        let mut votes = Votes::new();
        let mut next = 0;
        for _ in 0..from.len(12, CLOCK_VOTES)? {
            let (ts, arrival) = (from.u32()?, from.u64()?);
            from.check(ts != 0 && arrival >= next && arrival < frames)?;
            next = arrival + 1;
            votes.push(Vote { ts, arrival });
        }
        let mut pen: VecDeque<Held> = VecDeque::new();
        let mut counted: Vec<_> = votes.arrived().copied().collect();
        for _ in 0..from.len(24, votes.len())? {
            let arrival = from.u64()?;
            let (hash, offset) = (UserHash(from.u64()?), from.i64()?);
            from.check(pen.back().is_none_or(|before| before.arrival < arrival))?;
            let at = counted.iter().position(|vote| vote.arrival == arrival);
            let ts = counted.remove(at.ok_or(from.damaged())?).ts;
            let claim = Claim { hash, ts, offset };
            pen.push_back(Held { claim, arrival });
        }
        let waiting = pen.iter().map(|held| Some(held.claim.ts)).min();
        let present = counted.iter().map(|vote| Some(vote.ts)).max();
        from.check(present.is_none_or(|present| present <= clock))?;
        from.check(waiting.is_none_or(|waiting| clock < waiting))?;
        let goes_by_votes = u64::from(rules.max_jump_s) < MAX_JUMP_MAX_S;
        if let Some(clock) = clock
            && goes_by_votes
            && counted.is_empty()
        {
            // Written where every frame was believed and none had a vote: the clock itself is what is known.
            from.check(pen.is_empty())?;
            votes.push(Vote {
                ts: clock,
                arrival: frames,
            });
            frames += 1;
        }
        Ok(Self {
            rules,
            clock,
            votes,
            pen,
            frames,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Fate;
    use super::*;
    use crate::engine::frame::EventTime;

    const RULES: ClockRules = ClockRules {
        lateness_s: 5,
        max_lateness_s: 600,
        max_jump_s: 60,
    };

    #[test]
    fn a_clock_that_could_not_count_on_is_refused() {
        let clock = |frames: u64| {
            let mut bytes = Vec::new();
            put_time(&mut bytes, Some(1_700_000_000));
            bytes.extend_from_slice(&frames.to_le_bytes());
            put_len(&mut bytes, 0);
            put_len(&mut bytes, 0);
            PartitionClock::read(RULES, &mut Reader::new(&bytes, "clock"))
        };
        assert!(clock(7).is_ok());
        for frames in [u64::MAX, i64::MAX as u64 + 1] {
            assert!(clock(frames).is_err(), "{frames}");
        }
    }

    /// `--max-jump` may change between two runs on a state.
    #[test]
    fn what_waits_is_let_go_where_every_frame_is_believed_from_now_on() {
        const T: EventTime = 1_700_000_000;
        const ALL: ClockRules = ClockRules {
            max_jump_s: MAX_JUMP_MAX_S as u32,
            ..RULES
        };
        let claim = |ts, offset| Claim {
            hash: UserHash(7),
            ts,
            offset,
        };
        let reread = |clock: &PartitionClock, rules| {
            let mut bytes = Vec::new();
            clock.write(&mut bytes);
            PartitionClock::read(rules, &mut Reader::new(&bytes, "clock"))
        };
        let (mut clock, mut settled) = (PartitionClock::new(RULES), Vec::new());
        for i in 0..50 {
            clock.judge(claim(T + i, i64::from(i)), None, &mut settled);
        }
        assert_eq!(clock.judge(claim(T + 5_000, 50), None, &mut settled), None);
        settled.clear();
        let mut ended = reread(&clock, ALL).unwrap();
        ended.settle(&mut settled);
        assert_eq!((ended.pending(), settled.len()), (0, 1));
        assert!(matches!(settled[0].1, Fate::Counted { .. }));
        settled.clear();
        let mut gone_on = reread(&clock, ALL).unwrap();
        for i in 0..6_000 {
            let next = claim(T + 50 + i, 51 + i64::from(i));
            assert!(gone_on.judge(next, None, &mut settled).is_some());
        }
        assert_eq!((gone_on.pending(), settled.len()), (0, 1));
        for rules in [ALL, RULES] {
            assert!(reread(&gone_on, rules).is_ok());
        }
    }
}
