//! A service manager's ear: the socket that systemd would give a service of `Type=notify`.

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

pub struct Ear {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
    /// All that was heard, a word a line.
    pub heard: Vec<String>,
}

impl Ear {
    pub fn new() -> Ear {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
        Ear {
            socket,
            folder,
            heard: Vec::new(),
        }
    }

    /// Has the command's process find the socket, and a watchdog of so long.
    pub fn watch(&self, command: &mut Command, watchdog: Duration) {
        command
            .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    }

    /// The next words, if any come within the limit.
    pub fn next(&mut self, limit: Duration) -> Option<Vec<String>> {
        let limit = limit.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(limit)).expect("a limit");
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        let text = std::str::from_utf8(&buffer[..length]).expect("UTF-8");
        let words: Vec<_> = text.lines().map(str::to_owned).collect();
        self.heard.extend(words.clone());
        Some(words)
    }

    /// The next word that begins so; those before it are passed over.
    pub fn until(&mut self, begin: &str, limit: Duration) -> String {
        let deadline = Instant::now() + limit;
        loop {
            let words = self.next(deadline.saturating_duration_since(Instant::now()));
            let Some(words) = words else {
                panic!("no {begin} within {limit:?}; heard {:#?}", self.heard);
            };
            if let Some(word) = words.into_iter().find(|word| word.starts_with(begin)) {
                return word;
            }
        }
    }

    /// All that comes within this time.
    pub fn listen(&mut self, time: Duration) -> Vec<String> {
        let deadline = Instant::now() + time;
        let mut words = Vec::new();
        while let Some(more) = self.next(deadline.saturating_duration_since(Instant::now())) {
            words.extend(more);
            if Instant::now() >= deadline {
                break;
            }
        }
        words
    }
}
