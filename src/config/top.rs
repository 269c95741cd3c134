//! The configuration of `top`, and of where a live view is shown.

use std::io::IsTerminal;
use std::path::PathBuf;

use super::kafka::{check_topic, choose, connection};
use crate::cli::top::{TopArgs, ViewArgs};
use crate::error::Failure;
use crate::io::kafka_client::Connection;

/// The configuration of `top`.
#[derive(Debug, Clone)]
pub struct TopConfig {
    /// How to reach the brokers.
    pub connection: Connection,
    /// Topic of the ticks.
    pub stats: String,
    /// Topic of the calendar windows.
    pub windows: String,
    /// The job to watch; the first one seen if absent.
    pub job: Option<String>,
    /// Whether one tick is enough, and the greatest age it may have, in milliseconds.
    pub once: Option<u64>,
    /// Where to show it.
    pub view: ViewConfig,
}

/// Where a live view is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewConfig {
    /// Lines on standard output.
    Plain,
    /// The whole screen of the terminal.
    Screen {
        /// Whether in colour.
        has_color: bool,
    },
    /// A picture of the last screen in a file.
    Picture(PathBuf),
}

impl ViewConfig {
    /// Whether it takes the terminal over.
    #[must_use]
    pub fn is_screen(&self) -> bool {
        matches!(self, Self::Screen { .. })
    }

    /// Where to show a view: the whole screen if standard output is a terminal that can do that.
    #[must_use]
    pub fn resolve(args: &ViewArgs, env: &impl Fn(&str) -> Option<String>) -> Self {
        let is_dumb = env("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        match &args.picture {
            Some(path) => Self::Picture(path.clone()),
            None if args.plain || is_dumb || !std::io::stdout().is_terminal() => Self::Plain,
            None => Self::Screen {
                has_color: env("NO_COLOR").is_none_or(|value| value.is_empty()),
            },
        }
    }
}

impl TopConfig {
    /// Checks the options of `top`. `env` looks up the aliases of the tool that this one replaces, and the terminal.
    ///
    /// # Errors
    ///
    /// One sentence about the first thing that makes no sense.
    pub fn resolve(args: &TopArgs, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let stats = choose(args.output.as_deref(), &env, "output", "stats");
        check_topic("--output", &stats)?;
        let windows = args.windows_output.clone();
        let windows = windows.unwrap_or_else(|| format!("{stats}-windows"));
        check_topic("--windows-output", &windows)?;
        if args.max_age.is_some() && !args.once {
            return Err(Failure::Usage("--max-age needs --once".to_owned()));
        }
        let once = args.once.then(|| {
            let limit = args.max_age.map_or(u128::MAX, |age| age.as_millis());
            u64::try_from(limit).unwrap_or(u64::MAX)
        });
        let view = match once {
            Some(_) if args.view.picture.is_none() => ViewConfig::Plain,
            _ => ViewConfig::resolve(&args.view, &env),
        };
        Ok(Self {
            connection: connection(&args.kafka, &env)?,
            stats,
            windows,
            job: args.job.clone(),
            once,
            view,
        })
    }
}
