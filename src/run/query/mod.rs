//! `headcount query`: asks a running service over HTTP, or a saved state, and prints the answer.

mod remote;
mod rest;

use std::io::Write;

use form_urlencoded::Serializer;
use serde_json::Value;

use self::remote::Remote;
use crate::cli::query::{AnswerFormat, QueryArgs};
use crate::engine::look::clerk::Unanswered;
use crate::engine::report::answer::{UsersAnswer, WindowsAnswer};
use crate::error::Failure;
use crate::io::http::parameters::{Question, read_series, read_users};
use crate::io::http::problem::Problem;
use crate::io::print::answers::{Trailing, print_trailing, print_users, print_windows};
use crate::limits::{LOOK_WINDOWS_MAX, SERIES_MAX};

/// What is asked.
enum Asked {
    /// The six trailing windows.
    Trailing,
    Users(Question, String),
    Windows(Question, String),
}

/// Asks, and prints the answer.
///
/// # Errors
///
/// A question that makes no sense, a service that does not answer, a state that cannot be read, an output that cannot be
/// written.
pub fn run(args: &QueryArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let asked = asked(args)?;
    let answered = match &args.state {
        Some(directory) => rest::answer(directory, &asked)?,
        None => {
            let remote = Remote::new(&args.url, args.token_file.as_deref())?;
            over_http(&remote, &asked)?
        }
    };
    let printed = match (&answered, args.format) {
        (Answered::Trailing(_, json), AnswerFormat::Json) => writeln!(out, "{json}"),
        (Answered::Trailing(trailing, _), format) => print_trailing(trailing, format, out),
        (Answered::Users(users), format) => print_users(users, format, out),
        (Answered::Windows(windows), format) => print_windows(windows, format, out),
    };
    printed.map_err(|error| Failure::writing("standard output", &error))
}

/// Whether the options make sense, whatever is asked in the end.
///
/// # Errors
///
/// The first one that does not.
pub fn check(args: &QueryArgs) -> Result<(), Failure> {
    asked(args)?;
    let limits = 1..=SERIES_MAX as i64;
    match args.limit.filter(|limit| !limits.contains(limit)) {
        Some(_) => Err(Failure::Usage(format!("--limit must be 1 to {SERIES_MAX}"))),
        None => Ok(()),
    }
}

enum Answered {
    /// As a table has it, and as JSON.
    Trailing(Trailing, Value),
    Users(UsersAnswer),
    Windows(WindowsAnswer),
}

/// The question, in the words of the HTTP interface: what it refuses is refused here already.
fn asked(args: &QueryArgs) -> Result<Asked, Failure> {
    let mut query = Serializer::new(String::new());
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    };
    let last = args.last.map(|last| match last.subsec_millis() {
        0 => format!("{}s", last.as_secs()),
        _ => format!("{}ms", last.as_millis()),
    });
    put("last", last);
    put("since", args.since.clone());
    put("from", args.from.clone());
    put("to", args.to.clone());
    let window = args
        .window
        .map(|period| format!("{period:?}").to_lowercase());
    put("window", window);
    // Of a file it may be for other questions.
    let limit = args.limit.filter(|_| args.window.is_some());
    put("limit", limit.map(|n| n.to_string()));
    let query = query.finish();
    let refused = |problem: Problem| {
        // The options are called as the parameters are.
        Failure::Usage(
            problem
                .detail()
                .trim_end_matches('.')
                .replace(" '", " --")
                .replacen('\'', "--", 1)
                .replace('\'', ""),
        )
    };
    if args.window.is_some() {
        let question = read_series(&query).map_err(refused)?;
        return Ok(Asked::Windows(question, query));
    }
    if query.is_empty() {
        return Ok(Asked::Trailing);
    }
    let question = read_users(&query).map_err(refused)?;
    Ok(Asked::Users(question, query))
}

fn over_http(remote: &Remote, asked: &Asked) -> Result<Answered, Failure> {
    match asked {
        Asked::Trailing => {
            let tick = remote.get::<Value>("/v1/stats")?;
            Trailing::of_tick(&tick)
                .map(|trailing| Answered::Trailing(trailing, tick))
                .ok_or_else(|| remote.strange())
        }
        Asked::Users(_, query) => remote
            .get(&format!("/v1/users?{query}"))
            .map(Answered::Users),
        Asked::Windows(_, query) => remote
            .get(&format!("/v1/windows?{query}"))
            .map(Answered::Windows),
    }
}

fn unanswered(why: Unanswered) -> Failure {
    match why {
        Unanswered::NotKept => {
            Failure::Unavailable("nothing of that stretch is kept any more".to_owned())
        }
        Unanswered::TooLong => Failure::Unavailable(format!(
            "that takes more than {LOOK_WINDOWS_MAX} windows; choose bounds nearer to those of days or hours"
        )),
        Unanswered::Damaged(why) => Failure::State(format!("the state cannot be read: {why}")),
        Unanswered::Late | Unanswered::Ended => {
            Failure::Internal("a state at rest did not answer; please report it".to_owned())
        }
    }
}
