//! The options of the HTTP server.

use std::path::PathBuf;

use clap::Args;

/// Where a service answers over HTTP, and to whom.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "HTTP")]
pub struct HttpArgs {
    /// Answer over HTTP at this address: a page for people, /v1, /metrics, /readyz; off for nowhere [default: off; in the
    /// demo 127.0.0.1:9464]
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "HEADCOUNT_HTTP",
        hide_env = true
    )]
    pub http: Option<String>,

    /// Answer only who sends the token in this file (Authorization: Bearer); needed for addresses that others can reach
    #[arg(
        long,
        value_name = "FILE",
        env = "HEADCOUNT_HTTP_TOKEN_FILE",
        hide_env = true
    )]
    pub http_token_file: Option<PathBuf>,

    /// Answer whoever reaches the address, without a token
    #[arg(
        long,
        env = "HEADCOUNT_HTTP_PUBLIC",
        hide_env = true,
        conflicts_with = "http_token_file"
    )]
    pub http_public: bool,

    /// A name under which the server may be asked, besides localhost and addresses (repeatable)
    #[arg(
        long,
        value_name = "NAME",
        env = "HEADCOUNT_HTTP_HOST",
        hide_env = true,
        value_delimiter = ','
    )]
    pub http_host: Vec<String>,
}
