//! The service manager that started this process, if one wants to hear of it: systemd's `Type=notify`, or whoever speaks
//! as it does. Source: sd_notify(3), sd_watchdog_enabled(3).
//!
//! Datagrams to a socket that the environment names. Nothing here ever blocks: whoever counts does not wait for whoever
//! watches.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What a supervisor may be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word<'a> {
    /// The service is up.
    Ready,
    /// It is about to end.
    Stopping,
    /// It goes on: the watchdog begins to count anew.
    Watchdog,
    /// However long starting has taken, the next word comes within this time.
    ExtendStart(Duration),
    /// How it fares, in one sentence.
    Status(&'a str),
}

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("READY=1"),
            Self::Stopping => f.write_str("STOPPING=1"),
            Self::Watchdog => f.write_str("WATCHDOG=1"),
            Self::ExtendStart(time) => write!(f, "EXTEND_TIMEOUT_USEC={}", time.as_micros()),
            // A second line would be another word.
            Self::Status(text) => {
                f.write_str("STATUS=")?;
                text.chars()
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .try_for_each(|c| write!(f, "{c}"))
            }
        }
    }
}

/// The supervisor's ear.
#[derive(Debug)]
pub struct Supervisor {
    socket: UnixDatagram,
    /// How long it waits for [`Word::Watchdog`] before it ends the process; `None` if for ever.
    pub watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that the environment names, if it does; `pid` is this process.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub fn of_environment(
        env: impl Fn(&str) -> Option<OsString>,
        pid: u32,
    ) -> io::Result<Option<Self>> {
        let Some(name) = env("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let socket = UnixDatagram::unbound()?;
        let address = match name.as_bytes().split_first() {
            Some((b'@', rest)) => SocketAddr::from_abstract_name(rest)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        let number = |name| env(name)?.into_string().ok()?.parse::<u64>().ok();
        // One that was meant for another process, whose environment this one has, is not ours.
        let is_ours = number("WATCHDOG_PID").is_none_or(|of| of == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|us| is_ours && *us > 0);
        Ok(Some(Self {
            socket,
            watchdog: watchdog.map(Duration::from_micros),
        }))
    }

    /// Tells it all of these at once. If it has no room, or is gone, the words are lost: it will be told others.
    pub fn tell(&self, words: &[Word<'_>]) {
        let lines: Vec<_> = words.iter().map(Word::to_string).collect();
        let _ = self.socket.send(lines.join("\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn heard(ear: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = ear.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn supervisor(pairs: &[(&str, &OsString)]) -> io::Result<Option<Supervisor>> {
        let map: HashMap<_, _> = pairs.iter().copied().collect();
        Supervisor::of_environment(|name| map.get(name).map(|value| (*value).clone()), 7)
    }

    #[test]
    fn words_reach_a_socket_with_a_path_and_one_without() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("headcount-test-{}", std::process::id());
        let abstract_one = SocketAddr::from_abstract_name(&name).unwrap();
        for (ear, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (
                UnixDatagram::bind_addr(&abstract_one).unwrap(),
                format!("@{name}").into(),
            ),
        ] {
            let supervisor = supervisor(&[("NOTIFY_SOCKET", &address)]).unwrap().unwrap();
            assert_eq!(supervisor.watchdog, None);
            supervisor.tell(&[Word::Ready, Word::Status("a\nb\u{7}ü")]);
            assert_eq!(heard(&ear), "READY=1\nSTATUS=a b ü");
            supervisor.tell(&[Word::ExtendStart(Duration::from_secs(30))]);
            assert_eq!(heard(&ear), "EXTEND_TIMEOUT_USEC=30000000");
            // Far more than it has room for: nobody waits, and nobody fails.
            (0..5_000).for_each(|_| supervisor.tell(&[Word::Watchdog]));
            assert_eq!(heard(&ear), "WATCHDOG=1");
            drop(ear);
            supervisor.tell(&[Word::Stopping]);
        }
    }

    #[test]
    fn a_watchdog_is_for_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _ear = UnixDatagram::bind(&path).unwrap();
        let path = path.into_os_string();
        for (us, pid, expected) in [
            ("2000000", Some("7"), Some(Duration::from_secs(2))),
            ("2000000", None, Some(Duration::from_secs(2))),
            ("2000000", Some("8"), None),
            ("0", None, None),
            ("soon", None, None),
        ] {
            let (us, pid) = (OsString::from(us), pid.map(OsString::from));
            let mut pairs = vec![("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", &us)];
            pairs.extend(pid.iter().map(|pid| ("WATCHDOG_PID", pid)));
            let found = supervisor(&pairs).unwrap().unwrap();
            assert_eq!(found.watchdog, expected, "{us:?} {pid:?}");
        }
        assert!(supervisor(&[]).unwrap().is_none());
        let gone = folder.path().join("gone").into_os_string();
        assert!(supervisor(&[("NOTIFY_SOCKET", &gone)]).is_err());
    }
}
