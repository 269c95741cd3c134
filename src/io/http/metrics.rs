//! What monitoring wants to know, under names and in units by Prometheus' conventions. No label has an unbounded number of
//! values, and none is a user.

use axum::extract::{RawQuery, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Door;
use super::exposition::{self, Exposition, Kind};
use super::parameters::Parameters;
use super::problem::Problem;
use crate::engine::calendar::Period;
use crate::engine::clock::Quarantine;
use crate::engine::frame::Reject;
use crate::engine::ledger::Ledger;
use crate::observe::board::{About, Usage, View};
use crate::observe::counts;
use crate::observe::facts::{Facts, Publishing};
use crate::observe::trouble;

pub(super) async fn show(
    State(door): State<Door>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Parameters::read(query.as_deref(), &[])?;
    let view = door.board.view();
    let about = door.board.about();
    let mut text = Exposition::default();
    let mut build = text.family(
        Kind::Gauge,
        "headcount_build_info",
        "What is running; the value is always 1.",
    );
    let precision = about.precision.to_string();
    build.sample(
        &[
            ("version", env!("CARGO_PKG_VERSION")),
            ("job", &about.job),
            ("precision", &precision),
            ("timezone", &about.tz),
        ],
        1,
    );
    if let Some(facts) = &view.facts {
        frames(&mut text, &facts.ledger);
        reading(&mut text, facts);
        time(&mut text, facts, view.unix_ms);
    }
    users(&mut text, &view);
    publishing(&mut text, &view.publishing, view.now_ms);
    troubles(&mut text, &view, about);
    events(&mut text);
    process(&mut text, &view, door.board.usage());
    server(&mut text, &door);
    Ok(([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text.into_text()).into_response())
}

fn frames(text: &mut Exposition, ledger: &Ledger) {
    text.one(
        Kind::Counter,
        "headcount_frames_read_total",
        "Frames read, as the state remembers them: counted, ignored, quarantined, rejected and pending ones.",
        Some(ledger.read),
    );
    let mut frames = text.family(
        Kind::Counter,
        "headcount_frames_total",
        "Frames by verdict, and by reason where they do not count.",
    );
    frames.sample(&[("verdict", "counted"), ("reason", "")], ledger.counted);
    frames.sample(&[("verdict", "ignored"), ("reason", "")], ledger.ignored);
    // Also those of which there are none, so that a rate can be had of the first one.
    for reason in Quarantine::ALL {
        let n = ledger.quarantined().find(|(r, _)| *r == reason);
        let labels = [("verdict", "quarantined"), ("reason", reason.name())];
        frames.sample(&labels, n.map_or(0, |(_, n)| n));
    }
    for reason in Reject::ALL {
        let n = ledger.rejected().find(|(r, _)| *r == reason);
        let labels = [("verdict", "rejected"), ("reason", reason.name())];
        frames.sample(&labels, n.map_or(0, |(_, n)| n));
    }
    text.one(
        Kind::Counter,
        "headcount_frames_late_total",
        "Counted frames behind their own partition's clock less the lateness.",
        Some(ledger.late),
    );
    let mut expired = text.family(
        Kind::Counter,
        "headcount_frames_expired_total",
        "Counted frames that came after the retention of a period, and are missing in its window.",
    );
    for period in Period::ALL {
        let n = ledger.expired().find(|(p, _)| *p == period);
        expired.sample(&[("window", period.name())], n.map_or(0, |(_, n)| n));
    }
    text.one(
        Kind::Gauge,
        "headcount_frames_pending",
        "Good frames that wait for others to confirm their time.",
        Some(ledger.pending),
    );
}

fn reading(text: &mut Exposition, facts: &Facts) {
    text.one(
        Kind::Counter,
        "headcount_read_bytes_total",
        "Bytes of the frames read since the start.",
        Some(facts.read_bytes),
    );
    let mut lag = text.family(
        Kind::Gauge,
        "headcount_consumer_lag_frames",
        "Frames published and not yet read, by the brokers' last word; absent while they do not answer.",
    );
    for p in &facts.partitions {
        if let Some(frames) = p.lag {
            lag.sample(&[("topic", &p.topic), ("partition", &p.partition)], frames);
        }
    }
    let mut offsets = text.family(
        Kind::Gauge,
        "headcount_consumer_offset",
        "The offset of the first frame that is not reflected.",
    );
    for p in &facts.partitions {
        offsets.sample(
            &[("topic", &p.topic), ("partition", &p.partition)],
            p.next_offset,
        );
    }
    let mut clocks = text.family(
        Kind::Gauge,
        "headcount_partition_clock_timestamp_seconds",
        "The greatest event time counted from a partition, unix time.",
    );
    for p in &facts.partitions {
        if let Some(clock) = p.clock {
            clocks.sample(&[("topic", &p.topic), ("partition", &p.partition)], clock);
        }
    }
}

fn time(text: &mut Exposition, facts: &Facts, unix_ms: u64) {
    let behind = |second: i64| (unix_ms as f64 / 1_000.0) - second as f64;
    let as_of = facts.as_of.map(i64::from);
    text.one(
        Kind::Gauge,
        "headcount_as_of_timestamp_seconds",
        "The greatest event time counted, unix time: where the trailing windows end.",
        as_of,
    );
    text.one(
        Kind::Gauge,
        "headcount_behind_seconds",
        "How far the greatest event time counted is behind the clock on the wall; negative where frames are ahead of it.",
        as_of.map(behind),
    );
    text.one(
        Kind::Gauge,
        "headcount_watermark_timestamp_seconds",
        "The event time before which no frame on time is expected any more, unix time.",
        facts.watermark,
    );
    text.one(
        Kind::Gauge,
        "headcount_watermark_lag_seconds",
        "How far the watermark is behind the greatest event time counted: windows close that much later.",
        facts.watermark.zip(as_of).map(|(w, at)| at - w),
    );
    text.one(
        Kind::Gauge,
        "headcount_since_timestamp_seconds",
        "From when on the counts are whole, unix time.",
        facts.since,
    );
}

fn users(text: &mut Exposition, view: &View) {
    let Some(tick) = &view.tick else { return };
    let windows = || tick.trailing.iter();
    let mut users = text.family(
        Kind::Gauge,
        "headcount_users",
        "Distinct users of a trailing window, as in the last tick.",
    );
    windows().for_each(|(window, count)| users.sample(&[("window", window)], count.users));
    let mut lo = text.family(
        Kind::Gauge,
        "headcount_users_lower_bound",
        "Lower bound of the 95 % interval.",
    );
    windows().for_each(|(window, count)| lo.sample(&[("window", window)], count.lo));
    let mut hi = text.family(
        Kind::Gauge,
        "headcount_users_upper_bound",
        "Upper bound of the 95 % interval; equal bounds mean that the number is exact.",
    );
    windows().for_each(|(window, count)| hi.sample(&[("window", window)], count.hi));
    text.one(
        Kind::Counter,
        "headcount_ticks_total",
        "Ticks made since the start.",
        Some(tick.tick),
    );
}

fn publishing(text: &mut Exposition, publishing: &Publishing, now_ms: u64) {
    let mut coalesced = text.family(
        Kind::Counter,
        "headcount_coalesced_total",
        "Records that were never published because newer ones took their place.",
    );
    coalesced.sample(&[("record", "tick")], publishing.coalesced.ticks);
    coalesced.sample(
        &[("record", "provisional")],
        publishing.coalesced.provisionals,
    );
    text.one(
        Kind::Gauge,
        "headcount_unpublished_finals",
        "Final and revised records, and deletions, that the output topics have not acknowledged.",
        Some(publishing.unpublished_finals),
    );
    let Some(checkpoints) = publishing.checkpoints else {
        return;
    };
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    text.one(
        Kind::Counter,
        "headcount_checkpoints_total",
        "Checkpoints of the state written since the start.",
        Some(checkpoints.written),
    );
    text.one(
        Kind::Gauge,
        "headcount_checkpoint_age_seconds",
        "Time since the last checkpoint was written.",
        checkpoints
            .last_ms
            .map(|at| seconds(now_ms.saturating_sub(at))),
    );
    text.one(
        Kind::Gauge,
        "headcount_checkpoint_duration_seconds",
        "How long the last checkpoint took to be written.",
        checkpoints.last_ms.map(|_| seconds(checkpoints.took_ms)),
    );
}

fn troubles(text: &mut Exposition, view: &View, about: &About) {
    let troubles = view.troubles(about);
    let mut family = text.family(
        Kind::Gauge,
        "headcount_trouble",
        "What is wrong right now: 1 for each kind that is.",
    );
    for kind in trouble::Kind::ALL {
        let is_so = troubles.iter().any(|t| t.kind == kind);
        family.sample(&[("kind", kind.name())], u8::from(is_so));
    }
}

fn events(text: &mut Exposition) {
    let mut family = text.family(
        Kind::Counter,
        "headcount_events_total",
        "What happened since the start, as the log tells it; of what fills the log, its lines.",
    );
    for (event, n) in counts::all() {
        family.sample(&[("event", event)], n);
    }
}

fn process(text: &mut Exposition, view: &View, usage: Option<Usage>) {
    text.one(
        Kind::Counter,
        "process_cpu_seconds_total",
        "CPU time of all threads since the start.",
        usage.map(|u| u.cpu_ms as f64 / 1_000.0),
    );
    text.one(
        Kind::Gauge,
        "process_resident_memory_bytes",
        "Resident memory.",
        usage.map(|u| u.resident_bytes),
    );
    text.one(
        Kind::Gauge,
        "process_start_time_seconds",
        "When the process was started, unix time.",
        Some((view.unix_ms.saturating_sub(view.now_ms)) as f64 / 1_000.0),
    );
}

fn server(text: &mut Exposition, door: &Door) {
    let mut responses = text.family(
        Kind::Counter,
        "headcount_http_responses_total",
        "Responses by path and status; the one that you read is not among them.",
    );
    for ((path, status), n) in &*door.responses.lock() {
        responses.sample(&[("path", path), ("status", &status.to_string())], n);
    }
    text.one(
        Kind::Gauge,
        "headcount_http_connections",
        "Open connections.",
        Some(door.connections.open()),
    );
    text.one(
        Kind::Gauge,
        "headcount_http_streams",
        "Of these: streams of ticks.",
        Some(door.streams()),
    );
    text.one(
        Kind::Counter,
        "headcount_http_connections_turned_away_total",
        "Connections that came while there were as many as there may be.",
        Some(door.connections.turned_away()),
    );
    let (asked, refused) = door.answers.asked();
    text.one(
        Kind::Counter,
        "headcount_questions_total",
        "Questions that the counting was asked.",
        Some(asked),
    );
    text.one(
        Kind::Counter,
        "headcount_questions_refused_total",
        "Questions refused for being more than the cap.",
        Some(refused),
    );
}
