//! The configuration file: what stands in it becomes the defaults of the flags, so that flags and the environment win over
//! it and nothing that is known of a flag (its name, what it takes, its range) stands a second time.

mod entries;
mod keys;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches, Id};

use self::entries::{Entry, Value};
use super::kafka::environment_properties;
use crate::cli::{ALIASES, Cli};
use crate::error::Failure;

pub(super) use self::entries::text_of;
pub use self::show::show;

/// The command line with all that a file and the environment add to it.
#[derive(Debug)]
pub struct Typed {
    /// The options.
    pub cli: Cli,
    /// Where they come from.
    pub origins: Origins,
}

/// Why there are no options.
#[derive(Debug)]
pub enum Refused {
    /// The parser refuses them, or was asked for help.
    Parser(clap::Error),
    /// The file does not do.
    Failure(Failure),
}

/// Where options come from.
#[derive(Debug, Default)]
pub struct Origins {
    file: Option<PathBuf>,
    /// Of that file.
    sections: BTreeSet<String>,
    matches: ArgMatches,
    /// By the flag's long name: whence the default that it was given.
    defaults: BTreeMap<String, Origin>,
    /// By the name of a property of the client library: whence it is.
    properties: BTreeMap<String, Origin>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Variable(String),
    /// A line of a file.
    Line(PathBuf, usize),
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Reads the command line, the environment and the file that they name. `variables` are those of the environment that are
/// text.
///
/// # Errors
///
/// What the parser refuses, or one sentence about the file.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    variables: &[(String, String)],
) -> Result<Typed, Refused> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = Cli::command();
    // A first look, which lets pass what the second one will refuse: which file, for which command?
    let glance = command.clone().ignore_errors(true);
    let glance = glance.try_get_matches_from(&args).ok();
    let mut origins = Origins::default();
    let mut file_properties = Vec::new();
    if let Some(glance) = glance.as_ref()
        && let Some(target) = Target::of(glance)
    {
        let file = target.entries(glance, &command).map_err(Refused::Failure)?;
        let (defaults, properties) = target
            .found(&command, file.as_ref(), variables, glance)
            .map_err(Refused::Failure)?;
        for default in defaults {
            command = target.give(command, &default);
            origins.defaults.insert(default.long, default.origin);
        }
        file_properties = properties;
        if let Some((path, entries)) = file {
            origins.sections = entries.into_iter().filter_map(|e| e.section).collect();
            origins.file = Some(path);
        }
    }
    let matches = command
        .try_get_matches_from_mut(&args)
        .map_err(Refused::Parser)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(Refused::Parser)?;
    origins.matches = matches;
    if let Some(kafka) = cli.command.kafka_mut() {
        let from_environment = environment_properties(variables)
            .into_iter()
            .map(|(name, text)| (text, Origin::Variable(name)));
        let typed = std::mem::take(&mut kafka.properties)
            .into_iter()
            .map(|text| (text, Origin::Flag));
        for (text, origin) in file_properties
            .into_iter()
            .chain(from_environment)
            .chain(typed)
        {
            if let Some((key, _)) = text.split_once('=') {
                origins.properties.insert(key.trim().to_owned(), origin);
            }
            kafka.properties.push(text);
        }
    }
    Ok(Typed { cli, origins })
}

impl Origins {
    /// The file that was read, if one was.
    #[must_use]
    pub fn file(&self) -> Option<&std::path::Path> {
        self.file.as_deref()
    }

    /// Whether the file that was read has such a section.
    #[must_use]
    pub fn has_section(&self, name: &str) -> bool {
        self.sections.contains(name)
    }

    /// Adds to a complaint about an option the line that the option stands on, where it is from the file.
    #[must_use]
    pub fn locate(&self, failure: Failure) -> Failure {
        let Failure::Usage(text) = failure else {
            return failure;
        };
        let file = self
            .file
            .as_ref()
            .map(|path| format!("{}:", path.display()));
        if file.is_some_and(|file| text.starts_with(&file)) {
            return Failure::Usage(text);
        }
        let place = self
            .place_of_flag(&text)
            .or_else(|| self.place_of_property(&text));
        Failure::Usage(match place {
            Some(place) => format!("{place}: {text}"),
            None => text,
        })
    }

    fn place_of_flag(&self, text: &str) -> Option<Origin> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let words = text.split(|c: char| !is_name(c));
        let longs = words.filter_map(|word| word.strip_prefix("--"));
        let mut origins = longs.filter_map(|long| self.defaults.get(long));
        let line = origins.find(|origin| matches!(origin, Origin::Line(..)));
        line.cloned()
    }

    fn place_of_property(&self, text: &str) -> Option<Origin> {
        let key = text.strip_prefix("-X ")?.split([' ', ':']).next()?;
        let place = self.properties.get(key)?;
        matches!(place, Origin::Line(..)).then(|| place.clone())
    }
}

/// The command that is called, and where its options may come from.
struct Target {
    /// The names of the subcommand, from the outermost.
    path: Vec<String>,
    /// Its section in a file.
    section: Option<&'static str>,
}

impl Target {
    fn of(glance: &ArgMatches) -> Option<Self> {
        let (name, matches) = glance.subcommand()?;
        let (path, called) = match name {
            // It stands for the run that it tells of.
            "config" => (
                vec![name.to_owned(), matches.subcommand_name()?.to_owned()],
                "run",
            ),
            name => (vec![name.to_owned()], name),
        };
        let section = keys::SECTIONS
            .into_iter()
            .find(|section| *section == called);
        Some(Self { path, section })
    }

    /// What stands in the file, if one is named and the command takes options from one.
    fn entries(
        &self,
        glance: &ArgMatches,
        root: &Command,
    ) -> Result<Option<(PathBuf, Vec<Entry>)>, Failure> {
        let Ok(Some(path)) = glance.try_get_one::<PathBuf>("config") else {
            return Ok(None);
        };
        if self.section.is_none() {
            return match glance.value_source("config") {
                Some(ValueSource::CommandLine) => Err(Failure::Usage(format!(
                    "'{}' takes no options from a file; leave out --config",
                    self.path[0]
                ))),
                _ => Ok(None),
            };
        }
        let entries = entries::read(path)?;
        for entry in &entries {
            keys::check(root, entry).map_err(|why| {
                Failure::Usage(format!("{}:{}: {why}", path.display(), entry.line))
            })?;
        }
        Ok(Some((path.clone(), entries)))
    }

    /// The defaults that the command's flags get, and the properties of the client library.
    #[allow(clippy::type_complexity, reason = "a pair of lists")]
    fn found(
        &self,
        root: &Command,
        file: Option<&(PathBuf, Vec<Entry>)>,
        variables: &[(String, String)],
        glance: &ArgMatches,
    ) -> Result<(Vec<Default>, Vec<(String, Origin)>), Failure> {
        let (Some(section), Some(leaf)) = (self.section, self.leaf(root)) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let found = Found {
            root,
            leaf,
            section,
            file,
            variables,
        };
        Ok((found.defaults(glance, &self.path)?, found.properties()))
    }

    fn leaf<'a>(&self, root: &'a Command) -> Option<&'a Command> {
        let mut names = self.path.iter();
        names.try_fold(root, |command, name| command.find_subcommand(name))
    }

    /// Gives a flag of the command a default.
    fn give(&self, root: Command, default: &Default) -> Command {
        let Default { id, texts, .. } = default;
        let set =
            |command: Command| command.mut_arg(id, |arg| arg.default_values(texts.iter().cloned()));
        if default.is_global {
            return set(root);
        }
        give_at(root, &self.path, &set)
    }
}

fn give_at(command: Command, path: &[String], set: &dyn Fn(Command) -> Command) -> Command {
    match path.split_first() {
        None => set(command),
        Some((name, rest)) => command.mut_subcommand(name, |inner| give_at(inner, rest, set)),
    }
}

/// A value that a flag has unless it is given.
struct Default {
    id: Id,
    long: String,
    is_global: bool,
    texts: Vec<String>,
    origin: Origin,
}

/// What a file and the aliases in the environment say to a command.
struct Found<'a> {
    root: &'a Command,
    leaf: &'a Command,
    section: &'static str,
    file: Option<&'a (PathBuf, Vec<Entry>)>,
    variables: &'a [(String, String)],
}

impl Found<'_> {
    /// The defaults of the flags.
    fn defaults(&self, glance: &ArgMatches, path: &[String]) -> Result<Vec<Default>, Failure> {
        let mut leaf_glance = glance;
        for name in path {
            match leaf_glance.subcommand_matches(name) {
                Some(inner) => leaf_glance = inner,
                None => return Ok(Vec::new()),
            }
        }
        let is_given = |matches: &ArgMatches, arg: &Arg| {
            let source = matches.value_source(arg.get_id().as_str());
            matches!(
                source,
                Some(ValueSource::CommandLine | ValueSource::EnvVariable)
            )
        };
        let own = keys::options(self.leaf).filter(|arg| !is_given(leaf_glance, arg));
        // A flag or variable that rules another one out rules out its line in the file too.
        let given: Vec<&Arg> = self
            .leaf
            .get_arguments()
            .filter(|arg| is_given(leaf_glance, arg))
            .collect();
        let own = own.filter(|arg| !given.iter().any(|given| self.clash(arg, given)));
        let own = own.map(|arg| (arg, false));
        let global = keys::options(self.root).filter(|arg| !is_given(glance, arg));
        let all = own.chain(global.map(|arg| (arg, true)));
        let found: Result<Vec<Default>, Failure> = all
            .filter_map(|(arg, is_global)| self.default_of(arg, is_global).transpose())
            .collect();
        let found = found?;
        self.check_clashes(&found)?;
        Ok(found)
    }

    fn default_of(&self, arg: &Arg, is_global: bool) -> Result<Option<Default>, Failure> {
        let long = arg.get_long().unwrap_or_default();
        let default = |texts, origin| Default {
            id: arg.get_id().clone(),
            long: long.to_owned(),
            is_global,
            texts,
            origin,
        };
        let mut aliases = ALIASES.iter().filter(|(option, _)| *option == long);
        if let Some((_, alias)) = aliases.next().filter(|_| keys::takes_common(self.section))
            && let Some((name, value)) = self.variables.iter().find(|(name, _)| name == alias)
            && !value.is_empty()
        {
            let origin = Origin::Variable(name.clone());
            return Ok(Some(default(vec![value.clone()], origin)));
        }
        let Some((path, entries)) = self.file else {
            return Ok(None);
        };
        let in_section = entries
            .iter()
            .find(|entry| entry.key == long && entry.section.as_deref() == Some(self.section));
        let is_common = is_global || keys::takes_common(self.section);
        let above = entries
            .iter()
            .find(|entry| entry.key == long && entry.section.is_none() && is_common);
        let Some(entry) = in_section.filter(|_| !is_global).or(above) else {
            return Ok(None);
        };
        // Its value has been checked; an empty list says no more than a line that is not there.
        let texts = keys::texts(arg, entry).map_err(Failure::Usage)?;
        let origin = Origin::Line(path.clone(), entry.line);
        Ok(Some(default(texts, origin)).filter(|default| !default.texts.is_empty()))
    }

    fn clash(&self, a: &Arg, b: &Arg) -> bool {
        let rules_out = |a: &Arg, b: &Arg| {
            let others = self.leaf.get_arg_conflicts_with(a);
            others.iter().any(|other| other.get_id() == b.get_id())
        };
        rules_out(a, b) || rules_out(b, a)
    }

    /// Lines that rule each other out, as the flags would.
    fn check_clashes(&self, found: &[Default]) -> Result<(), Failure> {
        let own: Vec<&Default> = found
            .iter()
            .filter(|default| !default.is_global && default.texts != ["false"])
            .collect();
        let arg = |default: &Default| keys::find(self.leaf, &default.long);
        for (at, one) in own.iter().enumerate() {
            for other in &own[at + 1..] {
                if let (Some(a), Some(b)) = (arg(one), arg(other))
                    && self.clash(a, b)
                {
                    return Err(Failure::Usage(format!(
                        "{}: {} cannot be used with {} ({}); leave out one of them",
                        other.origin, other.long, one.long, one.origin
                    )));
                }
            }
        }
        Ok(())
    }

    /// The properties of the client library.
    fn properties(&self) -> Vec<(String, Origin)> {
        let Some((path, entries)) = self.file else {
            return Vec::new();
        };
        let own = entries
            .iter()
            .filter(|entry| entry.section.as_deref() == Some(keys::KAFKA) && !entry.key.is_empty());
        let texts = own.filter_map(|entry| match &entry.value {
            Value::One(one) => Some((
                format!("{}={}", entry.key, one.text),
                Origin::Line(path.clone(), entry.line),
            )),
            Value::Many(_) => None,
        });
        texts.collect()
    }
}
