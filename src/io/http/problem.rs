//! Refusals as problem details (RFC 9457): one sentence for people, a type for programs.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// Kinds of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A parameter that makes no sense.
    BadParameter,
    /// No token, or a wrong one.
    Unauthorized,
    /// From a page of another site.
    ForeignOrigin,
    /// No such place.
    NotFound,
    /// Only GET and HEAD are answered.
    MethodNotAllowed,
    /// A request with a body.
    BodyNotAllowed,
    /// Under a name that this server does not go by.
    ForeignHost,
    /// What was asked for is not kept, or takes too many windows.
    NotAnswerable,
    /// More than the cap.
    TooMany,
    /// Nothing is known yet, or not in time.
    NotReady,
    /// A failure of the program itself.
    Internal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BadParameter,
        Self::Unauthorized,
        Self::ForeignOrigin,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyNotAllowed,
        Self::ForeignHost,
        Self::NotAnswerable,
        Self::TooMany,
        Self::NotReady,
        Self::Internal,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::BadParameter => "bad-parameter",
            Self::Unauthorized => "unauthorized",
            Self::ForeignOrigin => "foreign-origin",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BodyNotAllowed => "body-not-allowed",
            Self::ForeignHost => "foreign-host",
            Self::NotAnswerable => "not-answerable",
            Self::TooMany => "too-many",
            Self::NotReady => "not-ready",
            Self::Internal => "internal",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::BadParameter => "A parameter makes no sense",
            Self::Unauthorized => "A token is needed",
            Self::ForeignOrigin => "Not for pages of other sites",
            Self::NotFound => "There is nothing here",
            Self::MethodNotAllowed => "Only GET and HEAD are answered",
            Self::BodyNotAllowed => "A request has no body here",
            Self::ForeignHost => "This server does not go by that name",
            Self::NotAnswerable => "That cannot be answered",
            Self::TooMany => "Too many requests",
            Self::NotReady => "Not ready",
            Self::Internal => "A failure of headcount itself",
        }
    }

    /// The status of the response.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadParameter => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyNotAllowed => StatusCode::PAYLOAD_TOO_LARGE,
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::NotAnswerable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::NotReady => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    parameter: Option<&'static str>,
    retry_after_s: Option<u64>,
}

/// The body of a refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemBody {
    /// `urn:headcount:problem:` and the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// What kind it is, for people.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// One sentence.
    pub detail: String,
    /// The parameter that makes no sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// When to try again, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A refusal of a kind, with one sentence that names no path, secret or user.
    #[must_use]
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            parameter: None,
            retry_after_s: None,
        }
    }

    /// A parameter that makes no sense.
    #[must_use]
    pub fn parameter(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            parameter: Some(name),
            ..Self::new(Kind::BadParameter, detail)
        }
    }

    /// What it says.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The same with the time after which another try makes sense.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = ProblemBody {
            kind: format!("urn:headcount:problem:{}", self.kind.name()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            parameter: self.parameter.map(str::to_owned),
            retry_after_s: self.retry_after_s,
        };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(CONTENT_TYPE, json);
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.kind == Kind::Unauthorized {
            let bearer = HeaderValue::from_static("Bearer realm=\"headcount\"");
            headers.insert(WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
