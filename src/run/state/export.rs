//! `headcount state export`: a state as it would be at a lower precision, or in another zone, where it holds enough for that.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::whole::{Terms, Whole, refuse_taken, write};
use super::{Open, calendar_of, hex, offsets, open_locked};
use crate::cli::state::ExportArgs;
use crate::engine::admit::Admission;
use crate::engine::calendar::{Bounds, Calendar, Period};
use crate::engine::checkpoint::SavedStretch;
use crate::engine::frame::EventTime;
use crate::engine::sketch::fold::fold;
use crate::engine::sketch::{Precision, canonical};
use crate::engine::trailing::Trailing;
use crate::error::Failure;
use crate::io::store::sqlite::Identity;
use crate::limits::PAGES;
use crate::run::count::state::FILES;

/// Writes the state to a new directory.
///
/// # Errors
///
/// A state that cannot be used or does not hold enough; a directory that cannot be written to.
pub(super) fn export(args: &ExportArgs) -> Result<Value, Failure> {
    refuse_taken(&args.output)?;
    let mut of = open_locked(&args.directory)?;
    let precision = args.precision.and_then(Precision::new);
    let precision = precision.unwrap_or(of.precision);
    let calendar = match &args.timezone {
        Some(name) => calendar_of(name).ok_or_else(|| {
            Failure::Usage(format!(
                "--timezone '{name}' is not known; give an IANA name such as Europe/Zurich or UTC"
            ))
        })?,
        None => of.calendar.clone(),
    };
    if precision.bits() > of.precision.bits() {
        return Err(Failure::Usage(format!(
            "--precision {} is more than the {} that the state has, and no sketch can be made finer; {}",
            precision.bits(),
            of.precision.bits(),
            rebuild(&of, precision, &calendar)
        )));
    }
    check_windows(&of, precision, &calendar)?;
    let stretches = stretches(&of, precision, &calendar)?;
    let mut identity = Identity::new();
    for name in ["hash", "job", "topic", "windows"] {
        if let Some(value) = of.inspected.identity(name) {
            identity.insert(name, value.to_owned());
        }
    }
    identity.insert("precision", precision.bits().to_string());
    identity.insert("timezone", calendar.name().to_owned());
    let terms = Terms {
        identity,
        precision,
        retention_s: Admission::saved_retention_s(&of.loaded.admission)
            .map_err(|damaged| Failure::State(damaged.to_string()))?,
    };
    let shown = (
        offsets(&of),
        of.precision,
        rebuild(&of, precision, &calendar),
    );
    let whole = whole(&mut of, stretches);
    let mut sketches = Sketches {
        of: &mut of,
        precision,
        rebuild: &shown.2,
        undecided: 0,
    };
    let digest = write(&args.output, terms, whole, &mut |id| sketches.of(id))?;
    Ok(json!({
        "exported": args.output.display().to_string(),
        "precision": precision.bits(),
        "timezone": calendar.name(),
        "state_digest": hex(digest.0),
        "same_as_counted": sketches.undecided == 0,
        "offsets": shown.0,
    }))
}

fn whole(of: &mut Open, stretches: Vec<SavedStretch>) -> Whole {
    let loaded = &mut of.loaded;
    let indices = 0..loaded.names.len();
    Whole {
        epoch: loaded.epoch,
        greatest_clock: indices.filter_map(|i| of.audit.admission.clock(i)).max(),
        partitions: loaded
            .names
            .iter()
            .cloned()
            .zip(loaded.admission.partitions.iter().cloned())
            .collect(),
        ledger: loaded.admission.ledger.clone(),
        rest: loaded.admission.rest.clone(),
        windows: loaded.windows.iter().map(|(id, w, _)| (*id, *w)).collect(),
        stretches,
        records: std::mem::take(&mut loaded.records),
    }
}

/// Sketches cannot be cut, so every window must be one of the other zone too.
fn check_windows(of: &Open, precision: Precision, calendar: &Calendar) -> Result<(), Failure> {
    for (id, window, _) in &of.loaded.windows {
        let ts = EventTime::try_from(id.start.max(1)).unwrap_or(EventTime::MAX);
        let bounds = Bounds {
            start: id.start,
            end: window.end,
        };
        if calendar.window(id.period, ts) != bounds {
            return Err(Failure::Usage(format!(
                "the {} from {} to {} is none in {}, and no sketch can be cut; {}",
                id.period.name(),
                of.calendar.rfc3339(bounds.start),
                of.calendar.rfc3339(bounds.end),
                calendar.name(),
                rebuild(of, precision, calendar)
            )));
        }
    }
    Ok(())
}

fn stretches(
    of: &Open,
    precision: Precision,
    calendar: &Calendar,
) -> Result<Vec<SavedStretch>, Failure> {
    if precision == of.precision {
        return Ok(of.loaded.stretches.clone());
    }
    let mut table = Trailing::new(of.precision, 0..PAGES);
    for stretch in &of.loaded.stretches {
        let restored = table.restore(stretch);
        restored.map_err(|damaged| Failure::State(damaged.to_string()))?;
    }
    let Some(mut folded) = table.fold(precision) else {
        return Err(Failure::Usage(format!(
            "the state does not know the latest users of every page as far back as precision {} has to; {}",
            precision.bits(),
            rebuild(of, precision, calendar)
        )));
    };
    let mut stretches = Vec::new();
    folded.save(&mut stretches);
    Ok(stretches)
}

/// What gives the same counts anew.
fn rebuild(of: &Open, precision: Precision, calendar: &Calendar) -> String {
    let options = format!(
        "--precision {} --timezone {} --state NEW",
        precision.bits(),
        calendar.name()
    );
    let topic = of.inspected.identity("topic").unwrap_or_default();
    if topic == FILES {
        let all = Period::ALL.map(Period::name).join(",");
        let windows = of.inspected.identity("windows").unwrap_or(&all);
        let windows = match windows == all {
            true => String::new(),
            false => format!("--window {windows} "),
        };
        return format!("count the files again: headcount count {windows}{options} FILE...");
    }
    let is_of_topic = |name: &String| {
        let of = name.rsplit_once('/').map(|(of, _)| of);
        of.is_some_and(|of| topic.split(',').any(|topic| topic == of))
    };
    if !of.loaded.names.iter().all(is_of_topic) {
        return "export the states that it was merged of, and merge these".to_owned();
    }
    let partitions = of.loaded.names.iter().zip(&of.loaded.admission.partitions);
    let has_one_topic = !topic.contains(',');
    let until: BTreeMap<_, _> = partitions
        .map(|(name, partition)| {
            let (topic, number) = name.rsplit_once('/').unwrap_or(("", name));
            let place = if has_one_topic {
                number.to_owned()
            } else {
                format!("{topic}:{number}")
            };
            (place, partition.next_offset)
        })
        .collect();
    let until: Vec<_> = until
        .iter()
        .map(|(p, offset)| format!("{p}:{offset}"))
        .collect();
    format!(
        "count the topic again up to the same offsets: headcount run -t {topic} {options} --until {}",
        until.join(",")
    )
}

struct Sketches<'a> {
    of: &'a mut Open,
    precision: Precision,
    rebuild: &'a str,
    /// Pages of which nobody knows whether they would be exact.
    undecided: usize,
}

impl Sketches<'_> {
    fn of(&mut self, id: crate::engine::calendar::WindowId) -> Result<Option<Vec<u8>>, Failure> {
        let Some(bytes) = self.of.sketch(id)? else {
            return Ok(None);
        };
        if self.precision == self.of.precision {
            return Ok(Some(bytes));
        }
        let share = canonical::read_share(self.of.precision, 0..PAGES, &bytes);
        let share = share.map_err(|damaged| Failure::State(damaged.to_string()))?;
        let folded = fold(&share, self.precision);
        if !folded.is_same_number {
            return Err(Failure::Usage(format!(
                "the sketch of the {} of {} does not tell its users at precision {}; {}",
                id.period.name(),
                self.of.calendar.rfc3339(id.start),
                self.precision.bits(),
                self.rebuild
            )));
        }
        self.undecided += folded.undecided;
        let mut bytes = Vec::new();
        folded.share.write_canonical(&mut bytes);
        Ok(Some(bytes))
    }
}
