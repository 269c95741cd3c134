//! `headcount merge`: states of several sites into one, as if one run had read all of their partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::whole::{Terms, Whole, refuse_taken, write};
use super::{Open, calendar_of, hex, open_locked};
use crate::cli::merge::MergeArgs;
use crate::engine::calendar::{Calendar, Period, WindowId};
use crate::engine::checkpoint::union::{self, unite, unite_sketches};
use crate::error::Failure;
use crate::io::store::sqlite::Identity;
use crate::run::count::state::{FILES, JOB};

/// A state to be merged.
struct Part {
    /// Where it is.
    directory: PathBuf,
    /// What stands before the names of its partitions.
    prefix: Option<String>,
    open: Open,
}

/// Writes the union of the states to a new directory.
///
/// # Errors
///
/// States that cannot be used or do not fit together; a directory that cannot be written to.
pub(super) fn merge(args: &MergeArgs) -> Result<Value, Failure> {
    refuse_taken(&args.output)?;
    let mut parts = open_all(args)?;
    check_alike(&parts)?;
    check_names(&parts)?;
    let identity = identity(&parts, args.job.as_deref())?;
    let precision = parts[0].open.precision;
    let union = unite(
        parts.iter().map(Part::to_unite).collect(),
        precision,
        &calendar(&parts)?,
    );
    let union = union.map_err(|damaged| Failure::State(damaged.to_string()))?;
    let terms = Terms {
        identity,
        precision,
        retention_s: union.retention_s,
    };
    let whole = Whole {
        epoch: parts.iter().map(|p| p.open.loaded.epoch).max().unwrap_or(0),
        partitions: union.partitions,
        greatest_clock: union.greatest_clock,
        ledger: union.ledger,
        rest: union.rest,
        windows: union.windows,
        stretches: union.stretches,
        records: Vec::new(),
    };
    let offsets = whole.partitions.iter();
    let offsets = offsets.map(|(name, p)| (name.clone(), p.next_offset.into()));
    let offsets = Value::Object(offsets.collect());
    let digest = write(&args.output, terms, whole, &mut |id| sketch(&mut parts, id))?;
    Ok(json!({
        "merged": args.output.display().to_string(),
        "state_digest": hex(digest.0),
        "offsets": offsets,
    }))
}

fn open_all(args: &MergeArgs) -> Result<Vec<Part>, Failure> {
    let mut named: Vec<(Option<String>, PathBuf)> = Vec::new();
    named.extend(args.states.iter().map(|path| (None, path.clone())));
    for named_as in &args.named {
        let prefix = named_as.split_once('=');
        let prefix = prefix.filter(|(name, path)| !name.is_empty() && !path.is_empty());
        let (name, path) = prefix.ok_or_else(|| {
            Failure::Usage(format!(
                "--as '{named_as}' is not a name and a directory, such as eu=/var/lib/headcount"
            ))
        })?;
        named.push((Some(name.to_owned()), path.into()));
    }
    if named.len() < 2 {
        return Err(Failure::Usage(
            "it takes two states to merge: name their directories".to_owned(),
        ));
    }
    let mut seen = BTreeSet::new();
    for (_, path) in &named {
        let real = path.canonicalize().unwrap_or_else(|_| path.clone());
        if !seen.insert(real) {
            return Err(Failure::Usage(format!(
                "{} is named twice, which would count its frames twice",
                path.display()
            )));
        }
    }
    let open = |(prefix, directory): (Option<String>, PathBuf)| {
        let open = open_locked(&directory)?;
        Ok(Part {
            directory,
            prefix,
            open,
        })
    };
    named.into_iter().map(open).collect()
}

/// What a state must agree on with the others.
fn check_alike(parts: &[Part]) -> Result<(), Failure> {
    for what in ["hash", "precision", "timezone", "windows"] {
        let of = |part: &Part| part.open.inspected.identity(what).map(str::to_owned);
        let of = |part: &Part| of(part).unwrap_or_else(|| "all".to_owned());
        // A service has all windows, and does not say so.
        let all = Period::ALL.map(Period::name).join(",");
        let same = |a: &str, b: &str| a == b || [a, b].iter().all(|w| *w == "all" || *w == all);
        let first = of(&parts[0]);
        for part in &parts[1..] {
            let other = of(part);
            if !same(&first, &other) {
                let what_to_do = match what {
                    "precision" | "timezone" => {
                        "headcount state export can perhaps make them alike"
                    }
                    _ => "only like states can be merged",
                };
                return Err(Failure::State(format!(
                    "the state in {} has {what} '{first}', and the one in {} has '{other}'; {what_to_do}",
                    parts[0].directory.display(),
                    part.directory.display(),
                )));
            }
        }
    }
    Ok(())
}

/// A calendar with the windows of all states.
fn calendar(parts: &[Part]) -> Result<Calendar, Failure> {
    let mut windows = BTreeMap::new();
    for open in parts.iter().map(|part| &part.open) {
        // Where one of them ends has moved since in a state and not in another, it holds what both have counted.
        let counted = open.loaded.windows.iter().filter(|(_, w, _)| w.frames > 0);
        for (id, ..) in counted {
            let end = open.saved_ends.get(id).copied().unwrap_or(id.start);
            let longest = windows.entry(*id).or_insert(end);
            *longest = end.max(*longest);
        }
    }
    let clocks = parts.iter().flat_map(|part| {
        let admission = &part.open.audit.admission;
        (0..part.open.loaded.names.len()).filter_map(|i| admission.clock(i))
    });
    let newest = clocks.max();
    let zone = parts[0].identity("timezone");
    let of_zone = calendar_of(zone).unwrap_or_else(Calendar::utc);
    let redrawn = of_zone.redrawn(windows, newest);
    let redrawn = redrawn.map_err(|other| {
        Failure::State(format!(
            "the states were counted while zone {zone} had other data: the {} that starts at {} in one of them overlaps another one's, and no sketch can be cut; count one of them again",
            other.0.period.name(),
            of_zone.rfc3339(other.0.start)
        ))
    });
    Ok(redrawn?.calendar)
}

impl Part {
    fn name(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) => format!("{prefix}/{name}"),
            None => name.to_owned(),
        }
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.open.loaded.names.iter().map(|name| self.name(name))
    }

    fn to_unite(&self) -> union::Part<'_> {
        union::Part {
            names: self.names().collect(),
            loaded: &self.open.loaded,
            admission: self.open.audit.admission.clone(),
        }
    }

    fn identity(&self, what: &str) -> &str {
        self.open.inspected.identity(what).unwrap_or_default()
    }
}

fn check_names(parts: &[Part]) -> Result<(), Failure> {
    let mut seen: BTreeMap<String, &Path> = BTreeMap::new();
    for part in parts {
        for name in part.names() {
            if let Some(other) = seen.insert(name.clone(), &part.directory) {
                return Err(Failure::Usage(format!(
                    "both {} and {} have partition {name}; if these are two partitions, give the states names with --as, such as --as eu={} us={}",
                    other.display(),
                    part.directory.display(),
                    other.display(),
                    part.directory.display()
                )));
            }
        }
    }
    Ok(())
}

fn identity(parts: &[Part], job: Option<&str>) -> Result<Identity, Failure> {
    let joined = |what, between| {
        let all: BTreeSet<&str> = parts.iter().map(|part| part.identity(what)).collect();
        let all: Vec<_> = all.into_iter().collect();
        all.join(between)
    };
    let topic = joined("topic", ",");
    if job.is_some() && topic == FILES {
        return Err(Failure::Usage(
            "--job is for states of 'run'; those of 'count' have no job".to_owned(),
        ));
    }
    let job = match job {
        Some("") => return Err(Failure::Usage("--job must not be empty".to_owned())),
        Some(job) => job.to_owned(),
        None => joined("job", "+"),
    };
    let first = &parts[0];
    let mut identity: Identity = [
        ("hash", first.identity("hash").to_owned()),
        ("job", job),
        ("precision", first.identity("precision").to_owned()),
        ("timezone", first.identity("timezone").to_owned()),
        ("topic", topic),
    ]
    .into();
    if parts.iter().all(|part| part.identity("job") == JOB) {
        identity.insert("windows", first.identity("windows").to_owned());
    }
    Ok(identity)
}

fn sketch(parts: &mut [Part], id: WindowId) -> Result<Option<Vec<u8>>, Failure> {
    let mut found = Vec::new();
    let precision = parts[0].open.precision;
    for part in parts {
        found.extend(part.open.sketch(id)?);
    }
    unite_sketches(precision, found).map_err(|damaged| Failure::State(damaged.to_string()))
}
