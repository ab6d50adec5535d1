//! The types that fields of events can have, as plain values and as values of `tracing`.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use tracing::field::DisplayValue;

use crate::id::{CallId, PoolName, SessionId, WorkerId};

/// The plain value of a field.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// The field has no value this time.
    Absent,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number.
    Float(f64),
    /// Text.
    Text(std::borrow::Cow<'a, str>),
}

impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("-"),
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

impl Serialize for FieldValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_none(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => match i64::try_from(*value) {
                Ok(value) => serializer.serialize_i64(value),
                Err(_) => serializer.serialize_u64(u64::try_from(*value).unwrap_or(u64::MAX)),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// A type that a field of an event can have.
pub(super) trait Field {
    /// The form in `tracing`.
    type Traced<'a>: tracing::Value
    where
        Self: 'a;

    /// Returns the value for `tracing`.
    fn traced(&self) -> Self::Traced<'_>;

    /// Returns the plain value.
    fn plain(&self) -> FieldValue<'_>;
}

impl<T: Field> Field for Option<T> {
    type Traced<'a>
        = Option<T::Traced<'a>>
    where
        T: 'a;

    fn traced(&self) -> Self::Traced<'_> {
        self.as_ref().map(T::traced)
    }

    fn plain(&self) -> FieldValue<'_> {
        self.as_ref().map_or(FieldValue::Absent, T::plain)
    }
}

macro_rules! number {
    ($($type:ty => $variant:ident $as:ty,)*) => {$(
        impl Field for $type {
            type Traced<'a> = Self;

            fn traced(&self) -> Self {
                *self
            }

            fn plain(&self) -> FieldValue<'_> {
                FieldValue::$variant(<$as>::from(*self))
            }
        }
    )*};
}

number! {
    bool => Bool bool,
    u16 => Integer i128,
    u32 => Integer i128,
    i32 => Integer i128,
    u64 => Integer i128,
    f64 => Float f64,
}

macro_rules! text {
    ($($type:ty,)*) => {$(
        impl Field for $type {
            type Traced<'a> = &'a str;

            fn traced(&self) -> &str {
                self.as_ref()
            }

            fn plain(&self) -> FieldValue<'_> {
                FieldValue::Text(std::borrow::Cow::Borrowed(self.as_ref()))
            }
        }
    )*};
}

text!(
    &'static str,
    Arc<str>,
    String,
    PoolName,
    WorkerId,
    SessionId,
);

impl Field for CallId {
    type Traced<'a> = u64;

    fn traced(&self) -> u64 {
        self.0
    }

    fn plain(&self) -> FieldValue<'_> {
        FieldValue::Integer(self.0.into())
    }
}

/// Wraps a value that is shown by its [`Display`](fmt::Display).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<T>(pub T);

impl<T: fmt::Display + fmt::Debug> Field for Shown<T> {
    type Traced<'a>
        = DisplayValue<&'a T>
    where
        T: 'a;

    fn traced(&self) -> Self::Traced<'_> {
        tracing::field::display(&self.0)
    }

    fn plain(&self) -> FieldValue<'_> {
        FieldValue::Text(self.0.to_string().into())
    }
}
