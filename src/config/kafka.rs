//! How to reach the brokers, and what may be asked of the client library.

use super::properties::properties;
use crate::cli::ALIASES;
use crate::cli::kafka::KafkaArgs;
use crate::error::Failure;
use crate::io::kafka_client::Connection;

/// Properties of the client library that are not the user's to set, and what to do instead.
pub(super) const REFUSED_PROPERTIES: [(&str, &str); 15] = [
    ("bootstrap.servers", "use --broker"),
    ("metadata.broker.list", "use --broker"),
    ("group.id", "use --group"),
    (
        "client.id",
        "it is headcount's own name in the brokers' logs",
    ),
    (
        "auto.offset.reset",
        "use --from; a reset would hide lost frames",
    ),
    (
        "enable.auto.commit",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "enable.auto.offset.store",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "auto.commit.enable",
        "offsets follow the counts, never run ahead of them",
    ),
    (
        "enable.partition.eof",
        "the end of a partition decides when windows may close",
    ),
    (
        "acks",
        "nothing counts as published before all replicas have it",
    ),
    (
        "request.required.acks",
        "nothing counts as published before all replicas have it",
    ),
    (
        "enable.idempotence",
        "nothing may be published twice or out of order",
    ),
    (
        "transactional.id",
        "it names the job, so that one instance publishes at a time: see --exclusive",
    ),
    (
        "delivery.report.only.error",
        "what is published is kept until it is acknowledged",
    ),
    (
        "enable.gapless.guarantee",
        "what failed is sent again, not fatal",
    ),
];

/// How to reach the brokers, from the options, the environment and the defaults.
///
/// # Errors
///
/// One sentence about the first thing that makes no sense.
pub(super) fn connection(
    args: &KafkaArgs,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Connection, Failure> {
    let list = choose(args.broker.as_deref(), env, "broker", "localhost:9092");
    let properties = properties(&args.properties)?
        .into_iter()
        .map(|property| Ok((property.key.clone(), property.value()?)));
    let properties = properties.collect::<Result<_, Failure>>()?;
    Ok(Connection::new(brokers(&list)?, properties))
}

/// What was given to an option, else its alias in the environment unless it is empty, else the default.
pub(super) fn choose(
    given: Option<&str>,
    env: &impl Fn(&str) -> Option<String>,
    option: &str,
    default: &str,
) -> String {
    let alias = || {
        let (_, alias) = ALIASES.iter().find(|(of, _)| *of == option)?;
        env(alias).filter(|value| !value.is_empty())
    };
    given
        .map(str::to_owned)
        .or_else(alias)
        .unwrap_or_else(|| default.to_owned())
}

/// Properties for the client library from environment variables, each with its variable: `HEADCOUNT_X_SASL_PASSWORD=s` is
/// `sasl.password=s`.
pub(super) fn environment_properties(variables: &[(String, String)]) -> Vec<(String, String)> {
    let properties = variables.iter().filter_map(|(name, value)| {
        let key = name.strip_prefix("HEADCOUNT_X_")?;
        let property = format!("{}={value}", key.to_lowercase().replace('_', "."));
        Some((name.clone(), property))
    });
    let mut properties: Vec<_> = properties.collect();
    properties.sort();
    properties
}

fn brokers(list: &str) -> Result<String, Failure> {
    for broker in list.split(',') {
        let broker = broker.trim();
        let schemes = ["PLAINTEXT://", "SSL://", "SASL_PLAINTEXT://", "SASL_SSL://"];
        let stripped = schemes
            .iter()
            .find_map(|scheme| broker.strip_prefix(scheme));
        check_broker(stripped.unwrap_or(broker))
            .map_err(|why| Failure::Usage(format!("--broker '{list}': {why}")))?;
    }
    Ok(list.to_owned())
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`. Anything else would be tried for ever without a word.
fn check_broker(address: &str) -> Result<(), &'static str> {
    let (host, rest) = match address.strip_prefix('[') {
        Some(bracketed) => bracketed.split_once(']').ok_or("a [ without a ]")?,
        None => address.split_at(address.find(':').unwrap_or(address.len())),
    };
    let is_ipv6 = address.starts_with('[');
    let legal =
        |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || (is_ipv6 && ":%".contains(c));
    if host.is_empty() || !host.chars().all(legal) {
        return Err("give HOST:PORT, comma-separated");
    }
    let port = match rest {
        "" => return Ok(()),
        rest => rest
            .strip_prefix(':')
            .ok_or("give HOST:PORT, comma-separated")?,
    };
    match port.parse::<u16>() {
        Ok(1..) => Ok(()),
        _ => Err("the port must be a number from 1 to 65535; an IPv6 address stands in brackets"),
    }
}

pub(super) fn topic_names(list: &str) -> Result<Vec<String>, Failure> {
    let topics: Vec<_> = list.split(',').map(|t| t.trim().to_owned()).collect();
    for (i, topic) in topics.iter().enumerate() {
        check_topic("--topic", topic)?;
        if topics[..i].contains(topic) {
            return Err(Failure::Usage(format!(
                "--topic names '{topic}' twice, which would count its frames twice"
            )));
        }
    }
    Ok(topics)
}

/// Kafka's own rule: letters, digits, dot, underscore and dash, at most 249 of them.
pub(super) fn check_topic(option: &str, topic: &str) -> Result<(), Failure> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty()
        || topic.len() > 249
        || !topic.chars().all(legal)
        || matches!(topic, "." | "..")
    {
        return Err(Failure::Usage(format!(
            "{option} '{topic}' is no topic name: 1 to 249 letters, digits, dots, underscores and dashes"
        )));
    }
    Ok(())
}
