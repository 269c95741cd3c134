//! What the parser has to say of bad usage, in one sentence.

/// Turns the parser's report (several lines, with usage and hints) into one line.
#[must_use]
pub fn one_sentence(error: &clap::Error) -> String {
    format!("{}; see --help", facts(error))
}

/// The same without the advice to look into the help.
#[must_use]
pub fn facts(error: &clap::Error) -> String {
    let report = error.to_string();
    let report = report.strip_prefix("error: ").unwrap_or(&report);
    let facts = report
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    facts.collect::<Vec<_>>().join("; ").replace(":; ", ": ")
}
