//! Values without quotes, as in `password=correcthorse`: decides which are secrets, and which are
//! code or prose.

/// Names that occur in prose, too, as in `unexpected token: NAME`. After them, a value without a
/// digit is a secret only if it is long.
const WEAK: [&str; 4] = ["token", "secret", "credential", "credentials"];

/// Words about secrets, and names of types, which are not secrets themselves.
const WORDS: &[&str] = &[
    "accepted",
    "annotated",
    "any",
    "anystr",
    "array",
    "authentication",
    "awaitable",
    "bool",
    "boolean",
    "bytearray",
    "bytes",
    "callable",
    "changed",
    "coroutine",
    "date",
    "datetime",
    "decimal",
    "default",
    "denied",
    "dict",
    "disabled",
    "empty",
    "enabled",
    "expected",
    "expired",
    "failed",
    "false",
    "field",
    "float",
    "forbidden",
    "frozenset",
    "given",
    "hidden",
    "incorrect",
    "int",
    "integer",
    "invalid",
    "iterable",
    "iterator",
    "list",
    "literal",
    "mapping",
    "masked",
    "mismatch",
    "missing",
    "must",
    "never",
    "none",
    "nonetype",
    "noreturn",
    "null",
    "number",
    "object",
    "optional",
    "path",
    "redacted",
    "rejected",
    "required",
    "secretbytes",
    "secretstr",
    "self",
    "sequence",
    "set",
    "should",
    "str",
    "string",
    "text",
    "true",
    "tuple",
    "type",
    "unauthorized",
    "undefined",
    "union",
    "unknown",
    "unset",
    "updated",
    "uuid",
    "valid",
    "wrong",
];

/// Endings of names of secrets.
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

/// Usual names in programs before the last name of a path.
const OWNERS: [&str; 14] = [
    "self", "cls", "args", "kwargs", "config", "cfg", "conf", "settings", "options", "opts", "os",
    "env", "request", "params",
];

/// Words before a weak name that show its other meaning: a token of a language, or prose.
pub(super) const DESCRIBING: &[&str] = &[
    "bad",
    "current",
    "duplicate",
    "each",
    "expected",
    "first",
    "illegal",
    "invalid",
    "last",
    "missing",
    "new",
    "next",
    "no",
    "previous",
    "reserved",
    "special",
    "stray",
    "the",
    "this",
    "undefined",
    "unexpected",
    "unknown",
    "unmatched",
    "unrecognised",
    "unrecognized",
    "unsupported",
    "unterminated",
    "wrong",
];

/// Words before `token` in terms of language models and parsers.
const SPECIAL: &[&str] = &[
    "audio",
    "begin",
    "bos",
    "cls",
    "cur",
    "current",
    "decoder",
    "end",
    "eos",
    "first",
    "image",
    "last",
    "lookahead",
    "mask",
    "max",
    "min",
    "next",
    "num",
    "pad",
    "peek",
    "prev",
    "previous",
    "sep",
    "special",
    "start",
    "stop",
    "sub",
    "unk",
    "video",
    "word",
];

/// Characters that do not occur in words of prose.
const ODD: [char; 12] = ['@', '#', '$', '%', '^', '*', '!', '+', '?', '~', '\\', '='];

/// The beginnings of templates.
const TEMPLATES: [&str; 4] = ["${", "$(", "{{", "%("];

/// Longest part of a value that is read, in characters.
const LOOKED_AT: usize = 200;

/// The text around a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    /// The name as written.
    pub(super) key: &'a str,
    /// The sign is a colon, or has spaces around it: the value is a secret only if it is the last
    /// word.
    pub(super) loose: bool,
    /// The text after the value.
    pub(super) rest: &'a str,
}

/// Returns `true` if the value counts as a secret.
///
/// With a digit, it needs at least 4 characters, or 6 after a weak name. Without a digit, it needs
/// at least 4, or 16 after a weak name; it must not be one of [`WORDS`], a name of a secret or a
/// part of an expression; and after a loose sign it must end the statement.
pub(super) fn is_secret(around: Around<'_>, value: &str) -> bool {
    let (key, start) = (around.key.to_ascii_lowercase(), start(value));
    let lower = start.to_ascii_lowercase();
    let weak = WEAK.contains(&&*key);
    let length = start.chars().count();
    let digits = start.bytes().any(|byte| byte.is_ascii_digit());
    if is_said(start) || is_special(&key, start) {
        return false;
    }
    let path = is_path(&lower);
    let code = path && around.rest.starts_with(['(', '[']);
    if is_directory(&key, start) || code || !start.chars().any(of_words) {
        return false;
    }
    if digits {
        return !is_count(&key, start) && length >= if weak { 6 } else { 4 };
    }
    // So long is no word of prose.
    let long = value.chars().take(LOOKED_AT).count() == LOOKED_AT;
    let prose = around.loose && !long && !ends_here(around.rest);
    if path && names_a_secret(&lower) || prose {
        return false;
    }
    if weak {
        length >= 16 && !(path && lower.contains('_'))
    } else {
        length >= 4
    }
}

/// Returns the part of a value that is read.
fn start(value: &str) -> &str {
    let value = value.trim_end_matches(['.', '!', '?']);
    let end = value.char_indices().nth(LOOKED_AT);
    &value[..end.map_or(value.len(), |(end, _)| end)]
}

/// Returns `true` if the value is a word about a secret, a placeholder, or an expression.
pub(super) fn is_said(value: &str) -> bool {
    let lower = start(value).to_ascii_lowercase();
    let template = TEMPLATES.iter().any(|it| lower.starts_with(it));
    let owned = || lower.split('.').any(|part| OWNERS.contains(&part));
    let expression = lower.contains('.') && is_path(&lower) && owned();
    // The name of a type, as in `AWS::Location::APIKey`.
    let typed = lower.contains("::") && lower.split("::").all(is_path);
    WORDS.contains(&&*lower) || template || is_field(&lower) || expression || typed
}

/// Returns `true` for a value of a name such as `pad_token` or `next_token` that does not look like
/// a secret.
pub(super) fn is_special(key: &str, value: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let named = key
        .strip_suffix("token")
        .and_then(|before| before.strip_suffix(['_', '-']));
    let Some(word) = named.and_then(|before| before.rsplit(['_', '-', '.']).next()) else {
        return false;
    };
    let length = value.chars().take(LOOKED_AT).count();
    let digit = || value.chars().take(LOOKED_AT).any(|c| c.is_ascii_digit());
    SPECIAL.contains(&word) && (length < 24 || length < LOOKED_AT && !digit())
}

/// Returns `true` if the value is a token of a text, as in `{'token': 'hello', 'pos': 'NOUN'}`.
pub(super) fn is_token_of_text(key: &str, value: &str) -> bool {
    if !key.eq_ignore_ascii_case("token") || value.chars().nth(16).is_some() {
        return false;
    }
    let word = value.trim_start_matches(|c: char| !c.is_alphanumeric());
    let letters = |c: char| c.is_alphabetic() || matches!(c, '\'' | '’');
    let mut pairs = word.chars().zip(word.chars().skip(1));
    word.chars().all(letters) && !pairs.any(|(one, two)| one.is_lowercase() && two.is_uppercase())
}

/// Returns `true` if the name at this position is weak and follows a word that shows its other
/// meaning.
pub(super) fn is_described(key: &str, at: usize, text: &str) -> bool {
    if !WEAK.contains(&&*key.to_ascii_lowercase()) {
        return false;
    }
    let before = text[..at].trim_end_matches([' ', '\t']);
    let letters = before
        .bytes()
        .rev()
        .take(20)
        .take_while(u8::is_ascii_alphabetic);
    let word = &before[before.len() - letters.count()..];
    before.len() < at && DESCRIBING.contains(&&*word.to_ascii_lowercase())
}

/// Returns `true` if the value is a secret even after a weak name.
pub(super) fn is_strong(value: &str) -> bool {
    let start = value.chars().take(LOOKED_AT);
    let length = start.clone().count();
    if length == LOOKED_AT || start.clone().any(|c| c.is_ascii_digit()) {
        return length >= 6;
    }
    length >= 16 && !start.clone().any(|c| c == ' ')
}

/// Returns `true` if the first word of a line is neither prose nor code.
pub(super) fn is_odd(key: &str, value: &str, loose: bool) -> bool {
    let start = start(value);
    let weak = WEAK.contains(&&*key.to_ascii_lowercase());
    if !loose || start.chars().count() < 4 || weak || is_said(start) {
        return false;
    }
    start.contains(ODD) && start.chars().any(of_words)
}

/// Returns `true` if the whole line is the value, as in the environment setting
/// `DB_PASSWORD=my dog`.
pub(super) fn is_setting(key: &str, word: &str, line: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let known = is_said(word) || is_special(&key, line);
    if known || is_directory(&key, word) || is_count(&key, line) {
        return false;
    }
    line.chars().take(4).count() == 4 && line.chars().any(of_words)
}

fn is_directory(key: &str, start: &str) -> bool {
    key.ends_with("pwd") && !key.contains('_') && start.starts_with(['/', '~', '.'])
}

/// Returns `true` if the value is a number of tokens, which is not a secret.
fn is_count(key: &str, start: &str) -> bool {
    let digits = start.bytes().all(|byte| byte.is_ascii_digit());
    key.ends_with("token") && start.len() <= 8 && digits
}

/// Returns `true` if the character occurs in words: letters of all scripts and their marks.
pub(super) fn of_words(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii()
}

/// Returns `true` for a field of a format string, also without its end: `{password}`,
/// `{password!r`.
fn is_field(lower: &str) -> bool {
    lower.strip_prefix('{').is_some_and(|field| {
        let mut name = field.trim_end_matches('}').chars();
        name.all(|c| of_words(c) || matches!(c, '_' | '.' | '!' | ':'))
    })
}

/// Returns `true` if the value is the name of a secret: `args.password`, `db_pwd`, `authToken`.
pub(super) fn names_a_secret(lower: &str) -> bool {
    let last = lower.rsplit(['.', '_', '-']).find(|part| !part.is_empty());
    let glued = ["password", "passwd", "secret", "token", "apikey"];
    is_path(lower)
        && last
            .is_some_and(|last| NAMES.contains(&last) || glued.iter().any(|it| last.ends_with(it)))
}

/// Returns `true` if the text consists of names with dots between them.
pub(super) fn is_path(text: &str) -> bool {
    !text.is_empty()
        && text.split('.').all(|name| {
            let mut chars = name.chars();
            let first = chars
                .next()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
            first && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

/// Returns `true` if nothing, punctuation, or the name of the next value follows.
fn ends_here(rest: &str) -> bool {
    let (blank, rest) = (
        rest.starts_with([' ', '\t']),
        rest.trim_start_matches([' ', '\t']),
    );
    let Some(first) = rest.chars().next() else {
        return true;
    };
    // A comment.
    if blank && first == '#' {
        return true;
    }
    if matches!(
        first,
        '\n' | '\r' | '"' | '\'' | ',' | ';' | ')' | '}' | ']' | '|' | '<' | '&'
    ) {
        return true;
    }
    let mut after = rest.chars().take(41);
    let of_names = |c: char| of_words(c) || matches!(c, '_' | '-' | '.');
    of_names(first) && matches!(after.find(|c| !of_names(*c)), Some(':' | '='))
}
