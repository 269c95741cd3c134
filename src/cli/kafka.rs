//! The options of every subcommand that talks to brokers.

use clap::Args;

/// How to reach the brokers.
#[derive(Debug, Clone, Args)]
pub struct KafkaArgs {
    /// Brokers to start from, HOST:PORT, comma-separated [default: $KAFKA_BROKER, else localhost:9092]
    #[arg(
        short,
        long,
        visible_alias = "bootstrap-server",
        alias = "bootstrap-servers",
        alias = "brokers"
    )]
    #[arg(
        value_name = "HOST:PORT,...",
        env = "HEADCOUNT_BROKER",
        hide_env = true
    )]
    pub broker: Option<String>,

    /// A property for the Kafka client (librdkafka), such as security.protocol=SASL_SSL, or @FILE for a file with one a line
    /// (repeatable); in the environment HEADCOUNT_X_ and its name with _ for each dot. Behind a name, .file (_FILE) takes the
    /// value from a file: sasl.password.file=/run/secrets/kafka
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE")]
    pub properties: Vec<String>,
}
