//! Names of projects, by Cargo's rules for packages.

use snakepit::ErrorCode;

use crate::failure::Failure;

/// Longest name in bytes.
const LONGEST: usize = 64;

/// Reserved names: keywords, crates of Rust itself, folders of Cargo, devices of Windows, and
/// crates that the project uses.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "aux",
    "await",
    "become",
    "box",
    "break",
    "build",
    "con",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "nul",
    "override",
    "priv",
    "prn",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "snakepit",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "tokio",
    "tools",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Returns the name if a package may have it.
pub(super) fn check(name: &str) -> Result<&str, Failure> {
    match problem(name) {
        None => Ok(name),
        Some(problem) => Err(Failure::usage(
            ErrorCode::WrongUsage,
            format!("`{name}` cannot be the name of a project: {problem}"),
            "use letters, digits, - and _, for example my-tools",
        )),
    }
}

fn problem(name: &str) -> Option<&'static str> {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some("it does not begin with a letter");
    }
    if !name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    {
        return Some("it has other characters than letters, digits, - and _");
    }
    if name.len() > LONGEST {
        return Some("it is longer than 64 characters");
    }
    let taken = name.to_ascii_lowercase().replace('-', "_");
    let port = ["com", "lpt"].iter().any(|port| {
        let number = taken.strip_prefix(port);
        number.is_some_and(|number| matches!(number.as_bytes(), [b'1'..=b'9']))
    });
    (port || TAKEN.contains(&&*taken)).then_some("it is a reserved name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_packages() {
        for name in ["a", "my-tools", "Pit_2", "asynchronous", "com", "com10"] {
            assert_eq!(problem(name), None, "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "2nd",
            "-a",
            "a/b",
            "../a",
            "a b",
            "ü",
            "a\u{1b}",
            "fn",
            "Self",
            "snakepit",
            "tokio",
            "proc-macro",
            "build",
            "deps",
            "examples",
            "incremental",
            "NUL",
            "com1",
            ".",
            &long,
        ] {
            assert!(problem(name).is_some(), "{name}");
        }
        assert!(check("").is_err());
    }
}
