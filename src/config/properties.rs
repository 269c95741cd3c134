//! Properties for the client library: where they may stand, and which are secrets.
//!
//! Behind the name of any property, `.file` says that its value is what stands in a file, so that a password need stand
//! neither on a command line nor in an environment.

use std::fmt;
use std::path::{Path, PathBuf};

use super::file::text_of;
use super::kafka::REFUSED_PROPERTIES;
use super::nearest::nearest;
use crate::error::Failure;
use crate::io::kafka_client::knows;

/// What stands behind the name of a property whose value is in a file.
const IN_FILE: &str = ".file";

/// Properties that are often set, for whoever mistypes one. Source: librdkafka's CONFIGURATION.md.
const OFTEN_SET: [&str; 44] = [
    "acks",
    "api.version.request",
    "batch.size",
    "broker.address.family",
    "check.crcs",
    "client.rack",
    "compression.codec",
    "compression.level",
    "compression.type",
    "debug",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "linger.ms",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "metadata.max.age.ms",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "receive.message.max.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "sasl.kerberos.keytab",
    "sasl.kerberos.principal",
    "sasl.kerberos.service.name",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.oauthbearer.config",
    "sasl.password",
    "sasl.username",
    "security.protocol",
    "session.timeout.ms",
    "socket.keepalive.enable",
    "socket.timeout.ms",
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.cipher.suites",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
];

/// A property that was given.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its name, as the client library has it.
    pub key: String,
    /// Its name as given: perhaps with `.file`.
    pub typed: String,
    /// Its value.
    pub worth: Worth,
    /// The file of properties (`-X @FILE`) and the line that it stands on, if it does.
    pub listed_in: Option<(PathBuf, usize)>,
}

/// What a property is set to.
#[derive(Clone, PartialEq, Eq)]
pub enum Worth {
    /// To this.
    Text(String),
    /// To what stands in this file.
    InFile(PathBuf),
}

/// Without the value, which may be a password.
impl fmt::Debug for Worth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::InFile(path) => f.debug_tuple("InFile").field(path).finish(),
        }
    }
}

impl Property {
    /// Whether nobody may see its value.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        is_secret(&self.key)
    }

    /// Its value; from its file, without the line break at the end.
    ///
    /// # Errors
    ///
    /// One sentence about a file that cannot be read or holds nothing.
    pub fn value(&self) -> Result<String, Failure> {
        let path = match &self.worth {
            Worth::Text(text) => return Ok(text.clone()),
            Worth::InFile(path) => path,
        };
        let refused = |why: &str| {
            let (typed, path) = (&self.typed, path.display());
            Failure::Usage(format!(
                "-X {typed}: cannot take the value from {path}: {why}"
            ))
        };
        let text = text_of(path).map_err(|why| refused(&why))?;
        let value = text.strip_suffix('\n').unwrap_or(&text);
        let value = value.strip_suffix('\r').unwrap_or(value);
        if value.is_empty() {
            return Err(refused("it is empty"));
        }
        Ok(value.to_owned())
    }
}

/// Whether the value of a property is one that nobody may see. Unknown names that sound like it are included.
#[must_use]
pub fn is_secret(key: &str) -> bool {
    let mut words = key.split(['.', '_']);
    let is_word = |word: &str| {
        ["pass", "secret", "credential", "pem", "jaas"]
            .iter()
            .any(|part| word.contains(part))
    };
    words.any(is_word) || key == "sasl.oauthbearer.config"
}

/// Where the value begins in an argument of the command line that sets a secret, in bytes.
#[must_use]
pub fn secret_from(argument: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(argument).ok()?;
    let flags = ["--property=", "-X=", "-X"];
    let property = flags
        .iter()
        .find_map(|flag| text.strip_prefix(flag))
        .unwrap_or(text);
    let (key, value) = property.split_once('=')?;
    (is_secret(key.trim()) && !key.trim().ends_with(IN_FILE)).then(|| text.len() - value.len())
}

/// The properties given as `KEY=VALUE` or `@FILE`, each name once: the last one wins, and what it wins over is not looked at.
///
/// # Errors
///
/// One sentence about one that has no value, that is not the user's to set, or about a file that cannot be read.
pub fn properties(given: &[String]) -> Result<Vec<Property>, Failure> {
    let mut properties: Vec<Property> = Vec::new();
    let mut add = |property: Property| {
        properties.retain(|other| other.key != property.key);
        properties.push(property);
    };
    for text in given {
        match text.strip_prefix('@') {
            Some(path) => listed(Path::new(path))?.into_iter().for_each(&mut add),
            None => add(property(text, None)?),
        }
    }
    Ok(properties)
}

/// A file with a property a line, as the command line tools of Kafka and librdkafka take it.
fn listed(path: &Path) -> Result<Vec<Property>, Failure> {
    let text = text_of(path)
        .map_err(|why| Failure::Usage(format!("cannot read -X @{}: {why}", path.display())))?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let properties = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    properties
        .map(|(number, line)| {
            property(line, Some((path.to_owned(), number))).map_err(|failure| {
                Failure::Usage(format!("{}:{number}: {failure}", path.display()))
            })
        })
        .collect()
}

fn property(text: &str, listed_in: Option<(PathBuf, usize)>) -> Result<Property, Failure> {
    let Some((typed, value)) = text.split_once('=') else {
        // No more of it than can be a name: it may be a password.
        let name = |c: char| c.is_ascii_lowercase() || c == '.';
        let name = match text.chars().all(name) && text.contains('.') {
            true => format!("-X '{text}'"),
            false => "-X".to_owned(),
        };
        return Err(Failure::Usage(format!("{name}: give KEY=VALUE")));
    };
    // In a file there may be room around the equals sign.
    let value = match listed_in {
        Some(_) => value.trim(),
        None => value,
    };
    let typed = typed.trim();
    let in_file = typed.strip_suffix(IN_FILE).filter(|_| !knows(typed));
    let key = in_file.unwrap_or(typed);
    // librdkafka also takes a topic property with this prefix.
    let name = key.strip_prefix("topic.").unwrap_or(key);
    let mut refused = REFUSED_PROPERTIES.iter();
    if let Some((_, instead)) = refused.find(|(refused, _)| *refused == name) {
        return Err(Failure::Usage(format!(
            "-X {typed} cannot be set: {instead}"
        )));
    }
    if !knows(key) {
        let meant = match nearest(key, OFTEN_SET.into_iter()) {
            Some(meant) => format!("did you mean '{meant}'?"),
            None => "its properties are those of librdkafka".to_owned(),
        };
        return Err(Failure::Usage(format!(
            "-X {typed} is no property of the Kafka client; {meant}"
        )));
    }
    Ok(Property {
        key: key.to_owned(),
        typed: typed.to_owned(),
        worth: match in_file {
            Some(_) => Worth::InFile(PathBuf::from(value)),
            None => Worth::Text(value.to_owned()),
        },
        listed_in,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_that_nobody_has_is_refused_with_the_nearest_one() {
        assert!(OFTEN_SET.iter().all(|name| knows(name)));
        for (typed, meant) in [
            ("sasl.pasword=x", "did you mean 'sasl.password'?"),
            ("ssl.ca.file=x", "did you mean 'ssl.ca.location'?"),
            ("security_protocol=SSL", "did you mean 'security.protocol'?"),
            ("Fetch.Min.Bytes=1", "did you mean 'fetch.min.bytes'?"),
            ("nonsense=x", "its properties are those of librdkafka"),
        ] {
            let refused = properties(&[typed.to_owned()]).unwrap_err().to_string();
            let (key, _) = typed.split_once('=').unwrap();
            let expected = format!("-X {key} is no property of the Kafka client; {meant}");
            assert_eq!(refused, expected);
        }
    }

    #[test]
    fn secrets_are_found_in_arguments_however_they_are_given() {
        for (argument, expected) in [
            ("sasl.password=hunter2", Some("hunter2")),
            ("-Xsasl.password=a=b", Some("a=b")),
            ("--property=ssl.key.password=x", Some("x")),
            ("topic.sasl.oauthbearer.client.secret = y", Some(" y")),
            ("ssl.key.pem=-----BEGIN", Some("-----BEGIN")),
            ("sasl.password.file=/run/secrets/p", None),
            ("sasl.username=u", None),
            ("ssl.ca.location=/etc/ssl/password=x", None),
            ("@password", None),
            ("--topic=password", None),
            ("-X", None),
        ] {
            let found = secret_from(argument.as_bytes()).map(|from| &argument[from..]);
            assert_eq!(found, expected, "{argument}");
        }
    }
}
