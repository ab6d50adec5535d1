//! Data on stdout.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use serde_json::Value as Json;
use snakepit::{Printable, Report, Value};

use crate::failure::Failure;

/// Prints a value on one line, as JSON. A bare string is printed as it is unless `json` is set; on
/// a terminal, its control characters are escaped.
pub(crate) fn value(value: &Value, json: bool) -> Result<(), Failure> {
    match value {
        Value::Str(text) if !json && io::stdout().is_terminal() => block(text),
        Value::Str(text) if !json => raw(text.as_bytes()),
        // Written directly: the text may be much larger than the value.
        other => {
            let text = other.json_text().map_err(|error| {
                let what = format!("the result cannot be printed as JSON: {error}");
                let help = "return a map whose keys are distinct strings";
                Failure::Reported {
                    report: Box::new(Report::usage(error.code(), what, help)),
                    usage: false,
                }
            })?;
            let mut stdout = io::BufWriter::with_capacity(64 << 10, io::stdout().lock());
            let mut escaping = Escaping {
                out: &mut stdout,
                failed: None,
            };
            let written = write!(escaping, "{text}");
            if let (Err(_), Some(error)) = (written, escaping.failed) {
                return Err(error.into());
            }
            stdout.write_all(b"\n")?;
            Ok(stdout.flush()?)
        }
    }
}

/// Writes JSON text as [`escaped`] does, piece by piece.
struct Escaping<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> std::fmt::Write for Escaping<W> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let plain = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        let written = if plain {
            self.out.write_all(text.as_bytes())
        } else {
            self.out.write_all(escaped(text).as_bytes())
        };
        written.map_err(|error| {
            self.failed = Some(error);
            std::fmt::Error
        })
    }
}

/// Prints a JSON document, indented for people.
pub(crate) fn document(document: &Json) -> Result<(), Failure> {
    block(&escaped(&format!("{document:#}")))
}

/// Prints a document that was laid out. A terminal gets it with its control characters escaped.
pub(crate) fn document_text(text: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        true => block(text),
        false => bytes(text.as_bytes()),
    }
}

/// Formats JSON on one line.
pub(crate) fn json_text(json: &Json) -> String {
    escaped(&json.to_string())
}

/// Escapes the control characters that JSON allows. They occur only in strings, where an escape is
/// equivalent.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let mut units = [0; 2];
        match c {
            '\n' => out.push(c),
            c if Printable(c.encode_utf8(&mut [0; 4])).is_safe() => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a `String` cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out
}

/// Prints a line and flushes it. Control characters are escaped.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    raw(Printable(text).to_text().as_bytes())
}

/// Prints several lines and flushes them. Control characters are escaped.
pub(crate) fn block(text: &str) -> Result<(), Failure> {
    let lines: Vec<_> = Printable(text).lines().map(Printable::to_text).collect();
    raw(lines.join("\n").as_bytes())
}

/// Prints a warning on stderr, for people. Control characters are escaped.
pub(crate) fn warn(text: &str) {
    // If stderr cannot be written, there is nowhere to report it.
    let _ = writeln!(io::stderr().lock(), "warning: {}", Printable(text));
}

/// Prints text that was laid out for a terminal and flushes it. Colours stay; other control
/// characters are escaped.
pub(crate) fn painted(text: &str) -> Result<(), Failure> {
    raw(coloured(text).as_bytes())
}

/// Escapes control characters, except for line breaks and the sequences that select a colour.
fn coloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            out.push('\n');
        }
        let mut parts = line.split("\u{1b}[");
        out.push_str(&Printable(parts.next().unwrap_or_default()).to_text());
        for part in parts {
            let codes = part.find(|c: char| !c.is_ascii_digit() && c != ';');
            let (codes, rest) = part.split_at(codes.unwrap_or(part.len()));
            match rest.strip_prefix('m') {
                Some(rest) => {
                    out.extend(["\u{1b}[", codes, "m"]);
                    out.push_str(&Printable(rest).to_text());
                }
                None => {
                    out.push_str("\\u{1b}[");
                    out.push_str(&Printable(part).to_text());
                }
            }
        }
    }
    out
}

fn raw(line: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(line)?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Writes bytes unchanged.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{coloured, json_text};

    #[test]
    fn of_all_control_sequences_only_colours_stay() {
        for (text, shown) in [
            ("a\n\u{1b}[1;31mred\u{1b}[0m\n", None),
            (
                "\u{1b}[2Jx\u{1b}[1m\u{1b}",
                Some("\\u{1b}[2Jx\u{1b}[1m\\u{1b}"),
            ),
            ("\u{1b}]8;;a\u{7}", Some("\\u{1b}]8;;a\\u{7}")),
            ("\u{1b}[31", Some("\\u{1b}[31")),
            ("a\r\u{9b}31m", Some("a\\r\\u{9b}31m")),
        ] {
            assert_eq!(coloured(text), shown.unwrap_or(text));
        }
    }

    #[test]
    fn json_has_no_control_characters_and_means_the_same() {
        let document = json!({ "a\u{9b}2J": "\u{7f}\u{1b}[31m\n\u{202e}ü🐍" });
        let text = json_text(&document);
        assert!(
            !text.chars().any(|c| c.is_control() || c == '\u{202e}'),
            "{text}"
        );
        assert!(text.contains("\\u009b") && text.contains("🐍"), "{text}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            document
        );
    }
}
