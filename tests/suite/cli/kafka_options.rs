//! Options of `run` about brokers and the client library, checked without a broker.

use std::path::Path;

use clap::Parser;
use headcount::cli::{Cli, Command};
use headcount::config::{From, OutputConfig, RunConfig};
use headcount::error::Failure;

use super::run_in;

/// What `run` makes of options typed as words, with nothing in the environment but these aliases.
fn resolve(words: &[&str], aliases: &[(&str, &str)]) -> Result<RunConfig, Failure> {
    let cli = Cli::try_parse_from(["headcount", "run"].iter().chain(words)).unwrap();
    let Command::Run(args) = cli.command else {
        panic!("run is run");
    };
    RunConfig::resolve(&args, |name| {
        let alias = aliases.iter().find(|(alias, _)| *alias == name);
        alias.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn without_options_it_reads_users_and_writes_stats_on_this_machine() {
    let config = resolve(&[], &[]).unwrap();
    assert_eq!(config.connection.brokers, "localhost:9092");
    assert_eq!(config.topics, ["users"]);
    let topics = |stats: &str, windows: &str| OutputConfig::Topics {
        stats: stats.to_owned(),
        windows: windows.to_owned(),
    };
    assert_eq!(config.output, topics("stats", "stats-windows"));
    assert_eq!(
        (config.job.as_str(), config.group.as_str()),
        ("users", "headcount-users")
    );
    assert_eq!((config.every_ms, config.from), (5_000, From::Earliest));
    assert!(!config.exit_at_end && config.connection.properties.is_empty());

    let config = resolve(&["-t", "a,b", "-o", "out"], &[]).unwrap();
    let turned = resolve(&["-t", "b,a", "-o", "out"], &[]).unwrap();
    assert_eq!((&turned.topics, &turned.job), (&config.topics, &config.job));
    assert_eq!(config.topics, ["a", "b"]);
    assert_eq!(config.output, topics("out", "out-windows"));
    assert_eq!(
        (config.job.as_str(), config.group.as_str()),
        ("a,b", "headcount-a,b")
    );
    let config = resolve(&["--job", "j", "-o", "-", "-e"], &[]).unwrap();
    assert_eq!(
        (config.group.as_str(), config.output),
        ("headcount-j", OutputConfig::Stdout)
    );
    assert!(config.exit_at_end);
}

#[test]
fn the_variables_of_the_tool_that_this_one_replaces_stand_in_for_options() {
    let aliases = [
        ("KAFKA_BROKER", "kafka:1234"),
        ("USERS_TOPIC", "people"),
        ("STATS_TOPIC", "numbers"),
    ];
    let config = resolve(&[], &aliases).unwrap();
    assert_eq!(config.connection.brokers, "kafka:1234");
    assert_eq!(
        (config.topics[0].as_str(), config.job.as_str()),
        ("people", "people")
    );
    let stats_of = |config: RunConfig| match config.output {
        OutputConfig::Topics { stats, windows } => {
            assert_eq!(windows, format!("{stats}-windows"));
            stats
        }
        OutputConfig::Stdout => panic!("to topics"),
    };
    assert_eq!(stats_of(config), "numbers");
    let config = resolve(&["-b", "b:1", "-t", "t", "-o", "o"], &aliases).unwrap();
    assert_eq!(
        (
            config.connection.brokers.as_str(),
            config.topics[0].as_str()
        ),
        ("b:1", "t")
    );
    assert_eq!(stats_of(config), "o");
    // A variable that is set to nothing is as good as none.
    let empty = aliases.map(|(name, _)| (name, ""));
    assert_eq!(resolve(&[], &empty).unwrap().topics, ["users"]);
}

#[test]
fn where_to_start_is_a_word_or_a_time() {
    for (from, expected) in [
        ("earliest", From::Earliest),
        ("latest", From::Latest),
        ("1970-01-01T00:00:01.5Z", From::Time(1_500)),
        ("1970-01-01T01:00:00+01:00", From::Time(0)),
        ("2026-01-31T12:00:00Z", From::Time(1_769_860_800_000)),
    ] {
        assert_eq!(
            resolve(&["--from", from], &[]).unwrap().from,
            expected,
            "{from}"
        );
    }
}

fn refused_broker(broker: &str) -> Option<String> {
    match resolve(&["-b", broker], &[]) {
        Err(Failure::Usage(why)) => {
            assert!(why.contains("--broker") && why.contains(broker), "{why}");
            Some(why)
        }
        Err(other) => panic!("{broker}: {other:?}"),
        Ok(config) => {
            assert_eq!(config.connection.brokers, broker);
            None
        }
    }
}

#[test]
fn broker_addresses_are_checked() {
    for good in [
        "localhost",
        "localhost:9092",
        "a:1,b:2,c",
        "a:1, b:2",
        "10.0.0.1:65535",
        "[::1]:9092",
        "SASL_SSL://a.b-c.example:9093",
    ] {
        assert_eq!(refused_broker(good), None, "{good}");
    }
    for bad in [
        "", ",", "a:1,", ":9092", "a:", "a:0", "a:65536", "a:x", "a b:1", "a:1 b:2", "x://",
    ] {
        assert!(refused_broker(bad).is_some(), "{bad}");
    }
}

#[test]
fn a_broker_address_that_no_client_can_reach_is_refused_and_not_waited_for() {
    for bad in [
        "a:1:2",
        "::1",
        "a/b:9092",
        "http://a:9092",
        "a:9092/topic",
        "a;b:9092",
    ] {
        assert!(refused_broker(bad).is_some(), "{bad}");
    }
}

#[test]
fn properties_that_would_break_the_rules_about_offsets_and_finals_are_refused_by_name() {
    for key in [
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "client.id",
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.commit.enable",
        "enable.partition.eof",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "transactional.id",
        "delivery.report.only.error",
        "enable.gapless.guarantee",
    ] {
        for typed in [key.to_owned(), format!("topic.{key}"), format!(" {key} ")] {
            let property = format!("{typed}=x");
            let words = ["-X", "fetch.min.bytes=1", "-X", property.as_str()];
            match resolve(&words, &[]) {
                Err(Failure::Usage(why)) => {
                    let start = format!("-X {} cannot be set: ", typed.trim());
                    assert!(
                        why.starts_with(&start) && why.len() > start.len() + 9,
                        "{why}"
                    );
                }
                other => panic!("{property}: {other:?}"),
            }
        }
    }
    let given = ["-X", "sasl.password=a=b", "--property", " linger.ms=7"];
    let properties = resolve(&given, &[]).unwrap().connection.properties;
    let expected = [("sasl.password", "a=b"), ("linger.ms", "7")];
    assert_eq!(
        properties,
        expected.map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
}

#[test]
fn a_property_that_the_client_does_not_know_or_take_is_refused_in_one_line() {
    for (property, words) in [
        (
            "nope.nope=1",
            ["nope.nope", "is no property of the Kafka client"],
        ),
        ("fetch.min.bytes=abc", ["fetch.min.bytes", "Invalid value"]),
        ("fetch.min.bytes=", ["fetch.min.bytes", "empty"]),
        ("message.max.bytes=1", ["message.max.bytes", "range 1000"]),
        (
            "security.protocol=carrier_pigeon",
            ["security.protocol", "Invalid value"],
        ),
        ("linger.ms", ["'linger.ms'", "KEY=VALUE"]),
    ] {
        let said = run_in(
            Path::new("/"),
            &["run", "-e", "-b", "127.0.0.1:1", "-X", property],
        );
        said.check_complaint(2, &["-X", words[0], words[1]], property);
    }
}

#[test]
fn a_secret_in_a_property_is_not_repeated_to_the_log() {
    let secret = "sasl.pasword=hunter2";
    let said = run_in(
        Path::new("/"),
        &["run", "-e", "-b", "127.0.0.1:1", "-X", secret],
    );
    said.check_complaint(2, &["-X", "sasl.pasword"], secret);
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
}
