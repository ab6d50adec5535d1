//! Encoded arguments and results.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ErrorCode;
use crate::value::{expand, shared};

/// How a payload is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// MessagePack; structs are maps; extension types as in `docs/values.md`.
    #[default]
    MessagePack,
}

/// One encoded value: the arguments of a call, a result or a chunk. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// How it is encoded.
    pub encoding: Encoding,
    /// The encoded bytes.
    pub bytes: Bytes,
}

impl Payload {
    /// Nesting allowed in a payload, in either direction.
    pub const MAX_DEPTH: usize = 128;

    /// Takes bytes that are MessagePack already.
    pub fn from_msgpack(bytes: impl Into<Bytes>) -> Self {
        Self {
            encoding: Encoding::MessagePack,
            bytes: bytes.into(),
        }
    }

    /// Encodes a value. [`Value`](crate::Value) is held to [`Self::MAX_DEPTH`] here; other types are when they are decoded.
    ///
    /// # Errors
    /// [`PayloadError::Encode`] when the value nests too deep or its `Serialize` fails.
    pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Self, PayloadError> {
        let mut bytes = Vec::with_capacity(64);
        let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
        value
            .serialize(&mut serializer)
            .map_err(|error| PayloadError::Encode(error.to_string()))?;
        Ok(Self::from_msgpack(bytes))
    }

    /// Decodes the value. A large byte string read as [`Bytes`](crate::Bytes) or in a [`Value`](crate::Value), or an array read as a
    /// [`Tensor`](crate::Tensor), shares the payload's memory. An array also fits where lists of numbers are asked for.
    ///
    /// # Errors
    /// [`PayloadError::Decode`] when the bytes are malformed, nest too deep or do not fit `T`.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let failed = match self.decode_plain() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        // A type that knows no arrays takes them as lists.
        match expand::arrays(&self.bytes) {
            Some(bytes) => Self::from_msgpack(bytes).decode_plain(),
            None => Err(failed),
        }
    }

    fn decode_plain<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        let fault = |reason| PayloadError::Decode {
            expected: std::any::type_name::<T>(),
            reason,
        };
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(self.bytes.as_ref());
        deserializer.set_max_depth(Self::MAX_DEPTH + 1);
        let value = shared::decoding(&self.bytes, || T::deserialize(&mut deserializer))
            .map_err(|error| fault(describe(&error)))?;
        // The codec does not tell what it has left, but it does tell when there is no further value.
        match u8::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(fault("more bytes follow the value".to_owned())),
        }
    }
}

fn describe(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error;
    match error {
        Error::DepthLimitExceeded => format!("it nests deeper than {} levels", Payload::MAX_DEPTH),
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) => {
            "the bytes end before the value does".to_owned()
        }
        other => other.to_string(),
    }
}

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// The value cannot be encoded.
    #[error("the value cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not a value of the type asked for.
    #[error("the value does not fit `{expected}`: {reason}")]
    Decode {
        /// The type asked for.
        expected: &'static str,
        /// What is wrong.
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
