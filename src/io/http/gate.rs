//! The gate before every request: who may ask, under which name, from which page.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, ORIGIN, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use super::Door;
use super::problem::{Kind, Problem};

/// Who may ask.
#[derive(Clone)]
pub enum Access {
    /// Whoever reaches it.
    Open,
    /// Whoever shows this token.
    Token(Token),
}

/// A secret that is compared in constant time and never printed.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token",
        })
    }
}

impl Token {
    /// This text is the token.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

/// What tells a request apart that anybody may make: it gets nothing that is known of the users, and no browser sends a
/// token along when a page is opened.
fn is_for_all(path: &str) -> bool {
    super::OPEN_PATHS.contains(&path)
}

/// Lets a request pass, or refuses it; what every response says to browsers is added here.
pub(super) async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let mut response = match check(&door, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in FOR_BROWSERS {
        let name = HeaderName::from_static(name);
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

const FOR_BROWSERS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
];

fn check(door: &Door, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    check_host(door, headers)?;
    check_origin(headers)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(
            Kind::MethodNotAllowed,
            "Nothing can be changed here: only GET and HEAD are answered.",
        ));
    }
    let length = headers.get(CONTENT_LENGTH);
    if length.is_some_and(|n| n != "0") || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Problem::new(
            Kind::BodyNotAllowed,
            "No request has a body here; leave it out.",
        ));
    }
    if let Access::Token(token) = &door.access
        && !is_for_all(request.uri().path())
        && !shows(headers, token)
    {
        return Err(Problem::new(
            Kind::Unauthorized,
            "Send 'Authorization: Bearer' and the token.",
        ));
    }
    Ok(())
}

fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let Some((scheme, shown)) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split_once(' '))
    else {
        return false;
    };
    scheme.eq_ignore_ascii_case("bearer") && token.is(shown.trim().as_bytes())
}

/// A name that leads here although this server does not go by it may be one that an attacker's name server has turned to
/// this address: then the browser takes us for the attacker's site (DNS rebinding). No such trick works with a number.
fn check_host(door: &Door, headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = || {
        Problem::new(
            Kind::ForeignHost,
            "Ask by address or as localhost; other names are let in with --http-host.",
        )
    };
    let mut hosts = headers.get_all(HOST).into_iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    let host = host
        .filter(|_| hosts.next().is_none())
        .ok_or_else(foreign)?;
    let name = name_of(host).ok_or_else(foreign)?;
    let is_number = name
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>()
        .is_ok();
    let is_known = name.eq_ignore_ascii_case("localhost")
        || door.hosts.iter().any(|h| h.eq_ignore_ascii_case(name));
    (is_number || is_known).then_some(()).ok_or_else(foreign)
}

/// `Host` without its port.
fn name_of(host: &str) -> Option<&str> {
    let end = match host.find(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let digits = port.strip_prefix(':').unwrap_or(port);
    let is_port = digits.bytes().all(|b| b.is_ascii_digit());
    (is_port && !name.is_empty()).then_some(name)
}

/// What another site's page asks for is refused: it could not read the answer, but make this server work. Opening a page by
/// a link is no such thing.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST.as_str()).unwrap_or_default();
    let is_own = match headers.get(ORIGIN) {
        None => true,
        Some(origin) => origin.to_str().is_ok_and(|origin| {
            let bare = origin.strip_prefix("http://");
            let bare = bare.or_else(|| origin.strip_prefix("https://"));
            bare.is_some_and(|bare| bare.eq_ignore_ascii_case(host))
        }),
    };
    let is_cross_site = text("sec-fetch-site") == Some("cross-site");
    let is_opened = text("sec-fetch-mode") == Some("navigate");
    if is_own && (!is_cross_site || is_opened) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::ForeignOrigin,
        "Pages of other sites may not ask here.",
    ))
}
