//! Finds the end of a value: its quote, or the end of its word, line or block.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::patterns::regex;
use super::strings::{closes, level, own, trailing_slashes};
use super::unquoted::{Around, DESCRIBING, is_odd, is_path, is_secret, is_setting, of_words};

/// Characters that end a word, unless another word follows immediately.
const STOPS: &str = "\"'`,;&)}]([";

/// Longest text before a name that is read, in characters.
const BEFORE: usize = 64;

/// Longest line after a name that is read, in characters.
const LINE: usize = 4096;

/// Longest word that is judged, in characters.
const WORD: usize = 400;

static NEXT_LINE: LazyLock<Regex> = LazyLock::new(|| regex(r"^[ \t]*\r?\n[ \t]*"));

static END_OF_ENCODED: LazyLock<Regex> =
    LazyLock::new(|| regex("%(?:25){0,2}(?:26|22|2[Cc]|7[Dd]|0[AaDd])"));

static ARGUMENT: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"^(?:\\[ '][A-Za-z0-9]|[^ \t\r\n"',;)\]<-])(?:\\[ '][A-Za-z0-9]|[^ \t\r\n"',;)\]<])*"#)
});

static NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^[A-Za-z_][A-Za-z0-9_.-]{0,40}["']?[=:]"#));

static NEXT_NAME: LazyLock<Regex> =
    LazyLock::new(|| regex(r"[ \t&;,]+[A-Za-z_][A-Za-z0-9_.-]{0,40}(?:=|:[ \t])"));

/// Prose after a value that is not the name of the next one: ` unknown token: 'transformer'`.
static DESCRIPTION: LazyLock<Regex> = LazyLock::new(|| {
    let words = DESCRIBING.join("|");
    regex(&format!(
        r#"[ \t&;,]+(?i-u:{words})[ \t]+(?:(?i-u:token|secret|credentials?)[ \t]*[:=]?[ \t]*["'`]|[A-Za-z_][A-Za-z0-9_.-]{{0,40}}:[ \t])"#
    ))
});

static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"^(?:![^ \t\r\n]{1,40}[ \t]+)?[|>][+-]?[0-9]?[+-]?[ \t]*(?:#[^\n]*)?(?:\r?\n|$)")
});

/// The text that may precede a name at the beginning of a line.
static LINE_START: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^(?:.*[:\]>|][ \t]+)?[ \t]*(?:-[ \t]+)?(?:(?:export|set|setenv|setx|declare|local|readonly|ENV|ARG|env)[ \t]+(?:-[A-Za-z]{1,8}[ \t]+)?)?$",
    )
});

/// Returns `true` if a shell escape precedes this character inside a word: `it\'s\ mine`.
fn is_escaped(text: &str) -> bool {
    let mut chars = text.chars();
    matches!(chars.next(), Some(' ' | '\'')) && chars.next().is_some_and(of_words)
}

/// Returns the length of the word at the beginning of a text, up to `most` characters.
fn word(text: &str, most: usize) -> usize {
    let ends = |c: char| {
        matches!(
            c,
            ' ' | '\t'
                | '\r'
                | '\n'
                | '"'
                | '\''
                | '`'
                | ','
                | ';'
                | '&'
                | ')'
                | '}'
                | ']'
                | '<'
                | '('
                | '['
                | '|'
        )
    };
    let mut chars = text.char_indices().take(most);
    while let Some((at, c)) = chars.next() {
        if c == '\\' && is_escaped(&text[at + 1..]) {
            chars.next();
        } else if ends(c) {
            return at;
        }
    }
    at_most(text, most).len()
}

/// Returns the first `most` characters of a text.
pub(super) fn at_most(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most);
    &text[..end.map_or(text.len(), |(end, _)| end)]
}

pub(super) fn is_blank(text: &str) -> bool {
    text.trim_start_matches([' ', '\t', '\r']).is_empty()
}

pub(super) fn of_line(text: &str) -> &str {
    &text[..text.find(['\r', '\n']).unwrap_or(text.len())]
}

/// A name, and the position of its possible value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'t> {
    pub(super) key: &'t str,
    pub(super) key_at: usize,
    /// Start of the value.
    pub(super) at: usize,
    /// The sign is not a bare `=`.
    pub(super) loose: bool,
    pub(super) colon: bool,
    /// Quotes or a bracket follow the name.
    pub(super) closed: bool,
    /// The value is a line of its own.
    pub(super) line: bool,
}

/// The state of the last value of a text that continues in the next line of its stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Open {
    /// A quoted value, which ends with these characters.
    Quoted(String),
    /// The value may continue in another string with this quote.
    More(String),
    /// A block: the lines that are indented by more than this.
    Block(usize),
    /// A container that begins at this position of the text.
    Within(usize),
}

/// A reader of the values in one text.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) open: Option<Open>,
    /// Quotes that do not occur again in the rest of the text.
    pub(super) endless: Vec<String>,
}

impl<'t> Reader<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self {
            text,
            open: None,
            endless: Vec::new(),
        }
    }

    /// Takes the state of the value that was read last, if that value may continue.
    pub(super) fn take_open(&mut self) -> Option<Open> {
        self.open.take()
    }

    /// Returns `true` if a word begins at this position.
    pub(super) fn glued(&self, at: usize) -> bool {
        self.text[at..].chars().next().is_some_and(of_words)
    }

    /// Returns the span of a YAML block: the lines after `|` that are indented more than the name.
    pub(super) fn block(&mut self, at: usize, key_at: usize) -> Option<Range<usize>> {
        let text = self.text;
        let found = BLOCK.find(&text[at..])?;
        let before = text[..key_at].rfind('\n').map_or(0, |newline| newline + 1);
        let depth = text[before..key_at].chars().count();
        let mut block: Option<Range<usize>> = None;
        let mut line = at + found.end();
        if line == text.len() {
            self.open = Some(Open::Block(depth));
        }
        while line < text.len() {
            let stop = text[line..].find('\n').map_or(text.len(), |end| line + end);
            let blanks = text[line..stop].trim_start_matches([' ', '\t', '\r']);
            let first = stop - blanks.len();
            if first < stop {
                if first - line <= depth {
                    break;
                }
                block = Some(block.map_or(first, |block| block.start)..stop);
            }
            line = stop + 1;
        }
        block
    }

    /// Returns the span of a value without quotes: a word, or the whole line if the name begins a
    /// line.
    pub(super) fn unquoted(&mut self, pair: Pair<'_>) -> Option<Range<usize>> {
        let (text, Pair { key, at, loose, .. }) = (self.text, pair);
        let judge = |word: &str, loose: bool, end: usize| {
            let rest = &text[end..];
            is_secret(Around { key, loose, rest }, word)
        };
        let below = pair.colon.then(|| NEXT_LINE.find(&text[at..])).flatten();
        if let Some(below) = below {
            let start = at + below.end();
            let end = start + word(&text[start..], usize::MAX);
            let alone = text[end..].is_empty() || text[end..].starts_with(['\r', '\n']);
            return (alone && judge(&text[start..end], true, end)).then_some(start..end);
        }
        let end = at + word(&text[at..], WORD);
        let first = &text[at..end];
        if text[at..].starts_with(['=', '>', '~']) {
            return None;
        }
        let before = text[..pair.key_at].chars().next_back();
        let outer = before.filter(|c| matches!(c, '"' | '\'') && !pair.closed);
        let begins = pair.line || outer.is_some() || self.begins_line(pair.key_at);
        let upper = !key.bytes().any(|byte| byte.is_ascii_lowercase());
        let constant = begins && !loose && upper;
        // The name of the next value.
        let named = first.strip_suffix(['=', ':']).is_some_and(is_path);
        if named && !constant && text[end..].starts_with(['"', '\'']) {
            return None;
        }
        let length = first.chars().count();
        // So long is no word of prose or code.
        let mut secret = length == WORD || judge(first, loose, end);
        let code = text[end..].starts_with(['(', '[']) && is_path(first);
        if !secret && (1..4).contains(&length) {
            let longer = self.word_end(at, outer);
            let judged = at_most(&text[at..longer], WORD);
            secret = longer > end && !code && judge(judged, loose, longer);
        }
        if !begins {
            return secret.then(|| at..self.word_end(at, outer));
        }
        let odd = || !first.is_empty() && is_odd(key, first, loose);
        if !(secret || constant || odd()) {
            return None;
        }
        let stop = self.line_end(pair, outer, !constant);
        if !secret && constant {
            let setting = at_most(&text[at..stop.max(at)], WORD);
            if code || !is_setting(key, first, setting) {
                return None;
            }
        }
        Some(at..if stop > at { stop } else { end })
    }

    fn begins_line(&self, key_at: usize) -> bool {
        let before = &self.text[..key_at];
        let first = before.char_indices().nth_back(BEFORE - 1);
        let first = first.map_or(0, |(first, _)| first);
        let near = &before[first..];
        match near.rfind(['\n', '\r']) {
            Some(newline) => LINE_START.is_match(&near[newline + 1..]),
            None => first == 0 && LINE_START.is_match(near),
        }
    }

    /// Returns the end of the line or of the enclosing string; with `names`, of this pair.
    fn line_end(&self, pair: Pair<'_>, outer: Option<char>, names: bool) -> usize {
        let (text, Pair { key_at, at, .. }) = (self.text, pair);
        let mut line = of_line(at_most(&text[at..], LINE));
        if let Some(quote) = outer {
            let level = level(trailing_slashes(&text[..key_at - 1]).min(15));
            let mut from = 0;
            while let Some(found) = line[from..].find(quote) {
                let last = from + found;
                let count = trailing_slashes(&line[from..last]);
                from = last + 1;
                if closes(count, level) && !self.glued(at + from) {
                    line = &line[..last - own(count, level)];
                    break;
                }
            }
        }
        let before = &text[..key_at];
        let escaped = ["\\n", "\\r", "\\t"].iter().any(|it| before.ends_with(it));
        if (outer.is_some() || escaped)
            && let Some(escaped) = line.find("\\n")
        {
            line = &line[..escaped];
        }
        if names {
            let next = [&NEXT_NAME, &DESCRIPTION].map(|next| next.find(line));
            let end = next.iter().flatten().map(regex::Match::start).min();
            line = &line[..end.unwrap_or(line.len())];
        }
        at + line.trim_end_matches([' ', '\t']).len()
    }

    /// Returns the end of a word, including what punctuation joins to it.
    fn word_end(&self, from: usize, outer: Option<char>) -> usize {
        let (text, mut at) = (self.text, from);
        loop {
            at += word(&text[at..], usize::MAX);
            let stop = text[at..].chars().next().filter(|c| STOPS.contains(*c));
            let Some(stop) = stop.filter(|stop| Some(*stop) != outer) else {
                return at;
            };
            let next = at + stop.len_utf8();
            if !self.glued(next) || NAME.is_match(&text[next..]) {
                return at;
            }
            at = next;
        }
    }

    /// Returns the span of a value in a query that is encoded a second time: it ends at `%26`.
    pub(super) fn encoded(&self, key: &str, sign: &str, at: usize) -> Option<Range<usize>> {
        let ends = [
            ' ', '\t', '\r', '\n', '"', '\'', '`', ',', ';', '&', ')', '}', ']', '<', '>',
        ];
        let rest = &self.text[at..];
        let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
        // Text that is escaped more often than the sign belongs to the value.
        let mut ends = END_OF_ENCODED.find_iter(word);
        let end = ends.find(|end| end.len() <= sign.len());
        let end = end.map_or(word.len(), |end| end.start());
        let around = Around {
            key,
            loose: false,
            rest: "",
        };
        is_secret(around, at_most(&word[..end], WORD)).then_some(at..at + end)
    }

    /// Returns the span of the word after an option.
    pub(super) fn argument(&self, key: &str, at: usize) -> Option<Range<usize>> {
        let found = ARGUMENT.find(&self.text[at..])?;
        let word = at_most(found.as_str(), WORD);
        if word.chars().take(4).count() < 4 {
            return None;
        }
        let sure = word.chars().count() >= 12 || word.bytes().any(|byte| byte.is_ascii_digit());
        let around = Around {
            key,
            loose: false,
            rest: &self.text[at + found.end()..],
        };
        (sure && is_secret(around, word)).then(|| at..self.word_end(at, None).max(at + found.end()))
    }
}
