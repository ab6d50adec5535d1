//! A setting that the word `none` unsets.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor};

/// The word that unsets a setting, also one from the defaults of all pools.
pub(super) const NONE: &str = "none";

/// A value, or the word `none`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maybe<T>(pub(super) Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Maybe<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Passes everything but `none` to the type of the value, which then reports errors.
struct Either<T>(PhantomData<T>);

impl<T> Either<T> {
    fn value<'de, E: Error>(value: impl IntoDeserializer<'de, E>) -> Result<Maybe<T>, E>
    where
        T: Deserialize<'de>,
    {
        T::deserialize(value.into_deserializer()).map(|value| Maybe(Some(value)))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
    type Value = Maybe<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or \"none\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Maybe<T>, E> {
        if text == NONE {
            return Ok(Maybe(None));
        }
        Self::value(text)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Maybe<T>, E> {
        Self::value(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Maybe<T>, E> {
        Self::value(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Maybe<T>, E> {
        Self::value(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Maybe<T>, E> {
        Self::value(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Maybe<T>, A::Error> {
        T::deserialize(SeqAccessDeserializer::new(items)).map(|value| Maybe(Some(value)))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Maybe<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(entries)).map(|value| Maybe(Some(value)))
    }
}
