//! Which keys there are, and what each takes: nothing but what the command line says of its flags.

use std::any::TypeId;

use clap::{Arg, Command};

use super::entries::{Entry, Form, Literal, Value};
use crate::cli::facts;
use crate::config::nearest::nearest;

/// Commands that take options from a file, each with its section.
pub(super) const SECTIONS: [&str; 6] = ["run", "count", "replay", "top", "demo", "query"];

/// The section with properties for the client library.
pub(super) const KAFKA: &str = "kafka";

/// Whether keys above all sections are for this command: what a service is given must not become a part of a question.
pub(super) fn takes_common(section: &str) -> bool {
    section != "query"
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Switch,
    Whole,
    Number,
    Text,
}

impl Kind {
    pub(super) fn of(arg: &Arg) -> Self {
        let id = arg.get_value_parser().type_id();
        let is_any = |types: &[TypeId]| types.iter().any(|known| id == *known);
        if !arg.get_action().takes_values() || is_any(&[TypeId::of::<bool>()]) {
            Self::Switch
        } else if is_any(&[
            TypeId::of::<u8>(),
            TypeId::of::<u16>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<i64>(),
        ]) {
            Self::Whole
        } else if is_any(&[TypeId::of::<f64>()]) {
            Self::Number
        } else {
            Self::Text
        }
    }

    fn takes(self, form: Form) -> bool {
        match self {
            Self::Switch => form == Form::Switch,
            Self::Whole => form == Form::Whole,
            // Such as "max" or "60x".
            Self::Number => form != Form::Switch,
            Self::Text => form == Form::Text,
        }
    }
}

/// The flag of a command that a key names: by its long name, as keys of files are.
pub(super) fn find<'a>(command: &'a Command, key: &str) -> Option<&'a Arg> {
    options(command).find(|arg| arg.get_long() == Some(key))
}

/// The flags that may be keys.
pub(super) fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    const NO_KEYS: [&str; 4] = ["config", "help", "version", "property"];
    let is_key = |arg: &&Arg| arg.get_long().is_some_and(|long| !NO_KEYS.contains(&long));
    command.get_arguments().filter(is_key)
}

/// Checks that a key exists and that its value is one.
///
/// # Errors
///
/// What is wrong with it, without the place.
pub(super) fn check(root: &Command, entry: &Entry) -> Result<(), String> {
    let section = entry.section.as_deref();
    match section {
        Some(KAFKA) => return check_property(entry),
        Some(name) if !SECTIONS.contains(&name) => return Err(no_section(name)),
        Some(_) if entry.key.is_empty() => return Ok(()),
        _ => {}
    }
    let mut places = SECTIONS.iter().filter(|name| match section {
        Some(section) => **name == section,
        None => takes_common(name),
    });
    let found = places.find_map(|name| find(root.find_subcommand(name)?, &entry.key));
    let is_global = || section.is_none().then(|| find(root, &entry.key)).flatten();
    match found.or_else(is_global) {
        Some(arg) => texts(arg, entry).map(drop),
        None => Err(no_key(root, entry)),
    }
}

/// The values of an entry as the flag takes them.
///
/// # Errors
///
/// What is wrong with it, without the place.
pub(super) fn texts(arg: &Arg, entry: &Entry) -> Result<Vec<String>, String> {
    let long = arg.get_long().unwrap_or_default();
    let is_list = is_comma_separated(arg);
    let is_repeatable = matches!(arg.get_action(), clap::ArgAction::Append);
    let literals = match &entry.value {
        Value::One(one) => std::slice::from_ref(one),
        Value::Many(many) if is_list || is_repeatable => many.as_slice(),
        Value::Many(_) => return Err(format!("{long} takes one value, not a list")),
    };
    for literal in literals {
        check_literal(arg, literal)?;
    }
    let texts = literals.iter().map(|literal| literal.text.clone());
    if !is_repeatable && is_list {
        return Ok(vec![texts.collect::<Vec<_>>().join(",")]);
    }
    Ok(texts.collect())
}

/// By the convention of the help: `TOPIC,...`.
fn is_comma_separated(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().any(|name| name.ends_with(",..."))
}

fn check_literal(arg: &Arg, literal: &Literal) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    let text = &literal.text;
    let kind = Kind::of(arg);
    // The flag's own parser has the better words where it refuses.
    if kind != Kind::Switch {
        parse_alone(arg, text)?;
    }
    if kind.takes(literal.form) {
        return Ok(());
    }
    Err(match kind {
        Kind::Switch => format!("{long} must be true or false, without quotes"),
        Kind::Whole | Kind::Number => format!("write {long} = {text}, without quotes"),
        Kind::Text => format!("write {long} = \"{text}\", in quotes"),
    })
}

/// Has the flag's own parser look at a value.
fn parse_alone(arg: &Arg, text: &str) -> Result<(), String> {
    let long = arg.get_long().unwrap_or_default();
    let alone = Command::new("headcount")
        .arg(alone(arg))
        .try_get_matches_from(["headcount".to_owned(), format!("--{long}={text}")]);
    alone.map(drop).map_err(|error| facts(&error))
}

/// The flag without its ties to others and to the environment.
fn alone(arg: &Arg) -> Arg {
    let mut alone = Arg::new(arg.get_id().clone())
        .long(arg.get_long().unwrap_or_default().to_owned())
        .action(arg.get_action().clone())
        .value_parser(arg.get_value_parser().clone());
    if let Some(names) = arg.get_value_names() {
        alone = alone.value_names(names.iter().cloned());
    }
    if let Some(delimiter) = arg.get_value_delimiter() {
        alone = alone.value_delimiter(delimiter);
    }
    alone
}

fn check_property(entry: &Entry) -> Result<(), String> {
    match &entry.value {
        Value::One(_) => Ok(()),
        Value::Many(many) if entry.key.is_empty() && many.is_empty() => Ok(()),
        Value::Many(_) => Err(format!(
            "{} takes one value: write a list as the Kafka client does, in one text with commas",
            entry.key
        )),
    }
}

fn no_section(name: &str) -> String {
    let sections = || SECTIONS.into_iter().chain([KAFKA]);
    let meant = match nearest(name, sections()) {
        Some(meant) => format!("did you mean [{meant}]?"),
        None => format!("there are {}", sections().collect::<Vec<_>>().join(", ")),
    };
    format!("there is no section [{name}]; {meant}")
}

fn no_key(root: &Command, entry: &Entry) -> String {
    let key = &entry.key;
    let of = match &entry.section {
        Some(section) => format!("'{section}'"),
        None => "headcount".to_owned(),
    };
    let what = format!("'{key}' is no option of {of}");
    if key == "property" {
        return format!("{what}; properties of the Kafka client stand in [{KAFKA}]");
    }
    if key == "config" {
        return format!("{what}; a file cannot name another one");
    }
    let commands = || {
        let all = SECTIONS.into_iter();
        all.filter_map(|name| Some((name, root.find_subcommand(name)?)))
    };
    let is_here = |name: &str| match &entry.section {
        Some(section) => section == name,
        None => takes_common(name),
    };
    let own = commands().filter(|(name, _)| is_here(name));
    let own: Vec<&Command> = own.map(|(_, command)| command).collect();
    let by_alias = own.iter().find_map(|command| {
        let mut args = options(command);
        args.find(|arg| {
            arg.get_all_aliases()
                .unwrap_or_default()
                .contains(&key.as_str())
        })
    });
    if let Some(arg) = by_alias {
        return format!("{what}; write {}", arg.get_long().unwrap_or_default());
    }
    let elsewhere = commands().filter(|(_, command)| find(command, key).is_some());
    let elsewhere: Vec<String> = elsewhere.map(|(name, _)| format!("[{name}]")).collect();
    if !elsewhere.is_empty() {
        return format!("{what}; it belongs in {}", elsewhere.join(" or "));
    }
    if find(root, key).is_some() {
        return format!("{what}; it belongs above all sections");
    }
    let global = entry.section.is_none().then_some(root);
    let names = own.iter().copied().chain(global).flat_map(options);
    match nearest(key, names.filter_map(Arg::get_long)) {
        Some(meant) => format!("{what}; did you mean '{meant}'?"),
        None => format!("{what}; keys are the long names of options: see --help"),
    }
}
