//! Arguments, run, exit code.

use std::process::ExitCode;

use clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
use headcount::cli::one_sentence;
use headcount::config::file::{Refused, parse};
use headcount::config::properties::secret_from;
use headcount::config::variables;
use headcount::error::Failure;
use headcount::io::process::{blank_arguments, raise_open_files};
use headcount::observe::{self, happenings::caution};
use headcount::run::command;
use signal_hook::low_level::exit;

mod allocator;

fn main() -> ExitCode {
    allocator::give_back_sooner();
    // Variables that are no text are not for us.
    let variables = std::env::vars_os();
    let texts = variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let texts: Vec<_> = texts.collect();
    let typed = match parse(std::env::args_os(), &texts) {
        Ok(typed) => typed,
        // Help and version, asked for or for want of a subcommand.
        Err(Refused::Parser(help))
            if !help.use_stderr() || help.kind() == DisplayHelpOnMissingArgumentOrSubcommand =>
        {
            help.exit()
        }
        Err(Refused::Parser(error)) => {
            return told(&Failure::Usage(one_sentence(&error))).into();
        }
        Err(Refused::Failure(failure)) => return told(&failure).into(),
    };
    observe::init(typed.cli.log_format);
    raise_open_files();
    // Whoever may list the processes of this machine need not read it for longer than it takes to get here.
    if blank_arguments(secret_from).is_ok_and(|blanked| blanked > 0) {
        caution(
            "a secret stood on the command line, where others could read it until now: give it by -X @FILE, -X NAME.file=FILE, \
             the environment or the configuration file",
        );
    }
    let names: Vec<_> = texts.into_iter().map(|(name, _)| name).collect();
    for unread in variables::unread(&names) {
        caution(&unread);
    }
    let has_clients = typed.cli.command.has_clients();
    let done = command::run(typed.cli.command, &typed.origins);
    let code = match done.map_err(|failure| typed.origins.locate(failure)) {
        Ok(()) | Err(Failure::ReaderGone) => 0,
        Err(failure) => told(&failure),
    };
    // Nobody waits for the threads of Kafka clients, so the process must end without the handlers that C libraries have
    // for that: OpenSSL's takes away what these threads are using. All lines of output are written by now.
    if has_clients {
        exit(code.into());
    }
    code.into()
}

/// Says why it ends; gives the exit code.
fn told(failure: &Failure) -> u8 {
    eprintln!("headcount: {failure}");
    failure.exit_code()
}
