//! Frames that are not counted, on their way to where they are put aside. What waits to be confirmed is kept until that
//! is decided. Nothing here has a say in what is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::admit::{Admitted, Arrival, PartitionIndex, Settled};
use crate::engine::frame::{EventTime, Verdict};
use crate::error::Failure;
use crate::io::aside::{Aside, Stray};
use crate::limits::{ASIDE_KEEP_MS, ASIDE_KEPT_BYTES};
use crate::observe::happenings::NotPutAside;

/// Of which frames the bytes are needed behind the decoder.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Keeps {
    /// Those that are rejected.
    pub(super) rejected: bool,
    /// The others.
    pub(super) good: bool,
}

impl Keeps {
    /// Whether they are of a frame with this verdict.
    pub(super) fn wants(self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Rejected(_) => self.rejected,
            Verdict::Seen(..) => self.good,
            Verdict::Ignored => false,
        }
    }
}

/// Where frames are put aside, if anywhere.
#[derive(Default)]
pub struct SetAside {
    rejects: Option<Box<dyn Aside>>,
    quarantine: Option<Box<dyn Aside>>,
    /// Topic and number of each partition, or nothing and its file, by index.
    places: Vec<(String, String)>,
    kept: BTreeMap<(PartitionIndex, i64), Vec<u8>>,
    kept_bytes: usize,
    failure: Option<Failure>,
}

impl SetAside {
    /// Puts rejected frames and quarantined ones where it is told, others nowhere.
    #[must_use]
    pub fn new(rejects: Option<Box<dyn Aside>>, quarantine: Option<Box<dyn Aside>>) -> Self {
        Self {
            rejects,
            quarantine,
            ..Self::default()
        }
    }

    /// Of which frames the bytes are needed when it is decided about them.
    pub(super) fn keeps(&self) -> Keeps {
        Keeps {
            rejected: self.rejects.is_some(),
            // Any of them may have to wait, and be quarantined in the end.
            good: self.quarantine.is_some(),
        }
    }

    /// Adds a partition: its topic, empty for files, and its number or name.
    pub(super) fn add_partition(&mut self, topic: String, name: String) {
        self.places.push((topic, name));
    }

    /// Takes note of what became of a frame at once.
    pub(super) fn note(
        &mut self,
        arrival: Arrival,
        payload: Option<&[u8]>,
        verdict: Verdict,
        admitted: Admitted,
        clock: Option<EventTime>,
    ) {
        let Arrival {
            partition, offset, ..
        } = arrival;
        match (verdict, admitted) {
            (Verdict::Rejected(reason), _) => {
                let stray = stray(&self.places, partition, offset, reason.name(), clock);
                put(
                    &mut self.rejects,
                    &mut self.failure,
                    &Stray {
                        frame: payload,
                        ..stray
                    },
                );
            }
            (_, Admitted::Quarantined(reason)) => {
                let stray = stray(&self.places, partition, offset, reason.name(), clock);
                put(
                    &mut self.quarantine,
                    &mut self.failure,
                    &Stray {
                        frame: payload,
                        ..stray
                    },
                );
            }
            (_, Admitted::Held) => self.keep(partition, offset, payload.unwrap_or_default()),
            _ => {}
        }
    }

    fn keep(&mut self, partition: PartitionIndex, offset: i64, payload: &[u8]) {
        if self.quarantine.is_none() {
            return;
        }
        if self.kept_bytes + payload.len() > ASIDE_KEPT_BYTES {
            return;
        }
        self.kept_bytes += payload.len();
        // A partition that was cut off or made anew has the same offsets again.
        let before = self.kept.insert((partition, offset), payload.to_vec());
        self.kept_bytes -= before.map_or(0, |before| before.len());
    }

    /// Takes note of what became of a frame that had to wait.
    pub(super) fn settle(&mut self, settled: &Settled) {
        if self.quarantine.is_none() {
            return;
        }
        let Settled {
            partition,
            offset,
            clock,
            ..
        } = *settled;
        let kept = self.kept.remove(&(partition, offset));
        self.kept_bytes -= kept.as_ref().map_or(0, Vec::len);
        let Err(reason) = settled.outcome else {
            return;
        };
        let Some(frame) = kept else {
            let why = "too many bytes waited to be confirmed, or it was read before a restart";
            NotPutAside { frames: 1, why }.emit();
            return;
        };
        let stray = stray(&self.places, partition, offset, reason.name(), clock);
        let stray = Stray {
            frame: Some(&frame),
            ..stray
        };
        put(&mut self.quarantine, &mut self.failure, &stray);
    }

    /// Whether so much is under way that nothing more should be read for the moment.
    pub(super) fn is_full(&self) -> bool {
        self.places_to_put().any(Aside::is_full)
    }

    fn places_to_put(&self) -> impl Iterator<Item = &dyn Aside> {
        [&self.rejects, &self.quarantine]
            .into_iter()
            .flatten()
            .map(|aside| &**aside)
    }

    /// Waits so long for answers, and says what was refused.
    ///
    /// # Errors
    ///
    /// When a place takes nothing more.
    pub(super) fn tend(&mut self, wait: Duration) -> Result<(), Failure> {
        for aside in [&mut self.rejects, &mut self.quarantine]
            .into_iter()
            .flatten()
        {
            if let Some((frames, why)) = aside.tend(wait) {
                NotPutAside { frames, why: &why }.emit();
            }
        }
        self.failure.take().map_or(Ok(()), Err)
    }

    /// Sees to it that what was put aside so far outlives this process, as far as its places take it; false where nothing may be
    /// saved that has passed it, since it could not be written.
    pub(super) fn keep_all(&mut self) -> bool {
        let limit = Duration::from_millis(ASIDE_KEEP_MS);
        for aside in [&mut self.rejects, &mut self.quarantine]
            .into_iter()
            .flatten()
        {
            if let Err(failure) = aside.keep(limit) {
                self.failure.get_or_insert(failure);
            }
        }
        self.failure.is_none()
    }

    /// Waits until everything is kept, as long as there is time for it.
    ///
    /// # Errors
    ///
    /// When what was handed over could not be written.
    pub(super) fn finish(&mut self, is_time_left: &mut dyn FnMut() -> bool) -> Result<(), Failure> {
        let mut outcome = self.failure.take().map_or(Ok(()), Err);
        for aside in [&mut self.rejects, &mut self.quarantine]
            .into_iter()
            .flatten()
        {
            match aside.finish(is_time_left) {
                Ok(0) => {}
                Ok(frames) => {
                    let why = "the topic did not acknowledge them in time";
                    NotPutAside { frames, why }.emit();
                }
                Err(failure) => outcome = outcome.and(Err(failure)),
            }
        }
        outcome
    }
}

fn stray<'a>(
    places: &'a [(String, String)],
    partition: PartitionIndex,
    offset: i64,
    reason: &'static str,
    clock: Option<EventTime>,
) -> Stray<'a> {
    let (topic, partition) = &places[partition];
    Stray {
        topic,
        partition,
        offset,
        reason,
        clock,
        frame: None,
    }
}

fn put(aside: &mut Option<Box<dyn Aside>>, failure: &mut Option<Failure>, stray: &Stray<'_>) {
    if let Some(aside) = aside
        && failure.is_none()
    {
        *failure = aside.put(stray).err();
    }
}
