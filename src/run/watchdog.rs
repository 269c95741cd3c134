//! What a supervisor hears of the service. The consumer loop tells it, and only while the threads behind it go on: whichever
//! is stuck, the supervisor hears nothing any more.

use std::time::Duration;

use super::pulse::Watched;
use crate::io::supervisor::{Supervisor, Word};
use crate::limits::{START_WORD_EVERY_MS, STATUS_EVERY_MS, STATUS_SOONEST_MS};
use crate::observe::happenings::ThreadStuck;

/// Tells a supervisor.
pub(super) struct Watchdog {
    supervisor: Supervisor,
    watched: Vec<Watched>,
    is_ready: bool,
    next_ms: u64,
    told_stuck: bool,
    status: String,
    status_ms: Option<u64>,
}

impl Watchdog {
    pub(super) fn new(supervisor: Supervisor, watched: Vec<Watched>) -> Self {
        Self {
            supervisor,
            watched,
            is_ready: false,
            next_ms: 0,
            told_stuck: false,
            status: String::new(),
            status_ms: None,
        }
    }

    /// Feeds it if it is time and all threads go on. Called each time the consumer loop comes round, or waits for something
    /// outside of this process.
    pub(super) fn tend(&mut self, now_ms: u64) {
        if now_ms < self.next_ms {
            return;
        }
        let (word, every_ms) = match (self.is_ready, self.supervisor.watchdog) {
            // Brokers that are away are no reason to begin anew.
            (false, _) => {
                let next = Duration::from_millis(3 * START_WORD_EVERY_MS);
                (Word::ExtendStart(next), START_WORD_EVERY_MS)
            }
            (true, Some(watchdog)) => (Word::Watchdog, (watchdog.as_millis() / 2) as u64),
            (true, None) => return,
        };
        if let Some(stuck) = self.watched.iter().find(|thread| !thread.goes_on()) {
            if !std::mem::replace(&mut self.told_stuck, true) {
                let thread = &stuck.name;
                ThreadStuck { thread }.emit();
                let status = format!("Thread {thread} is stuck; the watchdog is not fed.");
                self.supervisor.tell(&[Word::Status(&status)]);
                self.status_ms = None;
            }
            return;
        }
        self.told_stuck = false;
        self.watched.iter_mut().for_each(Watched::note);
        self.next_ms = now_ms + every_ms;
        self.supervisor.tell(&[word]);
    }

    /// The service reads; said once.
    pub(super) fn ready(&mut self) {
        if !std::mem::replace(&mut self.is_ready, true) {
            self.supervisor.tell(&[Word::Ready]);
            self.next_ms = 0;
        }
    }

    /// Whether it has been told that the service reads.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Tells how the service fares, now and then; `kind` tells sentences apart that differ in more than their numbers.
    pub(super) fn status(&mut self, now_ms: u64, kind: &str, sentence: impl FnOnce() -> String) {
        let is_news = self.status != kind;
        let wait_ms = if is_news {
            STATUS_SOONEST_MS
        } else {
            STATUS_EVERY_MS
        };
        if self.told_stuck || self.status_ms.is_some_and(|at| now_ms < at + wait_ms) {
            return;
        }
        if is_news {
            kind.clone_into(&mut self.status);
        }
        self.status_ms = Some(now_ms);
        self.supervisor.tell(&[Word::Status(&sentence())]);
    }

    /// The service is about to end.
    pub(super) fn stopping(&self) {
        let status = Word::Status("Publishing the last records.");
        self.supervisor.tell(&[Word::Stopping, status]);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io;
    use std::os::unix::net::UnixDatagram;

    use super::*;
    use crate::run::pulse::Pulse;

    struct World {
        ear: UnixDatagram,
        _folder: tempfile::TempDir,
        watchdog: Watchdog,
        pulse: Pulse,
    }

    fn world(watchdog_us: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let ear = UnixDatagram::bind(&path).unwrap();
        ear.set_nonblocking(true).unwrap();
        let env = |name: &str| match name {
            "NOTIFY_SOCKET" => Some(path.clone().into_os_string()),
            "WATCHDOG_USEC" => Some(OsString::from(watchdog_us)),
            _ => None,
        };
        let supervisor = Supervisor::of_environment(env, 1).unwrap().unwrap();
        let pulse = Pulse::default();
        let watched = vec![Watched::new("reporter".to_owned(), pulse.clone())];
        World {
            ear,
            _folder: folder,
            watchdog: Watchdog::new(supervisor, watched),
            pulse,
        }
    }

    impl World {
        fn heard(&self) -> Vec<String> {
            let mut words = Vec::new();
            let mut buffer = [0; 512];
            loop {
                match self.ear.recv(&mut buffer) {
                    Ok(n) => words.push(String::from_utf8(buffer[..n].to_vec()).unwrap()),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return words,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn the_start_is_extended_until_it_is_ready_and_then_the_watchdog_is_fed_at_half_of_its_time() {
        let mut world = world("10000000");
        for at in 0..25_000 {
            world.watchdog.tend(at);
        }
        assert_eq!(world.heard(), ["EXTEND_TIMEOUT_USEC=30000000"; 3]);
        world.watchdog.ready();
        world.watchdog.ready();
        for at in 25_000..40_000 {
            world.watchdog.tend(at);
        }
        let fed = ["WATCHDOG=1"; 3];
        assert_eq!(world.heard(), [&["READY=1"], &fed[..]].concat());
        world.watchdog.stopping();
        assert!(world.heard()[0].starts_with("STOPPING=1\nSTATUS="));
    }

    #[test]
    fn a_thread_that_is_stuck_starves_it_and_one_that_goes_on_again_feeds_it_at_once() {
        let mut world = world("10000000");
        world.watchdog.ready();
        world.pulse.work();
        world.watchdog.tend(0);
        assert_eq!(world.heard(), ["READY=1", "WATCHDOG=1"]);
        for at in 0..60_000 {
            world.watchdog.tend(at);
        }
        let stuck = "STATUS=Thread reporter is stuck; the watchdog is not fed.";
        assert_eq!(world.heard(), [stuck]);
        world.pulse.work();
        world.watchdog.tend(60_001);
        world.pulse.rest();
        world.watchdog.tend(65_001);
        world.watchdog.tend(70_001);
        assert_eq!(world.heard(), ["WATCHDOG=1"; 3]);
    }

    #[test]
    fn the_same_is_said_now_and_then_and_news_soon() {
        let mut world = world("0");
        world.watchdog.ready();
        for at in 0..STATUS_EVERY_MS {
            world.watchdog.tend(at);
            let kind = if at < 2_000 { "a" } else { "b" };
            world.watchdog.status(at, kind, || format!("{kind} {at}"));
        }
        world
            .watchdog
            .status(2_000 + STATUS_EVERY_MS, "b", || "again".to_owned());
        assert_eq!(
            world.heard(),
            ["READY=1", "STATUS=a 0", "STATUS=b 2000", "STATUS=again"]
        );
    }
}
