//! Ticks as server-sent events (WHATWG HTML, *Server-sent events*). A client that comes back says which tick it saw last,
//! and gets those that it missed, as far as they are here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;
use tokio::sync::watch;

use super::Door;
use super::parameters::Parameters;
use super::problem::{Kind, Problem};
use crate::limits::{HTTP_STREAM_BEAT_MS, HTTP_STREAMS_MAX};
use crate::observe::facts::TickNote;

/// Marks a response that goes on for ever.
#[derive(Clone)]
pub(super) struct Streaming;

/// What a stream says of the service besides the ticks, whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Status {
    /// What is wrong, what matters most first.
    troubles: Vec<Wrong>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Wrong {
    kind: &'static str,
    sentence: String,
}

/// A place among the streams.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(streams: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(streams));
        // Where there is no room, dropping the place gives it back.
        (streams.fetch_add(1, Ordering::Relaxed) < HTTP_STREAMS_MAX).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) async fn follow(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Parameters::read(query.as_deref(), &[])?;
    let place = Place::take(&door.streams).ok_or_else(|| {
        Problem::new(Kind::TooMany, "There are as many streams as there may be.").retry_after(5)
    })?;
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let following = Following {
        news: door.board.news(),
        seen: seen.and_then(parse_id),
        status: None,
        waiting: VecDeque::new(),
        door,
        _place: place,
    };
    let beat = Duration::from_millis(HTTP_STREAM_BEAT_MS);
    let stream = Sse::new(events(following)).keep_alive(KeepAlive::new().interval(beat));
    let mut response = stream.into_response();
    response.extensions_mut().insert(Streaming);
    Ok(response)
}

/// A tick's name in a stream: epoch and number.
fn id(tick: &TickNote) -> String {
    format!("{}-{}", tick.epoch, tick.tick)
}

fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (epoch, tick) = id.split_once('-')?;
    Some((epoch.parse().ok()?, tick.parse().ok()?))
}

struct Following {
    door: Door,
    news: watch::Receiver<u64>,
    /// The last tick that was sent, or that the client has.
    seen: Option<(u64, u64)>,
    /// The last status that was sent.
    status: Option<Status>,
    waiting: VecDeque<Event>,
    _place: Place,
}

impl Following {
    fn look(&mut self) {
        let troubles = self.door.board.view().troubles(self.door.board.about());
        let wrong = troubles.into_iter().map(|trouble| Wrong {
            kind: trouble.kind.name(),
            sentence: trouble.sentence,
        });
        let status = Status {
            troubles: wrong.collect(),
        };
        if self.status.as_ref() != Some(&status) {
            if let Ok(event) = Event::default().event("status").json_data(&status) {
                self.waiting.push_back(event);
            }
            self.status = Some(status);
        }
        for tick in self.door.board.ticks_after(self.seen) {
            self.seen = Some((tick.epoch, tick.tick));
            let event = Event::default().event("tick").id(id(&tick));
            self.waiting.push_back(event.data(&tick.json));
        }
    }
}

fn events(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    unfold(following, |mut following| async move {
        loop {
            if let Some(event) = following.waiting.pop_front() {
                return Some((Ok(event), following));
            }
            following.look();
            if following.waiting.is_empty() && following.news.changed().await.is_err() {
                return None;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_known_by_its_name() {
        assert_eq!(
            parse_id("1795411000000-317"),
            Some((1_795_411_000_000, 317))
        );
        for nonsense in ["", "-", "1", "1-x", "1-2-3"] {
            assert_eq!(parse_id(nonsense), None, "{nonsense}");
        }
    }
}
