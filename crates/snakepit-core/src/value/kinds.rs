//! Types for kinds of values that serde has no type for.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::shared;

/// Name of the newtype struct that the MessagePack codec treats as an extension of code and bytes.
pub(super) const EXTENSION: &str = "_ExtStruct";

/// Extension codes; `docs/values.md` defines them.
pub(crate) mod code {
    pub(crate) const DATE_TIME: i8 = 1;
    pub(crate) const DATE: i8 = 2;
    pub(crate) const TIME: i8 = 3;
    pub(crate) const DURATION: i8 = 4;
    pub(crate) const UUID: i8 = 5;
    pub(crate) const DECIMAL: i8 = 6;
    pub(crate) const ARRAY: i8 = 7;
    /// Marks a list as a set: its first item is this extension, without data.
    pub(crate) const SET: i8 = 9;
    pub(crate) const DATA_FRAME: i8 = 16;
}

/// Writes an extension.
pub(crate) fn write<S: Serializer>(
    serializer: S,
    code: i8,
    data: &[u8],
) -> Result<S::Ok, S::Error> {
    serializer.serialize_newtype_struct(EXTENSION, &(code, serde_bytes::Bytes::new(data)))
}

/// An extension of any code.
pub(super) struct Extension {
    pub(super) code: i8,
    pub(super) data: bytes::Bytes,
}

struct ExtensionVisitor;

impl<'de> Visitor<'de> for ExtensionVisitor {
    type Value = Extension;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an extension value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Extension, D::Error> {
        deserializer.deserialize_tuple(2, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Extension, A::Error> {
        let code = parts
            .next_element()?
            .ok_or_else(|| A::Error::custom("the extension has no code"))?;
        let data: Bytes = parts
            .next_element()?
            .ok_or_else(|| A::Error::custom("the extension has no data"))?;
        Ok(Extension { code, data: data.0 })
    }
}

impl Extension {
    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(EXTENSION, ExtensionVisitor)
    }

    fn expect<E: Error>(self, code: i8, what: &str) -> Result<bytes::Bytes, E> {
        if self.code == code {
            return Ok(self.data);
        }
        Err(E::custom(format_args!(
            "expected {what}, got extension {}",
            self.code
        )))
    }
}

pub(super) fn text<E: Error>(data: bytes::Bytes) -> Result<String, E> {
    String::from_utf8(data.into()).map_err(|_| E::custom("the text of an extension is not UTF-8"))
}

pub(super) fn micros<E: Error>(data: &[u8]) -> Result<i64, E> {
    let bytes = data
        .try_into()
        .map_err(|_| E::custom("a span of time has 8 bytes"))?;
    Ok(i64::from_be_bytes(bytes))
}

pub(super) fn uuid<E: Error>(data: &[u8]) -> Result<[u8; 16], E> {
    data.try_into()
        .map_err(|_| E::custom("a UUID has 16 bytes"))
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $code:ident, |$value:ident| $write:expr, |$data:ident| $read:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Hash)]
            pub struct $name(pub $inner);

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    let $value = &self.0;
                    write(serializer, code::$code, $write)
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let $data = Extension::read(deserializer)?.expect(code::$code, $what)?;
                    $read.map(Self)
                }
            }
        )*
    };
}

kinds! {
    /// Date and time as ISO 8601 text, with an offset if it has one.
    DateTime(String), "a date and time", DATE_TIME, |value| value.as_bytes(), |data| text(data);
    /// Date as ISO 8601 text.
    Date(String), "a date", DATE, |value| value.as_bytes(), |data| text(data);
    /// Time of day as ISO 8601 text.
    Time(String), "a time of day", TIME, |value| value.as_bytes(), |data| text(data);
    /// Time span in microseconds.
    TimeDelta(i64), "a span of time", DURATION, |value| &value.to_be_bytes(), |data| micros(&data);
    /// UUID.
    Uuid([u8; 16]), "a UUID", UUID, |value| value, |data| uuid(&data);
    /// Decimal number as text.
    Decimal(String), "a decimal number", DECIMAL, |value| value.as_bytes(), |data| text(data);
}

/// A byte string, encoded as bytes and not as a list of numbers. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub bytes::Bytes);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, data: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(shared::part(data)))
            }

            fn visit_byte_buf<E: Error>(self, data: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(data.into()))
            }
        }
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

impl<T: Into<bytes::Bytes>> From<T> for Bytes {
    fn from(data: T) -> Self {
        Self(data.into())
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
