//! A client for HTTP that does what it is told, also what no good client would: bytes in, bytes out.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// For what a healthy server does at once, on a machine that is busy with other tests.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

pub fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).expect("somebody listens");
    socket.set_read_timeout(Some(LIMIT)).expect("a limit");
    socket.set_write_timeout(Some(LIMIT)).expect("a limit");
    socket
}

/// One request on a connection of its own.
pub fn get(address: &str, path: &str) -> Response {
    send(address, "GET", path, &[("Host", address)])
}

/// One request with exactly these headers, on a connection of its own.
pub fn send(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += "\r\n";
    let mut socket = connect(address);
    socket.write_all(request.as_bytes()).expect("it reads");
    read(&mut BufReader::new(socket), method)
}

/// Requests on connections of their own, all sent before the first answer is read: they come together, however slow the
/// machine is.
pub fn burst(address: &str, paths: &[String]) -> Vec<Response> {
    let send = |path: &String| {
        let mut socket = connect(address);
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("it reads");
        socket
    };
    let sockets: Vec<_> = paths.iter().map(send).collect();
    let answers = sockets
        .into_iter()
        .map(|socket| read(&mut BufReader::new(socket), "GET"));
    answers.collect()
}

/// One request with a JSON body.
pub fn post(address: &str, method: &str, path: &str, body: &str) -> Response {
    let mut socket = connect(address);
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    socket.write_all(request.as_bytes()).expect("it reads");
    read(&mut BufReader::new(socket), method)
}

/// Reads a response, its body to its end.
pub fn read(from: &mut impl BufRead, method: &str) -> Response {
    let (status, headers) = read_head(from);
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if method == "HEAD" {
        return response;
    }
    if response.header("transfer-encoding") == Some("chunked") {
        loop {
            let length = usize::from_str_radix(line(from).trim(), 16).expect("a chunk's length");
            let mut chunk = vec![0; length + 2];
            from.read_exact(&mut chunk).expect("a chunk");
            if length == 0 {
                return response;
            }
            response.body.extend_from_slice(&chunk[..length]);
        }
    }
    match response.header("content-length") {
        Some(length) => {
            response.body = vec![0; length.parse().expect("a length")];
            from.read_exact(&mut response.body).expect("the body");
        }
        None => drop(from.read_to_end(&mut response.body).expect("the body")),
    }
    response
}

pub fn read_head(from: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let first = line(from);
    let status = first.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status in {first:?}"));
    let mut headers = Vec::new();
    loop {
        let line = line(from);
        let Some((name, value)) = line.trim_end().split_once(':') else {
            return (status, headers);
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line
}

/// A stream of server-sent events.
pub struct Events {
    lines: BufReader<TcpStream>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: String,
}

impl Events {
    pub fn open(address: &str, headers: &[(&str, &str)]) -> Events {
        let mut socket = connect(address);
        let mut request = format!("GET /v1/stream HTTP/1.1\r\nHost: {address}\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        socket
            .write_all((request + "\r\n").as_bytes())
            .expect("it reads");
        let mut lines = BufReader::new(socket);
        let (status, headers) = read_head(&mut lines);
        assert_eq!(status, 200, "{headers:?}");
        Events { lines }
    }

    /// The next event. Chunks hold whole lines here, so their lengths are lines too, and of no known kind.
    pub fn next(&mut self) -> Event {
        let mut event = Event::default();
        loop {
            let line = line(&mut self.lines);
            assert!(!line.is_empty(), "the stream has ended");
            let line = line.trim_end();
            if let Some((name, value)) = line.split_once(':') {
                let value = value.trim_start().to_owned();
                match name {
                    "event" => event.name = value,
                    "id" => event.id = value,
                    "data" => event.data = value,
                    _ => {}
                }
            } else if line.is_empty() && !event.data.is_empty() {
                return event;
            }
        }
    }

    pub fn next_named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next();
            if event.name == name {
                return event;
            }
        }
    }
}
