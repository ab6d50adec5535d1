//! Patterns of event names: names with `*`, with or without the prefix.

use std::fmt;

use super::PREFIX;

/// The longest pattern, in bytes.
const LONGEST: usize = 256;

/// A glob on names of events: `*` matches any text, `?` one character. `worker.*` and
/// `snakepit.worker.*` match the same names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Box<[u8]>);

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: String,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not a pattern of event names: use letters, digits, `.`, `_`, `-`, `*` and `?`, for example `worker.*`, \
             at most {LONGEST} bytes",
            self.pattern.escape_debug()
        )
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The pattern is empty, too long, or has a character that no name has.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?".contains(&byte);
        if pattern.is_empty() || pattern.len() > LONGEST || !pattern.bytes().all(allowed) {
            let pattern = pattern.chars().take(LONGEST).collect();
            return Err(PatternError { pattern });
        }
        let own = pattern.strip_prefix(PREFIX).unwrap_or(pattern);
        Ok(Self(own.as_bytes().into()))
    }

    /// Returns true if a name, with or without the prefix, matches. Takes at most pattern length ×
    /// name length steps.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.strip_prefix(PREFIX).unwrap_or(name).as_bytes();
        let (mut at, mut in_pattern) = (0, 0);
        // Position to continue from if the rest does not match: after the last star, one byte
        // further on.
        let mut retry = None;
        while at < name.len() {
            match self.0.get(in_pattern) {
                Some(b'*') => {
                    in_pattern += 1;
                    retry = Some((at, in_pattern));
                }
                Some(&byte) if byte == b'?' || byte == name[at] => {
                    at += 1;
                    in_pattern += 1;
                }
                _ => {
                    let Some((from, after_star)) = retry else {
                        return false;
                    };
                    at = from + 1;
                    in_pattern = after_star;
                    retry = Some((at, after_star));
                }
            }
        }
        self.0[in_pattern..].iter().all(|&byte| byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
