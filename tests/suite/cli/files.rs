//! Files and pipes, by any number of threads: the same bytes.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use headcount::limits::{CHUNK_BYTES, MAX_FRAME_BYTES};
use serde_json::{Value, json};

use super::{Killed, Said, line};
use crate::support::{process, wait_until};

/// Frames of all lengths, some of them late, broken or from a wrong clock: more than a few chunks hold.
fn stream() -> Vec<u8> {
    let mut text = Vec::new();
    let filler = "x".repeat(4_000);
    let mut ts = 1_700_000_000u64;
    for i in 0..6_000usize {
        ts += u64::from(i % 3 == 0);
        let ts = match i % 97 {
            13 => ts - 7_200,
            50 => ts + 1_000_000,
            _ => ts,
        };
        let width = i * 7_919 % filler.len();
        let uid = i * i % 611;
        let _ = match i % 89 {
            40 => writeln!(text, "{{\"uid\":\"u{uid}\",\"ts\":{ts},"),
            41 => writeln!(text),
            42 => write!(text, "{{\"uid\":\"u{uid}\",\"ts\":{ts}}}\r\n"),
            _ => writeln!(
                text,
                "{{\"x\":\"{}\",\"uid\":\"u{uid}\",\"ts\":{ts}}}",
                &filler[..width]
            ),
        };
    }
    assert!(text.len() > 10 * CHUNK_BYTES);
    text.pop();
    text
}

fn count(dir: &Path, threads: &str) -> Command {
    let mut command = process::headcount();
    command.current_dir(dir);
    command.args(["count", "--format", "json", "--threads", threads]);
    command
}

/// What it prints, less the names of the inputs.
fn outcome(command: Command, stdin: &[u8], name: &str) -> (String, String) {
    let (stdout, stderr) = process::run_ok(command, stdin);
    let name = format!("\"{name}\"");
    (
        stdout.replace(&name, "\"-\""),
        stderr.replace(&name, "\"-\""),
    )
}

#[test]
fn any_number_of_threads_and_any_kind_of_input_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let text = stream();
    std::fs::write(dir.path().join("plain"), &text).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&text).unwrap();
    std::fs::write(dir.path().join("gz"), gzip.finish().unwrap()).unwrap();
    let zst = zstd::encode_all(&text[..], 1).unwrap();
    std::fs::write(dir.path().join("zst"), &zst).unwrap();

    let (first, log) = outcome(count(dir.path(), "1"), &text, "-");
    let stats: Value = serde_json::from_str(first.lines().last().unwrap()).unwrap();
    assert_eq!(stats["frames"]["read"], 6_000);
    for reason in ["json", "empty"] {
        assert!(
            stats["frames"]["rejected"][reason].as_u64() > Some(30),
            "{stats}"
        );
    }
    assert!(
        stats["frames"]["quarantined"].as_u64() > Some(30),
        "{stats}"
    );
    assert!(log.lines().count() > 5, "{log}");
    for threads in 1..=16 {
        let threads = threads.to_string();
        for name in ["plain", "gz", "zst"] {
            let mut command = count(dir.path(), &threads);
            command.arg(name);
            let (found, _) = outcome(command, b"", name);
            assert!(found == first, "{name}, {threads} threads");
        }
        for stdin in [&text, &zst] {
            let (found, _) = outcome(count(dir.path(), &threads), stdin, "-");
            assert!(found == first, "a pipe, {threads} threads");
        }
    }
    // As many as there are cores.
    let mut command = process::headcount();
    command.current_dir(dir.path());
    command.args(["count", "--format", "json", "plain"]);
    assert!(outcome(command, b"", "plain").0 == first);
}

#[test]
fn what_is_put_aside_is_the_same_for_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plain"), stream()).unwrap();
    let mut first = None;
    for threads in ["1", "2", "7"] {
        for options in [
            &["--rejects-file", "r"][..],
            &["--rejects-file", "r", "--quarantine-file", "q"],
        ] {
            let mut command = count(dir.path(), threads);
            command.args(options).arg("plain");
            process::run_ok(command, b"");
            let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
            let rejects = [read("r"), read("r.reasons")];
            let first = first.get_or_insert_with(|| rejects.clone());
            assert!(
                rejects == *first && rejects[0].len() > 1_000,
                "{threads} threads, {options:?}"
            );
        }
    }
    let mut command = count(dir.path(), "1");
    command.args(["--quarantine-file", "one", "plain"]);
    process::run_ok(command, b"");
    for name in ["q", "q.reasons"] {
        let one = std::fs::read(dir.path().join(name.replace('q', "one"))).unwrap();
        assert!(!one.is_empty() && one == std::fs::read(dir.path().join(name)).unwrap());
    }
}

#[test]
fn names_that_are_no_text_are_told_apart() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let mut command = count(dir.path(), "1");
    for name in [&b"\xff.log"[..], b"\xfe.log"] {
        let name = std::ffi::OsStr::from_bytes(name);
        std::fs::write(dir.path().join(name), line("a", 7)).unwrap();
        command.arg(name);
    }
    let (stdout, _) = process::run_ok(command, b"");
    let stats: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let offsets = json!({ "\\xfe.log": 1, "\\xff.log": 1 });
    assert_eq!(stats["source"]["offsets"], offsets);
}

/// A file that is read on standard input is not written at the same time.
#[test]
fn a_file_on_standard_input_is_not_put_aside_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.reasons");
    std::fs::write(&path, line("a", 7)).unwrap();
    for aside in ["x", "./x.reasons"] {
        let mut command = count(dir.path(), "1");
        command.args(["--rejects-file", aside, "-"]);
        command
            .stdin(File::open(&path).unwrap())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let said = command.spawn().unwrap().wait_with_output().unwrap();
        assert_eq!(said.status.code(), Some(2));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), line("a", 7));
    }
}

/// `pzstd` begins its files with a frame to be skipped, and anybody may (RFC 8878, 3.1.2).
#[test]
fn zstd_that_begins_with_a_frame_to_be_skipped_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let text = stream();
    let skipped = |magic: u8| [&[magic, 0x2a, 0x4d, 0x18, 4, 0, 0, 0][..], b"abcd"].concat();
    let packed = zstd::encode_all(&text[..], 1).unwrap();
    std::fs::write(dir.path().join("plain"), &text).unwrap();
    let mut command = count(dir.path(), "2");
    command.arg("plain");
    let (plain, _) = outcome(command, b"", "plain");
    for magic in [0x50, 0x5f] {
        let bytes = [skipped(magic), packed.clone(), skipped(magic)].concat();
        std::fs::write(dir.path().join("zst"), &bytes).unwrap();
        let mut command = count(dir.path(), "2");
        command.arg("zst");
        assert!(outcome(command, b"", "zst").0 == plain, "{magic:x}");
        assert!(
            outcome(count(dir.path(), "1"), &bytes, "-").0 == plain,
            "{magic:x}, a pipe"
        );
    }
}

#[test]
fn a_file_on_standard_input_is_read_from_where_it_stands_and_left_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let head = line("before", 7);
    let text = head.clone() + &line("a", 8) + &line("b", 9);
    let path = dir.path().join("x");
    std::fs::write(&path, &text).unwrap();
    let mut file = File::open(&path).unwrap();
    file.seek(SeekFrom::Start(head.len() as u64)).unwrap();
    let mut command = count(dir.path(), "2");
    command
        .stdin(file.try_clone().unwrap())
        .stdout(Stdio::piped());
    let output = command.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let stats: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(stats["users_last_minute"], 2);
    assert_eq!(stats["source"]["offsets"], json!({"-": 2}));
    assert_eq!(file.stream_position().unwrap(), text.len() as u64);
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_line_of_the_greatest_length_is_a_frame_and_one_more_byte_is_too_many() {
    let dir = tempfile::tempdir().unwrap();
    let (open, close) = (r#"{"uid":"large","ts":61,"x":""#, r#""}"#);
    for more in [0, 1] {
        let filler = MAX_FRAME_BYTES - open.len() - close.len() + more;
        let mut text = line("before", 60).into_bytes();
        text.extend_from_slice(open.as_bytes());
        text.resize(text.len() + filler, b'x');
        text.extend_from_slice(close.as_bytes());
        // At the end of the input, and with another line behind it.
        for rest in ["", &("\n".to_owned() + &line("after", 62))] {
            let whole = [&text[..], rest.as_bytes()].concat();
            std::fs::write(dir.path().join("x"), &whole).unwrap();
            let after = i32::from(rest.len() > 1);
            for (name, stdin) in [(&["x"][..], &b""[..]), (&[], &whole)] {
                let mut command = count(dir.path(), "2");
                command.args(name);
                let (stdout, _) = process::run_ok(command, stdin);
                let stats: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
                let frames = &stats["frames"];
                assert_eq!(frames["read"], 2 + after);
                assert_eq!(frames["counted"], 2 + after - more as i32, "{frames}");
                let too_large = if more > 0 { json!(1) } else { Value::Null };
                assert_eq!(frames["rejected"]["too_large"], too_large);
            }
        }
    }
}

#[test]
fn a_torn_file_is_refused_alike_by_any_number_of_threads() {
    let dir = tempfile::tempdir().unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&stream()).unwrap();
    let mut bytes = gzip.finish().unwrap();
    bytes.truncate(bytes.len() * 3 / 4);
    std::fs::write(dir.path().join("torn.gz"), bytes).unwrap();
    for threads in ["1", "2", "8"] {
        let mut command = count(dir.path(), threads);
        command.args(["--window", "year", "torn.gz"]);
        let said = Said::of(process::run(command, b""));
        assert_eq!(said.code, Some(65));
        assert_eq!(said.stdout, "");
        let last = said.stderr.lines().last().unwrap();
        assert!(
            last.contains("torn.gz") && last.contains("transfer it again"),
            "{last}"
        );
    }
}

#[test]
fn what_is_no_text_and_packed_in_no_known_way_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[u8], &str); 6] = [
        (b"\xfd7zXZ\0rest", "xz -dc"),
        (b"BZh91AY&SYrest", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18rest", "lz4 -dc"),
        (b"PK\x03\x04rest", "unzip -p"),
        (b"\xff\xfe{\0", "iconv"),
        (b"\xfe\xff\0{", "iconv"),
    ];
    for (bytes, tool) in cases {
        std::fs::write(dir.path().join("x"), bytes).unwrap();
        for (args, stdin) in [
            (&["x"][..], &b""[..]),
            (&["-"], bytes),
            (&["x", "--state", "state"], b""),
        ] {
            let mut command = count(dir.path(), "2");
            command.args(args);
            let said = Said::of(process::run(command, stdin));
            assert_eq!((said.code, &*said.stdout), (Some(65), ""), "{bytes:?}");
            assert!(said.stderr.contains(tool), "{}", said.stderr);
        }
    }
}

#[test]
fn a_file_that_is_cut_short_while_it_is_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap().join("x");
    for threads in ["1", "3"] {
        std::fs::write(&path, line("a", 7) + &line("b", 8)).unwrap();
        let mut command = count(dir.path(), threads);
        command.args(["x", "-"]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Killed(command.spawn().unwrap());
        // The pipe's first bytes tell whether it is packed; then it opens the file, and waits for the pipe again.
        let mut pipe = child.0.stdin.take().unwrap();
        pipe.write_all(line("c", 6).as_bytes()).unwrap();
        let fds = format!("/proc/{}/fd", child.0.id());
        wait_until(Duration::from_secs(60), "the file is open", || {
            let fds = std::fs::read_dir(&fds).unwrap().flatten();
            let mut open = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
            open.any(|open| open == path).then_some(())
        });
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(3)
            .unwrap();
        drop(pipe);
        let status = wait_until(Duration::from_secs(60), "count ends", || {
            child.0.try_wait().unwrap()
        });
        assert_eq!(status.code(), Some(65));
        let mut said = String::new();
        child
            .0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert!(said.contains("became shorter"), "{said}");
    }
}
