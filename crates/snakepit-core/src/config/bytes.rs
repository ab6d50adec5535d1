//! `Bytes`: marks the fields of settings that are sizes.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

/// Marks a number as a size in bytes: `#[serde(with = "Bytes")]`.
///
/// It is a number for most formats. A format with units for sizes recognises the field as a newtype
/// named [`Bytes::NAME`].
#[derive(Debug)]
pub enum Bytes {}

impl Bytes {
    /// Name of the newtype.
    pub const NAME: &str = "Bytes";

    /// Writes the number.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<T: Serialize, S: Serializer>(
        size: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        size.serialize(serializer)
    }

    /// Reads the number as the content of a newtype.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        deserializer.deserialize_newtype_struct(Self::NAME, Newtype(PhantomData))
    }
}

struct Newtype<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Newtype<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of bytes")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        T::deserialize(inner)
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Self::NAME.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "format": "bytes", "minimum": 0 })
    }
}
