//! The effective configuration as a file, with the place that each value comes from.

use std::fmt::Write;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};
use toml::de::DeTable;

use super::keys::{self, Kind};
use super::{Origin, Origins};
use crate::cli::Cli;
use crate::config::properties::{Property, Worth};

/// The column in which comments begin, unless a line is longer.
const COMMENT_COLUMN: usize = 44;

/// The configuration of a run, as `headcount config show` was given it: a file that gives the same again.
#[must_use]
pub fn show(origins: &Origins, properties: &[Property]) -> String {
    let root = Cli::command();
    let mut text =
        "# What 'headcount run' would be given; it can be fed back with --config.\n".to_owned();
    for arg in keys::options(&root) {
        text.push_str(&line(arg, &origins.matches, origins));
    }
    text.push_str("\n[run]\n");
    if let Some((leaf, matches)) = origins.shown(&root) {
        for arg in keys::options(leaf) {
            text.push_str(&line(arg, matches, origins));
        }
    }
    if !properties.is_empty() {
        text.push_str("\n[kafka]\n");
    }
    for property in properties {
        text.push_str(&property_line(property, origins));
    }
    text
}

impl Origins {
    /// The command whose options are shown, and what it was given.
    fn shown<'a>(&'a self, root: &'a Command) -> Option<(&'a Command, &'a ArgMatches)> {
        let (config, matches) = self.matches.subcommand()?;
        let (show, matches) = matches.subcommand()?;
        let leaf = root.find_subcommand(config)?.find_subcommand(show)?;
        Some((leaf, matches))
    }

    fn of(&self, arg: &Arg, matches: &ArgMatches) -> Origin {
        let long = arg.get_long().unwrap_or_default();
        match matches.value_source(arg.get_id().as_str()) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => {
                let name = arg.get_env().unwrap_or_default();
                Origin::Variable(name.to_string_lossy().into_owned())
            }
            _ => self.defaults.get(long).cloned().unwrap_or(Origin::Default),
        }
    }
}

fn line(arg: &Arg, matches: &ArgMatches, origins: &Origins) -> String {
    let long = arg.get_long().unwrap_or_default();
    let raw = matches.get_raw(arg.get_id().as_str()).into_iter().flatten();
    let texts: Vec<String> = raw
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    if texts.is_empty() {
        return commented(&format!("# {long}"), &unset(arg));
    }
    let is_list = matches!(arg.get_action(), clap::ArgAction::Append);
    let literals: Vec<String> = texts.iter().map(|text| literal(arg, text)).collect();
    let value = match (is_list, literals.as_slice()) {
        (false, [one]) => one.clone(),
        (_, many) => format!("[{}]", many.join(", ")),
    };
    let origin = origins.of(arg, matches).to_string();
    commented(&format!("{long} = {value}"), &origin)
}

/// What an option that nobody has set stands for, as its help says it.
fn unset(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let default = help
        .split_once("[default: ")
        .and_then(|(_, rest)| rest.split_once(']'));
    match default {
        Some((default, _)) => format!("not set: {default}"),
        None => "not set".to_owned(),
    }
}

fn literal(arg: &Arg, text: &str) -> String {
    let is_bare = match Kind::of(arg) {
        Kind::Switch | Kind::Whole => true,
        Kind::Number => text.parse::<f64>().is_ok_and(f64::is_finite),
        Kind::Text => false,
    };
    // A number such as 007 is none in the file.
    if is_bare && DeTable::parse(&format!("a = {text}")).is_ok() {
        return text.to_owned();
    }
    match (Kind::of(arg), text.parse::<i64>()) {
        (Kind::Whole, Ok(number)) => number.to_string(),
        _ => quoted(text),
    }
}

fn property_line(property: &Property, origins: &Origins) -> String {
    let key = &property.key;
    let origin = match &property.listed_in {
        Some((path, line)) => Origin::Line(path.clone(), *line),
        None => origins
            .properties
            .get(&property.typed)
            .cloned()
            .unwrap_or(Origin::Default),
    };
    let origin = origin.to_string();
    match &property.worth {
        Worth::InFile(path) => {
            let path = quoted(&path.to_string_lossy());
            commented(&format!("{key}.file = {path}"), &origin)
        }
        Worth::Text(_) if property.is_secret() => commented(
            &format!("# {key} = \"********\""),
            &format!("secret, set by {origin}"),
        ),
        Worth::Text(text) => commented(&format!("{key} = {}", quoted(text)), &origin),
    }
}

/// A text in quotes: JSON's escapes are TOML's too, but that DEL must be one.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007F")
}

fn commented(line: &str, comment: &str) -> String {
    let mut text = String::new();
    let comment = comment.replace(['\n', '\r'], " ");
    let _ = writeln!(text, "{line:<COMMENT_COLUMN$} # {comment}");
    text
}
