//! Values that are known to be secret, and are masked wherever they occur.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{LazyLock, PoisonError, RwLock, RwLockReadGuard};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use regex::Regex;

use super::named::{KEY, SUFFIX};
use super::patterns::{self, regex};
use super::unquoted::{is_said, names_a_secret};
use super::{forms, masked};

/// Largest number of values in a set.
const MOST: usize = 64;

/// Largest size in bytes of all values in a set.
const MOST_BYTES: usize = 8 * 1024;

/// Shortest value that is accepted, in characters.
const SHORTEST: usize = 4;

/// Shortest value of a variable, and shortest line of a value with several lines, in characters.
/// The user has not declared these as secret, so they must not include a common word.
const SHORTEST_FOUND: usize = 8;

/// The name of a variable that has a secret value.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| regex(&format!("^(?:{KEY}){SUFFIX}$")));

/// Passwords of examples and of development setups.
const COMMON: &[&str] = &[
    "administrator",
    "anonymous",
    "changeit",
    "changeme",
    "development",
    "example.com",
    "examplekey",
    "letmein",
    "localhost",
    "localhost:5432",
    "placeholder",
    "postgres",
    "postgresql",
    "production",
    "replaceme",
    "superuser",
    "username",
    "yourpassword",
];

/// The reason for which a value is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// The value has less than 4 characters.
    Short,
    /// The set would have too many values, or too many bytes of values.
    Full,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => write!(
                f,
                "a value of less than {SHORTEST} characters cannot be masked: it would be found in other words"
            ),
            Self::Full => write!(
                f,
                "at most {MOST} values of together {MOST_BYTES} bytes can be masked"
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// A set of known values. Values are only added, by any thread.
#[derive(Default)]
pub struct Known(RwLock<Values>);

#[derive(Default)]
struct Values {
    values: BTreeSet<String>,
    bytes: usize,
    forms: Option<AhoCorasick>,
}

/// Formats the set without its values.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.read().values.len();
        f.debug_struct("Known").field("values", &count).finish()
    }
}

impl Known {
    /// Creates a set from the variables whose names are names of secrets. Omits short values,
    /// paths, numbers and common words.
    pub fn of_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let known = Self::default();
        for (name, value) in variables {
            if VARIABLE.is_match(name) && is_telling(value) {
                // Those that are too many are left to the patterns.
                let _ = known.add(value);
            }
        }
        known
    }

    /// Adds a value, without the blanks around it. Each line of the value is masked separately,
    /// too.
    ///
    /// # Errors
    /// [`Refused`] if the value is too short, or the set is full.
    pub fn add(&self, value: &str) -> Result<(), Refused> {
        let value = value.trim();
        if value.chars().take(SHORTEST).count() < SHORTEST {
            return Err(Refused::Short);
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.values.contains(value) {
            return Ok(());
        }
        if all.values.len() >= MOST || all.bytes + value.len() > MOST_BYTES {
            return Err(Refused::Full);
        }
        all.bytes += value.len();
        all.values.insert(value.to_owned());
        let forms: BTreeSet<String> = all.values.iter().flat_map(|value| parts(value)).collect();
        // Without it the value would be shown; so many bytes do not overflow it.
        all.forms = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&forms)
            .ok();
        Ok(())
    }

    /// Returns the text with these values masked, and everything else that looks like a secret.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let values = self.read();
        masked(text, text.len(), |text, spans| {
            values.find(text, spans);
            patterns::find(text, spans);
        })
    }

    /// Returns the text with these values masked. Other secrets stay.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let values = self.read();
        match values.forms {
            Some(_) => masked(text, text.len(), |text, spans| values.find(text, spans)),
            None => Cow::Borrowed(text),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Values> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    fn find(&self, text: &str, spans: &mut Vec<Range<usize>>) {
        if let Some(forms) = &self.forms {
            spans.extend(forms.find_iter(text).map(|found| found.range()));
        }
    }
}

/// Returns the forms of a value and of its lines.
fn parts(value: &str) -> BTreeSet<String> {
    let mut parts = forms::of(value);
    if value.contains('\n') {
        let lines = value.lines().map(str::trim);
        let lines =
            lines.filter(|line| line.chars().take(SHORTEST_FOUND).count() == SHORTEST_FOUND);
        parts.extend(lines.flat_map(forms::of));
    }
    parts
}

/// Returns `true` if a value is distinct from ordinary words.
fn is_telling(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let long = value.chars().take(SHORTEST_FOUND).count() == SHORTEST_FOUND;
    let path = value.starts_with(['/', '~', '.']) || value.starts_with("file:");
    let common = COMMON.contains(&&*lower) || is_said(value) || names_a_secret(&lower);
    let word = value.chars().any(char::is_alphanumeric);
    long && word && !path && !common && value.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(values: &[&str]) -> Known {
        let known = Known::default();
        for value in values {
            known.add(value).unwrap();
        }
        known
    }

    #[test]
    fn a_value_is_masked_wherever_it_stands() {
        let known = known(&["correct horse", "battery/staple+9"]);
        let text = "it was correct horse, and xbattery/staple+9x";
        assert_eq!(known.redact(text), "it was <redacted>, and x<redacted>x");
        assert_eq!(known.mask(text), "it was <redacted>, and x<redacted>x");
    }

    #[test]
    fn escaped_forms_of_a_value_are_masked() {
        let known = known(&["it's \"a\" <b>\\c/ü9&"]);
        for text in [
            r#"'it\'s "a" <b>\\c/ü9&'"#,
            r#"b'it\'s "a" <b>\\c/\xc3\xbc9&'"#,
            r#"{"x": "it's \"a\" <b>\\c/\u00fc9&"}"#,
            r#"{"x": "it's \"a\" <b>\\c/ü9&"}"#,
            r#"{"x": "it's \"a\" <b>\\c\/ü9&"}"#,
            r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/ü9&\"}""#,
            r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/\u00fc9&\"}""#,
            r#""{\"x\": \"it's \\\"a\\\" <b>\\\\c/\\u00fc9&\"}""#,
            "?q=it%27s%20%22a%22%20%3Cb%3E%5Cc%2F%C3%BC9%26&r=1",
            "?q=it%27s+%22a%22+%3Cb%3E%5Cc%2F%C3%BC9%26&r=1",
            "?q=it%27s%20%22a%22%20%3cb%3e%5cc/%c3%bc9%26&r=1",
            "<p>it&#x27;s &quot;a&quot; &lt;b&gt;\\c/ü9&amp;</p>",
        ] {
            let masked = known.mask(text);
            let inner = ["it", "s", "a", "b", "c"];
            let outside = masked.replace("<redacted>", "");
            assert!(masked.contains("<redacted>"), "{text} became {masked}");
            assert!(
                !inner.iter().all(|part| outside.contains(part)),
                "{text} became {masked}"
            );
        }
    }

    #[test]
    fn base64_of_a_longer_text_hides_the_value() {
        use base64::Engine as _;
        let known = known(&["correcthorsebattery"]);
        for before in ["", "u", "us", "usr:"] {
            let text = format!("{before}correcthorsebattery:and more");
            let encoded = base64::engine::general_purpose::STANDARD.encode(&text);
            let masked = known.mask(&encoded);
            assert!(masked.contains("<redacted>"), "{masked}");
            assert!(
                masked.len() < encoded.len() - 10,
                "{encoded} became {masked}"
            );
        }
    }

    #[test]
    fn each_line_of_a_value_is_masked() {
        let known = known(&["-- first line\nthe second\nend\n"]);
        assert_eq!(known.mask("-- first line"), "<redacted>");
        assert_eq!(known.mask("x the second y"), "x <redacted> y");
        assert_eq!(known.mask("the end"), "the end");
    }

    #[test]
    fn colours_within_a_value_change_nothing() {
        let known = known(&["correcthorse"]);
        assert_eq!(known.mask("a correct\u{1b}[1mhorse b"), "a <redacted> b");
    }

    #[test]
    fn number_and_size_of_values_are_bounded() {
        let known = Known::default();
        assert_eq!(known.add("abc"), Err(Refused::Short));
        assert_eq!(known.add(&"x".repeat(MOST_BYTES + 1)), Err(Refused::Full));
        for n in 0..MOST {
            known.add(&format!("value {n}")).unwrap();
        }
        assert_eq!(known.add("one more"), Err(Refused::Full));
        assert_eq!(known.add("value 0"), Ok(()));
        assert_eq!(format!("{known:?}"), "Known { values: 64 }");
    }

    #[test]
    fn variables_with_names_of_secrets_have_known_values() {
        let known = Known::of_variables([
            ("DB_PASSWORD", "hunter2 and more"),
            ("API_KEY_2", "0123abcd4567"),
            ("SECRET_KEY_BASE", "correcthorsebattery"),
            ("ADMIN_PASSWORD", "changeme"),
            ("MY_TOKEN", "1234567890"),
            ("PASSWORD", "short"),
            ("GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"),
            ("OLDPWD", "/srv/somebody"),
            ("TOKENIZERS_PARALLELISM", "disabled"),
            ("HOME", "correcthorse"),
        ]);
        let text = "hunter2 and more 0123abcd4567 correcthorsebattery";
        assert_eq!(known.mask(text), "<redacted> <redacted> <redacted>");
        for text in [
            "changeme",
            "1234567890",
            "short",
            "A035C8C19219BA821ECEA86B64E628F8D684696D",
            "/srv/somebody",
            "correcthorse",
        ] {
            assert_eq!(known.mask(text), text);
        }
    }
}
