//! Windows of the calendar against the oracle's, second by second where clocks are changed.

use std::collections::BTreeSet;

use headcount::engine::calendar::{Bounds, Calendar, Period};
use headcount::engine::frame::EventTime;
use headcount::limits::{MAX_EVENT_TIME_S, MIN_EVENT_TIME_S};
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;

use super::world::{DAY_S, HOUR_S, calendar};
use super::zone::{DAY, HOUR, MINUTE, MONTH, WEEK, YEAR, Zone};

const ZONES: [&str; 10] = [
    "Europe/Zurich",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Africa/Monrovia",
    "America/Nuuk",
    "UTC",
];

/// 1 January of a year, UTC.
fn new_year(year: i32) -> i64 {
    let first = chrono::NaiveDate::from_ymd_opt(year, 1, 1).unwrap();
    first.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp()
}

fn unix(text: &str) -> i64 {
    let at = chrono::DateTime::parse_from_rfc3339(text);
    at.unwrap_or_else(|error| panic!("{text}: {error}"))
        .timestamp()
}

fn event_time(second: i64) -> Option<EventTime> {
    let ts = EventTime::try_from(second).ok()?;
    (MIN_EVENT_TIME_S..=MAX_EVENT_TIME_S)
        .contains(&ts)
        .then_some(ts)
}

/// All six windows of a second, and where the trailing ones start as of it, compared with the oracle's.
fn check(calendar: &Calendar, zone: &Zone, ts: EventTime) {
    for (i, period) in Period::ALL.into_iter().enumerate() {
        let Bounds { start, end } = calendar.window(period, ts);
        let expected = zone.window(i, ts.into());
        assert_eq!(
            (start, end),
            expected,
            "{} of {ts} in {}",
            period.name(),
            calendar.name()
        );
        assert!((start..end).contains(&i64::from(ts)));
    }
    let trailing = calendar.trailing(ts);
    assert_eq!(
        trailing,
        zone.trailing(ts.into()),
        "as of {ts} in {}",
        calendar.name()
    );
    assert!(trailing.iter().all(|start| *start < i64::from(ts)));
}

/// Every second around a change and around the full hours next to it; coarser for hours and weeks.
fn around(change: i64) -> impl Iterator<Item = EventTime> {
    let near =
        |middle: i64, reach: i64, step: usize| (middle - reach..middle + reach).step_by(step);
    let seconds = [0, -HOUR_S, HOUR_S, -HOUR_S / 2, HOUR_S / 2];
    let seconds = seconds
        .into_iter()
        .flat_map(move |at| near(change + at, 62, 1));
    let coarse = near(change, 26 * HOUR_S, 97).chain(near(change, 40 * DAY_S, 7_919));
    seconds.chain(coarse).filter_map(event_time)
}

#[test]
fn windows_agree_with_the_oracle_around_every_change_of_the_clock_from_2010_to_2030() {
    for name in ZONES {
        let (calendar, zone) = (calendar(name), Zone::named(name));
        let years = new_year(2010)..new_year(2031);
        let changes: Vec<_> = zone.changes().filter(|at| years.contains(at)).collect();
        for change in &changes {
            around(*change).for_each(|ts| check(&calendar, &zone, ts));
        }
        for second in years.step_by(100_003) {
            check(&calendar, &zone, event_time(second).unwrap());
        }
        let has_dst = ["Europe/Zurich", "Pacific/Chatham", "Australia/Lord_Howe"].contains(&name);
        assert!(!has_dst || changes.len() == 42, "{name}: {}", changes.len());
    }
}

#[test]
fn windows_agree_with_the_oracle_where_the_offset_is_no_whole_minute() {
    let (calendar, zone) = (calendar("Africa/Monrovia"), Zone::named("Africa/Monrovia"));
    let change = unix("1972-01-07T00:44:30Z");
    assert_eq!(zone.changes().next(), Some(change));
    around(change).for_each(|ts| check(&calendar, &zone, ts));
    for ts in (1..3 * 366 * DAY_S).step_by(9_973) {
        check(&calendar, &zone, event_time(ts).unwrap());
    }
    (1..4_000).for_each(|ts| check(&calendar, &zone, ts));
}

/// A zone's calendar and oracle, if both know the same history of it: their databases may be of different releases.
fn common(name: &str) -> Option<(Calendar, Zone)> {
    name.parse::<chrono_tz::Tz>().ok()?;
    let zone = Zone::named(name);
    let jiff = TimeZoneDatabase::bundled().get(name).unwrap();
    let at = |second| jiff::Timestamp::from_second(second).unwrap();
    let agree = |second| i64::from(jiff.to_offset(at(second)).seconds()) == zone.offset(second);
    let daily = (1..new_year(2038)).step_by(DAY_S as usize).all(agree);
    let changes = zone
        .changes()
        .filter(|change| (1..new_year(2038)).contains(change));
    let exactly = changes.flat_map(|change| [change - 1, change]).all(agree);
    (daily && exactly).then(|| (calendar(name), zone))
}

#[test]
fn windows_agree_with_the_oracle_around_every_change_in_every_zone_since_1970() {
    let (mut known, mut seen, mut changes) = (0, BTreeSet::new(), 0);
    for name in TimeZoneDatabase::bundled().available() {
        let Some((calendar, zone)) = common(name.as_str()) else {
            continue;
        };
        known += 1;
        // Many names, one clock.
        let of_zone: Vec<_> = zone.changes().collect();
        if !seen.insert((of_zone.clone(), zone.offset(0))) {
            continue;
        }
        for change in of_zone {
            let ends = [
                1,
                30,
                60,
                900,
                1_800,
                3_599,
                3_600,
                7_200,
                10_800,
                DAY_S - 1,
                DAY_S,
            ];
            let near = ends.into_iter().flat_map(|s| [change - s, change + s]);
            let near = near.chain([change]).filter(|at| *at < new_year(2038));
            for ts in near.filter_map(event_time) {
                check(&calendar, &zone, ts);
            }
            changes += 1;
        }
    }
    println!(
        "{known} zones, {} different ones, {changes} changes",
        seen.len()
    );
    assert!(known > 400 && seen.len() > 200);
}

#[test]
fn days_on_which_the_clock_is_changed_have_23_and_25_hours() {
    let zurich = calendar("Europe/Zurich");
    let length = |calendar: &Calendar, period: Period, at: &str| {
        let Bounds { start, end } = calendar.window(period, event_time(unix(at)).unwrap());
        end - start
    };
    let noon = |date: &str| format!("{date}T12:00:00Z");
    assert_eq!(
        length(&zurich, Period::Day, &noon("2026-03-29")),
        23 * HOUR_S
    );
    assert_eq!(
        length(&zurich, Period::Day, &noon("2026-10-25")),
        25 * HOUR_S
    );
    assert_eq!(
        length(&zurich, Period::Week, &noon("2026-03-29")),
        167 * HOUR_S
    );
    assert_eq!(
        length(&zurich, Period::Month, &noon("2026-10-31")),
        31 * DAY_S + HOUR_S
    );
    assert_eq!(
        length(&zurich, Period::Year, &noon("2026-10-25")),
        365 * DAY_S
    );
    let lord_howe = calendar("Australia/Lord_Howe");
    assert_eq!(
        length(&lord_howe, Period::Day, "2026-04-05T02:00:00Z"),
        24 * HOUR_S + HOUR_S / 2
    );
    let apia = calendar("Pacific/Apia");
    assert_eq!(length(&apia, Period::Day, "2011-12-30T09:00:00Z"), DAY_S);
    assert_eq!(
        length(&apia, Period::Week, "2011-12-29T09:00:00Z"),
        6 * DAY_S
    );
    // The date that never was has no window: Thursday the 29th is followed by Saturday the 31st.
    let thursday = apia.window(
        Period::Day,
        event_time(unix("2011-12-30T09:59:59Z")).unwrap(),
    );
    assert_eq!(apia.rfc3339(thursday.start), "2011-12-29T00:00:00-10:00");
    assert_eq!(apia.rfc3339(thursday.end), "2011-12-31T00:00:00+14:00");
}

#[test]
fn hours_are_those_of_the_clock_on_the_wall() {
    let zurich = calendar("Europe/Zurich");
    let hour = |calendar: &Calendar, at: &str| {
        let Bounds { start, end } = calendar.window(Period::Hour, event_time(unix(at)).unwrap());
        [start, end].map(|second| calendar.rfc3339(second))
    };
    // Shown twice, two windows.
    let first = ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"];
    let second = ["2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"];
    assert_eq!(hour(&zurich, "2026-10-25T00:30:00Z"), first);
    assert_eq!(hour(&zurich, "2026-10-25T01:30:00Z"), second);
    // Skipped, none.
    let before = ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"];
    assert_eq!(hour(&zurich, "2026-03-29T00:59:59Z"), before);
    // Half an hour back: the second half is shown twice, and cut off the first showing.
    let lord_howe = calendar("Australia/Lord_Howe");
    let whole = ["2026-04-05T01:00:00+11:00", "2026-04-05T01:30:00+10:30"];
    let half = ["2026-04-05T01:30:00+10:30", "2026-04-05T02:00:00+10:30"];
    assert_eq!(hour(&lord_howe, "2026-04-04T14:59:59Z"), whole);
    assert_eq!(hour(&lord_howe, "2026-04-04T15:00:00Z"), half);
    // A quarter past by Greenwich.
    let kathmandu = calendar("Asia/Kathmandu");
    let hour_of_nepal = ["2026-11-23T12:00:00+05:45", "2026-11-23T13:00:00+05:45"];
    assert_eq!(hour(&kathmandu, "2026-11-23T06:15:00Z"), hour_of_nepal);
}

#[test]
fn weeks_begin_on_monday_also_around_new_year() {
    for name in ["UTC", "Europe/Zurich", "Pacific/Chatham"] {
        let (calendar, zone) = (calendar(name), Zone::named(name));
        for year in 1971..2100 {
            for day in -8..9 {
                let noon = event_time(new_year(year) + day * DAY_S + DAY_S / 2).unwrap();
                check(&calendar, &zone, noon);
                let week = calendar.window(Period::Week, noon);
                let monday = (zone.local(week.start).div_euclid(DAY_S) + 3).rem_euclid(7);
                assert_eq!(monday, 0);
            }
        }
    }
    // 2026 has 53 weeks; the last one reaches into 2027.
    let utc = calendar("UTC");
    for (ts, monday) in [
        ("2026-12-28T00:00:00Z", "2026-12-28T00:00:00Z"),
        ("2027-01-03T23:59:59Z", "2026-12-28T00:00:00Z"),
        ("2027-01-04T00:00:00Z", "2027-01-04T00:00:00Z"),
        ("2025-12-31T23:59:59Z", "2025-12-29T00:00:00Z"),
        ("1970-01-01T00:00:01Z", "1969-12-29T00:00:00Z"),
    ] {
        let week = utc.window(Period::Week, event_time(unix(ts)).unwrap());
        assert_eq!(utc.rfc3339(week.start), monday);
        assert_eq!(week.end - week.start, 7 * DAY_S);
    }
}

#[test]
fn a_month_and_a_year_back_are_clamped_and_where_the_clock_jumps_compatible() {
    let start = |zone: &str, period: usize, as_of: &str| {
        let calendar = calendar(zone);
        let start = calendar.trailing(event_time(unix(as_of)).unwrap())[period];
        calendar.rfc3339(start)
    };
    let utc = |period, as_of| start("UTC", period, as_of);
    assert_eq!(utc(MONTH, "2026-03-31T12:34:56Z"), "2026-02-28T12:34:56Z");
    assert_eq!(utc(MONTH, "2024-03-31T12:34:56Z"), "2024-02-29T12:34:56Z");
    assert_eq!(utc(MONTH, "2026-01-31T00:00:00Z"), "2025-12-31T00:00:00Z");
    assert_eq!(utc(YEAR, "2024-02-29T23:59:59Z"), "2023-02-28T23:59:59Z");
    assert_eq!(utc(YEAR, "2025-02-28T23:59:59Z"), "2024-02-28T23:59:59Z");
    let zurich = |period, as_of| start("Europe/Zurich", period, as_of);
    // Same reading of the clock, another distance from UTC.
    assert_eq!(
        zurich(MONTH, "2026-04-15T12:00:00+02:00"),
        "2026-03-15T12:00:00+01:00"
    );
    // 29 March, 02:30 was skipped: as far behind 01:59:59 as it would have been.
    assert_eq!(
        zurich(MONTH, "2026-04-29T02:30:00+02:00"),
        "2026-03-29T03:30:00+02:00"
    );
    // 25 October, 02:30 came twice: the first one.
    assert_eq!(
        zurich(MONTH, "2026-11-25T02:30:00+01:00"),
        "2026-10-25T02:30:00+02:00"
    );
    // As of the second 02:30.
    assert_eq!(
        zurich(YEAR, "2026-10-25T02:30:00+01:00"),
        "2025-10-25T02:30:00+02:00"
    );
    assert_eq!(
        zurich(HOUR, "2026-10-25T02:30:00+01:00"),
        "2026-10-25T02:30:00+02:00"
    );
    assert_eq!(
        zurich(DAY, "2026-03-29T12:00:00+02:00"),
        "2026-03-28T11:00:00+01:00"
    );
    assert_eq!(
        zurich(WEEK, "2026-03-30T12:00:00+02:00"),
        "2026-03-23T11:00:00+01:00"
    );
    assert_eq!(
        zurich(MINUTE, "2026-03-29T03:00:00+02:00"),
        "2026-03-29T01:59:00+01:00"
    );
    // A date that never was.
    assert_eq!(
        start("Pacific/Apia", MONTH, "2012-01-30T08:00:00+14:00"),
        "2011-12-31T08:00:00+14:00"
    );
}

#[test]
fn written_times_read_back_as_the_same_second() {
    for name in ZONES {
        let (calendar, zone) = (calendar(name), Zone::named(name));
        let seconds = (new_year(1972)..new_year(2038)).step_by(7_999_993);
        let changes = zone
            .changes()
            .filter(|at| (new_year(1973)..new_year(2038)).contains(at));
        for second in seconds.chain(changes.flat_map(|at| [at - 1, at])) {
            // Monrovia changed a week into 1972.
            let second = second
                + if name == "Africa/Monrovia" {
                    30 * DAY_S
                } else {
                    0
                };
            let text = calendar.rfc3339(second);
            let read = chrono::DateTime::parse_from_rfc3339(&text).unwrap();
            assert_eq!(read.timestamp(), second, "{text}");
            assert_eq!(
                i64::from(read.offset().local_minus_utc()),
                zone.offset(second)
            );
            assert_eq!(text.ends_with('Z'), name == "UTC");
            assert_eq!(text.len(), if name == "UTC" { 20 } else { 25 });
        }
    }
}

/// RFC 3339 has no seconds in an offset; what is written must still be the second that is meant.
#[test]
fn written_times_read_back_where_the_offset_is_no_whole_minute() {
    let monrovia = calendar("Africa/Monrovia");
    for second in [-3 * DAY_S, 1, 60, 2_670, unix("1972-01-07T00:44:29Z")] {
        assert_eq!(unix(&monrovia.rfc3339(second)), second);
    }
}

fn any_zone() -> impl Strategy<Value = String> {
    let names: Vec<_> = TimeZoneDatabase::bundled()
        .available()
        .map(|name| name.to_string())
        .collect();
    prop::sample::select(names)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn windows_hold_their_second_and_tile_time(name in any_zone(), ts in MIN_EVENT_TIME_S..=MAX_EVENT_TIME_S) {
        let calendar = calendar(&name);
        for period in Period::ALL {
            let window = calendar.window(period, ts);
            prop_assert!(window.contains(ts.into()), "{period:?} {window:?}");
            prop_assert!(window.end - window.start <= 367 * DAY_S);
            // Its first and its last second, if they are event times, name the same window; the seconds around it
            // name its neighbours, which begin and end where it ends and begins.
            for (second, inside) in [(window.start, true), (window.end - 1, true), (window.start - 1, false), (window.end, false)] {
                let Some(ts) = event_time(second) else { continue };
                let other = calendar.window(period, ts);
                if inside {
                    prop_assert_eq!(other, window);
                } else {
                    prop_assert!(other.end == window.start || other.start == window.end);
                }
            }
        }
        let shorter = calendar.window(Period::Minute, ts);
        for period in [Period::Hour, Period::Day, Period::Month, Period::Year] {
            // Each is made of whole minutes, days of whole hours: nothing is counted half.
            let longer = calendar.window(period, ts);
            prop_assert!(longer.start <= shorter.start && shorter.end <= longer.end, "{period:?}");
        }
    }
}
