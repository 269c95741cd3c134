//! States made of states: merged, they are one run over all of the files; exported, one run with the other options.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::usage::check_all;
use super::{line, run_in};

/// Frames of an hour, of so many users beginning at one.
fn frames(count: u32, from: u32, users: u32) -> String {
    let uid = |i: u32| format!("u{}", from + i.wrapping_mul(2_654_435_761) % users);
    (0..count)
        .map(|i| line(&uid(i), 1_767_225_600 + i * 3_600 / count))
        .collect()
}

fn ok(dir: &Path, args: &str) -> Value {
    let words: Vec<_> = args.split(' ').collect();
    let said = run_in(dir, &words);
    assert_eq!(said.code, Some(0), "{args}: {}", said.stderr);
    let last = said.stdout.lines().last().unwrap();
    serde_json::from_str(last).unwrap()
}

/// The digest and offsets of a state in which every byte is right.
fn digest(dir: &Path, state: &str) -> (Value, Value) {
    let found = ok(dir, &format!("state verify {state} -f json"));
    (found["state_digest"].clone(), found["offsets"].clone())
}

#[test]
fn merged_states_are_one_run_over_all_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    write("berlin", frames(9_000, 0, 4_000));
    write("paris", frames(700, 3_000, 2_000));
    // So few that none is confirmed, and another day.
    write(
        "rome",
        line("u1", 1_767_225_700) + &line("u2", 1_767_225_701),
    );
    write(
        "boston",
        frames(30_000, 2_000, 20_000).replace("17672", "17679"),
    );
    ok(dir, "count -f json --state eu berlin paris rome");
    ok(dir, "count -f json --state us boston");
    ok(dir, "count -f json --state one berlin paris rome boston");
    let merged = ok(dir, "merge eu us -o world -f json");
    assert_eq!(digest(dir, "world"), digest(dir, "one"));
    assert_eq!(merged["state_digest"], digest(dir, "one").0);
    // The other way round, and of three.
    ok(dir, "count -f json --state fr paris");
    ok(dir, "count -f json --state de berlin rome");
    ok(dir, "merge us fr de -o again -f json");
    assert_eq!(digest(dir, "again"), digest(dir, "one"));
    // It goes on.
    write(
        "paris",
        frames(700, 3_000, 2_000) + &frames(900, 0, 800).replace("17672", "17673"),
    );
    let [world, one] = ["world", "one"].map(|state| {
        ok(
            dir,
            &format!("count -f json --state {state} berlin boston paris rome"),
        )
    });
    assert_eq!(world["intervals"], one["intervals"]);
    assert_eq!(world["frames"], one["frames"]);
    assert_eq!(digest(dir, "world"), digest(dir, "one"));
    assert_eq!(ok(dir, "state show eu -f json")["frames"]["read"], 9_702);
}

#[test]
fn partitions_of_one_name_need_names_of_their_sites() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (site, from) in [("a", 0), ("b", 500)] {
        fs::write(dir.join("log"), frames(2_000, from, 900)).unwrap();
        ok(dir, &format!("count -f json --state {site} log"));
    }
    check_all(
        dir,
        &[
            ("merge a b -o c", 2, &["partition log", "--as eu=a us=b"]),
            ("merge a -o c", 2, &["two states"]),
            ("merge a a -o c", 2, &["a is named twice"]),
            ("merge --as a -o c", 2, &["--as 'a'", "eu="]),
            ("merge a nowhere -o c", 66, &["no state in nowhere"]),
            ("merge a b -o b", 2, &["b is there already"]),
            ("merge --as x=a y=b -o c --job z", 2, &["--job", "'run'"]),
        ],
    );
    let merged = ok(dir, "merge --as eu=a us=b -o c -f json");
    assert_eq!(
        merged["offsets"],
        serde_json::json!({"eu/log": 2_000, "us/log": 2_000})
    );
    let shown = ok(dir, "state show c -f json");
    assert_eq!(shown["frames"]["counted"], 4_000);
    assert_eq!(shown["unpublished"], 0);
    ok(dir, "state export b -o coarse --precision 12 -f json");
    fs::create_dir(dir.join("e.unfinished")).unwrap();
    check_all(
        dir,
        &[("state export b -o e", 2, &["e.unfinished", "cut short"])],
    );
    check_all(
        dir,
        &[(
            "merge --as eu=a us=coarse -o d",
            78,
            &["precision '17'", "'12'", "state export"],
        )],
    );
    assert!(!dir.join("d").exists() && !dir.join("d.unfinished").exists());
}

#[test]
fn an_exported_state_is_that_of_a_run_with_that_precision() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let text = frames(60_000, 0, 45_000);
    let cut = text[1_500_000..].find('\n').unwrap() + 1_500_001;
    fs::write(dir.join("log"), &text[..cut]).unwrap();
    ok(dir, "count -f json --state fine log");
    for precision in [12, 14, 16] {
        let exported = ok(
            dir,
            &format!("state export fine -o p{precision} --precision {precision} -f json"),
        );
        ok(
            dir,
            &format!("count -f json --state d{precision} --precision {precision} log"),
        );
        let (made, direct) = (format!("p{precision}"), format!("d{precision}"));
        assert_eq!(exported["same_as_counted"], true);
        assert_eq!(digest(dir, &made), digest(dir, &direct));
    }
    // It goes on.
    fs::write(dir.join("log"), &text).unwrap();
    let [made, direct] = ["p14", "d14"].map(|state| {
        ok(
            dir,
            &format!("count -f json --precision 14 --state {state} log"),
        )
    });
    assert_eq!(made, direct);
    assert_eq!(digest(dir, "p14"), digest(dir, "d14"));
}

#[test]
fn an_export_goes_to_zones_with_the_same_windows_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("log"), frames(2_000, 0, 900)).unwrap();
    ok(dir, "count -f json --state s log");
    ok(
        dir,
        "state export s -o accra --timezone Africa/Accra -f json",
    );
    assert_eq!(digest(dir, "accra"), digest(dir, "s"));
    ok(
        dir,
        "count -f json --timezone Africa/Accra --state accra log",
    );
    ok(dir, "count -f json --window minute,hour --state short log");
    ok(dir, "state export short -o tokyo --tz Asia/Tokyo -f json");
    assert_eq!(digest(dir, "tokyo"), digest(dir, "short"));
    check_all(
        dir,
        &[
            (
                "state export s -o x --timezone Asia/Tokyo",
                2,
                &[
                    "the day from",
                    "none in Asia/Tokyo",
                    "headcount count --precision 17 --timezone Asia/Tokyo",
                ],
            ),
            (
                "state export s -o x --tz Mars/Olympus",
                2,
                &["'Mars/Olympus'", "IANA"],
            ),
            (
                "state export accra -o x --precision 18",
                2,
                &["18", "17", "finer"],
            ),
            (
                "state export short -o tokyo",
                2,
                &["tokyo is there already"],
            ),
            (
                "state export short -o x --tz Asia/Kolkata",
                2,
                &["the hour from", "none in Asia/Kolkata"],
            ),
        ],
    );
}
