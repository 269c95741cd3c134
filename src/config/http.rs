//! The configuration of the HTTP server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::cli::http::HttpArgs;
use crate::error::Failure;

/// The usual port: in the range that Prometheus' exporters share.
const PORT: u16 = 9_464;

/// The configuration of the HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether another port of the same address will do.
    pub any_port: bool,
    /// The file that holds the token.
    pub token_file: Option<PathBuf>,
    /// Names besides `localhost` and addresses under which it may be asked.
    pub hosts: Vec<String>,
}

impl HttpConfig {
    /// Checks the options; `is_wanted` tells whether there is a server unless it is said.
    pub(super) fn resolve(args: &HttpArgs, is_wanted: bool) -> Result<Option<Self>, Failure> {
        let usage = |text: String| Err(Failure::Usage(text));
        let (address, any_port) = match args.http.as_deref() {
            Some("off") => (None, false),
            Some(text) => (Some(parse(text)?), false),
            None if is_wanted => (Some((Ipv4Addr::LOCALHOST, PORT).into()), true),
            None => (None, false),
        };
        let Some(address) = address else {
            if args.http_public || args.http_token_file.is_some() || !args.http_host.is_empty() {
                return usage(format!(
                    "--http-token-file, --http-public and --http-host need --http, such as --http 127.0.0.1:{PORT}"
                ));
            }
            return Ok(None);
        };
        let is_open = args.http_public || args.http_token_file.is_some();
        if !address.ip().is_loopback() && !is_open {
            return usage(format!(
                "--http {address} can be reached by others: give --http-token-file, or --http-public if everybody may ask"
            ));
        }
        let is_name = |host: &&String| {
            let mut chars = host.chars();
            !host.is_empty() && chars.all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
        };
        if let Some(host) = args.http_host.iter().find(|host| !is_name(host)) {
            return usage(format!(
                "--http-host '{host}': give a name without a port, such as counts.example.org"
            ));
        }
        Ok(Some(Self {
            address,
            any_port,
            token_file: args.http_token_file.clone(),
            hosts: args.http_host.clone(),
        }))
    }
}

fn parse(text: &str) -> Result<SocketAddr, Failure> {
    let local = text.strip_prefix("localhost:").and_then(|port| {
        let port = port.parse().ok()?;
        Some(SocketAddr::from((IpAddr::from(Ipv4Addr::LOCALHOST), port)))
    });
    local.or_else(|| text.parse().ok()).ok_or_else(|| {
        Failure::Usage(format!(
            "--http '{text}': give an address and a port, such as 127.0.0.1:{PORT} or [::1]:{PORT}, or off"
        ))
    })
}
