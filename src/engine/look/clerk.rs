//! Answers questions: selects with the help of the admission, and does the counting out that is not the shards' work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{List, Listed, Piece, Seen, Select};
use crate::engine::barrier::ClosedBy;
use crate::engine::calendar::{Bounds, Calendar, WindowId};
use crate::engine::look::Known;
use crate::engine::report::answer::{
    Moment, Stretch, USERS_SCHEMA, UsedWindow, UsersAnswer, WINDOWS_SCHEMA, WindowRow,
    WindowsAnswer,
};
use crate::engine::sketch::estimate::{Tally, Users};
use crate::engine::sketch::packed::Packer;
use crate::engine::sketch::share::Share;
use crate::engine::sketch::{Precision, canonical};
use crate::limits::{LOOK_SKETCHES, LOOKS_MAX, SERIES_KNOWN_MAX};

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// Not in time.
    Late,
    /// Nobody is there any more to ask.
    Ended,
    /// Nothing of what was asked for is kept.
    NotKept,
    /// It would take more windows than [`crate::limits::LOOK_WINDOWS_MAX`].
    TooLong,
    /// What is saved cannot be read, in words for the operator.
    Damaged(String),
}

/// What came back for a question.
#[derive(Debug, Clone)]
pub struct Looked {
    /// What the admission knew.
    pub known: Known,
    /// The partitions' names, by index.
    pub names: Arc<[String]>,
    /// What the shards had to say, by their pages.
    pub seen: Vec<Seen>,
}

impl Looked {
    /// The windows whose sketches have left memory, at least in part.
    fn shelved(&self) -> Vec<Listed> {
        let ids = self.known.look.sketches.iter().enumerate();
        let is_shelved = |i: usize| {
            let pieces = self.seen.iter().filter_map(|seen| seen.sketches.get(i));
            pieces.into_iter().any(|p| matches!(p, Piece::Shelved))
        };
        let shelved: BTreeSet<_> = ids
            .filter(|(i, _)| is_shelved(*i))
            .map(|(_, id)| *id)
            .collect();
        let windows = self.known.windows.iter();
        windows
            .filter(|w| shelved.contains(&w.id))
            .copied()
            .collect()
    }
}

/// Windows that were counted out: each with the frames that it had then, and its users.
type CountedOut = Vec<(WindowId, (u64, Users))>;

/// Whoever can be asked: a service through its channels, or a state at rest.
pub trait Counted {
    /// Asks.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    fn look(&mut self, select: Select) -> Result<Looked, Unanswered>;

    /// The canonical bytes of a sketch that has left memory.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn fetch(&mut self, id: WindowId) -> Result<Vec<u8>, String>;
}

/// Answers questions about whoever is counted.
pub struct Clerk<C> {
    counted: C,
    precision: Precision,
    calendar: Calendar,
    packer: Packer,
    /// Windows whose users were counted out, with the frames that they had then: a window changes with its frames only.
    known: BTreeMap<WindowId, (u64, Users)>,
}

impl<C: Counted> Clerk<C> {
    /// A clerk; precision and calendar are those of what is counted.
    pub fn new(counted: C, precision: Precision, calendar: Calendar) -> Self {
        Self {
            counted,
            precision,
            calendar,
            packer: Packer::default(),
            known: BTreeMap::new(),
        }
    }

    /// Whoever is counted.
    pub fn counted(&self) -> &C {
        &self.counted
    }

    /// Users of the trailing windows that are selected.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn trailing(&mut self, select: Select) -> Result<Vec<UsersAnswer>, Unanswered> {
        let Looked { known, names, seen } = self.counted.look(select)?;
        let starts = known.look.starts.iter().enumerate();
        let answers = starts.map(|(i, start)| {
            let mut tally = Tally::default();
            seen.iter().for_each(|seen| tally.merge(&seen.trailing[i]));
            let users = tally.users(self.precision);
            // Before the first second of event time there is nothing.
            let from = (start + 1).max(1);
            let end = known.as_of.map(|at| i64::from(at) + 1);
            let text = |second: i64| self.calendar.rfc3339(second);
            UsersAnswer {
                complete: known.complete_from.is_some_and(|since| from >= since),
                from: end.map(|_| text(from)),
                to: end.map(|end| text(end.max(from))),
                ..self.users(users, &known, &names)
            }
        });
        Ok(answers.collect())
    }

    /// Looks, and makes something of what it found. A sketch that has left memory is read later than the look: where its window
    /// got a frame meanwhile, or was forgotten, all is done again.
    fn look_and<T>(
        &mut self,
        select: &Select,
        mut work: impl FnMut(&mut Self, Looked) -> Result<T, Unanswered>,
    ) -> Result<T, Unanswered> {
        for _ in 0..LOOKS_MAX {
            let looked = self.counted.look(select.clone())?;
            let shelved = looked.shelved();
            let outcome = work(self, looked);
            if self.are_as_they_were(&shelved)? {
                return outcome;
            }
        }
        Err(Unanswered::Late)
    }

    fn are_as_they_were(&mut self, windows: &[Listed]) -> Result<bool, Unanswered> {
        if windows.is_empty() {
            return Ok(true);
        }
        let ids = windows.iter().map(|w| w.id).collect();
        let now = self.counted.look(Select::Listed(ids))?.known.windows;
        let frames: BTreeMap<_, _> = now.iter().map(|w| (w.id, w.frames)).collect();
        Ok(windows.iter().all(|w| frames.get(&w.id) == Some(&w.frames)))
    }

    /// Users of the calendar windows that cover a stretch.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn union(&mut self, stretch: Bounds) -> Result<UsersAnswer, Unanswered> {
        self.look_and(&Select::Cover(stretch), |clerk, looked| {
            clerk.unite_all(stretch, looked)
        })
    }

    fn unite_all(&mut self, stretch: Bounds, looked: Looked) -> Result<UsersAnswer, Unanswered> {
        let Looked { known, names, seen } = looked;
        if known.is_too_long {
            return Err(Unanswered::TooLong);
        }
        let all_is_missing = |m: &Bounds| m.start <= stretch.start.max(1) && stretch.end <= m.end;
        if known.missing.iter().any(all_is_missing) {
            return Err(Unanswered::NotKept);
        }
        let ids: Vec<_> = known.windows.iter().map(|w| w.id).collect();
        let mut tally = Tally::default();
        for seen in seen {
            self.unite(&ids, seen, &mut tally)?;
        }
        let text = |second: i64| self.calendar.rfc3339(second);
        let from = ids
            .first()
            .map_or(stretch.start, |id| id.start.min(stretch.start));
        let newest = known.as_of.map_or(stretch.end, |at| i64::from(at) + 1);
        // Nothing behind the newest second was counted.
        let end = stretch.end.min(newest.max(from));
        let last = known.windows.iter().map(|w| w.end.min(newest)).max();
        let to = last.map_or(end, |last| last.max(end));
        let used = known.windows.iter().map(|w| UsedWindow {
            window: w.id.period.name().to_owned(),
            start: text(w.id.start),
            end: text(w.end),
        });
        let missing = known.missing.iter().map(|m| Stretch {
            from: text(m.start),
            to: text(m.end),
        });
        let watermark = known.watermark.unwrap_or(i64::MIN);
        Ok(UsersAnswer {
            from: Some(text(from)),
            to: Some(text(to)),
            complete: known.missing.is_empty()
                && known.complete_from.is_some_and(|since| from >= since),
            closed: Some(to <= watermark && known.windows.iter().all(|w| w.end <= watermark)),
            windows: Some(used.collect()),
            missing: Some(missing.collect()),
            ..self.users(tally.users(self.precision), &known, &names)
        })
    }

    /// A series of windows.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub fn series(&mut self, list: List) -> Result<WindowsAnswer, Unanswered> {
        if self.known.len() + list.limit > SERIES_KNOWN_MAX {
            self.known.clear();
        }
        // The sketches that are wanted come with the list: what is counted between two looks is in no answer.
        let mut wanted = Vec::new();
        for _ in 0..LOOKS_MAX {
            let (known, names) = self.count_out(&Select::List(list, wanted.clone()))?;
            let unknown = known.windows.iter().filter(|w| self.users_of(w).is_none());
            let unknown: Vec<_> = unknown.map(|w| w.id).collect();
            if unknown.is_empty() {
                return Ok(self.series_of(list, &known, &names));
            }
            wanted.extend(unknown);
            if wanted.len() > LOOK_SKETCHES {
                // Most of them do not change any more, and are known then.
                for ids in std::mem::take(&mut wanted).chunks(LOOK_SKETCHES) {
                    self.count_out(&Select::Sketches(ids.to_vec()))?;
                }
            }
        }
        Err(Unanswered::Late)
    }

    fn users_of(&self, window: &Listed) -> Option<Users> {
        let (frames, users) = self.known.get(&window.id)?;
        (*frames == window.frames).then_some(*users)
    }

    fn series_of(&self, list: List, known: &Known, names: &[String]) -> WindowsAnswer {
        let rows = known.windows.iter();
        let rows = rows.filter_map(|w| Some(self.row(w, self.users_of(w)?)));
        WindowsAnswer {
            schema: WINDOWS_SCHEMA.to_owned(),
            window: list.period.name().to_owned(),
            windows: rows.collect(),
            more: known.more.map(|start| self.calendar.rfc3339(start)),
            moment: self.moment(known, names),
        }
    }

    /// Counts out the sketches that are handed out, and remembers their users; returns what came with them.
    fn count_out(&mut self, select: &Select) -> Result<(Known, Arc<[String]>), Unanswered> {
        let (known, names, counted) = self.look_and(select, |clerk, looked| {
            let Looked { known, names, seen } = looked;
            let counted = clerk.tally_each(&known, seen)?;
            Ok((known, names, counted))
        })?;
        self.known.extend(counted);
        Ok((known, names))
    }

    fn tally_each(&mut self, known: &Known, seen: Vec<Seen>) -> Result<CountedOut, Unanswered> {
        let mut tallies = vec![Tally::default(); known.look.sketches.len()];
        for Seen {
            pages, sketches, ..
        } in seen
        {
            for ((id, piece), tally) in known.look.sketches.iter().zip(sketches).zip(&mut tallies) {
                match piece {
                    Piece::Packed(packed) => self.packer.tally(&packed, tally),
                    piece => self.open(*id, piece, &pages)?.tally(tally),
                }
            }
        }
        let users: BTreeMap<_, _> = known.look.sketches.iter().zip(tallies).collect();
        let counted = known.windows.iter().filter_map(|window| {
            let users = users.get(&window.id)?.users(self.precision);
            Some((window.id, (window.frames, users)))
        });
        Ok(counted.collect())
    }

    /// Adds the union of a shard's parts of some sketches to a tally.
    fn unite(&mut self, ids: &[WindowId], seen: Seen, tally: &mut Tally) -> Result<(), Unanswered> {
        let Seen {
            pages, sketches, ..
        } = seen;
        let mut all = Share::new(self.precision, pages.clone());
        for (id, piece) in ids.iter().zip(sketches) {
            let share = self.open(*id, piece, &pages)?;
            all.merge(&share);
        }
        all.tally(tally);
        Ok(())
    }

    fn open(
        &mut self,
        id: WindowId,
        piece: Piece,
        pages: &std::ops::Range<usize>,
    ) -> Result<Share, Unanswered> {
        let damaged = |why: String| Unanswered::Damaged(why);
        match piece {
            Piece::Nobody => Ok(Share::new(self.precision, pages.clone())),
            Piece::Open(share) => Ok(share),
            Piece::Packed(packed) => Ok(self.packer.unpack(packed)),
            Piece::Shelved => {
                let whole = self.counted.fetch(id).map_err(damaged)?;
                let place = canonical::locate(self.precision, &whole, pages.clone());
                let place = place.map_err(|why| damaged(why.to_string()))?;
                canonical::read_share(self.precision, pages.clone(), &whole[place])
                    .map_err(|why| damaged(why.to_string()))
            }
        }
    }

    fn row(&self, listed: &Listed, users: Users) -> WindowRow {
        let Listed { id, end, .. } = *listed;
        let (state, closed_by, revision) = match listed.last_word {
            None => ("provisional", None, None),
            Some((by, 0)) => ("final", Some(by), Some(0)),
            Some((by, revision)) => ("revised", Some(by), Some(revision)),
        };
        WindowRow {
            start: self.calendar.rfc3339(id.start),
            end: self.calendar.rfc3339(end),
            users: users.users,
            lo: users.lo,
            hi: users.hi,
            frames: listed.frames,
            late: listed.late,
            state: state.to_owned(),
            closed_by: closed_by.map(|by: ClosedBy| by.name().to_owned()),
            complete: listed.complete,
            revision,
        }
    }

    fn users(&self, users: Users, known: &Known, names: &[String]) -> UsersAnswer {
        UsersAnswer {
            schema: USERS_SCHEMA.to_owned(),
            users: users.users,
            lo: users.lo,
            hi: users.hi,
            from: None,
            to: None,
            complete: false,
            closed: None,
            windows: None,
            missing: None,
            moment: self.moment(known, names),
        }
    }

    fn moment(&self, known: &Known, names: &[String]) -> Moment {
        let offsets = names.iter().cloned().zip(known.offsets.iter().copied());
        Moment {
            as_of: known.as_of,
            since: known.since,
            watermark: known.watermark,
            tz: self.calendar.name().to_owned(),
            offsets: offsets.collect(),
        }
    }
}
