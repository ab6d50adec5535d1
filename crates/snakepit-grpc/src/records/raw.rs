//! The encoding of records: MessagePack maps with the keys of `proto/README.md`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use snakepit_core::events::record::{Attribute, Attributes as Core};
use snakepit_core::events::{Number, TraceContext};

use super::{MAX_MOMENTS, clip, context, is_name};

/// Largest number of attributes, measurements or texts of one record; further ones are omitted.
const MAX_ENTRIES: usize = 64;

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(default)]
    pub(super) measurements: Entries<Number>,
    #[serde(default)]
    pub(super) metadata: Entries<Arc<str>>,
    #[serde(default)]
    pub(super) call: u64,
}

#[derive(Deserialize)]
pub(super) struct Span<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) trace: Trace,
    #[serde(default)]
    pub(super) parent: Parent,
    #[serde(borrow, default)]
    pub(super) state: Cow<'a, str>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(borrow, default, deserialize_with = "moments")]
    pub(super) events: Vec<Moment<'a>>,
    #[serde(borrow, default)]
    pub(super) error: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) kind: u8,
    #[serde(default)]
    pub(super) call: u64,
}

#[derive(Deserialize)]
pub(super) struct Moment<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) at_ns: u64,
    #[serde(default)]
    pub(super) attributes: Attributes,
}

#[derive(Deserialize)]
pub(super) struct Log<'a> {
    pub(super) at_ns: u64,
    pub(super) level: i64,
    #[serde(borrow)]
    pub(super) logger: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) message: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) exception: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) call: u64,
    #[serde(default)]
    pub(super) trace: Trace,
}

#[derive(Deserialize)]
pub(super) struct Measurement<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    pub(super) instrument: u8,
    #[serde(borrow, default)]
    pub(super) unit: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) description: Cow<'a, str>,
    pub(super) value: Value,
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) call: u64,
    #[serde(default)]
    pub(super) trace: Trace,
}

/// A trace context of 25 bytes, or nil.
#[derive(Default)]
pub(super) struct Trace(pub(super) Option<TraceContext>);

/// A span id of 8 bytes that are not all zero, or nil.
#[derive(Default)]
pub(super) struct Parent(pub(super) Option<[u8; 8]>);

impl<'de> Deserialize<'de> for Trace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_any(Binary)?;
        let read = |bytes| context(bytes).ok_or_else(|| D::Error::custom("no trace context"));
        bytes.map(read).transpose().map(Self)
    }
}

impl<'de> Deserialize<'de> for Parent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_any(Binary)?;
        let read = |bytes: &[u8]| {
            let id = <[u8; 8]>::try_from(bytes).ok().filter(|id| *id != [0; 8]);
            id.ok_or_else(|| D::Error::custom("no span id"))
        };
        bytes.map(read).transpose().map(Self)
    }
}

/// Reads bytes or nil.
struct Binary;

impl<'de> Visitor<'de> for Binary {
    type Value = Option<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes or nil")
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Some(bytes))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// Names and values. An entry with an invalid name is omitted.
pub(super) struct Entries<V>(pub(super) BTreeMap<Arc<str>, V>);

impl<V> Default for Entries<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, V: FromScalar> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = deserializer.deserialize_map(Pairs(PhantomData))?;
        let pairs = pairs.into_iter();
        Ok(Self(
            pairs
                .map(|(name, value)| (Arc::from(&*name), value))
                .collect(),
        ))
    }
}

/// Attributes that state the origin of a record. The host sets them; values from a worker are
/// ignored.
const ORIGIN: [&str; 3] = ["snakepit.pool", "snakepit.worker", "snakepit.call.id"];

/// Attributes in their order, without those of [`ORIGIN`].
#[derive(Default)]
pub(super) struct Attributes(pub(super) Core);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = deserializer.deserialize_map(Pairs(PhantomData))?;
        let pairs = pairs.into_iter();
        let own = pairs.filter(|(name, _)| !ORIGIN.contains(&&**name));
        let owned = |(name, value): (Cow<'de, str>, _)| (Cow::Owned(name.into_owned()), value);
        Ok(Self(own.map(owned).collect()))
    }
}

struct Pairs<V>(PhantomData<V>);

impl<'de, V: FromScalar> Visitor<'de> for Pairs<V> {
    type Value = Vec<(Cow<'de, str>, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(Text(name)) = map.next_key()? {
            if pairs.len() < MAX_ENTRIES && is_name(&name) {
                let value = map.next_value::<Scalar<'de>>()?;
                let value = V::from_scalar(value);
                pairs.push((name, value.ok_or_else(|| A::Error::custom("another type"))?));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(pairs)
    }
}

/// A text, borrowed from the record where possible.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The value of a measurement.
pub(super) struct Value(pub(super) f64);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Number::from_scalar(Scalar::deserialize(deserializer)?) {
            Some(Number::Integer(value)) => Ok(Self(value as f64)),
            Some(Number::Float(value)) => Ok(Self(value)),
            _ => Err(D::Error::custom("no number")),
        }
    }
}

/// A value without parts.
pub(super) enum Scalar<'a> {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

/// A type that can be converted from a scalar. `None` if the scalar has another type.
pub(super) trait FromScalar: Sized {
    fn from_scalar(scalar: Scalar<'_>) -> Option<Self>;
}

impl FromScalar for Number {
    fn from_scalar(scalar: Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Integer(value) => Some(Self::Integer(value)),
            Scalar::Float(value) => Some(Self::Float(value)),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        }
    }
}

impl FromScalar for Arc<str> {
    fn from_scalar(scalar: Scalar<'_>) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => Some(clip(&text).into()),
            _ => None,
        }
    }
}

impl FromScalar for Attribute {
    fn from_scalar(scalar: Scalar<'_>) -> Option<Self> {
        Some(match scalar {
            Scalar::Bool(value) => Self::Bool(value),
            Scalar::Integer(value) => Self::Integer(value),
            Scalar::Float(value) => Self::Float(value),
            Scalar::Text(text) => Self::Text(Arc::<str>::from(clip(&text)).into()),
        })
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a truth value, a number or a text")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'de>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'de>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }
}

/// Reads the moments of a span, up to the limit.
fn moments<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Moment<'de>>, D::Error> {
    struct Moments;

    impl<'de> Visitor<'de> for Moments {
        type Value = Vec<Moment<'de>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of moments")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut moments = Vec::new();
            while moments.len() < MAX_MOMENTS
                && let Some(moment) = list.next_element()?
            {
                moments.push(moment);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(moments)
        }
    }

    deserializer.deserialize_seq(Moments)
}
