//! Values without quotes, as in `password=correcthorse`: which of them are secrets, and which are code or prose.

use super::boundary;

/// Names that stand in prose, too, as in `unexpected token: NAME`: without a digit only a long value behind them is a secret.
const WEAK: [&str; 4] = ["token", "secret", "credential", "credentials"];

/// Values that say something about a secret.
const WORDS: &[&str] = &[
    "accepted",
    "any",
    "authentication",
    "bool",
    "bytes",
    "changed",
    "default",
    "denied",
    "disabled",
    "empty",
    "enabled",
    "expected",
    "expired",
    "failed",
    "false",
    "field",
    "forbidden",
    "given",
    "hidden",
    "incorrect",
    "invalid",
    "masked",
    "mismatch",
    "missing",
    "must",
    "none",
    "null",
    "object",
    "optional",
    "rejected",
    "required",
    "secretstr",
    "should",
    "str",
    "string",
    "text",
    "true",
    "unauthorized",
    "undefined",
    "unknown",
    "unset",
    "updated",
    "valid",
    "wrong",
];

/// What a name of a secret ends with.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "apikey",
    "credential",
    "credentials",
    "auth",
];

/// What the names before the last one of a path have in programs.
const OWNERS: [&str; 14] = [
    "self", "cls", "args", "kwargs", "config", "cfg", "conf", "settings", "options", "opts", "os",
    "env", "request", "params",
];

/// Longest part of a value that is looked at.
const LOOKED_AT: usize = 200;

/// What stands around a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// The name, as it is written.
    pub(super) key: &'a str,
    /// A colon, or spaces around the sign: the value is a secret only as the last word.
    pub(super) loose: bool,
    /// What follows the value.
    pub(super) rest: &'a str,
}

/// Returns true if the value is taken for a secret.
///
/// With a digit it has at least 4 characters, or 6 behind a weak name. Without one it has at least 4, or 16 behind a weak name, is
/// no word of [`WORDS`], no name of a secret and no part of an expression, and ends the statement where the sign is loose.
pub(super) fn is_secret(around: Around<'_>, value: &str) -> bool {
    let (key, value) = (
        around.key.to_ascii_lowercase(),
        value.trim_end_matches(['.', '!', '?']),
    );
    let start = &value[..boundary(value, LOOKED_AT)];
    let lower = start.to_ascii_lowercase();
    let weak = WEAK.contains(&&*key);
    let length = start.chars().count();
    let digits = start.chars().filter(char::is_ascii_digit).count();
    let directory =
        key.ends_with("pwd") && !key.contains('_') && start.starts_with(['/', '~', '.']);
    let template = ["${", "$(", "{{", "%("]
        .iter()
        .any(|it| start.starts_with(it));
    let code = is_path(&lower) && around.rest.starts_with(['(', '[']);
    if directory || template || code || !start.chars().any(char::is_alphanumeric) {
        return false;
    }
    if digits > 0 {
        // The number of tokens is none.
        let count = digits == length && length <= 8 && key.ends_with("token");
        return !count && length >= if weak { 6 } else { 4 };
    }
    let known = WORDS.contains(&&*lower) || names_a_secret(&lower);
    let expression = is_path(&lower)
        && lower.split('.').any(|part| OWNERS.contains(&part))
        && lower.contains('.');
    if known || expression || around.loose && !ends_here(around.rest) {
        return false;
    }
    if weak {
        length >= 16 && !(is_path(&lower) && lower.contains('_'))
    } else {
        length >= 4
    }
}

/// `args.password`, `db_pwd`, `authToken`: a name stands where the secret would.
fn names_a_secret(lower: &str) -> bool {
    let last = lower.rsplit(['.', '_', '-']).find(|part| !part.is_empty());
    let glued = ["password", "passwd", "secret", "token", "apikey"];
    is_path(lower)
        && last
            .is_some_and(|last| NAMES.contains(&last) || glued.iter().any(|it| last.ends_with(it)))
}

/// Names with dots between them.
fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|name| {
            let mut chars = name.chars();
            let first = chars
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

/// Nothing follows the value, or punctuation, or the name of the next value.
fn ends_here(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '\t']);
    let Some(first) = rest.chars().next() else {
        return true;
    };
    if matches!(
        first,
        '\n' | '\r' | '"' | '\'' | ',' | ';' | ')' | '}' | ']' | '|' | '<' | '&'
    ) {
        return true;
    }
    let mut after = rest.chars().take(41);
    let of_names = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    of_names(first) && matches!(after.find(|c| !of_names(*c)), Some(':' | '='))
}
