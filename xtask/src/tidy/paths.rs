//! The paths by which a Rust source file names items of its own crate, read as text.

/// A path in a source file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Line number from 1.
    pub(super) line: usize,
    /// Segments from the root of the crate.
    pub(super) segments: Vec<String>,
    /// The path re-exports the item.
    pub(super) exported: bool,
}

/// Returns the paths to items of the crate in the text of the module `module`. Comments, strings
/// and inline test modules are left out. `children` are the modules that it declares.
pub(super) fn of(module: &[String], children: &[String], text: &str) -> Vec<Path> {
    let code = without_tests(&without_comments(text));
    let tokens = tokens(&code);
    let mut paths = Vec::new();
    let mut at = 0;
    // The statement `use` that is being read, and whether it is `pub`.
    let mut import = None;
    while at < tokens.len() {
        let (line, token) = tokens[at];
        let before = at.checked_sub(1).map_or("", |before| tokens[before].1);
        let after = tokens.get(at + 1).map_or("", |after| after.1);
        match token {
            "use" => import = Some(before == "pub" || before == ")"),
            ";" => import = None,
            _ => {}
        }
        let begins = match token {
            "crate" | "super" | "self" => before != "::" && after == "::",
            name => before == "use" && children.iter().any(|child| child == name),
        };
        if !begins {
            at += 1;
            continue;
        }
        let base = match token {
            "crate" => Vec::new(),
            "super" => module[..module.len().saturating_sub(1)].to_vec(),
            "self" => module.to_vec(),
            child => [module, &[child.to_owned()]].concat(),
        };
        let mut found = Vec::new();
        at = tree(&tokens, at + 1, base, &mut found);
        paths.extend(found.into_iter().map(|segments| Path {
            line,
            segments,
            exported: import == Some(true),
        }));
    }
    paths
}

/// Returns the modules that the text declares in files of their own. Modules of tests are left out.
pub(super) fn modules(text: &str) -> Vec<String> {
    let code = without_comments(text);
    let mut before = "";
    let mut found = Vec::new();
    for line in code.lines().map(str::trim) {
        let name = line
            .split_once("mod ")
            .and_then(|(_, rest)| rest.strip_suffix(';'));
        if let Some(name) = name.filter(|_| !before.contains("cfg(test)")) {
            found.push(name.to_owned());
        }
        before = line;
    }
    found
}

/// Reads what follows the segments `base`, up to the end of the path; returns the position behind
/// it.
fn tree(
    tokens: &[(usize, &str)],
    mut at: usize,
    mut base: Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> usize {
    while tokens.get(at).is_some_and(|it| it.1 == "::") {
        match tokens.get(at + 1).map_or("", |it| it.1) {
            "super" => drop(base.pop()),
            "self" => {}
            "{" => {
                at += 2;
                while let Some((_, token)) = tokens.get(at) {
                    match *token {
                        "}" => return at + 1,
                        "," => at += 1,
                        // A new name of the item before.
                        "as" => at += 2,
                        "self" => {
                            found.push(base.clone());
                            at += 1;
                        }
                        name => {
                            let base = [base.as_slice(), &[name.to_owned()]].concat();
                            at = tree(tokens, at + 1, base, found);
                        }
                    }
                }
                return at;
            }
            name if name.starts_with(|c: char| c == '_' || c.is_alphanumeric()) => {
                base.push(name.to_owned());
            }
            // `*`, or the arguments of a generic type.
            _ => break,
        }
        at += 2;
    }
    found.push(base);
    at
}

/// Splits code into words, `::` and single characters, each with its line number.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let word = rest.find(|c: char| c != '_' && !c.is_alphanumeric());
            let end = match word.unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                end => end,
            };
            let (token, after) = rest.split_at(end);
            tokens.push((n + 1, token));
            rest = after.trim_start();
        }
    }
    tokens
}

/// Blanks comments and the contents of strings, and keeps the lines.
fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut in_string = false;
    for line in text.lines() {
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if in_string => drop(chars.next()),
                // The character `'"'` begins no string.
                '\'' if !in_string && chars.peek() == Some(&'"') => drop(chars.next()),
                '"' => in_string = !in_string,
                _ if in_string => {}
                '/' if chars.peek() == Some(&'/') => break,
                _ => code.push(c),
            }
        }
        code.push('\n');
    }
    code
}

/// Cuts inline modules of tests off, which stand at the end of a file.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let tests = line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.ends_with('{'));
        if tests {
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, bool)> {
        let module = ["pool".to_owned(), "lease".to_owned()];
        let paths = of(&module, &["stops".to_owned()], text);
        let paths = paths.into_iter();
        paths
            .map(|path| (path.segments.join("::"), path.exported))
            .collect()
    }

    fn names(text: &str) -> Vec<String> {
        read(text).into_iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn imports_are_read_as_trees() {
        let text = "use crate::value::{self, Payload, size::{deep, flat}};\nuse super::stats::Outcome as End;\n";
        assert_eq!(
            names(text),
            [
                "value",
                "value::Payload",
                "value::size::deep",
                "value::size::flat",
                "pool::stats::Outcome"
            ]
        );
        assert_eq!(
            names("use super::super::call;\nuse self::stops::{A as B, C};"),
            ["call", "pool::lease::stops::A", "pool::lease::stops::C"]
        );
        assert_eq!(names("use std::fmt;\nuse crate::events::*;"), ["events"]);
    }

    #[test]
    fn exports_are_told_apart() {
        let text = "pub use stops::Stops;\npub(crate) use crate::value::Value;\nuse stops::Stop;\n";
        assert_eq!(
            read(text),
            [
                ("pool::lease::stops::Stops".to_owned(), true),
                ("value::Value".to_owned(), true),
                ("pool::lease::stops::Stop".to_owned(), false)
            ]
        );
    }

    #[test]
    fn paths_within_code_count_and_texts_do_not() {
        let text = "//! See [`A`](crate::a::A).\nfn f() -> Result<crate::b::B<u8>, super::E> {\n    g(\"crate::c::C\", '\"', crate::d::D::new())\n}\npub(crate) fn h() {}\n";
        let text = text.replace("'\\\"'", "'\"'");
        assert_eq!(names(&text), ["b::B", "pool::E", "d::D::new"]);
    }

    #[test]
    fn tests_use_what_they_like() {
        let text = "use crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\n";
        assert_eq!(names(text), ["a"]);
        let text = "mod a;\npub(crate) mod b;\n#[cfg(test)]\nmod tests;\n// mod c;\n";
        assert_eq!(modules(text), ["a", "b"]);
    }
}
