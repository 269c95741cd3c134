//! Parameters of requests: each known, once, and making sense.

use jiff::Timestamp;

use super::problem::Problem;
use crate::cli::duration::parse_duration;
use crate::engine::calendar::{Bounds, Period};
use crate::engine::look::List;
use crate::limits::{HTTP_PARAMETERS_MAX, MAX_EVENT_TIME_S, SERIES_DEFAULT, SERIES_MAX};

/// A question about users or windows, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// Users of so many seconds up to the newest.
    Last(u32),
    /// Users from this second on.
    Since(i64),
    /// Users of the calendar windows that cover a stretch.
    Union(i64, i64),
    /// A series of windows: its period as an index into [`Period::ALL`], the stretch, how many, whether the newest.
    Series(usize, i64, i64, usize, bool),
}

impl Question {
    /// The list that a series asks for.
    #[must_use]
    pub fn list(self) -> Option<List> {
        match self {
            Self::Series(period, start, end, limit, newest) => Some(List {
                period: Period::ALL[period],
                within: Bounds { start, end },
                limit,
                newest,
            }),
            _ => None,
        }
    }
}

/// Reads the question about users in a query such as `last=90m`.
///
/// # Errors
///
/// When it makes no sense.
pub fn read_users(query: &str) -> Result<Question, Problem> {
    Parameters::read(Some(query), &USERS)?.users()
}

/// Reads the question about windows in a query such as `window=day`.
///
/// # Errors
///
/// When it makes no sense.
pub fn read_series(query: &str) -> Result<Question, Problem> {
    Parameters::read(Some(query), &WINDOWS)?.series()
}

/// What a question about users may have.
pub(super) const USERS: [&str; 4] = ["last", "since", "from", "to"];
/// What a question about windows may have.
pub(super) const WINDOWS: [&str; 5] = ["window", "from", "to", "limit", "format"];

/// The forms of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

/// The parameters of a request, as given.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a request; only these names are known.
    pub(super) fn read(query: Option<&str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut read = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(name) = known.iter().find(|k| **k == name) else {
                return Err(not_known(&name, known));
            };
            if read.iter().any(|(other, _)| other == name) {
                return Err(Problem::parameter(
                    name,
                    format!("'{name}' is given twice."),
                ));
            }
            if read.len() == HTTP_PARAMETERS_MAX {
                return Err(refused("There are too many parameters.".to_owned()));
            }
            read.push(((*name).to_owned(), value.into_owned()));
        }
        Ok(Self(read))
    }

    fn get(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(other, _)| other == name);
        given.map(|(_, value)| value.as_str())
    }

    fn time(&self, name: &'static str) -> Result<Option<i64>, Problem> {
        self.get(name).map(|text| time(name, text)).transpose()
    }

    /// `last`, or `since`, or `from` and `to`.
    pub(super) fn users(&self) -> Result<Question, Problem> {
        let last = self.get("last").map(last).transpose()?;
        let (since, from, to) = (self.time("since")?, self.time("from")?, self.time("to")?);
        match (last, since, from, to) {
            (Some(seconds), None, None, None) => Ok(Question::Last(seconds)),
            (None, Some(second), None, None) => Ok(Question::Since(second)),
            (None, None, Some(from), to) => {
                let to = to.unwrap_or(i64::from(MAX_EVENT_TIME_S) + 1);
                check_order(from, to)?;
                Ok(Question::Union(from, to))
            }
            (None, None, None, Some(_)) => {
                Err(Problem::parameter("from", "'to' needs a 'from' before it."))
            }
            (None, None, None, None) => Err(Problem::parameter(
                "last",
                "Say which users: last=90m, since=2026-01-31T12:00:00Z, or from= and to=.",
            )),
            _ => Err(Problem::parameter(
                "last",
                "Give one of last, since, or from and to, not several of them.",
            )),
        }
    }

    /// `window`, and `from`, `to` and `limit` where they are given.
    pub(super) fn series(&self) -> Result<Question, Problem> {
        let name = self.get("window").unwrap_or_default();
        let period = Period::ALL.iter().position(|p| p.name() == name);
        let period = period.ok_or_else(|| {
            Problem::parameter(
                "window",
                "'window' must be minute, hour, day, week, month or year.",
            )
        })?;
        let limit = match self.get("limit") {
            None => SERIES_DEFAULT,
            Some(text) => {
                let limit = text.parse().ok().filter(|n| (1..=SERIES_MAX).contains(n));
                limit.ok_or_else(|| {
                    Problem::parameter("limit", format!("'limit' must be 1 to {SERIES_MAX}."))
                })?
            }
        };
        let from = self.time("from")?;
        let to = self.time("to")?.unwrap_or(i64::from(MAX_EVENT_TIME_S) + 1);
        check_order(from.unwrap_or(0), to)?;
        Ok(Question::Series(
            period,
            from.unwrap_or(0),
            to,
            limit,
            from.is_none(),
        ))
    }

    pub(super) fn format(&self) -> Result<Format, Problem> {
        match self.get("format") {
            None | Some("json") => Ok(Format::Json),
            Some("csv") => Ok(Format::Csv),
            Some(_) => Err(Problem::parameter(
                "format",
                "'format' must be json or csv.",
            )),
        }
    }
}

fn refused(detail: String) -> Problem {
    Problem::new(super::problem::Kind::BadParameter, detail)
}

fn not_known(name: &str, known: &[&str]) -> Problem {
    // Whatever somebody sends is not sent back, but for what can be a misspelt name.
    let is_word = name.len() <= 20 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let what = match is_word {
        true => format!("'{name}'"),
        false => "A parameter".to_owned(),
    };
    let known = match known {
        [] => "none".to_owned(),
        known => known.join(", "),
    };
    refused(format!("{what} is not known here; known are: {known}."))
}

fn check_order(from: i64, to: i64) -> Result<(), Problem> {
    (from < to)
        .then_some(())
        .ok_or_else(|| Problem::parameter("to", "'to' must be later than 'from'."))
}

fn last(text: &str) -> Result<u32, Problem> {
    let whole = parse_duration(text).ok().filter(|d| d.subsec_nanos() == 0);
    let Some(seconds) = whole.map(|d| d.as_secs()).filter(|s| *s > 0) else {
        return Err(Problem::parameter(
            "last",
            "'last' must be a whole number of seconds or more, with a unit (s, m, h, d, w, y), such as 90m.",
        ));
    };
    let seconds = u32::try_from(seconds)
        .ok()
        .filter(|s| *s <= MAX_EVENT_TIME_S);
    seconds.ok_or_else(|| {
        let days = MAX_EVENT_TIME_S / 86_400;
        Problem::parameter("last", format!("'last' must be at most {days}d."))
    })
}

/// A moment: RFC 3339, or unix seconds as in the records.
fn time(name: &'static str, text: &str) -> Result<i64, Problem> {
    let read = match text.parse::<i64>() {
        Ok(second) => Some(second),
        Err(_) => text.parse::<Timestamp>().ok().map(|at| {
            // A window starts at a whole second.
            at.as_second() + i64::from(at.subsec_nanosecond() > 0)
        }),
    };
    let Some(second) = read else {
        // In a query a + stands for a space.
        let hint = match text.contains(' ') {
            true => "; a + is written %2B",
            false => "",
        };
        return Err(Problem::parameter(
            name,
            format!("'{name}' must be a time such as 2026-01-31T12:00:00Z, or unix seconds{hint}."),
        ));
    };
    let end = i64::from(MAX_EVENT_TIME_S) + 1;
    if (0..=end).contains(&second) {
        return Ok(second);
    }
    Err(Problem::parameter(
        name,
        format!(
            "'{name}' must be between 1970-01-01T00:00:00Z and 2106-02-07T06:28:15Z (unix seconds 0 to {end})."
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(query: &str) -> Option<Question> {
        let read = Parameters::read(Some(query), &["last", "since", "from", "to"]);
        read.and_then(|p| p.users()).ok()
    }

    #[test]
    fn questions_are_read_and_nonsense_is_refused() {
        assert_eq!(users("last=90m"), Some(Question::Last(5_400)));
        assert_eq!(users("since=60"), Some(Question::Since(60)));
        assert_eq!(
            users("since=1970-01-01T00:01:00Z"),
            Some(Question::Since(60))
        );
        assert_eq!(
            users("since=1970-01-01T01:01:00%2B01:00"),
            Some(Question::Since(60))
        );
        assert_eq!(users("from=60&to=120"), Some(Question::Union(60, 120)));
        for nonsense in [
            "",
            "last=",
            "last=0s",
            "last=90",
            "last=1500ms",
            "last=200y",
            "last=-5m",
            "last=5m&last=5m",
            "last=5m&since=60",
            "to=60",
            "from=120&to=60",
            "from=60&to=60",
            "since=yesterday",
            "since=-1",
            "since=99999999999",
            "user=1",
            "last=5m&x=1",
        ] {
            assert_eq!(users(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_complaint_says_what_is_wrong() {
        for (query, words) in [
            ("user=1", "'user' is not known here; known are: last,"),
            ("%3Cb%3E=1", "A parameter is not known here"),
            ("since=2026-13-01", "unix seconds."),
            ("since=1970-01-01T01:01:00+01:00", "a + is written %2B."),
            (
                "since=99999999999",
                "2106-02-07T06:28:15Z (unix seconds 0 to 4294967295)",
            ),
            ("last=200y", "'last' must be at most 49710d."),
            ("last=0s", "with a unit"),
        ] {
            let read = Parameters::read(Some(query), &USERS).and_then(|p| p.users());
            let problem = read.expect_err(query);
            assert!(problem.detail().contains(words), "{}", problem.detail());
        }
    }

    #[test]
    fn a_series_has_a_period_and_a_limit() {
        let series = |query: &str| {
            let read = Parameters::read(Some(query), &["window", "from", "to", "limit"]);
            read.and_then(|p| p.series()).ok()
        };
        let end = i64::from(MAX_EVENT_TIME_S) + 1;
        assert_eq!(
            series("window=day"),
            Some(Question::Series(2, 0, end, SERIES_DEFAULT, true))
        );
        assert_eq!(
            series("window=minute&from=60&limit=5"),
            Some(Question::Series(0, 60, end, 5, false))
        );
        for nonsense in [
            "",
            "window=decade",
            "window=day&limit=0",
            "window=day&limit=1001",
            "window=day&limit=x",
        ] {
            assert_eq!(series(nonsense), None, "{nonsense}");
        }
    }
}
