//! Values that are known to be secret, and are masked wherever they occur.

mod values;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, LazyLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use regex::Regex;

use super::masked;
use super::named::{KEY, SUFFIX};
use super::patterns::{self, regex};
use super::plain::Plain;
use super::unquoted::{is_said, names_a_secret};
use values::{Values, occurrences};

/// Limits of the values that one worker gives.
const GIVEN: Limits = Limits {
    values: 64,
    bytes: 8 << 10,
};

/// Limits of the values of variables, and of the values that the workers of a host share.
const SHARED: Limits = Limits {
    values: 256,
    bytes: 32 << 10,
};

/// Shortest value that is accepted, in characters.
const SHORTEST: usize = 4;

/// Shortest value of a variable, shortest line of a value with several lines, and shortest value
/// that is shared, in characters. The code in which they are masked has not declared them as
/// secret, so they must not be common words.
const SHORTEST_FOUND: usize = 8;

/// The name of a variable that has a secret value.
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| regex(&format!("^(?:{KEY}){SUFFIX}$")));

/// Other names of variables that often have a secret value, which then has a digit.
static OFTEN: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        "^(?i-u:(?:[a-z0-9]+_)*(?:pass|auth|(?:stripe|ssh|license|licence|openai|anthropic|gemini\
         |sendgrid|mailgun|wandb|datadog|newrelic|webhook|service_role)_key)){SUFFIX}$"
    ))
});

/// The name of a variable that may have a login in its value, such as `DATABASE_URL`.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| regex("(?i-u:url|uri|dsn)$"));

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

/// The largest number of values in a set, and of their bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    values: usize,
    bytes: usize,
}

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
        let Limits { values, bytes } = GIVEN;
        match self {
            Self::Short => write!(
                f,
                "a value of less than {SHORTEST} characters cannot be masked: it would be found in other words"
            ),
            Self::Full => write!(
                f,
                "a worker can mask at most {values} values of together {bytes} bytes; name fewer, or recycle the worker"
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// A set of known values. Values are only added, by any thread.
///
/// The set of a worker may stand over two others, whose values it masks, too: those of its
/// environment, and those that all workers of its host share.
pub struct Known {
    limits: Limits,
    values: RwLock<Values>,
    /// Number of variables that had no room.
    left_out: usize,
    variables: Option<Arc<Self>>,
    /// Receives each value of 8 and more characters.
    shared: Option<Arc<Self>>,
}

/// Formats the set without its values.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.read().len();
        f.debug_struct("Known")
            .field("values", &count)
            .finish_non_exhaustive()
    }
}

impl Default for Known {
    /// Creates the set of one worker.
    fn default() -> Self {
        Self::with(GIVEN)
    }
}

impl Known {
    fn with(limits: Limits) -> Self {
        Self {
            limits,
            values: RwLock::default(),
            left_out: 0,
            variables: None,
            shared: None,
        }
    }

    /// Creates a set that workers share.
    pub fn shared() -> Self {
        Self::with(SHARED)
    }

    /// Creates a set from the variables whose names are names of secrets, and from the logins in
    /// the values of those that are named after a URL. Omits short values,
    /// paths, numbers and common words.
    pub fn of_variables<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut known = Self::with(SHARED);
        for (name, value) in variables {
            let has_digit = || value.bytes().any(|byte| byte.is_ascii_digit());
            let secret = if VARIABLE.is_match(name) || OFTEN.is_match(name) && has_digit() {
                Some(value)
            } else if ADDRESS.is_match(name) {
                login(value)
            } else {
                None
            };
            let secret = secret.filter(|secret| is_telling(secret));
            if secret.is_some_and(|secret| known.add(secret).is_err()) {
                known.left_out += 1;
            }
        }
        known
    }

    /// Returns the number of variables whose values had no room in the set.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Creates the set of a worker over the values of its environment, and over those that all
    /// workers of its host share.
    #[must_use]
    pub fn over(variables: Arc<Self>, shared: Option<Arc<Self>>) -> Self {
        Self {
            variables: Some(variables),
            shared,
            ..Self::default()
        }
    }

    /// Adds a value, without the blanks around it. Each line of the value is masked separately,
    /// too. A value that another set has counts as well, so that a worker and its host count alike.
    ///
    /// # Errors
    /// [`Refused`] if the value is too short, or the set is full.
    pub fn add(&self, value: &str) -> Result<(), Refused> {
        let value = value.trim();
        if !has_characters(value, SHORTEST) {
            return Err(Refused::Short);
        }
        let added = self.write().add(value, self.limits);
        if added.is_ok()
            && has_characters(value, SHORTEST_FOUND)
            && let Some(shared) = &self.shared
        {
            // Without room there, the worker's own set still has the value.
            let _ = shared.add(value);
        }
        added
    }

    /// Returns the text with these values masked, and everything else that looks like a secret.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spans = self.spans(text, self.shared.as_deref());
        masked(text, text.len(), spans, |text, spans| {
            patterns::find(text, spans);
        })
    }

    /// Returns the text with these values masked. Other secrets stay.
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let spans = self.spans(text, self.shared.as_deref());
        masked(text, text.len(), spans, |_, _| {})
    }

    /// Returns a name that programs compare, with the values of this worker masked. Values that
    /// other workers have given stay, so that no worker changes the names of another.
    pub fn mask_name<'t>(&self, name: &'t str) -> Cow<'t, str> {
        masked(name, name.len(), self.spans(name, None), |_, _| {})
    }

    /// Returns the spans of these values in a text, and in its readable form.
    fn spans(&self, text: &str, shared: Option<&Self>) -> Vec<Range<usize>> {
        let sets = [Some(self), self.variables.as_deref(), shared];
        let sets = sets.into_iter().flatten().map(Self::read);
        let sets: Vec<_> = sets.filter(|set| set.len() > 0).collect();
        let mut spans = Vec::new();
        if sets.is_empty() {
            return spans;
        }
        occurrences(&sets, text, |span| spans.push(span));
        let plain = Plain::of(text);
        if plain.text().len() < text.len() {
            occurrences(&sets, plain.text(), |span| spans.push(plain.place(&span)));
        }
        spans
    }

    fn read(&self) -> RwLockReadGuard<'_, Values> {
        self.values.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Values> {
        self.values.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_characters(value: &str, least: usize) -> bool {
    value.chars().take(least).count() == least
}

/// Returns the password of a URL, or a key of 16 and more characters in place of a user.
fn login(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user, _) = authority.rsplit_once('@')?;
    match user.split_once(':') {
        Some((_, password)) if !password.is_empty() => Some(password),
        _ => Some(user.trim_end_matches(':')).filter(|key| has_characters(key, 16)),
    }
}

/// Returns `true` if a value is distinct from ordinary words.
fn is_telling(value: &str) -> bool {
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let long = has_characters(value, SHORTEST_FOUND);
    let path = value.starts_with(['/', '~', '.']) || value.starts_with("file:");
    let common = COMMON.contains(&&*lower) || is_said(value) || names_a_secret(&lower);
    let word = value.chars().any(char::is_alphanumeric);
    long && word && !path && !common && value.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests;
