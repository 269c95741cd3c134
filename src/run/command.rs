//! Each command, from its arguments to its end: the real clock, the real environment, the signals.

use std::io;
use std::sync::Arc;

use super::{count, demo, papers, query, replay, service, signals, state, top};
use crate::cli::Command;
use crate::config::file::Origins;
use crate::config::{CountConfig, DemoConfig, ReplayConfig, RunConfig, TopConfig};
use crate::error::Failure;
use crate::generate;
use crate::io::clock::{Clock, SystemClock};
use crate::io::supervisor::Supervisor;
use crate::observe::happenings::caution;

/// Runs it to its end; `origins` tells where its settings come from.
///
/// # Errors
///
/// Whatever it ends by.
pub fn run(command: Command, origins: &Origins) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let config = RunConfig::resolve(&args, env)?;
            let stop = signals::stop_on_signals(false)?;
            let gauges = service::Gauges::default();
            let clock = Arc::new(SystemClock::new());
            service::run(&config, clock, &stop, &gauges, supervisor())
        }
        Command::Count(args) => count::run(&CountConfig::resolve(&args)?),
        Command::Generate(args) => {
            let job = args.resolve().map_err(Failure::Usage)?;
            generate::run(&job, io::stdout().lock()).map_err(|e| Failure::Output(e.to_string()))
        }
        Command::Top(args) => {
            let config = TopConfig::resolve(&args, env)?;
            let stop = signals::stop_on_signals(config.view.is_screen())?;
            top::run(&config, &stop)
        }
        Command::Replay(args) => {
            let config = ReplayConfig::resolve(&args, env)?;
            let stop = signals::stop_on_signals(false)?;
            replay::run(&config, Arc::new(SystemClock::new()), &stop)
        }
        Command::Query(args) => query::run(&args, &mut io::stdout().lock()),
        Command::State(args) => state::run(&args, &mut io::stdout().lock()),
        Command::Merge(args) => state::run_merge(&args, &mut io::stdout().lock()),
        Command::Demo(args) => {
            let config = DemoConfig::resolve(&args, SystemClock::new().unix_ms(), &env)?;
            let stop = signals::stop_on_signals(config.view.is_screen())?;
            demo::run(&config, &stop)
        }
        Command::Config(args) => {
            papers::config(&args.command, origins, env, &mut io::stdout().lock())
        }
        Command::Completions(args) => papers::completions(&args, &mut io::stdout().lock()),
        Command::Man(args) => papers::man(&args, &mut io::stdout().lock()),
    }
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The service manager that wants to hear of a service, if it can be reached.
fn supervisor() -> Option<Supervisor> {
    let found = Supervisor::of_environment(|name| std::env::var_os(name), std::process::id());
    found.unwrap_or_else(|error| {
        let what =
            format!("NOTIFY_SOCKET names a service manager that cannot be told anything: {error}");
        caution(&what);
        None
    })
}
