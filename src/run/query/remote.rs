//! A running service, asked over HTTP.

use std::fs;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::error::Failure;
use crate::io::http::problem::ProblemBody;
use crate::limits::{QUERY_ANSWER_BYTES, QUERY_WAIT_MS};

/// A service, by its address.
pub(super) struct Remote {
    /// As it was given, without a slash at the end.
    url: String,
    host: String,
    port: u16,
    /// The authority for the `Host` header.
    authority: String,
    /// What stands before the paths, behind a proxy for example.
    prefix: String,
    token: Option<String>,
}

impl Remote {
    pub(super) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let url = url.trim_end_matches('/');
        let wrong = || {
            Failure::Usage(format!(
                "--url '{url}': give an address such as http://127.0.0.1:9464 (https is for a proxy in front of the service)"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let is_plain = uri.scheme_str() == Some("http") && uri.query().is_none();
        if !is_plain || authority.as_str().contains('@') {
            return Err(wrong());
        }
        let token = token_file.map(|file| {
            let read = fs::read_to_string(file);
            read.map(|text| text.trim().to_owned()).map_err(|error| {
                Failure::NoInput(format!(
                    "cannot read --token-file {}: {error}",
                    file.display()
                ))
            })
        });
        Ok(Self {
            url: url.to_owned(),
            // An IPv6 address stands in brackets there, and without them where it is connected to.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.as_str().to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            token: token.transpose()?,
        })
    }

    /// What the service answers at a path.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build();
        let runtime = runtime.map_err(|error| Failure::Internal(error.to_string()))?;
        let limit = Duration::from_millis(QUERY_WAIT_MS);
        let answered = runtime.block_on(async { timeout(limit, self.exchange(path)).await });
        let (status, body) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(why)) => return Err(self.unavailable(&why)),
            Err(_) => return Err(self.unavailable("it does not answer in time")),
        };
        if status == StatusCode::OK {
            return serde_json::from_slice(&body).map_err(|_| self.strange());
        }
        match serde_json::from_slice::<ProblemBody>(&body) {
            Ok(problem) if status == StatusCode::BAD_REQUEST => Err(Failure::Usage(format!(
                "{} refuses: {}",
                self.url, problem.detail
            ))),
            Ok(problem) => Err(Failure::Unavailable(format!(
                "{} refuses: {}",
                self.url, problem.detail
            ))),
            Err(_) => Err(self.strange()),
        }
    }

    async fn exchange(&self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let text = |error: &dyn std::error::Error| error.to_string();
        let socket = TcpStream::connect((self.host.as_str(), self.port));
        let socket = socket.await.map_err(|e| text(&e))?;
        let shaken = http1::handshake::<_, Body>(TokioIo::new(socket));
        let (mut client, connection) = shaken.await.map_err(|e| text(&e))?;
        // It ends with the runtime at the latest.
        tokio::spawn(connection);
        let mut request =
            Request::get(format!("{}{path}", self.prefix)).header(HOST, &self.authority);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::empty()).map_err(|e| text(&e))?;
        let response = client.send_request(request).await.map_err(|e| text(&e))?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), QUERY_ANSWER_BYTES);
        Ok((status, body.await.map_err(|e| text(&e))?))
    }

    fn unavailable(&self, why: &str) -> Failure {
        Failure::Unavailable(format!(
            "{} cannot be asked: {why}; is the service running with --http, or name it with --url",
            self.url
        ))
    }

    /// Something answers that is not headcount, or another version of it.
    pub(super) fn strange(&self) -> Failure {
        Failure::Unavailable(format!("what {} answers is not for this program", self.url))
    }
}
