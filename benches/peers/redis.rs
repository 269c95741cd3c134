//! A client of Redis: `PFADD` for each frame, once for all users and once for its minute, pipelined over a Unix socket.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Commands whose replies are not read yet, as many as Redis' manual has in its pipelines.
const BATCH: usize = 10_000;
/// For one reply.
const REPLY_LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    ts: Value,
}

impl Frame<'_> {
    fn minute(&self) -> i64 {
        let seconds = match &self.ts {
            Value::String(text) => text.parse::<f64>().ok(),
            other => other.as_f64(),
        };
        let seconds = seconds.expect("the time is a number, or a string holding one") as i64;
        seconds - seconds.rem_euclid(60)
    }
}

struct Client {
    socket: UnixStream,
    replies: BufReader<UnixStream>,
    request: Vec<u8>,
    /// Commands in the request, and those whose replies are awaited.
    pending: usize,
    sent: usize,
}

impl Client {
    fn connect(socket: &str) -> Client {
        let socket = UnixStream::connect(socket).expect("the server listens");
        socket.set_read_timeout(Some(REPLY_LIMIT)).unwrap();
        socket.set_write_timeout(Some(REPLY_LIMIT)).unwrap();
        let replies = BufReader::new(socket.try_clone().unwrap());
        Client {
            socket,
            replies,
            request: Vec::new(),
            pending: 0,
            sent: 0,
        }
    }

    fn ask(&mut self, words: &[&str]) {
        write!(self.request, "*{}\r\n", words.len()).unwrap();
        for word in words {
            write!(self.request, "${}\r\n{word}\r\n", word.len()).unwrap();
        }
        self.pending += 1;
        if self.pending == BATCH {
            self.send();
        }
    }

    /// Sends what is asked, and then reads the replies to what was sent before: so the server always has work.
    fn send(&mut self) {
        self.socket.write_all(&self.request).unwrap();
        self.request.clear();
        let awaited = std::mem::replace(&mut self.sent, std::mem::take(&mut self.pending));
        for _ in 0..awaited {
            self.reply();
        }
    }

    fn reply(&mut self) -> u64 {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("a reply in time");
        let number = line
            .strip_prefix(':')
            .and_then(|line| line.trim_end().parse().ok());
        number.unwrap_or_else(|| panic!("Redis says {line:?}"))
    }

    fn count(&mut self, key: &str) -> u64 {
        self.ask(&["PFCOUNT", key]);
        self.send();
        self.sent = 0;
        self.reply()
    }
}

/// Counts a file's users, and prints `all USERS` and `minute START USERS`.
pub fn count(socket: &str, file: &str) {
    let mut client = Client::connect(socket);
    let mut frames = BufReader::with_capacity(1 << 20, File::open(file).expect("the frames"));
    let (mut line, mut minutes) = (Vec::new(), BTreeSet::new());
    while frames.read_until(b'\n', &mut line).unwrap() > 0 {
        let frame: Frame = serde_json::from_slice(&line).expect("a frame");
        let minute = frame.minute();
        minutes.insert(minute);
        client.ask(&["PFADD", "all", &frame.uid]);
        client.ask(&["PFADD", &format!("minute:{minute}"), &frame.uid]);
        line.clear();
    }
    // Twice: what is pending, and what was sent last.
    client.send();
    client.send();
    println!("all {}", client.count("all"));
    for minute in minutes {
        println!(
            "minute {minute} {}",
            client.count(&format!("minute:{minute}"))
        );
    }
}
