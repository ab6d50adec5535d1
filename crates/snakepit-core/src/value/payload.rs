//! Encoded arguments and results.

mod spliced;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::code::ErrorCode;
use crate::printable::Printable;
use crate::value::counted::{Budget, Counted};
use crate::value::expand;
use crate::value::explain::{self, Mismatch};
use crate::value::shared::{self, Seen};
pub(crate) use spliced::raw;

/// The encoding of a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// MessagePack; structs are maps; extension types as in `docs/values.md`.
    #[default]
    MessagePack,
}

/// An encoded value: the arguments of a call, a result or a chunk. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// Encoding of the bytes.
    pub encoding: Encoding,
    /// The encoded bytes.
    pub bytes: Bytes,
}

impl Payload {
    /// Nesting depth allowed in a payload, in either direction.
    pub const MAX_DEPTH: usize = 128;

    /// Wraps bytes that are MessagePack already.
    pub fn from_msgpack(bytes: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::MessagePack,
            bytes: bytes.into(),
        }
    }

    /// Encodes a value. A payload in it is inserted as it is. For a [`Value`](crate::value::Value),
    /// [`Self::MAX_DEPTH`] is checked here; for other types it is checked when they are decoded.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] if the value nests too deep or its `Serialize` fails.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let bytes = spliced::encode(value).map_err(PayloadError::Encode)?;
        Ok(Self::from_msgpack(bytes))
    }

    /// Decodes the value. Its memory is bounded before it is allocated: the items of lists and
    /// maps, by the size of their types, and their allocations may take 64 MiB plus 4 bytes for
    /// each byte of the payload, and 256 MiB at most; items of up to 8 bytes, such as numbers, are
    /// counted apart, and may take 256 MiB, too. A large byte string read as
    /// [`Bytes`](crate::value::Bytes) or in a [`Value`](crate::value::Value), or an array read as a
    /// [`Tensor`](crate::value::Tensor), shares the payload's memory. An array also decodes into
    /// types that expect lists of numbers.
    ///
    /// # Errors
    /// [`PayloadError::Decode`] if the bytes are malformed, nest too deep, do not fit `T`, or would
    /// take too much memory.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        Seen::take();
        let decoded = self.decode_within(self.bytes.len());
        let seen = Seen::take();
        match decoded {
            Ok(value) if !seen.bytes => Ok(value),
            decoded => self.decode_again(decoded, seen),
        }
    }

    /// Decides about a value that needs a further look, or about a failure.
    #[cold]
    fn decode_again<T: DeserializeOwned>(
        &self,
        decoded: Result<T, Fault>,
        seen: Seen,
    ) -> Result<T, PayloadError> {
        let size = self.bytes.len();
        let failed = match decoded {
            Ok(value) => return self.check_texts::<T>().map(|()| value),
            Err(Fault::Codec(error)) if seen.refusal => return Err(unfit::<T>(error.to_string())),
            Err(error) => error,
        };
        self.check_texts::<T>()?;
        // Types without array support read arrays as lists.
        let expanded = expand::arrays(&self.bytes);
        let expanded = expanded.map_err(|long| unfit::<T>(long.to_string()))?;
        let (payload, failed) = match expanded {
            Some(bytes) => {
                let expanded = Self::from_msgpack(bytes);
                // An array is longer as lists, so the budget stays that of the original payload.
                match expanded.decode_within(size) {
                    Ok(value) => return Ok(value),
                    Err(error) => (expanded, error),
                }
            }
            None => (self.clone(), failed),
        };
        Err(unfit::<T>(failed.reason::<T>(&payload)))
    }

    /// Checks that every text is UTF-8, as the other end does: the codec would read an invalid one
    /// as bytes.
    fn check_texts<T>(&self) -> Result<(), PayloadError> {
        match expand::broken_text(&self.bytes) {
            None => Ok(()),
            Some(at) => Err(unfit::<T>(format!("the text at byte {at} is not UTF-8"))),
        }
    }

    /// Decodes a value that has no arrays where `T` expects lists.
    pub(crate) fn decode_plain<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        self.decode_within(self.bytes.len())
    }

    /// Decodes such a value within the memory allowed for an input of `size` bytes. Always inlined:
    /// a small value is moved in less time than it takes to return it through memory.
    #[inline(always)]
    fn decode_within<T: DeserializeOwned>(&self, size: usize) -> Result<T, Fault> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(self.bytes.as_ref());
        deserializer.set_max_depth(Self::MAX_DEPTH + 1);
        let budget = Budget::of(size);
        let counted = Counted::new(&mut deserializer, &budget, size_of::<T>());
        let value =
            shared::decoding(&self.bytes, || T::deserialize(counted)).map_err(Fault::Codec)?;
        // The codec does not report its remaining input, but it reports a missing value.
        match u8::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(Fault::Trailing),
        }
    }
}

fn unfit<T>(reason: String) -> PayloadError {
    PayloadError::Decode {
        expected: std::any::type_name::<T>(),
        reason,
    }
}

/// The reason why a payload is not a value of a type.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The codec's message.
    Codec(rmp_serde::decode::Error),
    /// The payload has more than one value.
    Trailing,
}

impl Fault {
    /// Returns the reason: the type and the value that were found in `payload`, if known.
    fn reason<T: DeserializeOwned>(&self, payload: &Payload) -> String {
        use rmp_serde::decode::Error;
        let error = match self {
            Self::Trailing => return "more bytes follow the value".to_owned(),
            Self::Codec(error) => error,
        };
        match error {
            Error::DepthLimitExceeded => {
                format!("it nests deeper than {} levels", Payload::MAX_DEPTH)
            }
            Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => {
                "the bytes end before the value does".to_owned()
            }
            other => match explain::mismatch::<T>(payload) {
                Some(Mismatch { path, what, .. }) if path.is_empty() => format!("it {what}"),
                Some(Mismatch { path, what, .. }) => format!("`{path}` {what}"),
                None => kind(other),
            },
        }
    }
}

/// Returns the codec's message, with names of kinds instead of those of MessagePack.
fn kind(error: &rmp_serde::decode::Error) -> String {
    use rmp::Marker;
    let rmp_serde::decode::Error::TypeMismatch(marker) = error else {
        return error.to_string();
    };
    let found = match marker {
        Marker::Null => "null",
        Marker::True | Marker::False => "a boolean",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a string",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "a list",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "bytes",
        Marker::F32 | Marker::F64 => "a float",
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::U64
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => "an integer",
        _ => "a value of an extension type",
    };
    format!("it has {found} where another type is needed")
}

/// The reason why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value cannot be encoded.
    #[error("the value cannot be encoded: {}", Printable(_0))]
    Encode(String),
    /// The bytes are not a value of the requested type.
    #[error("the value does not fit `{expected}`: {}", Printable(reason))]
    Decode {
        /// The requested type.
        expected: &'static str,
        /// The mismatch.
        reason: String,
    },
}

impl PayloadError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Encode(_) => ErrorCode::InvalidPayload,
            Self::Decode { .. } => ErrorCode::UnexpectedType,
        }
    }
}
