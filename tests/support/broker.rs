//! A real Apache Kafka broker for the length of a test, or of a test program.
//!
//! `scripts/kafka session` does the work and holds the other end of a pipe: when the test program ends, by whatever
//! death, the pipe closes and the session kills the broker and deletes its data.

use super::skip;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// The very first start may have to fetch Kafka; later ones take a second or two.
const ANSWER_LIMIT: Duration = Duration::from_secs(1000);

pub struct Broker {
    address: String,
    instance: String,
    session: Mutex<Session>,
}

struct Session {
    /// `None` when it has been closed, which ends the session.
    commands: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Broker {
    /// A broker of its own for one test; `None`, after [`skip`], where none can run. Dropping it deletes its data.
    pub fn start(name: &str) -> Option<Broker> {
        can_run_or_skip().then(|| Broker::launch(name, None))
    }

    /// The same with properties of its own, in a file as `scripts/kafka --properties` wants it.
    pub fn start_with(name: &str, properties: &Path) -> Option<Broker> {
        can_run_or_skip().then(|| Broker::launch(name, Some(properties)))
    }

    /// The broker that all tests of this program share, each with topics of its own: none of them may stop it.
    pub fn shared() -> Option<&'static Broker> {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        can_run_or_skip().then(|| SHARED.get_or_init(|| Broker::launch("shared", None)))
    }

    fn launch(name: &str, properties: Option<&Path>) -> Broker {
        let instance = format!("test-{name}-{}", std::process::id());
        let session = Session::open(&instance, properties);
        let mut broker = Broker {
            address: String::new(),
            instance,
            session: Mutex::new(session),
        };
        broker.address = broker.command("start");
        broker
    }

    /// `127.0.0.1:PORT`, the same for the broker's whole life, restarts included.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.file("pid")?.trim().parse().ok()
    }

    /// `127.0.0.1:` and one of its ports, from 1: the third and fourth are for the listeners of its own properties.
    pub fn other_address(&self, number: usize) -> String {
        let ports = self.file("ports").expect("it has been started");
        let port = ports.split_whitespace().nth(number - 1);
        format!("127.0.0.1:{}", port.expect("four ports"))
    }

    /// Cuts a partition off at an offset that begins a batch, as a leader has it that was elected without these frames: its
    /// topic stays the same. While the broker is stopped.
    pub fn cut_off(&self, topic: &str, partition: i32, offset: i64) {
        let folder = self
            .folder()
            .join("data")
            .join(format!("{topic}-{partition}"));
        let log = folder.join("00000000000000000000.log");
        let mut bytes = std::fs::read(&log).expect("a log of one segment");
        let mut at = 0;
        // A batch begins with its first offset and the length of what follows.
        while i64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight")) < offset {
            let len = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().expect("four"));
            at += 12 + len as usize;
        }
        bytes.truncate(at);
        std::fs::write(&log, bytes).expect("it can be written");
        // Those that the broker makes anew from it.
        for index in ["index", "timeindex"] {
            let _ = std::fs::remove_file(log.with_extension(index));
        }
    }

    /// Runs one of Kafka's own tools, by its Java class; panics if that fails.
    pub fn tool(&self, class: &str, args: &[&str]) {
        let output = script().args(["tool", class]).args(args).output();
        let output = output.expect("scripts/kafka can be run");
        assert!(output.status.success(), "{class} {args:?}: {output:?}");
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder().join(name)).ok()
    }

    fn folder(&self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("target/kafka").join(&self.instance)
    }

    /// SIGTERM, and waits for the end. Data and address remain.
    pub fn stop(&self) {
        self.command("stop");
    }

    /// SIGKILL. Data and address remain.
    pub fn kill(&self) {
        self.command("kill");
    }

    /// A signal to its process, by its name without `SIG`: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let process = self.process().expect("it runs").to_string();
        let kill = Command::new("kill").args(["-s", name, &process]).status();
        assert!(
            kill.is_ok_and(|status| status.success()),
            "SIG{name} cannot be sent to the broker"
        );
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill); stops it first if it is up. After a kill this
    /// takes five seconds: the node waits for its own old session to run out.
    pub fn restart(&self) {
        self.stop();
        let address = self.command("start");
        assert_eq!(
            address, self.address,
            "a restarted broker keeps its address"
        );
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // A test that panicked in the middle of a command has lost that answer, not the session.
        self.session
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn command(&self, command: &str) -> String {
        let mut session = self.session();
        let commands = session.commands.as_mut().expect("open until the drop");
        writeln!(commands, "{command}").expect("the session reads its commands");
        match session.answers.recv_timeout(ANSWER_LIMIT) {
            Ok(answer) if answer != "failed" => answer,
            Ok(_) => panic!("scripts/kafka could not {command} the broker; it says why above"),
            Err(RecvTimeoutError::Timeout) => {
                panic!("scripts/kafka did not {command} the broker in {ANSWER_LIMIT:?}")
            }
            Err(RecvTimeoutError::Disconnected) => {
                panic!("scripts/kafka session ended before it could {command}")
            }
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let mut session = self.session();
        session.commands = None;
        // Until its stdout closes, that is until the broker is dead and its data gone.
        while session
            .answers
            .recv_timeout(Duration::from_secs(60))
            .is_ok()
        {}
    }
}

impl Session {
    fn open(instance: &str, properties: Option<&Path>) -> Session {
        let mut command = script();
        command.args(["session", "--name", instance]);
        if let Some(properties) = properties {
            command.arg("--properties").arg(properties);
        }
        let mut child = command
            // ^C at the terminal must reach the test program alone: the session has to survive it and clean up.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("scripts/kafka can be run");
        let commands = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
            // Reaped before the channel closes, so that a drop that has returned leaves no process behind.
            let _ = child.wait();
        });
        Session { commands, answers }
    }
}

fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kafka"))
}

/// `scripts/test` sets the variable: 1 if a broker must run here, 0 if none can. Without it, Java and Maven decide.
fn can_run_or_skip() -> bool {
    let can_run = match std::env::var("HEADCOUNT_TEST_KAFKA").as_deref() {
        Ok("1") => true,
        Ok("0") => false,
        _ => script()
            .arg("can")
            .status()
            .is_ok_and(|status| status.success()),
    };
    if !can_run {
        skip(
            "no real Kafka broker: it needs Java 17 and Maven, and HEADCOUNT_TEST_KAFKA must not be 0",
        );
    }
    can_run
}
