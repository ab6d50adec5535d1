//! The forms of a known value in texts: unchanged, and escaped.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// Shortest escaped form, in bytes: shorter ones are too common.
const SHORTEST: usize = 8;

/// Returns all forms of a value.
pub(super) fn of(value: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let (json, ascii) = (json(value, false), json(value, true));
    for quote in ['\'', '"'] {
        let escaped = repr(value, Some(quote));
        forms.insert(escaped.replace('\\', r"\\"));
        forms.insert(escaped);
    }
    forms.extend([
        repr(value, None),
        bytes(&repr(value, None)),
        bytes(&repr(value, Some('\''))),
        json.replace('/', r"\/"),
        self::json(&json, false),
        self::json(&json, true),
        self::json(&ascii, true),
        json,
        ascii,
        value.replace('\'', r#"'"'"'"#),
    ]);
    for safe in ["", "/"] {
        let encoded = percent(value, safe);
        forms.insert(encoded.replace("%20", "+"));
        forms.insert(percent_lower(value, safe));
        forms.insert(encoded);
    }
    for apostrophe in ["&#x27;", "&#39;", "'"] {
        forms.insert(markup(value, apostrophe));
    }
    forms.extend(base64(value));
    forms.retain(|form| form.len() >= SHORTEST);
    forms.insert(value.to_owned());
    forms
}

/// Returns the value as Python's `repr` writes it, without the quotes, with `quote` escaped.
fn repr(value: &str, quote: Option<char>) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            c if Some(c) == quote => out.extend(['\\', c]),
            c if c.is_control() => escape(&mut out, format_args!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// Returns the UTF-8 bytes of the value as Python's `repr` writes them.
fn bytes(repr: &str) -> String {
    let mut out = String::with_capacity(repr.len());
    for c in repr.chars() {
        let mut bytes = [0; 4];
        match c {
            c if c.is_ascii() => out.push(c),
            c => {
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    escape(&mut out, format_args!("\\x{byte:02x}"));
                }
            }
        }
    }
    out
}

/// Returns the value as JSON writes it, without the quotes; with `ascii`, as `json.dumps` escapes
/// other characters.
fn json(value: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        let mut units = [0; 2];
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\t' => out.push_str(r"\t"),
            '\u{8}' => out.push_str(r"\b"),
            '\u{c}' => out.push_str(r"\f"),
            c if c < ' ' || ascii && !c.is_ascii() => {
                for unit in c.encode_utf16(&mut units) {
                    escape(&mut out, format_args!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out
}

fn percent(value: &str, safe: &str) -> String {
    encoded(value, safe, |out, byte| {
        escape(out, format_args!("%{byte:02X}"))
    })
}

fn percent_lower(value: &str, safe: &str) -> String {
    encoded(value, safe, |out, byte| {
        escape(out, format_args!("%{byte:02x}"))
    })
}

fn encoded(value: &str, safe: &str, write: impl Fn(&mut String, u8)) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        let c = char::from(byte);
        match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
            c if safe.contains(c) => out.push(c),
            _ => write(&mut out, byte),
        }
    }
    out
}

fn markup(value: &str, apostrophe: &str) -> String {
    let out = value.replace('&', "&amp;");
    let out = out.replace('<', "&lt;").replace('>', "&gt;");
    out.replace('"', "&quot;").replace('\'', apostrophe)
}

/// Returns the base64 of the value inside that of a longer text: for each of the three positions of
/// its first byte, the characters that depend on the value only.
fn base64(value: &str) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [STANDARD, URL_SAFE] {
        forms.push(engine.encode(value));
        for before in 0..3 {
            let text = [&[0; 2][..before], value.as_bytes()].concat();
            let (first, last) = ((before * 8).div_ceil(6), text.len() * 8 / 6);
            let encoded = engine.encode(&text);
            forms.extend(encoded.get(first..last).map(str::to_owned));
        }
    }
    forms
}

fn escape(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes everything");
}
