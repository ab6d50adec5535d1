//! Secrets and ids that must not leave the process.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use snakepit_core::events::record::Attribute;
use snakepit_core::value::is_secret_name;

/// The text that replaces a secret.
pub(crate) const MASK: &str = "<redacted>";

/// Largest number of names whose verdicts are cached, and longest cached name in bytes.
const KEPT: (usize, usize) = (1024, 128);

/// The rules for hiding values of attributes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    more: Vec<String>,
    sessions: Option<RandomState>,
    /// Cached verdicts on names, because the same names recur.
    known: Arc<RwLock<HashMap<Box<str>, bool>>>,
}

impl Redaction {
    /// Hides values whose names contain one of `more`, in addition to the names that are always
    /// hidden. With `hash_sessions`, session ids are shown as hashes.
    pub(crate) fn new(more: &[String], hash_sessions: bool) -> Self {
        Self {
            more: more.iter().map(|part| plain(part)).collect(),
            sessions: hash_sessions.then(RandomState::new),
            known: Arc::default(),
        }
    }

    /// Returns `true` if the value of this name is a secret.
    pub(crate) fn is_secret(&self, name: &str) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(secret) = known.get(name) {
            return *secret;
        }
        drop(known);
        let (secret, (most, longest)) = (self.judge(name), KEPT);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < most && name.len() <= longest {
            known.insert(name.into(), secret);
        }
        secret
    }

    fn judge(&self, name: &str) -> bool {
        let own = plain(name);
        is_secret_name(name) || self.more.iter().any(|part| own.contains(part))
    }

    /// Returns the replacement of a text. `None` if the text may be shown.
    pub(crate) fn text(&self, name: &str, text: &str) -> Option<String> {
        if let Some(hasher) = &self.sessions
            && is_session(name)
        {
            return Some(format!("hash-{:016x}", hasher.hash_one(text)));
        }
        self.is_secret(name).then(|| MASK.to_owned())
    }

    /// Returns the replacement of an attribute's value. `None` if the value may be shown.
    pub(crate) fn hidden(&self, name: &str, value: &Attribute) -> Option<String> {
        match value {
            Attribute::Text(text) => self.text(name, text),
            _ => self.is_secret(name).then(|| MASK.to_owned()),
        }
    }
}

/// Reduces a name to lower-case letters and digits, because names differ in case and separators.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn is_session(name: &str) -> bool {
    matches!(
        name,
        "session"
            | "session.id"
            | "session_id"
            | "snakepit.session"
            | "snakepit.session.id"
            | "snakepit.session_id"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_any_spelling() {
        let redaction = Redaction::new(&["x-internal".to_owned()], false);
        for name in ["password", "X-Internal-Id"] {
            assert!(redaction.is_secret(name), "{name}");
        }
        for name in [
            "tool",
            "gen_ai.usage.input_tokens",
            "token_count",
            "key",
            "author",
        ] {
            assert!(!redaction.is_secret(name), "{name}");
        }
    }

    #[test]
    fn names_without_end_are_judged_and_not_kept() {
        let redaction = Redaction::default();
        for n in 0..2 * KEPT.0 {
            assert!(redaction.is_secret(&format!("token-{n}")));
            assert!(!redaction.is_secret(&format!("tool-{n}")));
        }
        assert!(redaction.is_secret(&"token".repeat(KEPT.1)));
        let known = redaction.known.read().unwrap();
        assert_eq!(known.len(), KEPT.0);
        assert!(known.keys().all(|name| name.len() <= KEPT.1));
    }

    #[test]
    fn hashed_sessions_stay_distinct_and_unreadable() {
        let redaction = Redaction::new(&[], true);
        let hash = |id| redaction.text("snakepit.session", id).unwrap();
        assert_eq!(hash("alice"), hash("alice"));
        assert_ne!(hash("alice"), hash("bob"));
        assert!(!hash("alice").contains("alice"));
        let other = Redaction::new(&[], true);
        assert_ne!(
            other.text("session", "alice"),
            redaction.text("session", "alice")
        );
        assert_eq!(Redaction::default().text("session", "alice"), None);
    }
}
