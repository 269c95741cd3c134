//! JSON as the world writes it: JSONTestSuite file by file, and the decoder against `serde_json` on made-up bytes.

mod properties;

use std::collections::BTreeMap;

use headcount::engine::decode::{Decoder, Fields, Isa, Reading};
use headcount::engine::frame::{UserHash, Verdict};
use serde_json::Value;

use crate::support::{data_dir, process, skip};

const TABLE: &str = include_str!("json_suite/verdicts.txt");

/// What the two tellers of invalid JSON say. All other reasons are said of valid JSON alone.
const INVALID: [&str; 4] = ["json", "utf8", "too_deep", "empty"];

const RANGE: &str = "a number beyond what 64 bits of float can say";
const SURROGATE: &str = "an escaped half of a surrogate pair: such a string has no UTF-8";

/// The files whose text obeys RFC 8259 and which simd-json refuses all the same, and why it may.
const NOT_CONVERTED: [(&str, &str); 18] = [
    ("i_number_huge_exp.json", RANGE),
    ("i_number_neg_int_huge_exp.json", RANGE),
    ("i_number_pos_double_huge_exp.json", RANGE),
    ("i_number_real_neg_overflow.json", RANGE),
    ("i_number_real_pos_overflow.json", RANGE),
    ("i_object_key_lone_2nd_surrogate.json", SURROGATE),
    ("i_string_1st_surrogate_but_2nd_missing.json", SURROGATE),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", SURROGATE),
    (
        "i_string_incomplete_surrogate_and_escape_valid.json",
        SURROGATE,
    ),
    ("i_string_incomplete_surrogate_pair.json", SURROGATE),
    (
        "i_string_incomplete_surrogates_escape_valid.json",
        SURROGATE,
    ),
    ("i_string_invalid_lonely_surrogate.json", SURROGATE),
    ("i_string_invalid_surrogate.json", SURROGATE),
    ("i_string_inverted_surrogates_U+1D11E.json", SURROGATE),
    ("i_string_lone_second_surrogate.json", SURROGATE),
    ("string_1_escaped_invalid_codepoint.json", SURROGATE),
    ("string_2_escaped_invalid_codepoints.json", SURROGATE),
    ("string_3_escaped_invalid_codepoints.json", SURROGATE),
];

/// The file that every decoder refuses though its text may be let pass: a byte order mark, which RFC 8259 lets a reader refuse.
const BOM: &str = "i_structure_UTF-8_BOM_empty_object.json";

/// A file of the suite.
struct Case {
    name: String,
    bytes: Vec<u8>,
}

/// All files by name; nothing where there is no suite, which is then said aloud.
fn cases() -> Vec<Case> {
    let Some(suite) = data_dir().map(|data| data.join("json-test-suite")) else {
        return Vec::new();
    };
    if !suite.is_dir() {
        skip(&format!("no JSONTestSuite in {}", suite.display()));
        return Vec::new();
    }
    let mut cases = Vec::new();
    for folder in ["test_parsing", "test_transform"] {
        for entry in std::fs::read_dir(suite.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let bytes = std::fs::read(&path).unwrap();
            cases.push(Case { name, bytes });
        }
    }
    assert!(cases.len() > 300, "half a suite: {} files", cases.len());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

fn name_of(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Seen(hash, ts) => {
            assert_eq!(
                (hash, ts),
                (UserHash::of(b"a"), 7),
                "another user or time than the frame has"
            );
            "seen"
        }
        Verdict::Ignored => "ignored",
        Verdict::Rejected(reason) => reason.name(),
    }
}

fn whole(decoder: &mut Decoder, case: &Case) -> &'static str {
    name_of(decoder.decode(Some(&case.bytes)))
}

/// The verdict on a good frame that has the file as one more value; where in the frame must not matter.
fn embedded(decoder: &mut Decoder, case: &Case) -> &'static str {
    let around = [
        (r#"{"x":"#, r#","uid":"a","ts":7}"#),
        (r#"{"uid":"a","x":"#, r#","ts":7}"#),
        (r#"{"uid":"a","ts":7,"x":"#, "}"),
    ];
    let verdicts = around.map(|(before, after)| {
        let frame = [before.as_bytes(), &case.bytes, after.as_bytes()].concat();
        name_of(decoder.decode(Some(&frame)))
    });
    assert!(
        verdicts.iter().all(|verdict| *verdict == verdicts[0]),
        "{} at the head, in the middle, at the tail: {verdicts:?}",
        case.name
    );
    verdicts[0]
}

/// Every decoder by name, and whether it wants to convert values that it does not need.
fn decoders() -> Vec<(&'static str, Decoder, bool)> {
    let on_demand = Isa::available().map(|isa| {
        let decoder = Decoder::on(isa, Fields::default()).unwrap();
        (isa.name(), decoder, false)
    });
    let simd_json = Decoder::new(Fields {
        reading: Reading::SimdJson,
        ..Fields::default()
    });
    on_demand.chain([("simd-json", simd_json, true)]).collect()
}

#[test]
fn every_file_has_the_verdicts_that_the_table_fixes() {
    let cases = cases();
    if cases.is_empty() {
        return;
    }
    for (name, mut decoder, converts) in decoders() {
        let found: Vec<String> = cases
            .iter()
            .map(|case| {
                let (whole, embedded) = (whole(&mut decoder, case), embedded(&mut decoder, case));
                format!("{} {whole} {embedded}", case.name)
            })
            .collect();
        let mut fixed: Vec<String> = rows().map(str::to_owned).collect();
        if converts {
            for row in &mut fixed {
                let file = row.split(' ').next().unwrap();
                if NOT_CONVERTED.iter().any(|(name, _)| *name == file) {
                    *row = format!("{file} json json");
                }
            }
        }
        let missing = fixed.iter().filter(|row| !found.contains(row));
        let extra = found.iter().filter(|row| !fixed.contains(row));
        let changes: Vec<String> = missing
            .map(|row| format!("- {row}"))
            .chain(extra.map(|row| format!("+ {row}")))
            .collect();
        assert!(
            changes.is_empty(),
            "verdicts.txt fixes -, the decoder on {name} says +:\n{}",
            changes.join("\n")
        );
    }
}

fn rows() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| !line.starts_with('#'))
}

#[test]
fn valid_files_are_read_and_invalid_ones_are_refused() {
    let cases = cases();
    if cases.is_empty() {
        return;
    }
    for (decoder_name, mut decoder, converts) in decoders() {
        let mut refused_though_valid = Vec::new();
        for case in &cases {
            let (whole, embedded) = (whole(&mut decoder, case), embedded(&mut decoder, case));
            let name = case.name.as_str();
            let is_read = !INVALID.contains(&whole);
            // A value is a whole JSON text, and the other way round; white space alone is the one thing that is neither.
            assert_eq!(is_read, embedded == "seen", "{name}: {whole}, {embedded}");
            if name.starts_with("y_") {
                assert!(is_read, "{name} is valid, but on {decoder_name}: {whole}");
            } else if name.starts_with("n_") {
                assert!(
                    !is_read,
                    "{name} is invalid, but on {decoder_name}: {whole}"
                );
            } else if !is_read && std::str::from_utf8(&case.bytes).is_ok() {
                refused_though_valid.push(name);
            }
        }
        let mut listed = vec![BOM];
        if converts {
            listed.extend(NOT_CONVERTED.map(|(name, _)| name));
        }
        listed.sort_unstable();
        assert_eq!(refused_though_valid, listed, "on {decoder_name}");
    }
}

#[test]
fn a_file_as_a_line_leaves_the_lines_around_it_alone() {
    let files: Vec<Case> = cases()
        .into_iter()
        .filter(|case| !case.bytes.contains(&b'\n'))
        .collect();
    if files.is_empty() {
        return;
    }
    // Between any two files a good frame, each in a minute of its own.
    let good = |i: usize| format!("{{\"uid\":\"good {i}\",\"ts\":{}}}\n", 60 * (i + 1));
    let mut input = good(0).into_bytes();
    for (i, case) in files.iter().enumerate() {
        input.extend_from_slice(&case.bytes);
        input.push(b'\n');
        input.extend_from_slice(good(i + 1).as_bytes());
    }
    let mut command = process::headcount();
    command.args(["count", "--format", "json", "--window", "minute"]);
    let (out, _) = process::run_ok(command, &input);
    let records: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (stats, minutes) = records.split_last().unwrap();
    assert_eq!(minutes.len(), files.len() + 1);
    for (i, minute) in minutes.iter().enumerate() {
        assert_eq!(
            (&minute["users"], &minute["frames"]),
            (&1.into(), &1.into()),
            "beside {}: {minute}",
            files[i.min(files.len() - 1)].name
        );
    }
    let verdicts: BTreeMap<&str, &str> = rows()
        .map(|row| {
            let mut words = row.split(' ');
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    let mut rejected: BTreeMap<&str, u64> = BTreeMap::new();
    for case in &files {
        // A byte order mark before a line of a file is passed over.
        let verdict = match case.name.as_str() {
            "n_structure_UTF8_BOM_no_data.json" => "empty",
            "i_structure_UTF-8_BOM_empty_object.json" => "uid_missing",
            name => verdicts[name],
        };
        *rejected.entry(verdict).or_default() += 1;
    }
    let frames = &stats["frames"];
    assert_eq!(frames["read"], 2 * files.len() + 1);
    assert_eq!(frames["counted"], files.len() + 1);
    assert_eq!(frames["rejected"], serde_json::to_value(rejected).unwrap());
}
