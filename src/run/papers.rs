//! What is printed about the program itself: its configuration, completions for shells, manual pages.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::query;
use crate::cli::config::ConfigCommand;
use crate::cli::papers::{CompletionsArgs, ManArgs};
use crate::cli::{self, Cli, one_sentence};
use crate::config::file::{Origins, Refused, parse, show};
use crate::config::properties::properties;
use crate::config::{CountConfig, DemoConfig, RunConfig};
use crate::error::Failure;

/// Checks the configuration of a run, or prints it.
///
/// # Errors
///
/// What is wrong with it, or an output that cannot be written.
pub fn config(
    command: &ConfigCommand,
    origins: &Origins,
    env: impl Fn(&str) -> Option<String>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let args = command.run();
    RunConfig::resolve(args, &env)?.connection.check()?;
    let text = match command {
        ConfigCommand::Show(_) => show(origins, &properties(&args.kafka.properties)?),
        ConfigCommand::Check(_) => match origins.file() {
            Some(path) => {
                for section in ["count", "demo", "query"] {
                    if origins.has_section(section) {
                        check_section(section, path, &env)?;
                    }
                }
                format!("{}: ok\n", path.display())
            }
            None => "ok; no file was named\n".to_owned(),
        },
    };
    out.write_all(text.as_bytes())
        .map_err(|error| Failure::writing("standard output", &error))
}

/// Checks what a file says to another command, as far as it can be told without what is named when it is run.
fn check_section(
    section: &str,
    file: &Path,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    let words = ["headcount", section, "--config"].map(OsString::from);
    let inputs = (section == "count").then(|| "-".into());
    let words = words.into_iter().chain([file.into()]).chain(inputs);
    let typed = parse(words, &[]).map_err(|refused| match refused {
        Refused::Parser(error) => Failure::Usage(one_sentence(&error)),
        Refused::Failure(failure) => failure,
    })?;
    let checked = match &typed.cli.command {
        cli::Command::Count(args) => CountConfig::resolve(args).map(drop),
        cli::Command::Demo(args) => DemoConfig::resolve(args, 0, env).map(drop),
        cli::Command::Query(args) => query::check(args),
        _ => Ok(()),
    };
    checked.map_err(|failure| typed.origins.locate(failure))
}

/// Prints the completions for a shell.
///
/// # Errors
///
/// An output that cannot be written.
pub fn completions(args: &CompletionsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "headcount", &mut script);
    out.write_all(&script)
        .map_err(|error| Failure::writing("standard output", &error))
}

/// Writes the manual pages to a directory, or prints the first one.
///
/// # Errors
///
/// An output that cannot be written.
pub fn man(args: &ManArgs, out: &mut dyn Write) -> Result<(), Failure> {
    // The pages of what the parser itself adds say nothing.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &args.directory else {
        let printed = page(&command).and_then(|page| out.write_all(page.as_bytes()));
        return printed.map_err(|error| Failure::writing("standard output", &error));
    };
    let written = fs::create_dir_all(directory).and_then(|()| write_pages(&command, directory));
    written.map_err(|error| Failure::writing(&directory.display().to_string(), &error))
}

/// The page of a command and those of its subcommands.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    let name = Man::new(command.clone()).get_filename();
    fs::write(directory.join(name), page(command)?)?;
    let mut subcommands = command.get_subcommands();
    subcommands.try_for_each(|subcommand| write_pages(subcommand, directory))
}

fn page(command: &Command) -> io::Result<String> {
    let version = concat!("headcount ", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    let man = Man::new(command.clone())
        .source(version)
        .manual("headcount");
    man.render(&mut page)?;
    let page = String::from_utf8_lossy(&page);
    // What stands under the help is set in lines and columns, which are not to be filled.
    Ok(page
        .replace("\n.SH EXTRA\n", "\n.SH NOTES\n.nf\n")
        .replace("\n.SH VERSION\n", "\n.fi\n.SH VERSION\n"))
}
