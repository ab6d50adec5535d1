//! Variables by name, and the forms of their values.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use snakepit_core::config::ConfigError;

/// Time limit that stands for "no limit", the longest that a setting can have.
const NO_LIMIT: Duration = Duration::from_secs(3600);

/// Variables by name. Empty ones are treated as absent, as the specification requires.
pub(super) struct Variables(pub(super) BTreeMap<String, String>);

impl Variables {
    /// Returns the first variable that is set, with its name.
    pub(super) fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        let mut found = names.iter().filter_map(|name| {
            let value = self.0.get(*name)?;
            Some((*name, value.trim()))
        });
        found.next()
    }

    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        let parsed = text.trim().parse().map(Some);
        parsed.map_err(|_| {
            let message = format!("must be {expected}, got \"{text}\"");
            ConfigError::new(name, message, format!("write {expected}"))
        })
    }

    /// Parses a time limit in milliseconds. 0 means no limit.
    pub(super) fn limit(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        let millis = self.parsed(name, "a number of milliseconds")?;
        Ok(millis.map(|millis| match millis {
            0 => NO_LIMIT,
            millis => Duration::from_millis(millis),
        }))
    }

    /// Parses `name=value,name=value`; values may have percent escapes. Errors do not contain the
    /// text, which may be a secret.
    pub(super) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, ConfigError> {
        let text = self.0.get(name).map_or("", String::as_str);
        let parts = text.split(',').enumerate();
        let parts = parts.filter(|(_, part)| !part.trim().is_empty());
        let pairs = parts.map(|(index, part)| {
            let pair = part
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()));
            let pair = pair.filter(|(key, _)| !key.is_empty());
            let pair = pair.map(|(key, value)| (key.to_owned(), unescaped(value)));
            pair.ok_or_else(|| {
                let message = format!("must be pairs, and part {} is none", index + 1);
                let help = "write name=value,name=value with %20 for a space and %2C for a comma";
                ConfigError::new(name, message, help)
            })
        });
        pairs.collect()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        let Some(text) = self.0.get(name) else {
            return Ok(None);
        };
        match text.trim().to_lowercase().as_str() {
            "true" | "1" | "yes" => Ok(Some(true)),
            "false" | "0" | "no" => Ok(Some(false)),
            _ => {
                let message = format!("must be true or false, got \"{text}\"");
                Err(ConfigError::new(name, message, "write true or false"))
            }
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
