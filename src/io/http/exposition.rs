//! Prometheus' text format: families of samples, each with its help and type.
//! Source: prometheus.io, *Exposition formats*, version 0.0.4.

use std::fmt::{Display, Write as _};

/// What such a text is called.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, save when the process starts anew; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A text that is being written.
#[derive(Debug, Default)]
pub struct Exposition(String);

/// A family that is being written. One without samples leaves no trace.
#[derive(Debug)]
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    /// Its help and type, until the first sample.
    head: Option<String>,
}

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        Family {
            out: &mut self.0,
            name,
            head: Some(format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")),
        }
    }

    /// A family of one sample without labels, if its value is known.
    pub fn one(&mut self, kind: Kind, name: &'static str, help: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.family(kind, name, help).sample(&[], value);
        }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        if let Some(head) = self.head.take() {
            self.out.push_str(&head);
        }
        self.out.push_str(self.name);
        for (i, (name, value)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            // Writing into a string does not fail.
            let _ = write!(self.out, "{open}{name}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Exposition::default();
        drop(text.family(Kind::Counter, "empty_total", "Nothing."));
        let mut family = text.family(Kind::Gauge, "a", "What it is.");
        family.sample(&[], 1);
        family.sample(&[("topic", "a\"b\\c\nd"), ("n", "2")], 0.5);
        let expected =
            "# HELP a What it is.\n# TYPE a gauge\na 1\na{topic=\"a\\\"b\\\\c\\nd\",n=\"2\"} 0.5\n";
        assert_eq!(text.into_text(), expected);
    }
}
