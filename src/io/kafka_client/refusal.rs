//! Why brokers that are there do not let us in: wrong password, wrong certificate, wrong protocol. The client library tries
//! for ever and says so in many words; whoever operates the service wants to know what to change.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;

use crate::limits::{REFUSAL_LOOK_STEPS, REFUSAL_REASONS_MAX, REFUSAL_STEP_MS, REFUSAL_TOUCH_MS};

/// Listens to what the library says of its connections.
#[derive(Default)]
struct Ear {
    reasons: Mutex<Vec<String>>,
}

impl Ear {
    fn hear(&self, reason: &str) {
        let mut reasons = self.reasons.lock();
        if reasons.len() < REFUSAL_REASONS_MAX {
            reasons.push(reason.to_owned());
        }
    }
}

impl ClientContext for Ear {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.hear(message);
        }
    }

    // It is in the log as well.
    fn error(&self, _error: KafkaError, _reason: &str) {}
}

impl ConsumerContext for Ear {}

/// How brokers receive us.
pub(super) enum Reception {
    /// One of them answers.
    Answered,
    /// They are there and do not let us in: one sentence that says what to do.
    Refused(String),
    /// None can be reached.
    Silent,
}

/// Asks the brokers once more, and listens to what they have against us. Blocks for some seconds.
pub(super) fn find(mut config: ClientConfig) -> Reception {
    config
        .set("group.id", "headcount")
        .set("reconnect.backoff.max.ms", "500")
        // Losing a connection is no more than information to the library.
        .set_log_level(RDKafkaLogLevel::Info);
    let Ok(client) = config.create_with_context::<_, BaseConsumer<Ear>>(Ear::default()) else {
        return Reception::Silent;
    };
    let step = Duration::from_millis(REFUSAL_STEP_MS);
    let mut refusal = None;
    for _ in 0..REFUSAL_LOOK_STEPS {
        if client.fetch_metadata(None, step).is_ok() {
            return Reception::Answered;
        }
        while client.poll(Duration::ZERO).is_some() {}
        // One more step after the first refusal: another broker may answer.
        if refusal.is_some() {
            break;
        }
        refusal = sentence(&client.context().reasons.lock());
    }
    refusal.map_or(Reception::Silent, Reception::Refused)
}

/// What brokers have against us, if it is that.
fn sentence(reasons: &[String]) -> Option<String> {
    let found = reasons
        .iter()
        .find_map(|reason| plain(reason, address(reason)?));
    found.or_else(|| reasons.iter().find_map(|reason| by_touch(reason, reasons)))
}

/// What the library is sure of.
fn plain(reason: &str, broker: &str) -> Option<String> {
    let has = |part: &str| reason.contains(part);
    if let Some((_, rest)) = reason.split_once("supported mechanisms: ") {
        let mechanisms = rest.split(" (").next().unwrap_or_default().trim();
        return Some(match mechanisms.is_empty() {
            true => format!(
                "{broker} takes no SASL there: set security.protocol to SSL or PLAINTEXT, or use its other port"
            ),
            false => {
                format!("{broker} does not take this sasl.mechanism: set it to one of {mechanisms}")
            }
        });
    }
    if has("SASL authentication error") {
        return Some(format!(
            "{broker} refuses the user or the password: check sasl.username and sasl.password, and that the user is known \
             for this sasl.mechanism"
        ));
    }
    if has("certificate verify failed") || has("certificate could not be verified") {
        return Some(format!(
            "the certificate of {broker} cannot be trusted: set ssl.ca.location to the certificate of the authority that \
             signed it, and name the broker as the certificate does"
        ));
    }
    let wants_ours = [
        "client SSL authentication might",
        "certificate required",
        "bad certificate",
    ];
    if wants_ours.iter().any(|part| has(part)) {
        return Some(format!(
            "{broker} wants a certificate of its clients: set ssl.certificate.location and ssl.key.location, or \
             ssl.keystore.location"
        ));
    }
    None
}

/// What the library cannot know: it sees connections that are closed, which a look at the port explains.
fn by_touch(reason: &str, reasons: &[String]) -> Option<String> {
    let broker = address(reason)?;
    let is_closed_in = |reason: &str, state: &str| {
        reason.contains("Disconnected") && reason.contains(&format!("in state {state}"))
    };
    if is_closed_in(reason, "APIVERSION_QUERY") && speaks_tls(broker) {
        return Some(format!(
            "{broker} speaks TLS: set security.protocol to SSL or SASL_SSL, or use its other port"
        ));
    }
    if is_closed_in(reason, "SSL_HANDSHAKE") && speaks_plainly(broker) {
        return Some(format!(
            "{broker} does not speak TLS: set security.protocol to PLAINTEXT or SASL_PLAINTEXT, or use its other port"
        ));
    }
    // Brokers that want a login close connections on which something else is asked. Once may be a broker that stops.
    let closed = reasons.iter().filter(|reason| is_closed_in(reason, "UP"));
    if is_closed_in(reason, "UP") && closed.count() > 1 {
        return Some(format!(
            "{broker} closes the connection when it is asked something, as for want of a login: set security.protocol to \
             SASL_SSL or SASL_PLAINTEXT, sasl.mechanism, sasl.username and sasl.password"
        ));
    }
    None
}

/// `HOST:PORT` in the library's name of a broker, such as `sasl_ssl://127.0.0.1:9093/bootstrap`.
fn address(reason: &str) -> Option<&str> {
    let (before, after) = reason.split_once('/')?;
    let after = match before.ends_with(':') {
        true => after.strip_prefix('/')?,
        // Without TLS and SASL the library leaves the protocol out.
        false => before.rsplit([' ', '[']).next()?,
    };
    let name = after.split('/').next()?;
    let name = name.strip_prefix("thrd:").unwrap_or(name);
    name.contains(':').then_some(name)
}

/// The beginning of a TLS handshake: any server that speaks TLS answers it by one of its own, or by an alert.
const CLIENT_HELLO: [u8; 52] = [
    0x16, 0x03, 0x01, 0x00, 0x2f, // a handshake of 47 bytes
    0x01, 0x00, 0x00, 0x2b, 0x03, 0x03, // a hello of 43 bytes, TLS 1.2
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, // 32 bytes that should be random
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, //
    0x00, 0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2f, 0x01,
    0x00, // no session, two suites, no compression
];

fn speaks_tls(broker: &str) -> bool {
    const ALERT_OR_HANDSHAKE: [u8; 2] = [0x15, 0x16];
    let answer = touch::<1>(broker, &CLIENT_HELLO);
    answer.is_some_and(|[first]| ALERT_OR_HANDSHAKE.contains(&first))
}

fn speaks_plainly(broker: &str) -> bool {
    // ApiVersions, version 0, with the number 1 and no client's name: the answer begins with its length and that number.
    let request = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let answer = touch::<8>(broker, &request);
    answer.is_some_and(|answer| answer[..2] == [0, 0] && answer[4..] == [0, 0, 0, 1])
}

/// The first bytes of an answer.
fn touch<const N: usize>(broker: &str, request: &[u8]) -> Option<[u8; N]> {
    let limit = Duration::from_millis(REFUSAL_TOUCH_MS);
    let address = broker.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    stream.set_write_timeout(Some(limit)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = [0; N];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_found_in_what_the_library_says() {
        for (reason, expected) in [
            (
                "sasl_ssl://127.0.0.1:9093/bootstrap: SASL",
                Some("127.0.0.1:9093"),
            ),
            (
                "[thrd:ssl://b.c:1/3]: ssl://b.c:1/3: SSL handshake failed",
                Some("b.c:1"),
            ),
            (
                "[thrd:b.c:1/bootstrap]: b.c:1/bootstrap: Disconnected",
                Some("b.c:1"),
            ),
            ("[thrd:app]: b.c:1/3: Disconnected", Some("b.c:1")),
            ("b.c:1/3: Disconnected", Some("b.c:1")),
            ("GroupCoordinator: Disconnected", None),
            ("no broker", None),
        ] {
            assert_eq!(address(reason), expected);
        }
    }

    #[test]
    fn a_connection_that_is_merely_lost_is_no_refusal() {
        for reason in [
            "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)",
            "127.0.0.1:1/bootstrap: Disconnected (after 5ms in state UP)",
        ] {
            assert_eq!(sentence(&[reason.to_owned()]), None, "{reason}");
        }
    }

    #[test]
    fn the_hello_is_as_long_as_it_says() {
        assert_eq!(CLIENT_HELLO[4] as usize, CLIENT_HELLO.len() - 5);
        assert_eq!(CLIENT_HELLO[8] as usize, CLIENT_HELLO.len() - 9);
    }
}
