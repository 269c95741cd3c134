//! The program on a terminal: what a person would see there, keys that are pressed, a window that changes its size.

use super::process::headcount;
use super::{skip, wait_until};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A terminal that `script` makes, with the program on it. Dropping it kills the program.
pub struct Terminal {
    child: Child,
    keys: Option<ChildStdin>,
    shown: Arc<Mutex<Shown>>,
    showing: JoinHandle<()>,
    device: String,
}

struct Shown {
    screen: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts the program with these words on a terminal of a size; nothing without `script`.
    pub fn open(
        words: &str,
        variables: &[(&str, &str)],
        (rows, columns): (u16, u16),
    ) -> Option<Terminal> {
        if Command::new("script").arg("--version").output().is_err() {
            skip("no script, which makes a terminal");
            return None;
        }
        let headcount = headcount();
        let program = headcount
            .get_program()
            .to_str()
            .expect("our names are ASCII");
        let command = format!("tty; stty rows {rows} cols {columns}; exec {program} {words}");
        let mut script = Command::new("script");
        for (name, value) in headcount.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        let mut child = script
            .args(["-q", "-e", "-f", "-c", &command, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script can be started");
        let shown = Arc::new(Mutex::new(Shown {
            screen: vt100::Parser::new(size(rows), size(columns), 0),
            raw: Vec::new(),
        }));
        let mut from_child = child.stdout.take().expect("piped");
        let to_screen = Arc::clone(&shown);
        let showing = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from_child.read(&mut bytes) {
                let mut shown = to_screen.lock().expect("nobody panics with it");
                shown.screen.process(&bytes[..n]);
                shown.raw.extend_from_slice(&bytes[..n]);
            }
        });
        let keys = child.stdin.take();
        let mut terminal = Terminal {
            child,
            keys,
            shown,
            showing,
            device: String::new(),
        };
        terminal.device = wait_until(Duration::from_secs(20), "the terminal has a name", || {
            let raw = terminal.raw();
            let line = raw.split_once("\r\n")?.0;
            Some(line.to_owned())
        });
        Some(terminal)
    }

    /// The screen as text, line by line.
    pub fn screen(&self) -> String {
        self.shown
            .lock()
            .expect("nobody panics with it")
            .screen
            .screen()
            .contents()
    }

    /// All that was written to the terminal.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("nobody panics with it").raw).into_owned()
    }

    /// Waits until the screen shows a text; gives the screen.
    pub fn until(&self, text: &str) -> String {
        let mut last = String::new();
        let limit = std::time::Instant::now() + Duration::from_secs(40);
        wait_until(Duration::from_secs(60), "the screen is looked at", || {
            last = self.screen();
            (last.contains(text) || std::time::Instant::now() > limit).then_some(())
        });
        assert!(last.contains(text), "no {text:?} on the screen:\n{last}");
        last
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        let to_child = self.keys.as_mut().expect("open until the end");
        to_child
            .write_all(keys.as_bytes())
            .expect("the terminal takes keys");
        to_child.flush().expect("the terminal takes keys");
    }

    /// Gives the window another size.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        let mut shown = self.shown.lock().expect("nobody panics with it");
        shown
            .screen
            .screen_mut()
            .set_size(size(rows), size(columns));
        drop(shown);
        let size = ["rows", &rows.to_string(), "cols", &columns.to_string()];
        let stty = Command::new("stty")
            .args(["-F", &self.device])
            .args(size)
            .status();
        assert!(
            stty.is_ok_and(|status| status.success()),
            "stty cannot set the size of {}",
            self.device
        );
    }

    /// The processes that have the terminal as their standard input.
    pub fn processes(&self) -> Vec<u32> {
        let on_it = |process: &std::fs::DirEntry| {
            let terminal = std::fs::read_link(process.path().join("fd/0"));
            terminal.is_ok_and(|terminal| terminal.as_os_str() == self.device.as_str())
        };
        let processes = std::fs::read_dir("/proc").expect("a system with /proc");
        let ids = processes.flatten().filter(on_it);
        ids.filter_map(|process| process.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Takes the terminal away from under the program.
    pub fn vanish(&mut self) {
        self.child.kill().expect("script can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// SIGHUP for the program alone, not for `script`.
    pub fn hang_up(&self) {
        let processes = self.processes();
        let program = processes.first().expect("the program is on its terminal");
        let kill = Command::new("kill")
            .args(["-HUP", &program.to_string()])
            .status();
        assert!(
            kill.is_ok_and(|status| status.success()),
            "SIGHUP cannot be sent"
        );
    }

    /// Waits for the program's end, and until all that it wrote is shown.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = wait_until(limit, "the program on the terminal ends", || {
            self.child.try_wait().expect("a child can be waited for")
        });
        // What it wrote last may still be in the pipe: a machine with much to do ends it before that is read.
        wait_until(limit, "all that was written is shown", || {
            self.showing.is_finished().then_some(())
        });
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Without its terminal the program gets a SIGHUP.
        drop(self.keys.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(n: u16) -> NonZero<u16> {
    NonZero::new(n).expect("a terminal has rows and columns")
}
