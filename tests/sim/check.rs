//! What records have to say, and what a reader may rely on from one to the next.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::DateTime;
use headcount::engine::report::outbox::{Kind, Outgoing};
use serde_json::Value;

use super::engine::Report;
use super::model::{Counts, Due, Expected, Key, Number, PERIODS, Window};
use super::scenario::Scenario;
use super::zone::Zone;

/// Standard errors that an estimate may be off, and users besides: of few users the error is a matter of single
/// collisions, and not normal.
const SIGMAS: f64 = 7.0;
const COLLISIONS: f64 = 6.0;

const TRAILING: [&str; 6] = [
    "last_minute",
    "last_hour",
    "last_day",
    "last_week",
    "last_month",
    "last_year",
];

/// What the last record of a window said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    state: String,
    revision: Option<u64>,
    frames: u64,
    late: u64,
    users: [u64; 3],
    /// Whether it told of more than the state has, so that the next one may tell of less.
    is_doubtful: bool,
}

impl Said {
    /// What does not depend on when it was said.
    pub fn numbers(&self) -> (u64, u64, [u64; 3]) {
        (self.frames, self.late, self.users)
    }
}

#[derive(Clone)]
pub struct Checker {
    epoch: u64,
    zone: Arc<Zone>,
    zone_name: &'static str,
    precision: u8,
    last: HashMap<Key, Said>,
    next_seq: u64,
    last_tick: u64,
    watermark: Option<i64>,
}

fn integer(value: &Value, name: &str) -> u64 {
    let number = value[name].as_u64();
    number.unwrap_or_else(|| panic!("{name} is no number in {value}"))
}

impl Checker {
    pub fn new(scenario: &Scenario, epoch: u64) -> Self {
        Self {
            epoch,
            zone: Arc::clone(&scenario.rules.zone),
            zone_name: scenario.zone,
            precision: scenario.rules.precision,
            last: HashMap::new(),
            next_seq: 1,
            last_tick: 0,
            watermark: None,
        }
    }

    /// What was said so far is known to another process, which says once more what is not final.
    pub fn take_up(&mut self, epoch: u64, windows: &BTreeMap<Key, Window>) {
        self.epoch = epoch;
        self.last_tick = 0;
        self.last
            .retain(|key, said| said.revision.is_some() || !windows.contains_key(key));
        for (key, said) in &mut self.last {
            said.is_doubtful = windows.get(key).is_some_and(|window| window.changed);
        }
    }

    /// The records of all barriers that were raised at one moment, one list a barrier.
    pub fn check(&mut self, expected: &Expected, reports: &[Report]) {
        assert!(
            self.watermark <= expected.watermark,
            "the watermark never falls"
        );
        self.watermark = expected.watermark;
        assert_eq!(self.next_seq, expected.first_seq, "seq has no gaps");
        let mut due = expected.due.clone();
        let mut ticks = 0;
        for record in reports.iter().flat_map(|report| &report.records) {
            let payload = record.payload.as_deref().expect("nothing is deleted");
            let value: Value = serde_json::from_slice(payload).unwrap();
            if record.kind == Kind::Tick {
                ticks += 1;
                assert_eq!(record.key, "job");
                let digest = reports.iter().find_map(|r| Some(r.commit.as_ref()?.digest));
                let digest = digest.map(|digest| format!("{:032x}", digest.0));
                assert_eq!(value["state_digest"].as_str(), digest.as_deref(), "{value}");
                self.check_tick(&value, expected);
            } else {
                self.check_window(record, &value, expected, &mut due);
            }
        }
        assert_eq!(ticks, usize::from(expected.tick.is_some()), "ticks");
        assert!(due.is_empty(), "windows without a record: {due:?}");
    }

    fn check_tick(&mut self, value: &Value, expected: &Expected) {
        let Some((tick, trailing)) = &expected.tick else {
            panic!("a tick that nobody asked for: {value}");
        };
        assert_eq!(value["schema"], "headcount.stats/1");
        assert_eq!(integer(value, "tick"), *tick, "{value}");
        assert_eq!(integer(value, "precision"), u64::from(self.precision));
        assert_eq!(value["tz"], self.zone_name);
        self.last_tick = *tick;
        self.check_context(value, &value["frames"], expected);
        for (name, number) in TRAILING.into_iter().zip(trailing) {
            let interval = &value["intervals"][name];
            let bounds = [0, 1].map(|i| interval[i].as_u64().unwrap());
            let users = integer(value, &format!("users_{name}"));
            self.check_users([users, bounds[0], bounds[1]], *number, name, value);
        }
    }

    fn check_users(&self, said: [u64; 3], number: Number, what: &str, value: &Value) {
        let [users, lo, hi] = said;
        assert!(lo <= users && users <= hi, "{what}: bounds in {value}");
        assert_eq!(lo == hi, number.exact, "{what}: exactness in {value}");
        let truth = number.users as f64;
        let off = (users as f64 - truth).abs();
        let registers = f64::from(1u32 << self.precision);
        let most = match number.exact {
            true => 0.0,
            false => SIGMAS * 1.04 * truth / registers.sqrt() + COLLISIONS,
        };
        assert!(
            off <= most,
            "{what}: {truth} users, not {users}, in {value}"
        );
    }

    /// What every record says of the moment it was put out.
    fn check_context(&self, value: &Value, ledger: &Value, expected: &Expected) {
        assert_eq!(value["as_of"].as_i64(), expected.as_of, "as_of in {value}");
        assert_eq!(value["since"].as_i64(), expected.since, "since in {value}");
        let watermark = value["watermark"].as_i64();
        assert_eq!(watermark, expected.watermark, "watermark in {value}");
        assert_eq!(value["job"], "job");
        assert_eq!(integer(value, "epoch"), self.epoch);
        check_ledger(ledger, &expected.counts);
        let source = &value["source"];
        assert_eq!(source["topic"], "users");
        let offsets = numbers(&source["offsets"]);
        let indices = 0..expected.offsets.len();
        let reached = indices.map(|i| (i.to_string(), expected.offsets[i]));
        assert_eq!(offsets, reached.collect(), "offsets in {value}");
        let ahead = source.get("ahead").map(numbers).unwrap_or_default();
        assert_eq!(ahead, expected.ahead, "who is ahead in {value}");
    }

    fn check_window(
        &mut self,
        record: &Outgoing,
        value: &Value,
        expected: &Expected,
        due: &mut BTreeMap<Key, Due>,
    ) {
        let (Kind::Provisional(id) | Kind::Final(id, _)) = record.kind else {
            panic!("no window's record: {record:?}");
        };
        let key = (id.period as usize, id.start);
        let name = PERIODS[key.0];
        let Some(due) = due.remove(&key) else {
            panic!("no record of {key:?} is due, or a second one: {value}");
        };
        assert_eq!(value["schema"], "headcount.window/1");
        assert_eq!(value["window"], name);
        assert_eq!(value["tz"], self.zone_name);
        self.check_instant(&value["start"], key.1);
        self.check_instant(&value["end"], due.end);
        assert_eq!(value["complete"], due.complete, "complete in {value}");
        assert_eq!(integer(value, "frames"), due.frames, "frames in {value}");
        assert_eq!(integer(value, "late"), due.late, "late in {value}");
        let users = ["users", "lo", "hi"].map(|field| integer(value, field));
        self.check_users(users, due.users, name, value);
        self.check_context(value, &value["ledger"], expected);
        let revision = value["revision"].as_u64();
        let state = value["state"].as_str().unwrap();
        let mut record_key = format!("job|{name}|{}", key.1);
        match due.last_word {
            None => {
                record_key += "|provisional";
                assert_eq!(state, "provisional", "{value}");
                assert_eq!(integer(value, "tick"), self.last_tick, "{value}");
                assert!(value.get("seq").is_none() && value.get("closed_by").is_none());
                assert!(matches!(record.kind, Kind::Provisional(_)));
            }
            Some((closed_by, number)) => {
                let named = if number == 0 { "final" } else { "revised" };
                assert_eq!(state, named, "{value}");
                assert_eq!(value["closed_by"], closed_by, "{value}");
                assert_eq!(revision, Some(number), "{value}");
                // A gap may come after the final.
                assert!(
                    due.complete || number > 0,
                    "the last word on what is not whole: {value}"
                );
                let seq = integer(value, "seq");
                assert_eq!(seq, self.next_seq, "seq in {value}");
                assert_eq!(record.kind, Kind::Final(id, seq));
                self.next_seq += 1;
            }
        }
        assert_eq!(record.key, record_key);
        let said = Said {
            state: state.to_owned(),
            revision,
            frames: due.frames,
            late: due.late,
            users,
            is_doubtful: false,
        };
        self.follow(key, said);
    }

    /// A window's life: provisional records, one final, revisions; more frames from one to the next, but in a final.
    fn follow(&mut self, key: Key, said: Said) {
        if let Some(before) = self.last.get(&key) {
            let grew = said.frames > before.frames || before.is_doubtful;
            let may_follow = match before.revision {
                None if said.revision.is_none() => grew,
                None => said.revision == Some(0) && said.frames >= before.frames,
                Some(revision) => said.revision == Some(revision + 1) && grew,
            };
            assert!(may_follow, "{key:?}: {said:?} after {before:?}");
        } else {
            let is_first = said.revision.unwrap_or(0) == 0;
            assert!(is_first && said.frames > 0, "{key:?}: {said:?} at first");
        }
        self.last.insert(key, said);
    }

    /// The clock on the wall is compared: the distance from UTC of long ago may have seconds, which RFC 3339 cannot
    /// show.
    fn check_instant(&self, text: &Value, second: i64) {
        let text = text.as_str().unwrap();
        let at = DateTime::parse_from_rfc3339(text).unwrap();
        let shown = at.naive_local().and_utc().timestamp();
        assert_eq!(shown, self.zone.local(second), "{second} is {text}");
        let offset = i64::from(at.offset().local_minus_utc());
        let off = (offset - self.zone.offset(second)).abs();
        assert!(off < 60, "the distance from UTC at {second} in {text}");
    }

    /// Each window's last record has all its frames, and no others.
    pub fn end(self, frames: &HashMap<Key, u64>, provisionals: bool) -> HashMap<Key, Said> {
        for (key, said) in &self.last {
            let counted = frames.get(key).copied().unwrap_or(0);
            assert_eq!(said.frames, counted, "{key:?}: the last record");
        }
        let unsaid = frames.keys().find(|key| !self.last.contains_key(key));
        assert!(!provisionals || unsaid.is_none(), "nothing of {unsaid:?}");
        self.last
    }
}

fn numbers(object: &Value) -> BTreeMap<String, i64> {
    let fields = object.as_object().unwrap().iter();
    fields
        .map(|(name, n)| (name.clone(), n.as_i64().unwrap()))
        .collect()
}

fn check_ledger(value: &Value, counts: &Counts) {
    let sum = |field: &str| numbers(&value[field]).values().sum::<i64>() as u64;
    let fates = ["counted", "ignored", "quarantined", "pending"].map(|f| integer(value, f));
    let told = fates.iter().sum::<u64>() + sum("rejected");
    assert_eq!(integer(value, "read"), told, "{value} adds up");
    assert_eq!(integer(value, "quarantined"), sum("quarantined_by"));
    let by = |field: &str| {
        let listed = value[field].as_object().unwrap().iter();
        let listed = listed.map(|(name, n)| (name.as_str(), n.as_u64().unwrap()));
        listed.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(integer(value, "read"), counts.read, "read in {value}");
    assert_eq!(integer(value, "counted"), counts.counted, "{value}");
    assert_eq!(integer(value, "late"), counts.late, "late in {value}");
    assert_eq!(integer(value, "ignored"), counts.ignored, "{value}");
    assert_eq!(integer(value, "pending"), counts.pending, "{value}");
    assert_eq!(by("rejected"), counts.rejected, "{value}");
    assert_eq!(by("quarantined_by"), counts.quarantined, "{value}");
    assert_eq!(by("expired"), counts.expired, "{value}");
}
