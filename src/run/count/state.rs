//! The state of a count: where it goes on in each file, when it is saved.

use std::sync::Arc;

use super::super::driver::Driver;
use super::super::keep::restore::{begin_anew, begin_at};
use super::super::keep::{Keeper, Saves};
use super::super::lines::{Keep, Lines};
use super::super::pipeline::Broken;
use super::files::{self, Places};
use crate::config::CountConfig;
use crate::engine::admit::{Admission, Arrival, PartitionIndex};
use crate::engine::calendar::Period;
use crate::engine::catalog::Ask;
use crate::engine::checkpoint::beginning::Beginning;
use crate::engine::checkpoint::keeping::Keeping;
use crate::engine::decode::{Decoder, Fields};
use crate::engine::shard::Shard;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::source::chunks::{self, Opened};
use crate::io::source::lines::{BytesRead, Mark, Marker, unmarked};
use crate::io::store::Store;
use crate::io::store::sqlite::{Identity, SqliteStore};
use crate::observe::happenings::{FilesResumed, caution};

/// What stands for the topic in the state of a count. No topic can have this name.
pub(in crate::run) const FILES: &str = "(files)";
/// What stands for the job.
pub(in crate::run) const JOB: &str = "count";

/// What a count begins with.
pub(super) struct Begun {
    pub(super) admission: Admission,
    pub(super) shards: Vec<Shard>,
    pub(super) lines: Lines,
    /// `None` where nothing is saved.
    pub(super) kept: Option<(Keeping, Keeper)>,
    /// `None` where nothing is saved.
    pub(super) saving: Option<Saving>,
}

/// When the state is saved, and what of each file.
pub(super) struct Saving {
    saves: Saves,
    clock: Arc<dyn Clock>,
    fields: Fields,
    interval_ms: u64,
    next_ms: u64,
    places: Places,
    /// The partition of each input, by its index.
    partitions: Vec<PartitionIndex>,
    /// Of each input.
    markers: Vec<Marker>,
}

/// Opens the inputs, with a state behind what it has of them.
pub(super) fn begin(
    config: &CountConfig,
    clock: &Arc<dyn Clock>,
    bytes: &BytesRead,
) -> Result<Begun, Failure> {
    let Some(state) = &config.state else {
        let Beginning {
            admission, shards, ..
        } = begin_anew(&config.counting);
        return Ok(Begun {
            admission,
            shards,
            lines: lines(config, chunks::open(&config.inputs, bytes)?, keep(config))?,
            kept: None,
            saving: None,
        });
    };
    files::check(&config.inputs)?;
    let mut store = SqliteStore::open(&state.directory, identity(config))?;
    let mut beginning = begin_at(&config.counting, &mut store)?;
    let known = std::mem::take(&mut beginning.places).into_iter();
    let known = known.enumerate().map(|(i, name)| {
        let mark = Mark::read(beginning.admission.mark(i));
        let mark = mark.map_err(|damaged| Failure::State(damaged.to_string()))?;
        let lines = beginning.admission.next_offset(i);
        Ok(files::Known { name, lines, mark })
    });
    let known = known.collect::<Result<Vec<_>, Failure>>()?;
    let found = files::find(&config.inputs, known, config.on_gap, bytes)?;
    let from = chunks::on_from(&config.inputs, found.readers)?;
    // All text is kept: the marks are made of it.
    let mut lines = lines(config, from, Keep::All)?;
    lines.hold_rests();
    let epoch = clock.unix_ms().max(beginning.epoch + 1);
    let saves = Saves::default();
    let is_new = beginning.epoch == 0;
    let keeping = Keeping::new(beginning.book, store.shelf()?, epoch);
    let keeper = Keeper::start(Box::new(store), is_new, saves.clone(), Arc::clone(clock))?;
    let saving = Saving {
        saves,
        interval_ms: state.interval_ms,
        next_ms: clock.monotonic_ms() + state.interval_ms,
        clock: Arc::clone(clock),
        fields: config.counting.fields.clone(),
        places: found.places,
        partitions: Vec::new(),
        markers: found.markers,
    };
    Ok(Begun {
        admission: beginning.admission,
        shards: beginning.shards,
        lines,
        kept: Some((keeping, keeper)),
        saving: Some(saving),
    })
}

fn lines(config: &CountConfig, from: Vec<Opened>, keep: Keep) -> Result<Lines, Failure> {
    Lines::start(from, config.threads, &config.counting.fields, keep)
}

/// Text of lines is kept only where some of them are put aside.
fn keep(config: &CountConfig) -> Keep {
    match (&config.quarantine_file, &config.rejects_file) {
        (Some(_), _) => Keep::All,
        (None, Some(_)) => Keep::Rejected,
        (None, None) => Keep::Nothing,
    }
}

/// What a state must agree on with the count.
fn identity(config: &CountConfig) -> Identity {
    let counting = &config.counting;
    let windows = Period::ALL.into_iter();
    let windows = windows.filter(|p| counting.rules.periods & p.bit() != 0);
    let windows: Vec<_> = windows.map(Period::name).collect();
    [
        ("hash", "xxh3_64 seed 0".to_owned()),
        ("job", JOB.to_owned()),
        ("precision", counting.precision.bits().to_string()),
        ("timezone", counting.rules.calendar.name().to_owned()),
        ("topic", FILES.to_owned()),
        ("windows", windows.join(",")),
    ]
    .into()
}

impl Saving {
    /// Adds the partitions: those that the state knows, then new ones.
    pub(super) fn add_partitions(&mut self, driver: &mut Driver, inputs: usize) {
        driver.keep(self.saves.clone());
        self.partitions = vec![0; inputs];
        for (name, input) in &self.places.known {
            let place = (String::new(), name.clone());
            let partition = driver.resume_partition(name.clone(), place, input.is_some());
            match input {
                Some(input) => self.partitions[*input] = partition,
                None => driver.admission.close(partition),
            }
        }
        for (name, input) in &self.places.new {
            let place = (String::new(), name.clone());
            self.partitions[*input] = driver.add_partition(name.clone(), place, 0, true);
        }
        for input in &self.places.behind_gaps {
            let partition = self.partitions[*input];
            let next = driver.admission.next_offset(partition);
            driver.admission.gap(partition, next);
        }
        if !self.places.known.is_empty() {
            let known = &self.places.known;
            let read_on = known.iter().filter(|(_, input)| input.is_some()).count();
            FilesResumed {
                read_on,
                new: self.places.new.len(),
                not_named: known.len() - read_on,
            }
            .emit();
        }
    }

    /// The partition of an input.
    pub(super) fn partition(&self, input: usize) -> PartitionIndex {
        self.partitions[input]
    }

    /// Takes note of a line that was counted.
    pub(super) fn note(&mut self, input: usize, line: &[u8]) {
        self.markers[input].note(line);
    }

    fn mark(&self, driver: &mut Driver) {
        for (partition, marker) in self.partitions.iter().zip(&self.markers) {
            let mark = marker.mark().to_bytes();
            driver.admission.set_mark(*partition, mark);
        }
    }

    /// Saves the state when its time has come.
    pub(super) fn save_if_due(&mut self, driver: &mut Driver) -> Result<(), Broken> {
        let now_ms = self.clock.monotonic_ms();
        if now_ms < self.next_ms || self.saves.is_under_way() {
            return Ok(());
        }
        self.next_ms = now_ms + self.interval_ms;
        self.mark(driver);
        driver.barrier(Ask {
            save: true,
            ..Ask::default()
        })
    }

    /// Saves the state, then ends the input. What stands behind the last newline of a file may be a line that is still being
    /// written: it is counted for the records alone, as what waits to be confirmed.
    pub(super) fn end(&self, lines: &mut Lines, driver: &mut Driver) -> Result<(), Broken> {
        self.mark(driver);
        let mut decoder = Decoder::new(self.fields.clone());
        driver.end_after(&mut |driver| {
            let rests = lines.take_rests();
            if let Some((input, ..)) = rests.first() {
                let name = &driver.partitions()[self.partition(*input)];
                let others = match rests.len() - 1 {
                    0 => String::new(),
                    others => format!(" (so do {others} others)"),
                };
                caution(&format!(
                    "{name}{others} ends without a newline: its last line is in what this run says, and will be in the state when a newline stands behind it"
                ));
            }
            for (input, offset, line) in rests {
                let arrival = Arrival {
                    partition: self.partition(input),
                    offset,
                    appended: None,
                };
                let verdict = decoder.decode(Some(unmarked(&line)));
                driver.admit(arrival, Some(&line), verdict)?;
            }
            Ok(())
        })
    }
}
