//! `headcount replay`: lines of a file to a topic, each acknowledged, refused by name, or told to be in doubt.

mod doubt;
mod pace;
mod position;
mod progress;
mod reader;
mod sender;
mod shift;
mod summary;
mod window;

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use doubt::Doubt;
use position::{Job, Position, PositionFile};
use progress::Progress;
use sender::{End, Sender, Standing};
use summary::{Counts, Outcome, Summary};
use window::Window;

use super::{Stop, close_with_limit};
use crate::config::ReplayConfig;
use crate::error::Failure;
use crate::io::clock::Clock;
use crate::io::source::lines::{BytesRead, Input, LineReader};
use crate::io::target::kafka::KafkaTarget;
use crate::io::target::topic::{Known, Topic};
use crate::limits::{
    CLOSE_MS, MAX_FRAME_BYTES, REPLAY_FLUSH_MS, REPLAY_LOOK_AGAIN_MS, REPLAY_LOOK_MS,
};
use crate::observe::happenings::caution;

/// Sends the input to the topic and prints a summary.
///
/// # Errors
///
/// An input that cannot be read, brokers or a topic out of reach, frames that the topic does not take, a signal.
pub fn run(config: &ReplayConfig, clock: Arc<dyn Clock>, stop: &Stop) -> Result<(), Failure> {
    config.connection.check()?;
    let bytes = BytesRead::default();
    // Before the brokers are asked for anything. Standard input and pipes may say nothing for a while, or never begin.
    let opened = match &config.input {
        Input::File(path) if !is_pipe(path) => Some(LineReader::open(&config.input, &bytes)?),
        Input::Stdin | Input::File(_) => None,
    };
    let topic = Topic::new(&config.connection, &config.topic)?;
    let Some(partitions) = find_topic(config, &topic, &*clock, stop)? else {
        return interrupted_early(config);
    };
    let max_message_bytes = topic.max_message_bytes();
    let compression = config.compression.name();
    let target = KafkaTarget::new(
        &config.connection,
        &config.topic,
        compression,
        max_message_bytes,
        Arc::clone(&clock),
    )?;
    let job = Job::new(config, partitions);
    let mut keeper = config.resume.as_deref().map(PositionFile::new);
    let held = match &mut keeper {
        Some(file) => file.load(&job)?,
        None => None,
    };
    let (window, doubt) = match &held {
        Some(position) => recover(config, &topic, position, max_message_bytes, stop)?,
        None => (
            fresh_window(&topic, partitions, keeper.is_some())?,
            Doubt::none(partitions),
        ),
    };
    close_with_limit(Duration::from_millis(CLOSE_MS), move || drop(topic));
    let standing = standing(config, partitions, held);
    let input = reader::start(config, opened, bytes.clone(), standing.next)?;
    let mut sender = Sender::new(
        config,
        (&*clock, stop),
        target,
        (window, doubt),
        standing,
        keeper.map(|file| (file, job)),
        Progress::new(config, bytes),
    );
    let start_ms = clock.monotonic_ms();
    let ended = sender.run(&input);
    let ended = settle(&mut sender, ended);
    sender.progress.clear();
    let elapsed_ms = clock.monotonic_ms() - start_ms;
    let outcome = match &ended {
        Ok(End::Done) => Outcome::Done,
        Ok(End::Stopped) => Outcome::Interrupted,
        Err(_) => Outcome::Failed,
    };
    let name = (config.input.name(), config.topic.as_str(), partitions);
    let printed = Summary::new(outcome, name, &sender.counts, elapsed_ms).print(config.format);
    let verdict = verdict(config, &sender, ended);
    let target = sender.target;
    close_with_limit(Duration::from_millis(CLOSE_MS), move || drop(target));
    verdict.and(printed)
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo())
}

/// The number of the topic's partitions, once it answers; creates it if it is missing and that is wanted. Nothing
/// after a signal.
fn find_topic(
    config: &ReplayConfig,
    topic: &Topic,
    clock: &dyn Clock,
    stop: &Stop,
) -> Result<Option<usize>, Failure> {
    let give_up_ms = clock.monotonic_ms() + config.timeout_ms;
    let mut is_created = false;
    loop {
        let why = match topic.look(Duration::from_millis(REPLAY_LOOK_MS))? {
            Known::Partitions(partitions) => return Ok(Some(partitions)),
            Known::Missing if is_created => "it was created, but is not there yet".to_owned(),
            Known::Missing => {
                let Some(partitions) = config.partitions else {
                    return Err(Failure::Unavailable(format!(
                        "topic '{}' does not exist; create it, or say with how many --partitions to create it",
                        config.topic
                    )));
                };
                topic.create(partitions)?;
                is_created = true;
                continue;
            }
            Known::Unknown(why) => {
                config.connection.check_refusal()?;
                why
            }
        };
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if clock.monotonic_ms() >= give_up_ms {
            return Err(Failure::Unavailable(format!(
                "{why}; gave up after {} s",
                config.timeout_ms / 1_000
            )));
        }
        // Some of these answers come at once, and the next one would be the same.
        std::thread::park_timeout(Duration::from_millis(REPLAY_LOOK_AGAIN_MS));
    }
}

/// A window for a replay without a past. What is to be resumed one day needs to know where the topic ended.
fn fresh_window(topic: &Topic, partitions: usize, is_kept: bool) -> Result<Window, Failure> {
    let end = |partition| match is_kept {
        true => topic.watermarks(partition).map(|(_, high)| Some(high)),
        false => Ok(None),
    };
    let offsets: Result<Vec<_>, _> = (0..partitions).map(end).collect();
    Ok(Window::new(offsets?))
}

/// What an earlier run has left in the topic behind what it knew to be there.
///
/// # Errors
///
/// When the topic is out of reach: sending now could send frames twice.
fn recover(
    config: &ReplayConfig,
    topic: &Topic,
    position: &Position,
    max_message_bytes: Option<usize>,
    stop: &Stop,
) -> Result<(Window, Doubt), Failure> {
    let offsets: Vec<_> = position.places.iter().map(|place| place.offset).collect();
    let patience = Duration::from_millis(config.timeout_ms);
    let (doubt, why) = Doubt::read(topic, &offsets, max_message_bytes, patience, stop)?;
    if let Some(why) = why {
        caution(&format!(
            "cannot look in topic '{}' for all frames that were under way when the last run ended ({why}); those are sent again and may be there twice",
            config.topic
        ));
    }
    Ok((Window::new(offsets), doubt))
}

fn standing(config: &ReplayConfig, partitions: usize, held: Option<Position>) -> Standing {
    match held {
        None => Standing {
            settled: vec![0; partitions],
            next: config.skip,
            ..Standing::default()
        },
        Some(position) => {
            let settled: Vec<_> = position.places.iter().map(|place| place.line).collect();
            Standing {
                rounds: position.rounds,
                lines_before: position.lines_before,
                next: settled.iter().copied().min().unwrap_or(0),
                settled,
                shift: position.shift,
                greatest: position.greatest,
            }
        }
    }
}

/// Waits for what is under way, as long as the end of the loop allows, and keeps the position.
fn settle(
    sender: &mut Sender<'_, KafkaTarget>,
    ended: Result<End, Failure>,
) -> Result<End, Failure> {
    let finished = match &ended {
        Ok(End::Done) | Err(Failure::Data(_) | Failure::NoInput(_)) => sender.finish(None),
        Ok(End::Stopped) => sender.finish(Some(REPLAY_FLUSH_MS)),
        // It waited already, in vain.
        Err(Failure::Unavailable(_)) => Ok(()),
        // Some that went before may still be answered; what else fails, fails for the same reason.
        Err(_) => sender.finish(Some(REPLAY_FLUSH_MS)).or(Ok(())),
    };
    let saved = sender.save();
    let end = ended?;
    finished?;
    saved?;
    let is_whole = sender.counts.in_doubt() == 0;
    Ok(if is_whole { end } else { End::Stopped })
}

/// What the run as a whole comes to.
fn verdict(
    config: &ReplayConfig,
    sender: &Sender<'_, KafkaTarget>,
    ended: Result<End, Failure>,
) -> Result<(), Failure> {
    let counts = &sender.counts;
    let standing = &sender.standing;
    match ended {
        Err(Failure::Unavailable(why)) => Err(Failure::Unavailable(format!(
            "{why}: {}",
            how_to_go_on(config, sender)
        ))),
        Err(Failure::Data(why)) => Err(Failure::Data(format!(
            "{why}; all up to line {} was sent",
            standing.next
        ))),
        Err(failure) => Err(failure),
        // A loop has no other end; but what was under way should have come to one.
        Ok(End::Stopped) if !config.is_loop || counts.in_doubt() > 0 => {
            Err(Failure::Interrupted(format!(
                "interrupted after line {}: {}",
                standing.next,
                how_to_go_on(config, sender)
            )))
        }
        Ok(_) if counts.refused() > 0 => Err(Failure::Output(refused(config, sender))),
        Ok(_) => Ok(()),
    }
}

/// What to do about frames that are not in the topic.
fn refused(config: &ReplayConfig, sender: &Sender<'_, KafkaTarget>) -> String {
    let counts = &sender.counts;
    let cure = match (counts.too_long, counts.too_large) {
        (0, _) => format!(
            "raise max.message.bytes of topic '{}', or leave them out",
            config.topic
        ),
        (_, 0) => format!(
            "headcount takes no frame over {} MiB: leave them out",
            MAX_FRAME_BYTES >> 20
        ),
        _ => format!(
            "raise max.message.bytes of topic '{}', and leave out what is over {} MiB",
            config.topic,
            MAX_FRAME_BYTES >> 20
        ),
    };
    format!(
        "too large and refused: {} of {} frames, the first in line {}; {cure}",
        counts.refused(),
        counts.sent,
        sender.first_refused().unwrap_or(0)
    )
}

fn how_to_go_on(config: &ReplayConfig, sender: &Sender<'_, KafkaTarget>) -> String {
    let Counts {
        sent, acknowledged, ..
    } = &sender.counts;
    let before = sender.standing.lines_before;
    let reached = sender.window.reached(before + sender.standing.next);
    let lines = reached.zip(&sender.standing.settled);
    let line = lines
        .map(|((ticket, _), settled)| ticket.saturating_sub(before).max(*settled))
        .min()
        .unwrap_or(0);
    let how = match (&config.resume, &config.input) {
        (Some(_), _) => "run the same command again to go on".to_owned(),
        (None, Input::File(_)) if !config.is_loop => {
            format!(
                "--skip {line} goes on without a loss, with --resume FILE it would have gone on by itself"
            )
        }
        (None, _) => "with --resume FILE the same command could go on".to_owned(),
    };
    format!("{acknowledged} of {sent} frames sent were acknowledged; {how}")
}

/// A signal came before anything was sent.
fn interrupted_early(config: &ReplayConfig) -> Result<(), Failure> {
    let name = (config.input.name(), config.topic.as_str(), 0);
    Summary::new(Outcome::Interrupted, name, &Counts::default(), 0).print(config.format)?;
    Err(Failure::Interrupted(
        "interrupted before anything was sent".to_owned(),
    ))
}
