//! Which decoder reads the frames, and how much of them.

use headcount::engine::decode::Isa;

use super::{count_json, process, run_in};

/// Made-up frames with all that a reader trips over.
fn generated() -> Vec<u8> {
    let mut command = process::headcount();
    command.args([
        "generate",
        "--frames",
        "2000",
        "--seed",
        "7",
        "--float-ts",
        "0.2",
    ]);
    process::run_ok(command, b"").0.into_bytes()
}

#[test]
fn every_decoder_gives_the_same_bytes_on_good_frames() {
    let input = generated();
    let (expected, _) = count_json(&[], &input);
    assert_eq!(expected.last().unwrap()["frames"]["counted"], 2_000);
    for options in [
        &["--decoder", "simd-json"][..],
        &["--decoder", "on-demand"],
        &["--decoder", "portable"],
        &["--decoder", "portable", "--validate", "fields"],
        &["--validate", "full"],
        &["--validate", "fields"],
    ] {
        assert_eq!(count_json(options, &input).0, expected, "{options:?}");
    }
}

#[test]
fn instructions_that_the_cpu_lacks_are_refused() {
    let input = generated();
    let (expected, _) = count_json(&[], &input);
    for isa in Isa::ALL {
        let args = ["count", "--decoder", isa.name(), "-f", "json", "-"];
        let mut command = process::headcount();
        command.args(args);
        if Isa::available().any(|available| available == isa) {
            let (said, _) = process::run_ok(command, &input);
            let last = said.lines().last().unwrap();
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(last).unwrap(),
                *expected.last().unwrap()
            );
        } else {
            let said = run_in(std::path::Path::new("."), &args);
            said.check_complaint(2, &["this CPU", isa.name(), "on-demand"], isa.name());
        }
    }
}

#[test]
fn what_is_behind_the_fields_matters_only_in_full() {
    let input = b"{\"uid\":\"a\",\"ts\":1795411000,\"x\":[}\n{\"uid\":\"b\",\"ts\":1795411001}\n";
    for (options, counted) in [
        (&[][..], 1),
        (&["--decoder", "simd-json"], 1),
        (&["--validate", "fields"], 2),
    ] {
        let (records, _) = count_json(options, input);
        let frames = &records.last().unwrap()["frames"];
        assert_eq!(
            (&frames["read"], &frames["counted"]),
            (&2.into(), &counted.into()),
            "{options:?}"
        );
    }
}

#[test]
fn what_no_decoder_can_do_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["count", "run"] {
        let args = [command, "--decoder", "simd-json", "--validate", "fields"];
        let said = run_in(dir.path(), &args);
        said.check_complaint(2, &["--validate fields", "--decoder on-demand"], command);
        let said = run_in(dir.path(), &[command, "--decoder", "serde"]);
        said.check_complaint(2, &["--decoder", "serde", "simd-json"], command);
    }
}
