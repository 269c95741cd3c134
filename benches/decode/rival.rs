//! simdjson, the C++ library, where it and a compiler are installed: a program of its own that reads the same frames.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::data::Data;

/// The program, waiting for the next round.
pub struct Rival {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Rival {
    /// Compiles and starts it; none if the library is not there.
    pub fn start(data: &Data) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let program = folder.path().join("rival");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/decode/rival.cpp");
        let mut compiler = Command::new("c++");
        compiler.args(["-std=c++17", "-O3", "-march=native", "-o"]);
        compiler.arg(&program).arg(source).arg("-lsimdjson");
        let built = compiler.stderr(Stdio::null()).status().ok()?;
        if !built.success() {
            return None;
        }
        let frames = folder.path().join("frames");
        std::fs::write(&frames, data.text()).ok()?;
        let mut child = Command::new(program)
            .arg(&frames)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        Some(Self {
            orders: child.stdin.take()?,
            answers: BufReader::new(child.stdout.take()?),
            child,
            _folder: folder,
        })
    }

    /// Reads all frames once; returns seconds of processor time.
    pub fn round(&mut self) -> f64 {
        self.orders.write_all(b"\n").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim().parse().unwrap()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
