//! What stands in a configuration file: keys and values, each with its line.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::error::Failure;
use crate::limits::CONFIG_FILE_MAX_BYTES;

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The section that it stands in, if any.
    pub(super) section: Option<String>,
    /// The key; of tables within a section the names joined by dots.
    pub(super) key: String,
    /// The value.
    pub(super) value: Value,
    /// The line, from 1.
    pub(super) line: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    One(Literal),
    Many(Vec<Literal>),
}

/// A value as text, and how it was written.
#[derive(Debug, Clone)]
pub(super) struct Literal {
    pub(super) form: Form,
    pub(super) text: String,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// In quotes, or a bare date and time.
    Text,
    /// A whole number.
    Whole,
    /// A number with a fraction.
    Fraction,
    /// `true` or `false`.
    Switch,
}

/// All entries of a file, in the order of their lines.
///
/// # Errors
///
/// One sentence, with the line where there is one, about a file that cannot be read or is not TOML.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, Failure> {
    let shown = path.display();
    let text = text_of(path)
        .map_err(|why| Failure::Usage(format!("cannot read --config {shown}: {why}")))?;
    let document = DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_at(&text, span.start));
        // The library's own text, which never repeats what stands in the file.
        let why = error.message().lines().collect::<Vec<_>>().join(", ");
        Failure::Usage(format!(
            "{shown}:{line}: this is not TOML: {why}; a line is KEY = VALUE, with text in quotes, or [SECTION]"
        ))
    })?;
    let mut entries = Vec::new();
    for (key, value) in document.get_ref() {
        match value.get_ref() {
            DeValue::Table(table) => {
                let section = key.get_ref().as_ref();
                collect(&text, section, "", table, &mut entries)
                    .map_err(|(line, why)| Failure::Usage(format!("{shown}:{line}: {why}")))?;
                // An empty section is looked at too: it may be misspelt.
                if table.is_empty() {
                    entries.push(Entry {
                        section: Some(section.to_owned()),
                        key: String::new(),
                        value: Value::Many(Vec::new()),
                        line: line_at(&text, key.span().start),
                    });
                }
            }
            _ => {
                let line = line_at(&text, key.span().start);
                let value = read_value(value).map_err(|why| {
                    Failure::Usage(format!("{shown}:{line}: {key} {why}", key = key.get_ref()))
                })?;
                entries.push(Entry {
                    section: None,
                    key: key.get_ref().to_string(),
                    value,
                    line,
                });
            }
        }
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

/// A file of options or of one secret, which is never large.
pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.by_ref()
        .take(CONFIG_FILE_MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > CONFIG_FILE_MAX_BYTES {
        return Err(format!("it is larger than {CONFIG_FILE_MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())
}

fn collect(
    text: &str,
    section: &str,
    prefix: &str,
    table: &DeTable<'_>,
    entries: &mut Vec<Entry>,
) -> Result<(), (usize, String)> {
    for (key, value) in table {
        let name = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        if let DeValue::Table(inner) = value.get_ref() {
            collect(text, section, &name, inner, entries)?;
            continue;
        }
        let line = line_at(text, key.span().start);
        let value = read_value(value).map_err(|why| (line, format!("{name} {why}")))?;
        entries.push(Entry {
            section: Some(section.to_owned()),
            key: name,
            value,
            line,
        });
    }
    Ok(())
}

fn read_value(value: &Spanned<DeValue<'_>>) -> Result<Value, &'static str> {
    match value.get_ref() {
        DeValue::Array(items) => {
            let items = items.iter().map(|item| literal(item.get_ref()));
            items.collect::<Option<_>>().map(Value::Many)
        }
        one => literal(one).map(Value::One),
    }
    .ok_or("must be a text, a number, true or false, or a list of such")
}

fn literal(value: &DeValue<'_>) -> Option<Literal> {
    let (form, text) = match value {
        DeValue::String(text) => (Form::Text, text.to_string()),
        DeValue::Datetime(time) => (Form::Text, time.to_string()),
        DeValue::Integer(number) => (Form::Whole, decimal(number)),
        DeValue::Float(number) => (Form::Fraction, number.as_str().to_owned()),
        DeValue::Boolean(is) => (Form::Switch, is.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    };
    Some(Literal { form, text })
}

/// A number as flags have it; one that no integer holds stays as it is, and is refused like a flag.
fn decimal(number: &DeInteger<'_>) -> String {
    match i128::from_str_radix(number.as_str(), number.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => number.as_str().to_owned(),
    }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
