//! A source file as the rules see it: without strings and comments, in tokens, paths and functions.
//!
//! This reads Rust well enough to judge this project's sources; it is no parser.

/// A file with its text in the guises that rules ask for. All keep the line numbers.
pub struct Source {
    pub path: String,
    pub text: String,
    /// Code and comments; strings and characters are blank.
    pub unquoted: String,
    /// Code alone.
    pub code: Vec<Token>,
    /// Code without what is compiled for tests only.
    pub production: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub line: usize,
    /// An identifier or number, `::`, or one character.
    pub text: String,
}

/// A path of two or more names, or an import of any length, with `self`, `super` and groups resolved.
#[derive(Debug, PartialEq, Eq)]
pub struct UsedPath {
    pub line: usize,
    pub names: Vec<String>,
    pub imported: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub line: usize,
    pub lines: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let [unquoted, bare] = if path.ends_with(".rs") {
            blank(text)
        } else {
            [text.to_owned(), String::new()]
        };
        let code = tokens(&bare);
        let production = if path.ends_with("/tests.rs") {
            Vec::new()
        } else {
            without_tests(&code)
        };
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            unquoted,
            code,
            production,
        }
    }

    /// The paths in the code that ships.
    pub fn paths(&self) -> Vec<UsedPath> {
        paths(&self.production, &module(&self.path))
    }

    /// The paths in all of the code.
    pub fn paths_with_tests(&self) -> Vec<UsedPath> {
        paths(&self.code, &module(&self.path))
    }

    pub fn functions(&self) -> Vec<Function> {
        functions(&self.code)
    }
}

/// The text with strings blanked, and with strings and comments blanked.
fn blank(text: &str) -> [String; 2] {
    let chars: Vec<char> = text.chars().collect();
    let mut unquoted = String::with_capacity(text.len());
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let (kind, length) = piece(&chars[at..], at.checked_sub(1).map(|before| chars[before]));
        for &c in &chars[at..at + length] {
            let blank = if c == '\n' { '\n' } else { ' ' };
            unquoted.push(if kind == Kind::Quoted { blank } else { c });
            code.push(if kind == Kind::Code { c } else { blank });
        }
        at += length;
    }
    [unquoted, code]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Quoted,
}

/// What stands at the start of `rest`, and how many characters it takes.
fn piece(rest: &[char], before: Option<char>) -> (Kind, usize) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => (
            Kind::Comment,
            rest.iter().position(|&c| c == '\n').unwrap_or(rest.len()),
        ),
        ['/', '*', ..] => (Kind::Comment, block_comment(rest)),
        ['"', ..] => (Kind::Quoted, quoted(rest, '"')),
        ['r', '"' | '#', ..] if !in_word => raw_string(rest, 1),
        ['b' | 'c', 'r', '"' | '#', ..] if !in_word => raw_string(rest, 2),
        ['\'', '\\', ..] => (Kind::Quoted, quoted(rest, '\'')),
        // Three characters, or it is a lifetime.
        ['\'', _, '\'', ..] => (Kind::Quoted, 3),
        _ => (Kind::Code, 1),
    }
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    rest.len().min(at + 1)
}

fn raw_string(rest: &[char], prefix: usize) -> (Kind, usize) {
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        // A raw identifier, such as r#type.
        return (Kind::Code, open);
    }
    let ends = |at: usize| {
        rest[at] == '"'
            && rest[at + 1..]
                .iter()
                .take(hashes)
                .filter(|&&c| c == '#')
                .count()
                == hashes
    };
    let end = (open + 1..rest.len()).find(|&at| ends(at));
    (Kind::Quoted, end.map_or(rest.len(), |at| at + 1 + hashes))
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    for (line, text) in (1..).zip(code.lines()) {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let length = match word {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                word => word,
            };
            tokens.push(Token {
                line,
                text: rest[..length].to_owned(),
            });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// Leaves out each item after a `#[cfg(test)]`.
fn without_tests(code: &[Token]) -> Vec<Token> {
    const ATTRIBUTE: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if code[at..].len() > 7
            && code[at..]
                .iter()
                .zip(ATTRIBUTE)
                .all(|(token, text)| token.text == text)
        {
            at = item_end(code, at + 7);
        } else {
            kept.push(code[at].clone());
            at += 1;
        }
    }
    kept
}

/// The place after the item that starts here: after its `;` or its closing brace.
fn item_end(code: &[Token], start: usize) -> usize {
    let mut depth = 0;
    for (at, token) in code.iter().enumerate().skip(start) {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    code.len()
}

fn is_word(token: &Token) -> bool {
    token
        .text
        .starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// `src/io/sink/mod.rs` is `crate::io::sink`.
fn module(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let parts = path
        .split('/')
        .map(|part| if part == "src" { "crate" } else { part });
    parts
        .filter(|part| !["mod", "lib", "main"].contains(part))
        .map(str::to_owned)
        .collect()
}

fn paths(code: &[Token], module: &[String]) -> Vec<UsedPath> {
    let mut found = Vec::new();
    let mut module = module.to_vec();
    // How deep in braces each module written in this file began.
    let mut inner = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while at < code.len() {
        let text = |ahead: usize| code.get(at + ahead).map_or("", |token| token.text.as_str());
        match text(0) {
            "mod" if text(2) == "{" => {
                inner.push(depth);
                module.push(text(1).to_owned());
                at += 2;
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inner.pop_if(|began| *began == depth).is_some() {
                    module.pop();
                }
            }
            "use" if text(1) != "<" => {
                at = import(code, at + 1, &module, &[], &mut found);
                continue;
            }
            _ if is_word(&code[at]) => {
                let line = code[at].line;
                let mut names = vec![text(0).to_owned()];
                while let [separator, name, ..] = &code[at + 1..]
                    && separator.text == "::"
                    && is_word(name)
                {
                    names.push(name.text.clone());
                    at += 2;
                }
                if names.len() > 1 {
                    found.push(UsedPath {
                        line,
                        names: resolve(&names, &module),
                        imported: false,
                    });
                }
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Reads one tree of a `use`; gives the place of the `,`, `}` or `;` that ends it.
fn import(
    code: &[Token],
    start: usize,
    module: &[String],
    prefix: &[String],
    found: &mut Vec<UsedPath>,
) -> usize {
    let mut names = prefix.to_vec();
    let mut line = code.get(start).map_or(0, |token| token.line);
    let mut at = start;
    while let Some(token) = code.get(at) {
        match token.text.as_str() {
            "," | "}" | ";" => break,
            "{" => {
                loop {
                    at = import(code, at + 1, module, &names, found);
                    if code.get(at).is_none_or(|token| token.text != ",") {
                        break;
                    }
                }
                return at + 1;
            }
            "as" => at += 1,
            name if is_word(token) => {
                line = token.line;
                if name != "self" || names.is_empty() {
                    names.push(name.to_owned());
                }
            }
            _ => {}
        }
        at += 1;
    }
    if names.len() > prefix.len() || at > start {
        found.push(UsedPath {
            line,
            names: resolve(&names, module),
            imported: true,
        });
    }
    at
}

fn resolve(names: &[String], module: &[String]) -> Vec<String> {
    let ups = names.iter().take_while(|name| *name == "super").count();
    let own = names.first().is_some_and(|name| name == "self");
    if ups == 0 && !own {
        return names.to_vec();
    }
    let base = &module[..module.len().saturating_sub(ups)];
    base.iter()
        .chain(&names[ups + usize::from(own)..])
        .cloned()
        .collect()
}

fn functions(code: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in code.iter().enumerate() {
        // `fn` before a bracket is a type.
        if token.text == "fn" && code.get(at + 1).is_some_and(is_word) {
            let end = item_end(code, at);
            found.push(Function {
                line: token.line,
                lines: code[end - 1].line - token.line + 1,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str, text: &str) -> Vec<String> {
        Source::new(path, text)
            .paths()
            .into_iter()
            .map(|path| path.names.join("::"))
            .collect()
    }

    #[test]
    fn strings_and_comments_are_not_code() {
        let text = r####"a("x // {", 'b', '\'', b"\"", r#""{"#, r"\", 'c); /* { /* } */ */ d // "e"
            f('"', br##"g"# h"##, r#type)"####;
        let shown: Vec<String> = Source::new("src/x.rs", text)
            .code
            .into_iter()
            .map(|token| token.text)
            .collect();
        let words: Vec<&str> = shown
            .iter()
            .map(String::as_str)
            .filter(|text| text.chars().all(char::is_alphanumeric))
            .collect();
        // The `b` before a byte string stays, as a word of its own, and so does the `r` of a raw identifier.
        assert_eq!(words, ["a", "b", "c", "d", "f", "r", "type"]);
    }

    #[test]
    fn paths_are_resolved_and_groups_taken_apart() {
        let text = "use std::{fs::{self, File}, io as i, time::*};\nuse super::b::C;\nfn f() { self::g::<u8>(); std::env::var(x); }";
        let expected = [
            "std::fs",
            "std::fs::File",
            "std::io",
            "std::time",
            "crate::a::b::C",
            "crate::a::x::g",
            "std::env::var",
        ];
        assert_eq!(names("src/a/x.rs", text), expected);
        assert_eq!(
            names("src/a/mod.rs", "mod inner { use super::b; } use super::c;"),
            ["crate::a::b", "crate::c"]
        );
    }

    #[test]
    fn what_only_tests_compile_is_told_apart() {
        let text = "#[cfg(test)]\nuse std::fs;\n#[cfg(test)]\nmod tests { fn f() { std::env::var(); } }\nuse std::io;";
        assert_eq!(names("src/x.rs", text), ["std::io"]);
        assert_eq!(names("src/x/tests.rs", "use std::io;"), [""; 0]);
    }

    #[test]
    fn functions_are_measured_to_their_last_brace() {
        let text = "fn a<const N: usize>(x: [u8; 2]) -> u8 {\n if x { { } }\n}\ntrait T { fn b(&self);\n\n fn c() {} }\ntype F = fn(u8);";
        let measured: Vec<_> = Source::new("src/x.rs", text)
            .functions()
            .iter()
            .map(|f| (f.line, f.lines))
            .collect();
        assert_eq!(measured, [(1, 3), (4, 1), (6, 1)]);
    }
}
