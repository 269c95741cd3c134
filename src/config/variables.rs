//! Variables of the environment that look like ours.

use clap::{Command, CommandFactory};

use super::nearest::nearest;
use crate::cli::Cli;

const PREFIX: &str = "HEADCOUNT_";
/// Those of properties of the client library, of tests, of the simulation and of places to die at.
const OTHERS: &[&str] = &["X_", "TEST_", "SIM_", "FAILPOINT"];

/// Says which variables of the environment nobody reads although they begin with `HEADCOUNT_`, one sentence each.
#[must_use]
pub fn unread(names: &[String]) -> Vec<String> {
    let mut known = Vec::new();
    collect(&Cli::command(), &mut known);
    let is_unread = |rest: &str| {
        let is_other = OTHERS.iter().any(|other| rest.starts_with(other));
        !is_other && !is_of_kubernetes(rest) && !known.iter().any(|known| known == rest)
    };
    let names = names.iter().filter_map(|name| name.strip_prefix(PREFIX));
    names
        .filter(|rest| is_unread(rest))
        .map(|rest| {
            // The likeness is that of option names.
            let options: Vec<_> = known.iter().map(|k| as_option(k)).collect();
            let like = nearest(rest, options.iter().map(String::as_str));
            let like = like.map(|option| {
                let name = option.to_uppercase().replace('-', "_");
                format!("; did you mean {PREFIX}{name}?")
            });
            format!(
                "{PREFIX}{rest} in the environment is no option of headcount{}",
                like.unwrap_or_default()
            )
        })
        .collect()
}

fn as_option(rest: &str) -> String {
    rest.to_lowercase().replace('_', "-")
}

/// The names, without the prefix, that options of a command and of those in it are read from.
fn collect(command: &Command, known: &mut Vec<String>) {
    for argument in command.get_arguments() {
        let name = argument.get_env().and_then(|name| name.to_str());
        known.extend(
            name.and_then(|name| name.strip_prefix(PREFIX))
                .map(str::to_owned),
        );
    }
    for command in command.get_subcommands() {
        collect(command, known);
    }
}

/// What every container gets for a Service that is called `headcount`, or `headcount-SOMETHING`.
fn is_of_kubernetes(rest: &str) -> bool {
    rest.ends_with("SERVICE_HOST") || rest.contains("SERVICE_PORT") || {
        let port = rest.strip_prefix("PORT").or_else(|| {
            let (_, port) = rest.split_once("_PORT")?;
            Some(port)
        });
        port.is_some_and(|port| port.is_empty() || port.starts_with('_'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: &[&str]) -> Vec<String> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        unread(&names)
    }

    #[test]
    fn a_mistyped_variable_is_told_with_what_may_have_been_meant() {
        assert_eq!(
            said(&["HEADCOUNT_TREADS", "HEADCOUNT_WHATEVER_ELSE"]),
            [
                "HEADCOUNT_TREADS in the environment is no option of headcount; did you mean HEADCOUNT_THREADS?",
                "HEADCOUNT_WHATEVER_ELSE in the environment is no option of headcount",
            ]
        );
    }

    #[test]
    fn nothing_is_said_of_what_is_read_or_not_ours() {
        let ours = ["BROKER", "CONFIG", "LOG_FORMAT", "RETAIN_MINUTES", "RATE"];
        let others = ["X_SASL_PASSWORD", "FAILPOINT", "TEST_LONG", "SIM_SEED"];
        let kubernetes = [
            "SERVICE_HOST",
            "SERVICE_PORT",
            "SERVICE_PORT_HTTP",
            "PORT",
            "PORT_9090_TCP",
            "PORT_9090_TCP_ADDR",
            "HTTP_SERVICE_HOST",
            "HTTP_PORT_80_TCP_PORT",
        ];
        let all = ours.iter().chain(&others).chain(&kubernetes);
        let names: Vec<_> = all.map(|rest| format!("{PREFIX}{rest}")).collect();
        assert_eq!(unread(&names), Vec::<String>::new());
        assert_eq!(
            said(&["KAFKA_BROKERS", "headcount_threads"]),
            Vec::<String>::new()
        );
    }
}
