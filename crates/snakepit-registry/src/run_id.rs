//! The identifier of one run: one life of a host process.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Crockford's base 32: no letter that looks like a digit, and safe in file names.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A random 128-bit identifier, printed as 26 characters of base 32, for example `4h8vq0…`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId(u128);

/// The error for a text that is not a run id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a run id (26 characters of base 32)")]
pub struct RunIdError(String);

impl RunId {
    /// Number of characters of a printed run id.
    pub const LEN: usize = 26;

    /// Creates a random run id.
    ///
    /// # Errors
    /// The system's source of randomness failed.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(u128::from_le_bytes(bytes)))
    }

    /// Returns the lowest `bits` bits.
    pub(crate) const fn low_bits(self, bits: u32) -> u64 {
        (self.0 & ((1 << bits) - 1)) as u64
    }
}

/// Encodes the low `digits * 5` bits of a number in base 32.
pub(crate) fn base32(value: u128, digits: u32) -> String {
    (0..digits)
        .rev()
        .map(|at| char::from(ALPHABET[(value >> (at * 5)) as usize & 31]))
        .collect()
}

/// Decodes a text that [`base32`] wrote. `None` for other characters or a number that does not fit
/// into `bits` bits.
pub(crate) fn parse_base32(text: &str, bits: u32) -> Option<u128> {
    let mut value: u128 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|&known| known == byte)?;
        if value.leading_zeros() < 5 {
            return None;
        }
        value = value << 5 | digit as u128;
    }
    (bits >= 128 || value >> bits == 0).then_some(value)
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base32(self.0, Self::LEN as u32))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl FromStr for RunId {
    type Err = RunIdError;

    fn from_str(text: &str) -> Result<Self, RunIdError> {
        if text.len() != Self::LEN {
            return Err(RunIdError(text.to_owned()));
        }
        parse_base32(text, 128)
            .map(Self)
            .ok_or_else(|| RunIdError(text.to_owned()))
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;

    fn try_from(text: String) -> Result<Self, RunIdError> {
        text.parse()
    }
}
