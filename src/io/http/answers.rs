//! What is answered with one response.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::parameters::{Format, Parameters, Question, USERS, WINDOWS};
use super::problem::{Kind, Problem};
use super::{Answer, Door, Refusal};
use crate::engine::look::clerk::Unanswered;
use crate::engine::report::answer::{UsersAnswer, WindowsAnswer};
use crate::limits::LOOK_WINDOWS_MAX;
use crate::observe::board::View;
use crate::observe::trouble;

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

fn no_parameters(RawQuery(query): &RawQuery) -> Result<(), Problem> {
    Parameters::read(query.as_deref(), &[]).map(drop)
}

/// Whether the process should be left alone: not whether all is well.
pub(super) async fn live(State(door): State<Door>, query: RawQuery) -> Result<Response, Problem> {
    no_parameters(&query)?;
    let troubles = door.board.view().troubles(door.board.about());
    match troubles
        .into_iter()
        .find(|t| t.kind == trouble::Kind::Hangs)
    {
        Some(hangs) => Err(Problem::new(Kind::NotReady, hangs.sentence)),
        None => Ok(Json(Health { status: "live" }).into_response()),
    }
}

/// Whether it counts and publishes, or stands by.
pub(super) async fn ready(State(door): State<Door>, query: RawQuery) -> Result<Response, Problem> {
    no_parameters(&query)?;
    let view = door.board.view();
    let troubles = view.troubles(door.board.about());
    if let Some(trouble) = troubles.into_iter().find(|t| t.kind.is_unready()) {
        return Err(Problem::new(Kind::NotReady, trouble.sentence).retry_after(1));
    }
    newest(&view)?;
    let status = match view.publishing.stands_by {
        true => "standing by",
        false => "ready",
    };
    Ok(Json(Health { status }).into_response())
}

fn newest(view: &View) -> Result<String, Problem> {
    let tick = view.tick.as_ref().map(|tick| tick.json.clone());
    tick.ok_or_else(|| {
        Problem::new(
            Kind::NotReady,
            "Nothing is known yet: the first tick comes as soon as frames are read.",
        )
        .retry_after(1)
    })
}

/// The last tick, as it is published.
pub(super) async fn stats(State(door): State<Door>, query: RawQuery) -> Result<Response, Problem> {
    no_parameters(&query)?;
    let tick = newest(&door.board.view())?;
    Ok(([(CONTENT_TYPE, "application/json")], tick).into_response())
}

pub(super) async fn openapi(query: RawQuery) -> Result<Response, Problem> {
    no_parameters(&query)?;
    let file = include_str!("openapi.json");
    Ok(([(CONTENT_TYPE, "application/json")], file).into_response())
}

pub(super) async fn users(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let question = Parameters::read(query.as_deref(), &USERS)?.users()?;
    match &*ask(&door, question).await? {
        Answer::Users(users) => Ok(Json::<&UsersAnswer>(users).into_response()),
        Answer::Windows(_) => Err(mixed_up()),
    }
}

pub(super) async fn windows(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let parameters = Parameters::read(query.as_deref(), &WINDOWS)?;
    let (question, format) = (parameters.series()?, parameters.format()?);
    match (&*ask(&door, question).await?, format) {
        (Answer::Windows(windows), Format::Json) => {
            Ok(Json::<&WindowsAnswer>(windows).into_response())
        }
        (Answer::Windows(windows), Format::Csv) => Ok(csv(windows)),
        (Answer::Users(_), _) => Err(mixed_up()),
    }
}

fn mixed_up() -> Problem {
    Problem::new(Kind::Internal, "The answer belongs to another question.")
}

fn csv(answer: &WindowsAnswer) -> Response {
    let name = format!("attachment; filename=\"headcount-{}.csv\"", answer.window);
    let mut response = ([(CONTENT_TYPE, "text/csv; charset=utf-8")], answer.csv()).into_response();
    if let Ok(name) = HeaderValue::from_str(&name) {
        response.headers_mut().insert(CONTENT_DISPOSITION, name);
    }
    response
}

async fn ask(door: &Door, question: Question) -> Result<std::sync::Arc<Answer>, Problem> {
    door.answers.ask(question).await.map_err(|refusal| match refusal {
        Refusal::TooMany(seconds) => Problem::new(
            Kind::TooMany,
            "The counting answers so many different questions a second and no more; ask again a little later.",
        )
        .retry_after(seconds),
        Refusal::Unanswered(Unanswered::Late) => Problem::new(
            Kind::NotReady,
            "The counting has not answered in time; it is busy, or waits for its outputs.",
        )
        .retry_after(1),
        Refusal::Unanswered(Unanswered::Ended) => {
            Problem::new(Kind::NotReady, "The service is about to end.")
        }
        Refusal::Unanswered(Unanswered::NotKept) => Problem::new(
            Kind::NotAnswerable,
            "Nothing of that stretch is kept any more.",
        ),
        Refusal::Unanswered(Unanswered::TooLong) => Problem::new(
            Kind::NotAnswerable,
            format!("That takes more than {LOOK_WINDOWS_MAX} windows; choose bounds nearer to those of days or hours."),
        ),
        Refusal::Unanswered(Unanswered::Damaged(_)) => Problem::new(
            Kind::Internal,
            "A saved sketch cannot be read; the log says more.",
        ),
    })
}
