//! A program as a child process: how long it ran, and what it used.
//!
//! Why this is sound: wait4 is given two values that live until it returns, laid out as 64-bit Linux has them, and the
//! process is a child that nobody else waits for. Between fork and exec there is one system call, and no allocation.
#![allow(
    unsafe_code,
    reason = "only wait4 tells exactly what a child and its children used; the argument is above"
)]

use std::ffi::{c_int, c_long};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, set_parent_process_death_signal,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// What a run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub wall_s: f64,
    /// User and system, with the children that were waited for.
    pub cpu_s: f64,
    /// Of the largest process.
    pub peak_kib: u64,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// This signal came: everything ends.
    Interrupted(i32),
    /// It cannot be started, fails, or takes too long.
    Failed(String),
}

/// The signals that end everything.
pub struct Signals {
    came: Arc<AtomicUsize>,
    readable: UnixStream,
}

impl Signals {
    pub fn watch() -> Signals {
        let came = Arc::<AtomicUsize>::default();
        let (readable, written) = UnixStream::pair().unwrap();
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            let code = signal as usize;
            signal_hook::flag::register_usize(signal, Arc::clone(&came), code).unwrap();
            let end = written.try_clone().unwrap();
            signal_hook::low_level::pipe::register(signal, end).unwrap();
        }
        Signals { came, readable }
    }

    pub fn check(&self) -> Result<(), Failure> {
        match self.came.load(Ordering::SeqCst) {
            0 => Ok(()),
            signal => Err(Failure::Interrupted(signal as i32)),
        }
    }
}

/// A child; it and all that it started are killed when this is dropped.
pub struct Running {
    pid: Pid,
    ended: OwnedFd,
    began: Instant,
    reaped: bool,
}

impl Running {
    /// Starts a program of a process group of its own, deaf to the settings of whoever measures. Without a file, what it
    /// prints goes nowhere.
    pub fn start(
        argv: &[String],
        dir: &Path,
        out: Option<&Path>,
        err: &Path,
    ) -> Result<Running, Failure> {
        let file = |path: &Path| File::create(path).map(Stdio::from);
        let mut command = Command::new(&argv[0]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEADCOUNT_") {
                command.env_remove(name);
            }
        }
        command
            .args(&argv[1..])
            .current_dir(dir)
            .process_group(0)
            .stdin(Stdio::null());
        command.stdout(out.map_or_else(|| Ok(Stdio::null()), file).unwrap());
        command.stderr(file(err).unwrap());
        // Whatever ends this program: a server would stay for ever.
        let die_with_us = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: see above.
        unsafe { command.pre_exec(die_with_us) };
        let began = Instant::now();
        let child = command.spawn();
        let child = child.map_err(|error| Failure::Failed(format!("{}: {error}", argv[0])))?;
        let pid = Pid::from_child(&child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        Ok(Running {
            pid,
            ended,
            began,
            reaped: false,
        })
    }

    /// Waits for its end, which has to come within the limit and to be a good one.
    pub fn wait(mut self, limit: Duration, signals: &Signals) -> Result<Used, Failure> {
        let deadline = self.began + limit;
        loop {
            signals.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Failed(format!(
                    "took longer than {} s",
                    limit.as_secs()
                )));
            }
            let mut ends = [
                PollFd::new(&self.ended, PollFlags::IN),
                PollFd::new(&signals.readable, PollFlags::IN),
            ];
            // A signal that interrupts it is seen in the next turn.
            let _ = poll(&mut ends, Timespec::try_from(left).ok().as_ref());
            if !ends[0].revents().is_empty() {
                break;
            }
        }
        let wall_s = self.began.elapsed().as_secs_f64();
        let (status, used) = self.reap();
        if status.success() {
            Ok(Used { wall_s, ..used })
        } else {
            Err(Failure::Failed(format!("ended with {status}")))
        }
    }

    /// Tells it to end, and waits; what it answers to that is not of interest.
    pub fn end(mut self, limit: Duration) -> Used {
        let _ = kill_process_group(self.pid, Signal::TERM);
        let mut ends = [PollFd::new(&self.ended, PollFlags::IN)];
        let _ = poll(&mut ends, Timespec::try_from(limit).ok().as_ref());
        if ends[0].revents().is_empty() {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        self.reap().1
    }

    fn reap(&mut self) -> (ExitStatus, Used) {
        let (mut status, mut usage) = (0, Usage::default());
        // SAFETY: see above.
        let pid = unsafe { wait4(self.pid.as_raw_nonzero().get(), &mut status, 0, &mut usage) };
        assert_eq!(pid, self.pid.as_raw_nonzero().get(), "it is our child");
        self.reaped = true;
        let used = Used {
            wall_s: 0.0,
            cpu_s: usage.user.seconds() + usage.system.seconds(),
            peak_kib: usage.peak_kib as u64,
        };
        (ExitStatus::from_raw(status), used)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = kill_process_group(self.pid, Signal::KILL);
            self.reap();
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct Time {
    s: c_long,
    us: c_long,
}

impl Time {
    fn seconds(&self) -> f64 {
        self.s as f64 + self.us as f64 * 1e-6
    }
}

/// `struct rusage`.
#[repr(C)]
#[derive(Default)]
struct Usage {
    user: Time,
    system: Time,
    peak_kib: c_long,
    others: [c_long; 13],
}

unsafe extern "C" {
    fn wait4(pid: c_int, status: *mut c_int, options: c_int, usage: *mut Usage) -> c_int;
}
