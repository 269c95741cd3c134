//! The program under test as a child process: run to its end, or running while the test talks to it.

use super::wait_until;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For a run that ends by itself.
const RUN_LIMIT: Duration = Duration::from_secs(300);

/// The program, without arguments, deaf to the environment of whoever runs the tests, but for which decoder it takes.
pub fn headcount() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcount"));
    for (name, _) in std::env::vars_os() {
        let of_ours = name.to_string_lossy().starts_with("HEADCOUNT_");
        if of_ours
            || ["KAFKA_BROKER", "USERS_TOPIC", "STATS_TOPIC"]
                .iter()
                .any(|alias| name == *alias)
        {
            command.env_remove(name);
        }
    }
    if let Some(decoder) = std::env::var_os("HEADCOUNT_TEST_DECODER") {
        command.env("HEADCOUNT_DECODER", decoder);
    }
    command
}

/// Runs it to its end with these bytes on stdin, whatever its exit code.
pub fn run(mut command: Command, stdin: &[u8]) -> Output {
    let shown = format!("{command:?}");
    let mut child = Reaped(
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it can be started"),
    );
    let mut to_child = child.0.stdin.take().expect("piped");
    let stdout = collect(child.0.stdout.take().expect("piped"));
    let stderr = collect(child.0.stderr.take().expect("piped"));
    // Not a scoped thread: while the child neither reads nor ends, that would block the very panic that kills it. A
    // child that ends without reading everything closes the pipe, which is its right.
    let stdin = stdin.to_vec();
    std::thread::spawn(move || drop(to_child.write_all(&stdin)));
    let status = child.wait(RUN_LIMIT, &shown);
    let [stdout, stderr] =
        [stdout, stderr].map(|reader| reader.join().expect("reading a pipe does not panic"));
    Output {
        status,
        stdout,
        stderr,
    }
}

/// Runs it to its end with these bytes on stdin; panics if it fails. Gives stdout and stderr.
pub fn run_ok(command: Command, stdin: &[u8]) -> (String, String) {
    let shown = format!("{command:?}");
    let output = run(command, stdin);
    let stderr = String::from_utf8(output.stderr).expect("stderr is UTF-8");
    let stdout = String::from_utf8(output.stdout).expect("stdout is UTF-8");
    assert!(
        output.status.success(),
        "{shown} failed with {}:\n{stderr}\nand said:\n{stdout}",
        output.status
    );
    (stdout, stderr)
}

/// A running child whose output a test can wait for. Dropping it kills it.
pub struct Service {
    child: Reaped,
    shown: String,
    stdout: Lines,
    stderr: Lines,
}

impl Service {
    /// Starts it with an empty stdin.
    pub fn spawn(mut command: Command) -> Service {
        let shown = format!("{command:?}");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = Reaped(command.spawn().expect("it can be started"));
        let stdout = Lines::of(child.0.stdout.take().expect("piped"));
        let stderr = Lines::of(child.0.stderr.take().expect("piped"));
        Service {
            child,
            shown,
            stdout,
            stderr,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// The next line of stderr that contains `text`; the lines before it are passed over.
    pub fn stderr_line(&mut self, text: &str, limit: Duration) -> String {
        self.stderr
            .find(text, limit, &format!("stderr of {}", self.shown))
    }

    /// The next line of stdout that contains `text`; the lines before it are passed over.
    pub fn stdout_line(&mut self, text: &str, limit: Duration) -> String {
        self.stdout
            .find(text, limit, &format!("stdout of {}", self.shown))
    }

    /// All that has come on stderr so far.
    pub fn stderr(&mut self) -> String {
        self.stderr.all()
    }

    /// All that has come on stdout so far.
    pub fn stdout(&mut self) -> String {
        self.stdout.all()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// A signal by its name without `SIG`: `INT`, `KILL`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        // The child has not been waited for, so its id is still its own, dead or not.
        let kill = Command::new("kill")
            .args(["-s", name, &self.id().to_string()])
            .status();
        assert!(
            kill.is_ok_and(|status| status.success()),
            "SIG{name} cannot be sent to {}",
            self.shown
        );
    }

    /// A field of its memory in KiB, such as `VmRSS`, what it has now, or `VmHWM`, the most that it has had; nothing once it
    /// has ended.
    pub fn memory_kib(&self, field: &str) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        let number = line.strip_prefix(':')?.trim().strip_suffix(" kB")?;
        number.parse().ok()
    }

    /// How many files and sockets it has open; nothing once it has ended.
    pub fn open_files(&self) -> Option<usize> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.id())).ok()?;
        Some(open.count())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.0.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end and the end of its output.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = self.child.wait(limit, &self.shown);
        self.stdout.drain();
        self.stderr.drain();
        status
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // What a test has waited for in vain, its log may explain.
        if std::thread::panicking() {
            eprintln!("stderr of {}:\n{}", self.shown, self.stderr.all());
        }
    }
}

/// A child that does not outlive the test.
struct Reaped(Child);

impl Reaped {
    fn wait(&mut self, limit: Duration, shown: &str) -> ExitStatus {
        wait_until(limit, &format!("{shown} ends"), || {
            self.0.try_wait().expect("a child can be waited for")
        })
    }
}

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        bytes
    })
}

/// The lines of a pipe: those that came, and how far a test has looked.
struct Lines {
    coming: Receiver<String>,
    seen: Vec<String>,
    next: usize,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Lines {
        let (sender, coming) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    break;
                }
            }
        });
        Lines {
            coming,
            seen: Vec::new(),
            next: 0,
        }
    }

    fn find(&mut self, text: &str, limit: Duration, whence: &str) -> String {
        let deadline = Instant::now() + limit;
        loop {
            while let Some(line) = self.seen.get(self.next) {
                self.next += 1;
                if line.contains(text) {
                    return line.clone();
                }
            }
            match self
                .coming
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {text:?} within {limit:?} on {whence}:\n{}", self.all())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("no {text:?} until the end of {whence}:\n{}", self.all())
                }
            }
        }
    }

    fn all(&mut self) -> String {
        self.seen.extend(self.coming.try_iter());
        self.seen
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect()
    }

    /// Until the pipe is closed, or nothing comes any more because a grandchild holds it.
    fn drain(&mut self) {
        while let Ok(line) = self.coming.recv_timeout(Duration::from_secs(5)) {
            self.seen.push(line);
        }
    }
}
