//! How a [`Value`] is written and read.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use super::Value;
use super::array;
use super::kinds::{Extension, code, micros, text, uuid, write};
use super::shared;
use crate::Payload;

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::UInt(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Str(value) => serializer.serialize_str(value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::List(items) => {
                let _level = Level::enter()?;
                serializer.collect_seq(items)
            }
            Self::Map(pairs) => {
                let _level = Level::enter()?;
                let mut map = serializer.serialize_map(Some(pairs.len()))?;
                for (key, value) in pairs {
                    check_key(key).map_err(S::Error::custom)?;
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
            Self::DateTime(value) => write(serializer, code::DATE_TIME, value.as_bytes()),
            Self::Date(value) => write(serializer, code::DATE, value.as_bytes()),
            Self::Time(value) => write(serializer, code::TIME, value.as_bytes()),
            Self::Duration(value) => write(serializer, code::DURATION, &value.to_be_bytes()),
            Self::Uuid(value) => write(serializer, code::UUID, value),
            Self::Decimal(value) => write(serializer, code::DECIMAL, value.as_bytes()),
            Self::Array(value) => value.serialize(serializer),
        }
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// One level of nesting while a value is written. The codec does not limit the depth of what it writes, and a stack overflow cannot be
/// caught, so the value counts by itself.
struct Level;

impl Level {
    fn enter<E: serde::ser::Error>() -> Result<Self, E> {
        let depth = DEPTH.get();
        if depth >= Payload::MAX_DEPTH {
            let limit = Payload::MAX_DEPTH;
            return Err(E::custom(format_args!(
                "it nests deeper than {limit} levels"
            )));
        }
        DEPTH.set(depth + 1);
        Ok(Self)
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

/// A length on the wire is a claim, not a fact: reserve no more than this before the items have come.
const TRUSTED: usize = 1024;

/// A key of a map must be one that a Python dictionary can have, a tuple being a list here.
fn check_key(key: &Value) -> Result<(), &'static str> {
    match key {
        Value::Map(_) => {
            Err("a map is the key of another map, which no dictionary of Python can have")
        }
        Value::Array(_) => {
            Err("an array is the key of a map, which no dictionary of Python can have")
        }
        Value::List(items) => items.iter().try_for_each(check_key),
        _ => Ok(()),
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::Str(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Bytes(shared::part(value)))
    }

    fn visit_byte_buf<E: Error>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Bytes(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let count = access.size_hint().unwrap_or(0);
        let mut items = Vec::with_capacity(count.min(TRUSTED));
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let count = access.size_hint().unwrap_or(0);
        let mut pairs = Vec::with_capacity(count.min(TRUSTED));
        while let Some(key) = access.next_key()? {
            check_key(&key).map_err(|reason| {
                shared::refuse();
                A::Error::custom(reason)
            })?;
            pairs.push((key, access.next_value()?));
        }
        Ok(Value::Map(pairs))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        let Extension { code, data } = Extension::read(deserializer)?;
        match code {
            code::DATE_TIME => text(data).map(Value::DateTime),
            code::DATE => text(data).map(Value::Date),
            code::TIME => text(data).map(Value::Time),
            code::DURATION => micros(&data).map(Value::Duration),
            code::UUID => uuid(&data).map(Value::Uuid),
            code::DECIMAL => text(data).map(Value::Decimal),
            code::ARRAY => array::read(&data)
                .map(Value::Array)
                .map_err(D::Error::custom),
            _ => Err(D::Error::custom(format_args!(
                "extension {code} is unknown"
            ))),
        }
    }
}
