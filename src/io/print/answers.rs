//! Answers to questions: for people, as JSON, as CSV.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::table::{grid, interval, print};
use crate::cli::query::AnswerFormat;
use crate::engine::report::answer::{UsersAnswer, WindowsAnswer};
use crate::view::number::grouped;

/// The six trailing windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailing {
    as_of: Option<i64>,
    tz: String,
    /// Users and interval, the shortest window first.
    rows: Vec<[u64; 3]>,
}

impl Trailing {
    /// The windows' names, the shortest first.
    pub const NAMES: [&'static str; 6] = ["minute", "hour", "day", "week", "month", "year"];

    /// Those of a tick; `None` where it is none.
    #[must_use]
    pub fn of_tick(tick: &Value) -> Option<Self> {
        let row = |name: &&str| {
            let users = tick.get(format!("users_last_{name}"))?.as_u64()?;
            let interval = tick.get("intervals")?.get(format!("last_{name}"))?;
            Some([
                users,
                interval.get(0)?.as_u64()?,
                interval.get(1)?.as_u64()?,
            ])
        };
        Some(Self {
            as_of: tick.get("as_of")?.as_i64(),
            tz: tick.get("tz")?.as_str()?.to_owned(),
            rows: Self::NAMES.iter().map(row).collect::<Option<_>>()?,
        })
    }

    /// Those that were asked for one by one.
    #[must_use]
    pub fn of_answers(answers: &[UsersAnswer]) -> Self {
        let moment = answers.first().map(|answer| &answer.moment);
        Self {
            as_of: moment.and_then(|moment| moment.as_of).map(i64::from),
            tz: moment.map_or_else(String::new, |moment| moment.tz.clone()),
            rows: answers.iter().map(|a| [a.users, a.lo, a.hi]).collect(),
        }
    }

    fn as_of_text(&self) -> String {
        let at = self
            .as_of
            .and_then(|at| jiff::Timestamp::from_second(at).ok());
        let zoned = at.map(|at| {
            at.in_tz(&self.tz).map(|zoned| {
                zoned
                    .timestamp()
                    .display_with_offset(zoned.offset())
                    .to_string()
            })
        });
        match (zoned, at) {
            (Some(Ok(text)), _) => text,
            (_, Some(at)) => at.to_string(),
            (_, None) => String::new(),
        }
    }
}

/// Prints the trailing windows as a table or as CSV.
///
/// # Errors
///
/// As the output has it.
pub fn print_trailing(
    trailing: &Trailing,
    format: AnswerFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    let as_of = trailing.as_of_text();
    if format == AnswerFormat::Csv {
        writeln!(out, "window,as_of,tz,users,lo,hi")?;
        for (name, [users, lo, hi]) in Trailing::NAMES.iter().zip(&trailing.rows) {
            writeln!(out, "last_{name},{as_of},{},{users},{lo},{hi}", trailing.tz)?;
        }
        return Ok(());
    }
    if as_of.is_empty() {
        return writeln!(out, "No frame was counted.");
    }
    writeln!(out, "Users as of {as_of}, the newest time counted")?;
    let mut table = grid(["last", "users", "95 % interval"]);
    for (name, [users, lo, hi]) in Trailing::NAMES.iter().zip(&trailing.rows) {
        table.add_row([(*name).to_owned(), grouped(*users), interval(*lo, *hi)]);
    }
    print(out, &table)
}

/// Prints how many users a stretch had.
///
/// # Errors
///
/// As the output has it.
pub fn print_users(
    answer: &UsersAnswer,
    format: AnswerFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    let from = answer.from.as_deref().unwrap_or_default();
    let to = answer.to.as_deref().unwrap_or_default();
    match format {
        AnswerFormat::Json => return json(answer, out),
        AnswerFormat::Csv => {
            writeln!(out, "from,to,tz,users,lo,hi,complete")?;
            let UsersAnswer {
                users,
                lo,
                hi,
                complete,
                moment,
                ..
            } = answer;
            return writeln!(
                out,
                "{from},{to},{},{users},{lo},{hi},{complete}",
                moment.tz
            );
        }
        AnswerFormat::Table => {}
    }
    if answer.moment.as_of.is_none() {
        return writeln!(out, "No frame was counted.");
    }
    let exactness = match answer.lo == answer.hi {
        true => "exactly".to_owned(),
        false => format!("95 % interval {}", interval(answer.lo, answer.hi)),
    };
    writeln!(out, "{} users, {exactness}", grouped(answer.users))?;
    writeln!(out, "from {from} to {to}")?;
    if let Some(windows) = &answer.windows {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for window in windows {
            match kinds.iter_mut().find(|(name, _)| *name == window.window) {
                Some((_, n)) => *n += 1,
                None => kinds.push((&window.window, 1)),
            }
        }
        let kinds = kinds
            .iter()
            .map(|(name, n)| format!("{n} {name}{}", if *n == 1 { "" } else { "s" }));
        let kinds: Vec<_> = kinds.collect();
        let kinds = if kinds.is_empty() {
            "nothing: no frame is from then".to_owned()
        } else {
            kinds.join(", ")
        };
        writeln!(out, "put together from {kinds}")?;
    }
    for missing in answer.missing.iter().flatten() {
        writeln!(out, "not kept any more: {} to {}", missing.from, missing.to)?;
    }
    if !answer.complete {
        writeln!(
            out,
            "frames of it may be missing: not all were read from its beginning"
        )?;
    }
    Ok(())
}

/// Prints a series of windows.
///
/// # Errors
///
/// As the output has it.
pub fn print_windows(
    answer: &WindowsAnswer,
    format: AnswerFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        AnswerFormat::Json => return json(answer, out),
        AnswerFormat::Csv => return write!(out, "{}", answer.csv()),
        AnswerFormat::Table => {}
    }
    if answer.windows.is_empty() {
        return writeln!(out, "No frame is from then.");
    }
    writeln!(out, "Users by {} ({})", answer.window, answer.moment.tz)?;
    let mut table = grid(["start", "users", "95 % interval", "frames", "late", "state"]);
    for row in &answer.windows {
        let state = match (row.complete, row.revision) {
            (false, _) => format!("{}, not complete", row.state),
            (true, Some(n)) if n > 0 => format!("{} ({n})", row.state),
            _ => row.state.clone(),
        };
        table.add_row([
            row.start.clone(),
            grouped(row.users),
            interval(row.lo, row.hi),
            grouped(row.frames),
            grouped(row.late),
            state,
        ]);
    }
    print(out, &table)?;
    match &answer.more {
        Some(more) => writeln!(
            out,
            "There are more, the next one from {more} (--limit, --from, --to)"
        ),
        None => Ok(()),
    }
}

fn json(answer: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    writeln!(out)
}
