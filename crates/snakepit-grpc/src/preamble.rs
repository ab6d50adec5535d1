//! The preamble: the first bytes on a connection that a worker opens. `proto/README.md` is the
//! specification.

use std::fmt;

/// First bytes of every connection. The last one is the version of the link.
pub const MAGIC: &[u8; 8] = b"SNAKEPT1";

/// Version of the link that this code implements.
pub const PROTOCOL_VERSION: u32 = 1;

/// Length of a token in bytes.
pub const TOKEN_LEN: usize = 32;

/// Length of the fixed part in bytes. The worker id follows it.
pub const FIXED_LEN: usize = 8 + 1 + 1 + 2 + 2 + TOKEN_LEN;

/// Longest worker id in bytes.
pub const MAX_WORKER_ID: usize = 128;

/// The purpose of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Calls of one slot.
    Slot(u16),
    /// Cancellation, pings and the end of the worker.
    Control,
}

/// The secret that authenticates one worker. It is never printed.
#[derive(Clone, Copy)]
pub struct Token(pub [u8; TOKEN_LEN]);

impl Token {
    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != TOKEN_LEN * 2 {
            return None;
        }
        let mut token = [0; TOKEN_LEN];
        for (byte, pair) in token.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16)?;
            let low = char::from(pair[1]).to_digit(16)?;
            *byte = (high * 16 + low) as u8;
        }
        Some(Self(token))
    }

    /// Returns the token as 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        use std::fmt::Write as _;
        self.0
            .iter()
            .fold(String::with_capacity(TOKEN_LEN * 2), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }

    /// Compares two tokens in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        let difference = self
            .0
            .iter()
            .zip(&other.0)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The fixed part of a preamble.
#[derive(Clone, Copy, Debug)]
pub struct Preamble {
    /// The purpose of the connection.
    pub role: Role,
    /// The worker's secret.
    pub token: Token,
    /// Length of the worker id that follows.
    pub worker_id_len: usize,
}

impl Preamble {
    /// Encodes the whole preamble, worker id included.
    ///
    /// # Panics
    /// The worker id is empty or longer than [`MAX_WORKER_ID`].
    pub fn encode(role: Role, token: &Token, worker_id: &str) -> Vec<u8> {
        assert!(
            (1..=MAX_WORKER_ID).contains(&worker_id.len()),
            "a worker id has 1 to 128 bytes"
        );
        let (kind, slot) = match role {
            Role::Slot(slot) => (0, slot),
            Role::Control => (1, 0),
        };
        let mut bytes = Vec::with_capacity(FIXED_LEN + worker_id.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[kind, 0]);
        bytes.extend_from_slice(&slot.to_le_bytes());
        bytes.extend_from_slice(&(worker_id.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&token.0);
        bytes.extend_from_slice(worker_id.as_bytes());
        bytes
    }

    /// Decodes the fixed part.
    ///
    /// # Errors
    /// [`BadPreamble`] names the invalid field.
    pub fn decode(bytes: &[u8; FIXED_LEN]) -> Result<Self, BadPreamble> {
        if bytes[..7] != MAGIC[..7] {
            return Err(BadPreamble::Magic);
        }
        if bytes[7] != MAGIC[7] {
            return Err(BadPreamble::Version(bytes[7]));
        }
        let slot = u16::from_le_bytes([bytes[10], bytes[11]]);
        let role = match (bytes[8], bytes[9], slot) {
            (0, 0, slot) => Role::Slot(slot),
            (1, 0, 0) => Role::Control,
            _ => return Err(BadPreamble::Role),
        };
        let worker_id_len = usize::from(u16::from_le_bytes([bytes[12], bytes[13]]));
        if !(1..=MAX_WORKER_ID).contains(&worker_id_len) {
            return Err(BadPreamble::WorkerId);
        }
        let mut token = [0; TOKEN_LEN];
        token.copy_from_slice(&bytes[14..FIXED_LEN]);
        Ok(Self {
            role,
            token: Token(token),
            worker_id_len,
        })
    }
}

/// The reason a preamble is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadPreamble {
    /// The magic bytes are wrong: garbage, or another program.
    Magic,
    /// The link has another version, given as its last magic byte.
    Version(u8),
    /// The kind of connection is unknown.
    Role,
    /// The worker id is empty, too long or not UTF-8.
    WorkerId,
}

impl fmt::Display for BadPreamble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("the connection does not begin with a snakepit preamble"),
            Self::Version(byte) => {
                write!(f, "link version {:?} is not supported", char::from(*byte))
            }
            Self::Role => f.write_str("unknown kind of connection"),
            Self::WorkerId => f.write_str("bad worker id"),
        }
    }
}

impl std::error::Error for BadPreamble {}
