//! All contenders in turn, round for round.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::answer::{Answer, Says};
use crate::child::{Failure, Running, Signals, Used};
use crate::contender::{Contender, Kind, Place};

/// For one run of one contender.
pub const RUN_LIMIT: Duration = Duration::from_secs(1800);
/// For a program that prints its version; chDB loads half a gigabyte for that.
const VERSION_LIMIT: Duration = Duration::from_secs(120);
/// For Redis to come, and to go.
const SERVER_LIMIT: Duration = Duration::from_secs(20);
/// Runs of the control before and after everything.
const CONTROLS: usize = 3;

pub struct Bench<'a> {
    pub place: &'a Place,
    pub signals: &'a Signals,
    pub rounds: usize,
    /// Who takes longer than this in a run sits out the rounds that follow.
    pub patience: Duration,
}

/// What came of a contender.
pub struct Runs {
    pub contender: Contender,
    pub version: String,
    /// By round; those it sat out are missing.
    pub used: BTreeMap<usize, Used>,
    pub answer: Option<Answer>,
    pub failure: Option<String>,
    slow: bool,
}

/// What came of those who read the file, or the topic.
pub struct Section {
    pub kind: Kind,
    pub runs: Vec<Runs>,
    /// Seconds of the control, before and after.
    pub control_s: [f64; 2],
    pub control: String,
}

impl Bench<'_> {
    pub fn section(&self, kind: Kind, contenders: &[Contender]) -> Result<Section, Failure> {
        let of_kind = contenders.iter().filter(|one| one.kind == kind);
        let mut runs = Vec::new();
        for contender in of_kind {
            runs.push(Runs {
                version: self.version(contender)?,
                contender: contender.clone(),
                used: BTreeMap::new(),
                answer: None,
                failure: None,
                slow: false,
            });
        }
        let control = runs.iter().find(|one| one.contender.name == kind.control());
        let control = control
            .expect("the control is always there")
            .contender
            .clone();
        for _ in 0..2 {
            self.once(&control)?;
        }
        let before = self.control(&control)?;
        for round in 0..self.rounds {
            self.round(round, &mut runs)?;
        }
        let after = self.control(&control)?;
        Ok(Section {
            kind,
            runs,
            control_s: [before, after],
            control: control.title.to_owned(),
        })
    }

    /// The median of some runs.
    fn control(&self, contender: &Contender) -> Result<f64, Failure> {
        let mut seconds = Vec::new();
        for _ in 0..CONTROLS {
            seconds.push(self.once(contender)?.0.wall_s);
        }
        eprintln!(
            "control: {} {:.2} s",
            contender.name,
            median(&mut seconds.clone())
        );
        Ok(median(&mut seconds))
    }

    /// Everybody once; each round begins with another one.
    fn round(&self, round: usize, runs: &mut [Runs]) -> Result<(), Failure> {
        let count = runs.len();
        for at in 0..count {
            let one = &mut runs[(round + at) % count];
            if one.slow || one.failure.is_some() {
                continue;
            }
            eprint!(
                "round {} of {}: {} ",
                round + 1,
                self.rounds,
                one.contender.name
            );
            match self.once(&one.contender) {
                Ok((used, answer)) => {
                    eprintln!("{:.2} s", used.wall_s);
                    one.used.insert(round, used);
                    one.answer = answer;
                    one.slow = used.wall_s > self.patience.as_secs_f64();
                }
                Err(Failure::Failed(why)) => {
                    eprintln!("{why}");
                    one.failure = Some(why);
                }
                interrupted => drop(interrupted?),
            }
        }
        Ok(())
    }

    /// One run: what it took, and what it said.
    pub fn once(&self, contender: &Contender) -> Result<(Used, Option<Answer>), Failure> {
        let server = contender
            .server
            .as_ref()
            .map(|server| self.serve(server))
            .transpose()?;
        let (out, err) = (self.place.dir.join("out"), self.place.dir.join("err"));
        let wanted = (contender.says != Says::Nothing).then_some(out.as_path());
        let ran = self.run(&contender.command, wanted, &err, RUN_LIMIT);
        let served = server
            .map(|server| server.end(SERVER_LIMIT))
            .unwrap_or_default();
        let _ = fs::remove_dir_all(self.place.scratch());
        let used = ran?;
        let answer = wanted.and_then(|out| contender.says.read(&fs::read_to_string(out).ok()?));
        if answer.is_none() && wanted.is_some() {
            return Err(Failure::Failed("prints no answer".to_owned()));
        }
        let used = Used {
            cpu_s: used.cpu_s + served.cpu_s,
            peak_kib: used.peak_kib + served.peak_kib,
            ..used
        };
        Ok((used, answer))
    }

    /// Runs a command to its end; a failure has the last line that it wrote to standard error.
    pub fn run(
        &self,
        command: &[String],
        out: Option<&Path>,
        err: &Path,
        limit: Duration,
    ) -> Result<Used, Failure> {
        let running = Running::start(command, &self.place.dir, out, err)?;
        running
            .wait(limit, self.signals)
            .map_err(|failure| match failure {
                Failure::Failed(why) => {
                    let said = fs::read_to_string(err).unwrap_or_default();
                    // Lines that begin with a space say where it happened, not what.
                    let says_what =
                        |line: &&str| !line.is_empty() && !line.starts_with(char::is_whitespace);
                    let said = said.lines().rfind(says_what).unwrap_or_default();
                    Failure::Failed(format!("{why}: {said}"))
                }
                interrupted => interrupted,
            })
    }

    /// Starts a server, and waits until it listens.
    fn serve(&self, command: &[String]) -> Result<Running, Failure> {
        let socket = self.place.socket();
        let _ = fs::remove_file(&socket);
        let server = Running::start(command, &self.place.dir, None, &self.place.dir.join("err"))?;
        let deadline = Instant::now() + SERVER_LIMIT;
        // The sender lives and says nothing: the receiver waits.
        let (_silent, pause) = mpsc::channel::<()>();
        while UnixStream::connect(&socket).is_err() {
            self.signals.check()?;
            if Instant::now() > deadline {
                return Err(Failure::Failed(format!("{} does not listen", command[0])));
            }
            let _ = pause.recv_timeout(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn version(&self, contender: &Contender) -> Result<String, Failure> {
        let (out, err) = (self.place.dir.join("out"), self.place.dir.join("err"));
        match self.run(&contender.version, Some(&out), &err, VERSION_LIMIT) {
            Err(Failure::Interrupted(signal)) => return Err(Failure::Interrupted(signal)),
            Err(Failure::Failed(_)) => return Ok("unknown".to_owned()),
            Ok(_) => {}
        }
        let said = fs::read_to_string(out).unwrap_or_default();
        let said = said.lines().next().unwrap_or("unknown");
        // Of all that redis-server says, the version.
        let said = said
            .split_once(" sha=")
            .map_or(said, |(version, _)| version);
        Ok(said.replace("Redis server v=", "redis-server "))
    }
}

pub fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    let middle = of.len() / 2;
    match of.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (of[middle - 1] + of[middle]) / 2.0,
        _ => of[middle],
    }
}
