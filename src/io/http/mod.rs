//! The HTTP server: what is known of a running service, for people, programs and monitoring. It changes nothing, and asks
//! for everything through [`Answers`] or from the board, so that no request is ever in the way of the counting.

mod answers;
mod connections;
pub mod exposition;
pub mod gate;
mod metrics;
mod page;
pub mod parameters;
mod patient;
pub mod problem;
mod stream;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, http::StatusCode};
use parking_lot::Mutex;
use tokio::net::TcpListener;

use self::connections::Connections;
use self::gate::Access;
use self::parameters::Question;
use self::problem::{Kind, Problem};
use crate::engine::look::clerk::Unanswered;
use crate::engine::report::answer::{UsersAnswer, WindowsAnswer};
use crate::observe::board::Board;

/// What a question came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of the trailing table, or of calendar windows.
    Users(UsersAnswer),
    /// A series of windows.
    Windows(WindowsAnswer),
}

/// Why a question has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// More than the cap; seconds until another one may be asked.
    TooMany(u64),
    /// As the clerk has it.
    Unanswered(Unanswered),
}

/// What will be answered.
pub type Promise = Pin<Box<dyn Future<Output = Result<Arc<Answer>, Refusal>> + Send>>;

/// Whoever answers questions.
pub trait Answers: Send + Sync {
    /// Asks; the promise is kept within a few seconds.
    fn ask(&self, question: Question) -> Promise;

    /// Questions that the counting was asked since the start, and those that were refused for being too many.
    fn asked(&self) -> (u64, u64);
}

/// Paths that are answered without a token: they tell nothing about the users.
pub const OPEN_PATHS: [&str; 6] = [
    "/",
    "/page.js",
    "/page.css",
    "/icon.svg",
    "/livez",
    "/readyz",
];

/// All paths, as the router knows them.
pub const PATHS: [&str; 12] = [
    "/",
    "/page.js",
    "/page.css",
    "/icon.svg",
    "/livez",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/v1/stats",
    "/v1/stream",
    "/v1/users",
    "/v1/windows",
];

/// What every request can see.
#[derive(Clone)]
pub struct Door(Arc<Inside>);

impl std::ops::Deref for Door {
    type Target = Inside;

    fn deref(&self) -> &Inside {
        &self.0
    }
}

/// See [`Door`].
pub struct Inside {
    board: Arc<Board>,
    answers: Arc<dyn Answers>,
    access: Access,
    /// Names besides `localhost` and numbers under which the server may be asked.
    hosts: Vec<String>,
    connections: Arc<Connections>,
    streams: Arc<AtomicUsize>,
    /// Responses by path and status.
    responses: Mutex<BTreeMap<(String, u16), u64>>,
}

impl Door {
    /// A door to a board, and to whoever answers.
    #[must_use]
    pub fn new(
        board: Arc<Board>,
        answers: Arc<dyn Answers>,
        access: Access,
        hosts: Vec<String>,
    ) -> Self {
        Self(Arc::new(Inside {
            board,
            answers,
            access,
            hosts,
            connections: Arc::default(),
            streams: Arc::default(),
            responses: Mutex::default(),
        }))
    }

    fn router(&self) -> Router {
        let router = Router::new()
            .route("/livez", get(answers::live))
            .route("/readyz", get(answers::ready))
            .route("/metrics", get(metrics::show))
            .route("/openapi.json", get(answers::openapi))
            .route("/v1/stats", get(answers::stats))
            .route("/v1/users", get(answers::users))
            .route("/v1/windows", get(answers::windows))
            .route("/v1/stream", get(stream::follow));
        page::add_to(router)
            .route_layer(middleware::from_fn_with_state(self.clone(), count))
            .fallback(nowhere)
            .layer(middleware::from_fn_with_state(self.clone(), gate::pass))
            .with_state(self.clone())
    }

    /// Answers whoever comes, for ever.
    pub async fn serve(self, listener: TcpListener) {
        let connections = Arc::clone(&self.connections);
        connections::accept(listener, self.router(), connections).await;
    }
}

impl Inside {
    fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }
}

async fn nowhere() -> Problem {
    Problem::new(
        Kind::NotFound,
        "There is nothing at this path; /openapi.json lists what there is.",
    )
}

/// Counts responses. Only known paths are counted: a label must not be for whoever asks to choose.
async fn count(
    State(door): State<Door>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    let status: StatusCode = response.status();
    let key = (path.as_str().to_owned(), status.as_u16());
    *door.responses.lock().entry(key).or_default() += 1;
    response
}
