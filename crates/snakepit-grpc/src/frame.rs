//! Frames of the link: a fixed header, a protobuf head and a raw body. `proto/README.md` is the
//! specification.

use std::fmt;

/// Length of the header in bytes.
pub const HEADER_LEN: usize = 24;

/// Largest head in bytes. Heads hold names and error texts, never payloads.
pub const MAX_HEAD: usize = 1 << 20;

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The host requests the worker's description.
    Describe = 1,
    /// The host calls a tool.
    Call = 2,
    /// The host calls a streaming tool.
    Stream = 3,
    /// The host calls a tool once for each of several items.
    Many = 4,
    /// The host requests the worker to end.
    Shutdown = 5,
    /// The host answers a request of the worker.
    HostReply = 6,
    /// The host has consumed chunks of a stream; the worker may send more.
    More = 7,
    /// The worker's description.
    Described = 16,
    /// The result of a call.
    Reply = 17,
    /// A call, or the start, has failed.
    Error = 18,
    /// One chunk of a stream.
    Chunk = 19,
    /// A stream is complete.
    End = 20,
    /// Results of some items.
    ManyReply = 21,
    /// A tool sends a request to the host.
    HostCall = 22,
    /// The tool no longer waits for the answer.
    HostCancel = 23,
    /// The host requests that a tool stops.
    Cancel = 32,
    /// The host requests a sign of life.
    Ping = 33,
    /// The worker's answer to a ping.
    Pong = 34,
    /// The worker reports what stopped a cancelled call.
    Stopped = 35,
    /// The host requests the stacks of the worker's threads.
    Stacks = 36,
    /// The worker's answer with its stacks.
    StacksReply = 37,
    /// The host recalls a call that waits behind another one.
    Recall = 38,
    /// The worker reports whether it has given the call back.
    Recalled = 39,
    /// The worker reports that an import has re-enabled the GIL of its free-threaded interpreter.
    GilEnabled = 40,
    /// The worker reports the adapter whose clean-up is running.
    Cleaning = 41,
    /// Records of the worker's code: events, spans, log records, measurements.
    Telemetry = 42,
    /// Settings for the worker's records.
    TelemetryControl = 43,
    /// The host starts, ends or reads a profile.
    Profile = 44,
    /// The worker answers such a request, or reports that a profile has ended.
    ProfilePart = 45,
    /// The worker names a value that is secret.
    Secret = 46,
    /// The host masks the value from now on, or has no room for it.
    SecretKnown = 47,
}

impl Kind {
    /// Returns the kind with this number.
    #[inline]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Describe,
            2 => Self::Call,
            3 => Self::Stream,
            4 => Self::Many,
            5 => Self::Shutdown,
            6 => Self::HostReply,
            7 => Self::More,
            16 => Self::Described,
            17 => Self::Reply,
            18 => Self::Error,
            19 => Self::Chunk,
            20 => Self::End,
            21 => Self::ManyReply,
            22 => Self::HostCall,
            23 => Self::HostCancel,
            32 => Self::Cancel,
            33 => Self::Ping,
            34 => Self::Pong,
            35 => Self::Stopped,
            36 => Self::Stacks,
            37 => Self::StacksReply,
            38 => Self::Recall,
            39 => Self::Recalled,
            40 => Self::GilEnabled,
            41 => Self::Cleaning,
            42 => Self::Telemetry,
            43 => Self::TelemetryControl,
            44 => Self::Profile,
            45 => Self::ProfilePart,
            46 => Self::Secret,
            47 => Self::SecretKnown,
            _ => return None,
        })
    }
}

/// Bytes of chunks, headers included, that a stream may send ahead of its consumer on a multiplexed
/// connection. A chunk may begin while there is room for one byte.
pub const STREAM_WINDOW: u64 = 256 << 10;

/// Flag of [`Kind::ManyReply`]: no further items follow.
pub const FLAG_LAST: u8 = 1;

/// Flag of every frame from a worker to its host: the worker requests its replacement, because an
/// exception may have left an unknown state in a tool.
pub const FLAG_RENEW: u8 = 4;

/// Flag of [`Kind::HostReply`]: the head is the error, and there is no result. Flag of
/// [`Kind::SecretKnown`]: the value is not masked.
pub const FLAG_ERROR: u8 = 2;

/// Longest head of [`Kind::Telemetry`] in bytes: the records that a host reads at once.
pub const MAX_TELEMETRY: usize = 64 << 10;

/// Longest head of [`Kind::Secret`] in bytes.
pub const MAX_SECRET: usize = 16 << 10;

/// Longest head of [`Kind::TelemetryControl`] in bytes.
pub const MAX_TELEMETRY_CONTROL: usize = 32 << 10;

/// Flag of [`Kind::Reply`], [`Kind::Chunk`], [`Kind::ManyReply`] and [`Kind::HostCall`]: the body
/// continues in the next frame of this kind and call. Whole frames of other calls may come in
/// between, but no parts of other bodies.
pub const FLAG_PART: u8 = 8;

/// The fixed part of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of the frame.
    pub kind: Kind,
    /// Bits whose meaning depends on the kind.
    pub flags: u8,
    /// Length of the head in bytes.
    pub head_len: u32,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// Id of the call that the frame belongs to, or number of the request; 0 if there is none.
    pub call: u64,
}

impl Header {
    /// Creates a header without head, body or flags.
    pub const fn new(kind: Kind, call: u64) -> Self {
        Self {
            kind,
            flags: 0,
            head_len: 0,
            body_len: 0,
            call,
        }
    }

    /// Encodes the header.
    #[inline]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.kind as u8;
        bytes[1] = self.flags;
        bytes[4..8].copy_from_slice(&self.head_len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.body_len.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.call.to_le_bytes());
        bytes
    }

    /// Decodes a header. The caller checks `body_len` against its limit.
    ///
    /// # Errors
    /// [`BadFrame`] if the kind is unknown, a reserved byte is set or the head is too long.
    #[inline]
    pub fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, BadFrame> {
        let kind = Kind::from_u8(bytes[0]).ok_or(BadFrame::Kind(bytes[0]))?;
        if bytes[2] != 0 || bytes[3] != 0 {
            return Err(BadFrame::Reserved);
        }
        let head_len = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        if head_len as usize > MAX_HEAD {
            return Err(BadFrame::Head(head_len));
        }
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[8..16]);
        let body_len = u64::from_le_bytes(eight);
        eight.copy_from_slice(&bytes[16..24]);
        Ok(Self {
            kind,
            flags: bytes[1],
            head_len,
            body_len,
            call: u64::from_le_bytes(eight),
        })
    }
}

/// The error for bytes that are not a frame. The connection cannot be used any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadFrame {
    /// No kind has this number.
    Kind(u8),
    /// A reserved byte is not 0.
    Reserved,
    /// The head is longer than [`MAX_HEAD`].
    Head(u32),
}

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(number) => write!(f, "unknown frame kind {number}"),
            Self::Reserved => f.write_str("a reserved byte of a frame is set"),
            Self::Head(len) => write!(f, "frame head of {len} bytes, the limit is {MAX_HEAD}"),
        }
    }
}

impl std::error::Error for BadFrame {}
