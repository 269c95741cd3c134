//! The exact numbers at any offsets, from plain sets over what the frames say: every record must agree with them.

use crate::world::{Frame, Published, Says};
use headcount::generate::Period;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashSet};

const NAMES: [(&str, Period); 6] = [
    ("minute", Period::Minute),
    ("hour", Period::Hour),
    ("day", Period::Day),
    ("week", Period::Week),
    ("month", Period::Month),
    ("year", Period::Year),
];

/// Frames by partition, named as records name them. All were read from offset 0.
pub struct Oracle {
    lateness_s: u32,
    partitions: BTreeMap<String, Vec<Says>>,
}

/// A counted frame.
struct Sighting<'a> {
    user: &'a str,
    ts: u32,
    late: bool,
}

/// What is known when each partition was read up to some offset.
#[derive(Default)]
struct Reflected<'a> {
    read: usize,
    counted: Vec<Sighting<'a>>,
    rejected: BTreeMap<&'static str, u64>,
    first_clocks: Vec<u32>,
    clocks: Vec<u32>,
}

impl Oracle {
    pub fn new(lateness_s: u32) -> Oracle {
        Oracle {
            lateness_s,
            partitions: BTreeMap::new(),
        }
    }

    /// The oracle for the only topic of a job with the default lateness.
    pub fn of(frames: &[Frame]) -> Oracle {
        let mut oracle = Oracle::new(5);
        oracle.add("", frames);
        oracle
    }

    /// More frames, sent in this order. With several topics the prefix is the topic's name and a colon.
    pub fn add(&mut self, prefix: &str, frames: &[Frame]) {
        for frame in frames {
            let name = format!("{prefix}{}", frame.partition);
            let partition = self.partitions.entry(name).or_default();
            partition.push(frame.says.clone());
        }
    }

    pub fn frames(&self) -> i64 {
        self.partitions.values().map(|p| p.len() as i64).sum()
    }

    fn at(&self, offsets: &BTreeMap<String, i64>) -> Reflected<'_> {
        let mut reflected = Reflected::default();
        for (name, offset) in offsets {
            let offset = usize::try_from(*offset).expect("not negative");
            let frames = self.partitions.get(name).map_or(&[][..], Vec::as_slice);
            assert!(offset <= frames.len(), "{name} ends before {offset}");
            reflected.read(&frames[..offset], self.lateness_s);
        }
        reflected
    }

    /// Every number of a tick.
    pub fn check_tick(&self, tick: &Published) {
        let reflected = self.at(&tick.offsets());
        reflected.check_ledger(tick, "/frames");
        let as_of = reflected.clocks.iter().max().copied();
        assert_eq!(tick.get("/as_of").as_u64(), as_of.map(u64::from));
        for (name, period) in NAMES {
            let start = period.before(i64::from(as_of.unwrap_or(0)));
            let users = reflected.users(|ts| ts > start);
            let found = tick.int(&format!("/users_last_{name}"));
            assert_eq!(found, users, "last {name} in {}", tick.text);
            // So few users are counted exactly.
            let interval = tick.get(&format!("/intervals/last_{name}"));
            assert_eq!(*interval, serde_json::json!([users, users]));
        }
        self.check_times(tick, &reflected);
    }

    /// Every number of a window's record.
    pub fn check_window(&self, record: &Published) {
        let reflected = self.at(&record.offsets());
        let (name, start) = record.window();
        let (_, period) = NAMES.into_iter().find(|(n, _)| *n == name).expect("known");
        let end = end_of(period, start);
        let text = |second| {
            Timestamp::from_second(second)
                .expect("in range")
                .to_string()
        };
        assert_eq!(record.str("/start"), text(start));
        assert_eq!(record.str("/end"), text(end));
        let inside = |ts: i64| (start..end).contains(&ts);
        let users = reflected.users(inside);
        for field in ["/users", "/lo", "/hi"] {
            assert_eq!(record.int(field), users, "{field} in {}", record.text);
        }
        let frames = || reflected.counted.iter().filter(|s| inside(s.ts.into()));
        assert_eq!(record.int("/frames"), frames().count() as i64);
        assert_eq!(
            record.int("/late"),
            frames().filter(|s| s.late).count() as i64
        );
        reflected.check_ledger(record, "/ledger");
        self.check_times(record, &reflected);
        if record.is_final() {
            let passed = record.get("/watermark").as_i64().is_some_and(|w| w >= end);
            let closed_by = if passed { "event_time" } else { "end" };
            assert_eq!(record.str("/closed_by"), closed_by, "{}", record.text);
        }
    }

    fn check_times(&self, record: &Published, reflected: &Reflected) {
        let since = reflected.first_clocks.iter().min().map(|s| i64::from(*s));
        assert_eq!(record.get("/since").as_i64(), since, "{}", record.text);
        let (Some(least), Some(greatest)) =
            (reflected.clocks.iter().min(), reflected.clocks.iter().max())
        else {
            assert!(record.get("/watermark").is_null());
            return;
        };
        // A partition without frames is left out, so the watermark may be ahead of one whose first frame came later.
        if let Some(watermark) = record.get("/watermark").as_i64() {
            let lateness = i64::from(self.lateness_s);
            assert!(watermark >= i64::from(*least) - lateness, "{}", record.text);
            assert!(
                watermark <= i64::from(*greatest) - lateness,
                "{}",
                record.text
            );
        }
    }
}

fn end_of(period: Period, start: i64) -> i64 {
    // The start of the next window: 32 days and 366 days lead into the next month and year.
    let into_next = match period {
        Period::Minute => 60,
        Period::Hour => 3_600,
        Period::Day => 86_400,
        Period::Week => 7 * 86_400,
        Period::Month => 32 * 86_400,
        Period::Year => 366 * 86_400,
    };
    period.start_of(start + into_next)
}

impl<'a> Reflected<'a> {
    fn read(&mut self, frames: &'a [Says], lateness_s: u32) {
        self.read += frames.len();
        let mut clock = None;
        for frame in frames {
            match frame {
                Says::Rejected(reason) => *self.rejected.entry(reason).or_default() += 1,
                Says::Seen { user, ts } => {
                    if clock.is_none() {
                        self.first_clocks.push(*ts);
                    }
                    clock = clock.max(Some(*ts));
                    let late = clock.is_some_and(|clock| ts + lateness_s < clock);
                    self.counted.push(Sighting {
                        user,
                        ts: *ts,
                        late,
                    });
                }
            }
        }
        self.clocks.extend(clock);
    }

    fn users(&self, inside: impl Fn(i64) -> bool) -> i64 {
        let sightings = self.counted.iter().filter(|s| inside(i64::from(s.ts)));
        let users: HashSet<_> = sightings.map(|s| s.user).collect();
        users.len() as i64
    }

    fn check_ledger(&self, record: &Published, path: &str) {
        let late = self.counted.iter().filter(|s| s.late).count();
        let expected = serde_json::json!({
            "read": self.read, "counted": self.counted.len(), "late": late,
            "expired": {}, "ignored": 0, "quarantined": 0,
            "quarantined_by": {}, "pending": 0, "rejected": self.rejected,
        });
        assert_eq!(*record.get(path), expected, "{}", record.text);
    }
}

/// What must hold for the records about windows of one run, in the order of the topic, whatever their numbers.
/// Gives the finals by window.
pub fn check_order(records: &[Published]) -> BTreeMap<(String, i64), Published> {
    let mut finals = BTreeMap::new();
    let mut newest: BTreeMap<(String, i64), Published> = BTreeMap::new();
    let mut ticks: BTreeMap<_, i64> = BTreeMap::new();
    let mut seq = 0;
    for record in records {
        let window = record.window();
        if record.is_final() || record.is_revised() {
            seq += 1;
            assert_eq!(record.int("/seq"), seq, "{}", record.text);
            assert_eq!(*record.get("/complete"), true, "{}", record.text);
            let before = newest.insert(window.clone(), record.clone());
            let revision = before.as_ref().map_or(0, |b| b.int("/revision") + 1);
            assert_eq!(record.int("/revision"), revision, "{}", record.text);
            let grew = before.is_none_or(|b| b.int("/frames") < record.int("/frames"));
            assert!(grew, "no frame more: {}", record.text);
        }
        if record.is_revised() {
            assert!(finals.contains_key(&window), "{}", record.text);
        } else if record.is_final() {
            let before = finals.insert(window, record.clone());
            assert!(before.is_none(), "final twice: {before:?} and {record:?}");
        } else {
            let is_final = finals.contains_key(&window);
            assert!(!is_final, "provisional after its final: {}", record.text);
            let tick = record.int("/tick");
            let before = ticks.insert(window, tick);
            assert!(
                before < Some(tick),
                "an older one after it: {}",
                record.text
            );
        }
    }
    finals
}

/// The windows that good frames fall into.
pub fn windows_of(frames: &[Frame]) -> BTreeSet<(String, i64)> {
    let mut windows = BTreeSet::new();
    for frame in frames {
        if let Says::Seen { ts, .. } = frame.says {
            let of = |(name, period): (&str, Period)| (name.to_owned(), period.start_of(ts.into()));
            windows.extend(NAMES.map(of));
        }
    }
    windows
}
