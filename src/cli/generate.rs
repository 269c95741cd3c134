//! The options of `headcount generate`, and the plan they make.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::duration::parse_duration;
use crate::generate::{Job, Plan};

/// Write made-up frames as JSON lines, with the exact counts beside them
///
/// Each line is a JSON object that says when a user was seen: `uid`, a string, and `ts`, unix seconds. Around
/// these two stands what real frames hold and a careless reader trips over: nested objects with a `uid` and `ts`
/// of their own, keys that look alike, escapes, text in many scripts, times as strings. Lines come in the order
/// they would arrive, not in the order of `ts`. The same options always give the same bytes.
///
/// Of --frames, --rate and --span give up to two. Two determine the third; otherwise the span is 10m and, without
/// a rate, the frames are 10000.
#[derive(Debug, Clone, Args)]
pub struct GenerateArgs {
    /// Number of frames [default: 10000, or what rate and span make]
    #[arg(short = 'n', long, value_name = "N")]
    frames: Option<u64>,

    /// Number of users to draw from; with few frames not all of them are seen
    #[arg(short, long, value_name = "N", default_value_t = 1_000)]
    users: u32,

    /// Frames per second of event time; fractions are fine [default: what frames and span make]
    #[arg(short, long, value_name = "PER_SECOND")]
    rate: Option<f64>,

    /// Event time from the first frame to the last, such as 90s, 10m, 5h, 30d or 2y
    /// [default: 10m, or what frames and rate make]
    #[arg(short, long, value_name = "DURATION", value_parser = parse_duration)]
    span: Option<Duration>,

    /// Where event time starts: RFC 3339, or unix seconds
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z", value_parser = parse_start)]
    start: u32,

    /// Choose one of the many traffics with the same options
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Choose who the users are: the same number gives the same ids in another traffic [default: the seed]
    #[arg(long, value_name = "N")]
    population: Option<u64>,

    /// Average size of a frame in bytes, 100 to 33554432; each is within an eighth of it
    #[arg(long, value_name = "BYTES", default_value_t = 2_048)]
    frame_bytes: u32,

    /// Share of frames that arrive late, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        help_heading = "Disorder"
    )]
    late: f64,

    /// The most a late frame is late by
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5s",
        help_heading = "Disorder"
    )]
    #[arg(value_parser = parse_duration)]
    delay: Duration,

    /// Share of frames that arrive very late, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        help_heading = "Disorder"
    )]
    very_late: f64,

    /// The most a very late frame is late by
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "5h",
        help_heading = "Disorder"
    )]
    #[arg(value_parser = parse_duration)]
    very_late_by: Duration,

    /// Share of frames whose ts is a string, "1767225600", 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.01,
        help_heading = "Traps"
    )]
    string_ts: f64,

    /// Share of frames whose ts has a fraction, 1767225600.125, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.01,
        help_heading = "Traps"
    )]
    float_ts: f64,

    /// Share of lines that end in CRLF instead of LF, 0 to 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.01,
        help_heading = "Traps"
    )]
    crlf: f64,

    /// Share of frames, 0 to 1, whose user follows Zipf's law (a few users send most) instead of an even choice
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.0,
        help_heading = "Traps"
    )]
    skew: f64,

    /// Write the frames to this file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Write the exact counts to this file, as JSON
    ///
    /// They are the frames and the distinct users of every minute, hour, day, ISO week, month and year in UTC, and
    /// the distinct users of the last minute, hour, day, week, month and year as of the greatest ts. The file stays
    /// empty when the reader of the frames leaves before the last one.
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

impl GenerateArgs {
    /// The checked job that the options ask for.
    ///
    /// # Errors
    ///
    /// One sentence about the first option that is impossible, or at odds with another.
    pub fn resolve(self) -> Result<Job, String> {
        let (frames, span_ms) = extent(self.frames, self.rate, self.span.map(millis))?;
        let plan = Plan {
            frames,
            users: self.users,
            start: self.start,
            span_ms,
            seed: self.seed,
            population: self.population.unwrap_or(self.seed),
            frame_bytes: self.frame_bytes,
            late: self.late,
            delay_ms: millis(self.delay),
            very_late: self.very_late,
            very_late_by_ms: millis(self.very_late_by),
            string_ts: self.string_ts,
            float_ts: self.float_ts,
            crlf: self.crlf,
            skew: self.skew,
        };
        plan.check().map_err(|impossible| impossible.to_string())?;
        let output = self.output.filter(|path| path.as_os_str() != "-");
        if self
            .truth
            .as_deref()
            .is_some_and(|path| path.as_os_str() == "-")
        {
            return Err(
                "--truth needs a file of its own: standard output is for the frames".to_owned(),
            );
        }
        if output.is_some() && output == self.truth {
            return Err("--output and --truth name the same file".to_owned());
        }
        Ok(Job {
            plan,
            output,
            truth: self.truth,
        })
    }
}

/// Number of frames and span in milliseconds, from up to two of frames, frames per second and span.
fn extent(
    frames: Option<u64>,
    rate: Option<f64>,
    span_ms: Option<u64>,
) -> Result<(u64, u64), String> {
    let default = Plan::default();
    if let Some(rate) = rate
        && !(rate.is_finite() && rate > 0.0)
    {
        return Err(format!(
            "--rate is {rate}, but must be more than 0 frames per second"
        ));
    }
    match (frames, rate, span_ms) {
        (Some(_), Some(_), Some(_)) => Err(
            "--frames, --rate and --span were all given, but two of them determine the third"
                .to_owned(),
        ),
        // Casting a float saturates; a span that is too long is then refused with the rest of the plan.
        (Some(frames), Some(rate), None) => {
            Ok((frames, (frames as f64 / rate * 1000.0).round() as u64))
        }
        (None, Some(rate), span_ms) => {
            let span_ms = span_ms.unwrap_or(default.span_ms);
            Ok(((rate * span_ms as f64 / 1000.0).round() as u64, span_ms))
        }
        (frames, None, span_ms) => Ok((
            frames.unwrap_or(default.frames),
            span_ms.unwrap_or(default.span_ms),
        )),
    }
}

/// Milliseconds, at most those of a span that any plan refuses.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn parse_start(text: &str) -> Result<u32, String> {
    let second = match text.parse::<i64>() {
        Ok(second) => second,
        Err(_) => {
            let time = text.parse::<Timestamp>().map_err(|_| {
                format!("'{text}' is neither a time such as 2026-01-01T00:00:00Z nor a number of unix seconds")
            })?;
            if time.subsec_nanosecond() != 0 {
                return Err(format!("'{text}' is not a whole second"));
            }
            time.as_second()
        }
    };
    u32::try_from(second).map_err(|_| {
        format!("'{text}' lies outside of 1970-01-01T00:00:01Z to 2106-02-07T06:28:14Z")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn resolve(options: &str) -> Result<Job, String> {
        let words = std::iter::once("generate").chain(options.split_whitespace());
        Cli::try_parse_from(words)
            .map_err(|e| e.to_string())?
            .args
            .resolve()
    }

    #[test]
    fn without_options_the_plan_is_the_default() {
        let job = resolve("").unwrap();
        assert_eq!(
            job,
            Job {
                plan: Plan::default(),
                output: None,
                truth: None
            }
        );
    }

    #[test]
    fn two_of_frames_rate_and_span_determine_the_third() {
        for (options, frames, span_ms) in [
            ("--frames 20", 20, 600_000),
            ("--span 2y", 10_000, 63_072_000_000),
            ("--rate 100", 60_000, 600_000),
            ("--rate 0.5 --span 1h", 1_800, 3_600_000),
            ("--frames 500 --rate 100", 500, 5_000),
            ("--frames 500 --span 1ms", 500, 1),
            ("--frames 0", 0, 600_000),
        ] {
            let plan = resolve(options).unwrap().plan;
            assert_eq!((plan.frames, plan.span_ms), (frames, span_ms), "{options}");
        }
    }

    #[test]
    fn a_start_is_read_in_both_forms() {
        for options in [
            "--start 1782691199",
            "--start 2026-06-28T23:59:59Z",
            "--start 2026-06-29T01:59:59+02:00",
        ] {
            assert_eq!(
                resolve(options).unwrap().plan.start,
                1_782_691_199,
                "{options}"
            );
        }
    }

    #[test]
    fn a_dash_is_standard_output() {
        assert_eq!(resolve("-o -").unwrap().output, None);
        assert_eq!(resolve("-o x").unwrap().output, Some("x".into()));
    }

    #[test]
    fn what_is_impossible_is_told_in_a_sentence() {
        for (options, expected) in [
            (
                "--frames 5 --rate 5 --span 5s",
                "two of them determine the third",
            ),
            ("--rate 0", "--rate is 0"),
            ("--rate NaN", "--rate is NaN"),
            ("--rate 1e-9 --frames 1000000", "beyond 2106"),
            ("--span 90", "'90' has no unit"),
            ("--span 200y", "beyond 2106"),
            ("--start yesterday", "'yesterday' is neither"),
            ("--start 2026-01-01T00:00:00.5Z", "whole second"),
            ("--start 1969-12-31T23:59:59Z", "lies outside"),
            ("--start 0", "later than 1970"),
            ("--start 4294967296", "lies outside"),
            ("--users 0", "at least 1 user"),
            ("--frame-bytes 10", "frames of 10 bytes"),
            ("--late 2", "late frames is 2"),
            ("--truth -", "--truth needs a file"),
            ("-o x --truth x", "same file"),
        ] {
            let error = resolve(options).unwrap_err();
            assert!(error.contains(expected), "{options}: {error}");
        }
    }
}
