//! The project's own rules about its sources: each says in words what it wants, and proves on specimens that it can tell.
//!
//! What a compiler or clippy can check has no place here.

mod rules;
mod source;

use rules::all_rules;
use source::Source;
use std::path::{Path, PathBuf};

#[test]
fn sources_are_tidy() {
    let sources = read_sources();
    assert!(
        sources.len() > 20,
        "only {} files were found: is the search right?",
        sources.len()
    );
    let mut found = Vec::new();
    for rule in all_rules() {
        for source in sources.iter().filter(|source| (rule.applies)(&source.path)) {
            for line in (rule.check)(source) {
                found.push(format!("{}:{line}: {}", source.path, rule.words));
            }
        }
    }
    found.sort();
    found.dedup();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_rule_catches_its_specimens_and_nothing_else() {
    for rule in all_rules() {
        assert!(!rule.caught.is_empty(), "no specimen of: {}", rule.words);
        for (path, text, line) in &rule.caught {
            assert!((rule.applies)(path), "must apply to {path}: {}", rule.words);
            let source = Source::new(path, text);
            assert_eq!(
                (rule.check)(&source),
                [*line],
                "{}\nmust catch:\n{text}",
                rule.words
            );
        }
        for (path, text) in &rule.passed {
            let source = Source::new(path, text);
            let lines = if (rule.applies)(path) {
                (rule.check)(&source)
            } else {
                Vec::new()
            };
            assert!(
                lines.is_empty(),
                "{}\nmust let pass, in {path}:\n{text}",
                rule.words
            );
        }
    }
}

fn read_sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches", "scripts", ".ci"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| {
            let path = file
                .strip_prefix(root)
                .expect("below the root")
                .to_str()
                .expect("our names are ASCII");
            // Recorded bytes, such as a damaged frame, are nobody's source.
            let text = std::fs::read_to_string(file).ok()?;
            Some(Source::new(path, &text))
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    // A folder that has nothing in it yet does not exist.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
