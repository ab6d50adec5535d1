//! Rules about the text of one file.

use super::Violation;

/// Maximum number of lines of a hand-written source file.
const MAX_LINES: usize = 400;

/// Maximum number of columns of a comment; rustfmt holds code to the same.
const MAX_COLUMNS: usize = 100;

/// Forbidden texts and the advice for each. Split into pieces, so that this table does not match
/// itself.
const WORDS: &[(&[&str], &str)] = &[
    (&["to", "do!("], "write the code, or return an error"),
    (
        &["unimple", "mented!("],
        "write the code, or return an error",
    ),
    (&["FIX", "ME"], "fix it, or open an issue"),
    (&["XX", "X"], "fix it, or open an issue"),
    (
        &["#[al", "low("],
        "use `#[expect(…, reason = \"…\")]`, which reports when it is no longer needed",
    ),
    (
        &["#![al", "low("],
        "use `#![expect(…, reason = \"…\")]`, which reports when it is no longer needed",
    ),
    (
        &["#[ig", "nore"],
        "a test that does not run proves nothing: make it run, or remove it",
    ),
    (&["/ho", "me/"], "paths of one machine do not belong here"),
    (&["/wo", "rk/"], "paths of one machine do not belong here"),
    (&["/ro", "ot/"], "paths of one machine do not belong here"),
];

/// Calls that wait for an amount of time, which in tests amounts to hoping.
const SLEEPS: &[&[&str]] = &[
    &["thread::", "sleep("],
    &["time::", "sleep("],
    &["time.", "sleep("],
    &["asyncio.", "sleep("],
];

/// Marks a sleep, in the same line or above it, that a tool makes on purpose and that no test waits
/// for.
const TOOL_SLEEPS: &str = "the tool sleeps";

/// Marks a sleep that polls for a state without an event, such as the end of a process that is not
/// our child.
const POLLS: &str = "// polls: ";

pub(super) fn check(file: &str, text: &str) -> Vec<Violation> {
    let rust = file.ends_with(".rs");
    let python = file.ends_with(".py") || file.ends_with(".pyi");
    let mut violations = Vec::new();
    if file.ends_with("/mod.rs") {
        let help = "name the file like its module, and lay its parts in a folder beside it";
        violations.push(Violation::new(
            file,
            0,
            "modules are not files called mod.rs",
            help,
        ));
    }
    if rust || python {
        let n_lines = text.lines().count();
        if n_lines > MAX_LINES {
            let message = format!("{n_lines} lines, more than {MAX_LINES}");
            violations.push(Violation::new(
                file,
                0,
                message,
                "one idea a file: split it",
            ));
        }
        violations.extend(heading(file, text, rust));
        violations.extend(words(file, text));
        if is_test(file) || rust {
            violations.extend(sleeps(file, text));
        }
    }
    if rust || file.ends_with(".proto") {
        violations.extend(wide_comments(file, text));
    }
    violations
}

/// Finds comments that are too wide. A row of a table takes one line, however wide.
fn wide_comments(file: &str, text: &str) -> Vec<Violation> {
    let wide = |line: &str| {
        let comment = line.trim_start();
        let words = comment.trim_start_matches(['/', '!', ' ']);
        comment.starts_with("//") && !words.starts_with('|') && line.chars().count() > MAX_COLUMNS
    };
    let found = text.lines().enumerate().filter(|(_, line)| wide(line));
    found
        .map(|(n, _)| {
            let message = format!("a comment of more than {MAX_COLUMNS} columns");
            Violation::new(file, n + 1, message, "wrap it")
        })
        .collect()
}

/// Checks that a module begins with its purpose.
fn heading(file: &str, text: &str, rust: bool) -> Option<Violation> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    if rust {
        let ok = lines.next().is_some_and(|line| {
            line.starts_with("//!") || line.starts_with("#![doc = include_str!")
        });
        return (!ok).then(|| {
            Violation::new(
                file,
                1,
                "no `//!` line",
                "say in the first line what may go into this module",
            )
        });
    }
    // Interpreter lines and comments may come first; an empty file is fine.
    let first = lines.find(|line| !line.starts_with('#'))?;
    let ok = ["\"\"\"", "r\"\"\""]
        .iter()
        .any(|quote| first.starts_with(quote));
    (!ok).then(|| {
        Violation::new(
            file,
            1,
            "no docstring",
            "say in the first line what may go into this module",
        )
    })
}

fn words(file: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (pieces, help) in WORDS {
        let word = pieces.concat();
        for (n, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.contains(&word))
        {
            if word.chars().all(|c| c.is_ascii_uppercase()) && !stands_alone(line, &word) {
                continue;
            }
            violations.push(Violation::new(
                file,
                n + 1,
                format!("`{word}` is not allowed"),
                *help,
            ));
        }
    }
    violations
}

/// Returns whether the word occurs, not as a part of a longer one.
fn stands_alone(line: &str, word: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|part| part == word)
}

fn is_test(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    file.contains("/tests/")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
        || name.starts_with("test_")
}

/// Finds sleeps in tests: in test files, and below `mod tests` in others.
fn sleeps(file: &str, text: &str) -> Vec<Violation> {
    let lines: Vec<&str> = text.lines().collect();
    let start = if is_test(file) {
        Some(0)
    } else {
        lines
            .iter()
            .position(|line| line.starts_with("mod tests {"))
    };
    let Some(start) = start else {
        return Vec::new();
    };
    // On a paused clock tokio's sleep takes no time, and in Python a sleep of 0 only yields.
    let paused = text.contains("start_paused") || text.contains("clock is paused");
    let sleeps = |line: &str| {
        SLEEPS.iter().any(|pieces| {
            let call = pieces.concat();
            // In Rust, `time.` is Python code in a string: a worker that takes its time.
            (pieces[0].ends_with("::") || !file.ends_with(".rs"))
                && line.contains(&call)
                && !line.contains(&format!("{call}0)"))
                && !(paused && line.contains(&["tokio::", "time::", "sleep("].concat()))
        })
    };
    let meant = |n: usize| {
        let marked = |line: &&str| line.contains(TOOL_SLEEPS) || line.contains(POLLS);
        marked(&lines[n])
            || n.checked_sub(1)
                .and_then(|n| lines.get(n))
                .is_some_and(marked)
    };
    let found = (start..lines.len()).filter(|&n| sleeps(lines[n]) && !meant(n));
    let help = format!(
        "wait for the event itself; where a Python tool takes its time on purpose, say so: `# {TOOL_SLEEPS}`; \
         where no event tells, say what is waited for: `{POLLS}…`"
    );
    found
        .map(|n| Violation::new(file, n + 1, "a test sleeps", help.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(file: &str, text: &str) -> Vec<String> {
        check(file, text).into_iter().map(|it| it.message).collect()
    }

    #[test]
    fn modules_begin_with_what_they_are_for() {
        assert_eq!(messages("a.rs", "use x;\n"), ["no `//!` line"]);
        assert!(messages("a.rs", "//! It.\n").is_empty());
        assert_eq!(messages("a.py", "import os\n"), ["no docstring"]);
        assert!(messages("a.py", "#!/usr/bin/env python3\n\"\"\"It.\"\"\"\n").is_empty());
        assert!(messages("a/__init__.py", "").is_empty());
    }

    #[test]
    fn long_files_and_mod_rs_are_refused() {
        let text = format!("//! It.\n{}", "\n".repeat(400));
        assert_eq!(messages("a/mod.rs", &text).len(), 2);
        assert!(messages("a.md", &text).is_empty());
    }

    #[test]
    fn comments_are_as_narrow_as_code_but_for_tables() {
        let words = "word ".repeat(20);
        let wide = format!("//! It.\n    /// {words}.\nlet text = \"{words}\";\n//! | {words} |\n");
        let found = check("a.rs", &wide);
        assert_eq!(found.iter().map(|it| it.line).collect::<Vec<_>>(), [2]);
        assert!(messages("a.rs", &format!("//! {}\n", "ä".repeat(96))).is_empty());
        assert_eq!(check("a.proto", &format!("// {words}\n")).len(), 1);
    }

    #[test]
    fn forbidden_words_are_found_with_their_line() {
        for (pieces, _) in WORDS {
            let text = format!("//! It.\n// {} \n", pieces.concat());
            let found = check("a.rs", &text);
            assert_eq!((found.len(), found[0].line), (1, 2), "{text}");
        }
        assert!(messages("a.rs", "//! AXXXA is a part of a word.\n").is_empty());
    }

    #[test]
    fn tests_do_not_sleep_but_tools_may() {
        let sleep = SLEEPS[2].concat();
        let bare = format!("\"\"\"It.\"\"\"\n{sleep}1)\n");
        assert_eq!(messages("python/tests/test_a.py", &bare), ["a test sleeps"]);
        assert!(messages("python/a.py", &bare).is_empty());
        let meant = format!("\"\"\"It.\"\"\"\n{sleep}1)  # {TOOL_SLEEPS}\n");
        assert!(messages("python/tests/test_a.py", &meant).is_empty());
        let yields = format!("\"\"\"It.\"\"\"\n{}0)\n", SLEEPS[3].concat());
        assert!(messages("python/tests/test_a.py", &yields).is_empty());
        let paused = format!("//! start_paused\ntokio::{}x);\n", SLEEPS[1].concat());
        assert!(messages("tests/it/a.rs", &paused).is_empty());
        let sleep = SLEEPS[0].concat();
        let inline = format!("//! It.\nfn f() {{ {sleep}x); }}\nmod tests {{\n{sleep}x);\n}}\n");
        let polls = format!("//! It.\n{POLLS}the pid file\n{sleep}x);\n");
        assert!(messages("tests/it/a.rs", &polls).is_empty());
        let found = check("a.rs", &inline);
        assert_eq!(found.iter().map(|it| it.line).collect::<Vec<_>>(), [4]);
    }
}
