//! The random mark in the environment of every child, which its own children inherit.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::run_id::{RunId, base32, parse_base32};
use crate::stamp::WORKER;

/// The environment variable that holds the cookies, outermost first, separated by `:`.
pub const COOKIES_VAR: &str = "SNAKEPIT_WORKER_COOKIES";

/// A mark that identifies one worker of one run, in the environment of the worker and its
/// descendants.
///
/// A cookie is no secret and grants no access: it only shows who started a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Cookie {
    run: RunId,
    nonce: u64,
    dependent: bool,
}

/// The error for a text that is not a cookie.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cookie")]
pub struct CookieError(String);

impl Cookie {
    /// Creates a random cookie of a run. `dependent` is `true` if the process dies with its host.
    ///
    /// # Errors
    /// The system's source of randomness failed.
    pub fn random(run: RunId, dependent: bool) -> io::Result<Self> {
        let nonce = getrandom::u64().map_err(io::Error::other)?;
        Ok(Self {
            run,
            nonce,
            dependent,
        })
    }

    /// Creates a cookie for the worker with this number in its run. Two workers of a run have
    /// different stamps if their numbers differ in the bits that a [`Stamp`](crate::Stamp) holds.
    ///
    /// # Errors
    /// The system's source of randomness failed.
    pub fn numbered(run: RunId, dependent: bool, number: u64) -> io::Result<Self> {
        let random = Self::random(run, dependent)?;
        let low = (1 << WORKER) - 1;
        let nonce = random.nonce & !low | number & low;
        Ok(Self { nonce, ..random })
    }

    /// Returns the number that distinguishes the workers of a run.
    pub(crate) const fn nonce(self) -> u64 {
        self.nonce
    }

    /// Returns the run that started the process.
    pub const fn run(self) -> RunId {
        self.run
    }

    /// Returns `true` if the process dies with its host.
    pub const fn dependent(self) -> bool {
        self.dependent
    }

    /// Parses the cookies in an environment block as `/proc/<pid>/environ` shows it. Skips entries
    /// that are not cookies.
    pub fn parse_environ(block: &[u8]) -> Vec<Self> {
        let prefix = [COOKIES_VAR.as_bytes(), b"="].concat();
        block
            .split(|&byte| byte == 0)
            .find_map(|entry| entry.strip_prefix(prefix.as_slice()))
            .and_then(|value| std::str::from_utf8(value).ok())
            .map(|value| {
                value
                    .split(':')
                    .filter_map(|part| part.parse().ok())
                    .collect()
            })
            .unwrap_or_default()
    }
}

impl fmt::Display for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.dependent { 'd' } else { 'i' };
        write!(f, "{}-{}{kind}", self.run, base32(self.nonce.into(), 13))
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cookie({self})")
    }
}

impl FromStr for Cookie {
    type Err = CookieError;

    fn from_str(text: &str) -> Result<Self, CookieError> {
        let parsed = || {
            let (run, rest) = text.split_once('-')?;
            let (nonce, dependent) = match rest.strip_suffix('d') {
                Some(nonce) => (nonce, true),
                None => (rest.strip_suffix('i')?, false),
            };
            let nonce = (nonce.len() == 13)
                .then(|| parse_base32(nonce, 64))
                .flatten()?;
            Some(Self {
                run: run.parse().ok()?,
                nonce: u64::try_from(nonce).ok()?,
                dependent,
            })
        };
        parsed().ok_or_else(|| CookieError(text.to_owned()))
    }
}

impl From<Cookie> for String {
    fn from(cookie: Cookie) -> Self {
        cookie.to_string()
    }
}

impl TryFrom<String> for Cookie {
    type Error = CookieError;

    fn try_from(text: String) -> Result<Self, CookieError> {
        text.parse()
    }
}
