//! Passwords in SQL statements, and values of columns in error messages of databases.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::boundary;
use super::named::{KEY, SUFFIX};
use super::patterns::regex;
use super::unquoted::is_said;
use super::values::{Reader, of_line};

/// `PASSWORD '…'`, `IDENTIFIED BY '…'`.
static CLAUSE: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?:^|[^A-Za-z0-9_'"`])(?i-u:password|passwd|identified(?:[ \t\r\n]{1,8}with[ \t\r\n]{1,8}["'`]?[a-z0-9_]{1,60}["'`]?)?[ \t\r\n]{1,8}(?:by|as)(?:[ \t\r\n]{1,8}password)?)(?:[ \t\r\n]{1,8}|[ \t]?\([ \t]?)(?P<quote>[NnEe]?['"])"#,
    )
});

/// `Key (api_key)=(…) already exists`.
static COLUMNS: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r#"(?i-u:key) \((?:[ -'*-~]*?[ ,._"])?{KEY}{SUFFIX}(?:[ ,._"][ -'*-~]*)?\)=\("#
    ))
});

/// `Duplicate entry '…' for key 'users.api_key'`.
static DUPLICATE: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"Duplicate entry '(?P<value>[^'\r\n]+)' for key '(?:[ -&(-~]*?[._`])?{KEY}"
    ))
});

/// Largest size in bytes of the part of a column value that is read.
const MOST: usize = 1024;

/// Adds the spans of values in SQL statements and in errors of databases.
pub(super) fn find(text: &str, spans: &mut Vec<Range<usize>>) {
    if text.contains(")=(") {
        columns(text, spans);
    }
    if text.contains("Duplicate entry") {
        let values = DUPLICATE.captures_iter(text);
        let values = values.filter_map(|found| found.name("value"));
        spans.extend(values.map(|value| value.range()));
    }
    if !text.contains(['\'', '"']) {
        return;
    }
    let mut reader = Reader::of(text);
    let mut at = 0;
    while let Some(found) = CLAUSE.captures_at(text, at) {
        let quote = found.name("quote").expect("it is in every match");
        let values = reader.quoted(quote.start(), "");
        at = values
            .iter()
            .fold(quote.end(), |at, value| at.max(value.end));
        let said = values
            .first()
            .is_none_or(|value| is_said(&text[value.clone()]));
        spans.extend(values.into_iter().filter(|_| !said));
    }
}

fn columns(text: &str, spans: &mut Vec<Range<usize>>) {
    for head in COLUMNS.find_iter(text) {
        let limit = boundary(text, head.end() + MOST);
        let line = of_line(&text[head.end()..limit]);
        let end = line.find(") ").or_else(|| line.rfind(')'));
        let end = end.unwrap_or(line.len());
        spans.extend((end > 0).then_some(head.end()..head.end() + end));
    }
}
