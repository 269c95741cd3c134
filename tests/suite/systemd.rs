//! Whether systemd takes the units, how far they shut the service in, and whether the program takes what they give it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use headcount::cli::Cli;
use tempfile::TempDir;

use crate::support::process::{headcount, run_ok};
use crate::support::skip;

const UNITS: [&str; 2] = ["headcount.service", "headcount@.service"];
/// The greatest exposure that `systemd-analyze security` may find, in tenths: it calls up to 2.0 safe.
const EXPOSURE_MAX: &str = "15";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The units and the drop-in as they would be installed, with a program that is there.
fn installed() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = read(&format!("packaging/{unit}"));
        let text = text.replace("/usr/bin/headcount", env!("CARGO_BIN_EXE_headcount"));
        fs::write(folder.path().join(unit), text).unwrap();
        let drop_ins = folder.path().join(format!("{unit}.d"));
        fs::create_dir(&drop_ins).unwrap();
        fs::write(
            drop_ins.join("secrets.conf"),
            read("packaging/secrets.conf"),
        )
        .unwrap();
    }
    folder
}

/// A unit as it is started: a template by a job's name.
fn instance(folder: &Path, unit: &str) -> PathBuf {
    let path = folder.join(unit.replace('@', "@eu"));
    let text = fs::read(folder.join(unit)).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// Whether it is content, and what it says; `None`, after saying so, where it is not to be had.
fn analyze(arguments: &[&str], unit: &Path) -> Option<(bool, String)> {
    let mut command = Command::new("systemd-analyze");
    let Ok(output) = command.args(arguments).arg(unit).output() else {
        skip("systemd-analyze is missing: sudo apt-get install systemd");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Some((output.status.success(), said))
}

#[test]
fn systemd_takes_the_units_and_would_name_what_it_does_not_know() {
    let folder = installed();
    for unit in UNITS {
        let path = instance(folder.path(), unit);
        let Some((is_content, said)) = analyze(&["verify", "--man=no"], &path) else {
            return;
        };
        assert!(is_content && said.is_empty(), "{unit}: {said}");
    }
    for (unit, from, to) in [
        (UNITS[0], "ProtectSystem=", "ProtectSystm="),
        (UNITS[0], "@system-service", "@system-servce"),
        (UNITS[0], "TimeoutStopSec=15s", "TimeoutStopSec=15 parsecs"),
        (
            UNITS[1],
            env!("CARGO_BIN_EXE_headcount"),
            "/usr/bin/nothing",
        ),
    ] {
        let text = fs::read_to_string(folder.path().join(unit)).unwrap();
        assert!(text.contains(from), "{from}");
        let path = folder.path().join(unit.replace("headcount", "other"));
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        if let Some((_, said)) = analyze(&["verify", "--man=no"], &path) {
            assert!(!said.is_empty(), "{to} is let through");
        }
    }
}

#[test]
fn the_service_is_shut_in() {
    let folder = installed();
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    for unit in UNITS {
        let path = instance(folder.path(), unit);
        let arguments = ["security", "--offline=yes", "--no-pager", &threshold];
        if let Some((is_content, said)) = analyze(&arguments, &path) {
            assert!(is_content, "{unit}: {said}");
            assert!(said.contains("Overall exposure level"), "{said}");
        }
    }
}

/// A setting in one of them is missing in the other but for these.
#[test]
fn both_units_are_the_same_but_for_the_job() {
    let [one, instance] = UNITS.map(|unit| {
        let text = read(&format!("packaging/{unit}"));
        let settings = text.lines().filter(|line| !line.starts_with('#'));
        settings.map(str::to_owned).collect::<Vec<_>>()
    });
    let expected: Vec<_> = one
        .iter()
        .map(|line| match line.as_str() {
            "Description=headcount: distinct users, counted live from Kafka" => {
                "Description=headcount: distinct users of job %i, counted live from Kafka"
                    .to_owned()
            }
            line => line
                .replace("headcount/headcount.toml", "headcount/%i.toml")
                .replace("StateDirectory=headcount", "StateDirectory=headcount-%i")
                .replace("%S/headcount", "%S/headcount-%i"),
        })
        .collect();
    assert_eq!(instance, expected);
}

#[test]
fn the_program_takes_what_the_units_give_it() {
    let cli = Cli::command();
    let arguments = cli.get_subcommands().flat_map(clap::Command::get_arguments);
    let known: BTreeSet<_> = arguments
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    let mut variables = 0;
    for file in ["headcount.service", "headcount@.service", "secrets.conf"] {
        let text = read(&format!("packaging/{file}"));
        for line in text.lines() {
            if let Some(command) = line.strip_prefix("ExecStart=/usr/bin/") {
                let parsed = Cli::try_parse_from(command.split(' '));
                assert!(parsed.is_ok(), "{command}");
            }
            if let Some(variable) = line.strip_prefix("Environment=") {
                variables += 1;
                let (name, _) = variable.split_once('=').unwrap();
                let is_known = known.contains(name) || name.starts_with("HEADCOUNT_X_");
                assert!(is_known, "nothing reads {name}");
            }
        }
        // Each credential that is loaded is used under its name.
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("LoadCredential="))
        {
            let (name, _) = line.split_once(':').unwrap();
            assert!(
                text.contains(&format!("=%d/{name}\n")),
                "{name} is not used"
            );
        }
    }
    assert_eq!(variables, 5);
}

#[test]
fn the_configuration_that_is_installed_is_accepted_with_all_that_it_suggests() {
    let folder = tempfile::tempdir().unwrap();
    let text = read("packaging/headcount.toml");
    let suggested: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            // A comment in words has a space.
            Some(rest) if !rest.starts_with(' ') => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert!(suggested.contains("\nsasl.username"));
    for (name, text) in [("as-is.toml", text), ("suggested.toml", suggested)] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let mut command = headcount();
        command.args(["config", "check", "--config"]).arg(&path);
        command.env("HEADCOUNT_X_SASL_PASSWORD", "secret");
        let (said, _) = run_ok(command, b"");
        assert!(said.ends_with(": ok\n"), "{said}");
    }
}
