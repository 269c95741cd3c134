//! `headcount state` and `merge`: look into a state at rest, or one that a service has, and make new ones of old ones.

mod export;
mod merge;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::cli::merge::MergeArgs;
use crate::cli::state::{StateArgs, StateCommand, StateDirectory, StateFormat};
use crate::engine::calendar::{Calendar, Period, WindowId};
use crate::engine::checkpoint::audit::{Audit, audit, audit_sketches};
use crate::engine::checkpoint::{Loaded, SavedStage};
use crate::engine::report::record::LedgerRecord;
use crate::engine::shard::Shelf;
use crate::engine::sketch::Precision;
use crate::error::Failure;
use crate::io::store::sqlite::inspect::Inspected;

/// Does what it is told and prints what it finds.
///
/// # Errors
///
/// A state that is not there, damaged, or of another version; an output that cannot be written.
pub fn run(args: &StateArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let (found, format) = match &args.command {
        StateCommand::Show(of) => (show(&open(of)?), of.format),
        StateCommand::Verify(of) => (verify(open(of)?, &of.directory)?, of.format),
        StateCommand::Digest(of) => (digest(&open(of)?), of.format),
        StateCommand::Export(args) => (export::export(args)?, args.format),
    };
    print(&found, format, out)
}

/// Merges states and prints what came of it.
///
/// # Errors
///
/// States that cannot be used or do not fit together; a directory or an output that cannot be written to.
pub fn run_merge(args: &MergeArgs, out: &mut dyn Write) -> Result<(), Failure> {
    print(&merge::merge(args)?, args.format, out)
}

fn print(found: &Value, format: StateFormat, out: &mut dyn Write) -> Result<(), Failure> {
    let written = match format {
        StateFormat::Json => writeln!(out, "{found}"),
        StateFormat::Text => print_text(found, "", out),
    };
    written.map_err(|error| Failure::writing("standard output", &error))
}

/// A state that was read, and found to be one.
pub(super) struct Open {
    pub(super) inspected: Inspected,
    pub(super) loaded: Loaded,
    pub(super) audit: Audit,
    pub(super) precision: Precision,
    pub(super) calendar: Calendar,
    /// The periods whose windows were counted.
    pub(super) periods: u8,
    /// Where its windows ended when it was saved.
    pub(super) saved_ends: BTreeMap<WindowId, i64>,
    pub(super) shelf: Box<dyn Shelf>,
    /// The windows that have a sketch.
    pub(super) sketched: BTreeSet<WindowId>,
}

fn open(of: &StateDirectory) -> Result<Open, Failure> {
    open_at(&of.directory)
}

pub(super) fn open_at(directory: &Path) -> Result<Open, Failure> {
    take_up(Inspected::open(directory)?, directory)
}

/// Opens a state that nobody else may have meanwhile.
fn open_locked(directory: &Path) -> Result<Open, Failure> {
    take_up(Inspected::open_locked(directory)?, directory)
}

fn take_up(mut inspected: Inspected, directory: &Path) -> Result<Open, Failure> {
    let Some(mut loaded) = inspected.load()? else {
        let directory = directory.display();
        return Err(Failure::NoInput(format!(
            "the state in {directory} is empty: nothing was counted yet"
        )));
    };
    let strange = |what: &str| Failure::State(format!("the state names no valid {what}"));
    let precision = inspected.identity("precision").and_then(|p| p.parse().ok());
    let precision = precision.and_then(Precision::new);
    let precision = precision.ok_or_else(|| strange("precision"))?;
    let zone = inspected.identity("timezone").unwrap_or_default();
    let calendar = calendar_of(zone).ok_or_else(|| strange("time zone"))?;
    let periods = periods_of(inspected.identity("windows")).ok_or_else(|| strange("windows"))?;
    let saved_ends = loaded.windows.iter().map(|(id, w, _)| (*id, w.end));
    let saved_ends = saved_ends.collect();
    let audit = loaded.redraw(&calendar).and_then(|calendar| {
        let audit = audit(&loaded, precision, &calendar, periods)?;
        Ok((audit, calendar))
    });
    let (audit, calendar) = audit.map_err(|damaged| Failure::State(damaged.to_string()))?;
    Ok(Open {
        audit,
        saved_ends,
        precision,
        calendar,
        periods,
        shelf: inspected.shelf()?,
        sketched: loaded
            .windows
            .iter()
            .filter_map(|(id, _, sketch)| sketch.map(|_| *id))
            .collect(),
        inspected,
        loaded,
    })
}

/// The set of the periods that a state names; all of them where it names none.
fn periods_of(named: Option<&str>) -> Option<u8> {
    let Some(named) = named else {
        return Some(Period::all_bits());
    };
    named.split(',').try_fold(0, |bits, name| {
        let period = Period::ALL.into_iter().find(|p| p.name() == name)?;
        Some(bits | period.bit())
    })
}

fn calendar_of(zone: &str) -> Option<Calendar> {
    let found = TimeZone::get(zone).ok()?;
    let name = found.iana_name().unwrap_or(zone).to_owned();
    Some(Calendar::new(found, &name))
}

impl Open {
    /// The canonical bytes of a window's sketch, if it has one.
    fn sketch(&mut self, id: WindowId) -> Result<Option<Vec<u8>>, Failure> {
        if !self.sketched.contains(&id) {
            return Ok(None);
        }
        self.shelf.fetch(id).map(Some).map_err(Failure::State)
    }
}

fn offsets(of: &Open) -> Value {
    let partitions = of.loaded.names.iter().zip(&of.loaded.admission.partitions);
    let offsets = partitions.map(|(name, p)| (name.clone(), p.next_offset.into()));
    Value::Object(offsets.collect())
}

fn hex(digest: u128) -> String {
    format!("{digest:032x}")
}

fn digest(of: &Open) -> Value {
    json!({"state_digest": hex(of.loaded.digest.0), "offsets": offsets(of)})
}

fn verify(of: Open, directory: &Path) -> Result<Value, Failure> {
    if of.audit.digest != of.loaded.digest {
        return Err(Failure::State(format!(
            "the state in {} has digest {}, and says {}: no run of this program has written it so",
            directory.display(),
            hex(of.audit.digest.0),
            hex(of.loaded.digest.0)
        )));
    }
    let mut shelf = of.inspected.shelf()?;
    let sketches = audit_sketches(&of.loaded, of.precision, &mut *shelf).map_err(Failure::State)?;
    Ok(json!({
        "verified": true,
        "state_digest": hex(of.loaded.digest.0),
        "offsets": offsets(&of),
        "sketches": sketches,
    }))
}

fn show(of: &Open) -> Value {
    let admission = &of.audit.admission;
    let time = |second: Option<i64>| second.map(|at| of.calendar.rfc3339(at));
    let mut partitions = Map::new();
    for (i, name) in of.loaded.names.iter().enumerate() {
        let partition = json!({
            "next_offset": admission.next_offset(i),
            "clock": time(admission.clock(i).map(i64::from)),
            "pending": admission.pending(i),
        });
        partitions.insert(name.clone(), partition);
    }
    let mut windows = Map::new();
    for period in Period::ALL {
        // One without frames is that of frames which still wait.
        let of_period = || {
            of.loaded
                .windows
                .iter()
                .filter(|(id, window, _)| id.period == period && window.frames > 0)
        };
        let stage =
            |is: fn(SavedStage) -> bool| of_period().filter(|(_, w, _)| is(w.stage)).count();
        let counts = json!({
            "open": stage(|s| s == SavedStage::Open),
            "final": stage(|s| matches!(s, SavedStage::Final(..))),
            "incomplete": stage(|s| s == SavedStage::Incomplete),
        });
        windows.insert(period.name().to_owned(), counts);
    }
    json!({
        "job": of.inspected.identity("job"),
        "topic": of.inspected.identity("topic"),
        "precision": of.precision.bits(),
        "timezone": of.calendar.name(),
        "epoch": of.loaded.epoch,
        "state_digest": hex(of.loaded.digest.0),
        "watermark": time(admission.watermark()),
        "partitions": partitions,
        "frames": LedgerRecord::new(admission.ledger()),
        "windows": windows,
        "unpublished": of.loaded.records.len(),
    })
}

/// Names and values, one a line; what belongs together is set in.
fn print_text(value: &Value, indent: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let Value::Object(fields) = value else {
        return writeln!(out, "{indent}{value}");
    };
    for (name, value) in fields {
        match value {
            Value::Object(inner) if inner.is_empty() => writeln!(out, "{indent}{name:<13} none")?,
            Value::Object(_) => {
                writeln!(out, "{indent}{name}")?;
                print_text(value, &format!("{indent}  "), out)?;
            }
            Value::String(text) => writeln!(out, "{indent}{name:<13} {text}")?,
            Value::Null => writeln!(out, "{indent}{name:<13} none")?,
            other => writeln!(out, "{indent}{name:<13} {other}")?,
        }
    }
    Ok(())
}
