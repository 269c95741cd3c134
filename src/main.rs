//! Arguments, run, exit code.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use headcount::cli::{Command, one_sentence};
use headcount::config::file::{Origins, Refused, parse};
use headcount::config::properties::secret_from;
use headcount::config::{CountConfig, DemoConfig, ReplayConfig, RunConfig, TopConfig};
use headcount::error::Failure;
use headcount::io::clock::{Clock, SystemClock};
use headcount::io::process::blank_arguments;
use headcount::io::supervisor::Supervisor;
use headcount::observe::happenings::caution;
use headcount::{generate, observe, run};
use signal_hook::low_level::exit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Variables that are no text are not for us.
    let variables = std::env::vars_os();
    let texts = variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let typed = match parse(std::env::args_os(), &texts.collect::<Vec<_>>()) {
        Ok(typed) => typed,
        // Help and version, asked for or for want of a subcommand.
        Err(Refused::Parser(help))
            if !help.use_stderr() || help.kind() == DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            help.exit()
        }
        Err(Refused::Parser(error)) => {
            eprintln!("headcount: {}", one_sentence(&error));
            return ExitCode::from(2);
        }
        Err(Refused::Failure(failure)) => {
            eprintln!("headcount: {failure}");
            return failure.exit_code();
        }
    };
    observe::init(typed.cli.log_format);
    // Whoever may list the processes of this machine need not read it for longer than it takes to get here.
    if blank_arguments(secret_from).is_ok_and(|blanked| blanked > 0) {
        caution(
            "a secret stood on the command line, where others could read it until now: give it by -X @FILE, -X NAME.file=FILE, \
             the environment or the configuration file",
        );
    }
    let has_clients = typed.cli.command.has_clients();
    let done = dispatch(typed.cli.command, &typed.origins);
    let code = match done.map_err(|failure| typed.origins.locate(failure)) {
        Ok(()) | Err(Failure::ReaderGone) => 0,
        Err(failure) => {
            eprintln!("headcount: {failure}");
            failure.code()
        }
    };
    // Nobody waits for the threads of Kafka clients, so the process must end without the handlers that C libraries have
    // for that: OpenSSL's takes away what these threads are using.
    if has_clients {
        let _ = io::stdout().flush();
        exit(code.into());
    }
    ExitCode::from(code)
}

fn dispatch(command: Command, origins: &Origins) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let config = RunConfig::resolve(&args, env)?;
            let stop = run::signals::stop_on_signals(false)?;
            let gauges = run::service::Gauges::default();
            let clock = Arc::new(SystemClock::new());
            run::service::run(&config, clock, &stop, &gauges, supervisor())
        }
        Command::Count(args) => run::count::run(&CountConfig::resolve(&args)?),
        Command::Generate(args) => {
            let job = args.resolve().map_err(Failure::Usage)?;
            generate::run(&job, io::stdout().lock()).map_err(|e| Failure::Output(e.to_string()))
        }
        Command::Top(args) => {
            let config = TopConfig::resolve(&args, env)?;
            let stop = run::signals::stop_on_signals(config.view.is_screen())?;
            run::top::run(&config, &stop)
        }
        Command::Replay(args) => {
            let config = ReplayConfig::resolve(&args, env)?;
            let stop = run::signals::stop_on_signals(false)?;
            run::replay::run(&config, Arc::new(SystemClock::new()), &stop)
        }
        Command::Query(args) => run::query::run(&args, &mut io::stdout().lock()),
        Command::State(args) => run::state::run(&args, &mut io::stdout().lock()),
        Command::Merge(args) => run::state::run_merge(&args, &mut io::stdout().lock()),
        Command::Demo(args) => {
            let config = DemoConfig::resolve(&args, SystemClock::new().unix_ms(), &env)?;
            let stop = run::signals::stop_on_signals(config.view.is_screen())?;
            run::demo::run(&config, &stop)
        }
        Command::Config(args) => {
            run::papers::config(&args.command, origins, env, &mut io::stdout().lock())
        }
        Command::Completions(args) => run::papers::completions(&args, &mut io::stdout().lock()),
        Command::Man(args) => run::papers::man(&args, &mut io::stdout().lock()),
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
