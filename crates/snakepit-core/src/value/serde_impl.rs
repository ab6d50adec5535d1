//! Serialization and deserialization of a [`Value`].

use std::any::type_name;
use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use super::kinds::{Extension, code, micros, text, uuid, write};
use super::{FrozenSet, Value, array, shared};
use crate::value::{Payload, data_frame};

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
            Self::FrozenSet(set) => {
                let _level = Level::enter()?;
                let items = set.items();
                let mut list = serializer.serialize_seq(Some(items.len() + 1))?;
                list.serialize_element(&Mark)?;
                for item in items {
                    check_key(item).map_err(S::Error::custom)?;
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::DataFrame(value) => value.serialize(serializer),
        }
    }
}

/// The first item of a list that marks it as a set.
struct Mark;

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(serializer, code::SET, &[])
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A guard that counts one level of nesting while a value is written. The codec does not limit the
/// depth of what it writes, and a stack overflow cannot be caught.
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

/// Largest number of items for which memory is reserved before they arrive: a length on the wire is
/// a claim, not a fact.
const TRUSTED: usize = 1024;

/// Checks that a key of a map, or an item of a set, is hashable in Python. A list stands for a
/// tuple there.
fn check_key(key: &Value) -> Result<(), &'static str> {
    match key {
        Value::Map(_) => Err(
            "a map is the key of another map or in a set, which a Python dictionary cannot have",
        ),
        Value::Array(_) => {
            Err("an array is the key of a map or in a set, which a Python dictionary cannot have")
        }
        Value::DataFrame(_) => {
            Err("a data frame is the key of a map, which a Python dictionary cannot have")
        }
        Value::List(items) => items.iter().try_for_each(check_key),
        Value::FrozenSet(set) => set.items().iter().try_for_each(check_key),
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
        let Some(first) = access.next_element()? else {
            return Ok(Value::List(Vec::new()));
        };
        let mut items = Vec::with_capacity(count.min(TRUSTED));
        let is_set = match first {
            First::Mark => true,
            First::Item(item) => {
                items.push(item);
                false
            }
        };
        while let Some(item) = access.next_element()? {
            if is_set {
                check_key(&item).map_err(refused)?;
            }
            items.push(item);
        }
        Ok(match is_set {
            true => Value::FrozenSet(FrozenSet::new(items)),
            false => Value::List(items),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let count = access.size_hint().unwrap_or(0);
        let mut pairs = Vec::with_capacity(count.min(TRUSTED));
        while let Some(key) = access.next_key()? {
            check_key(&key).map_err(refused)?;
            pairs.push((key, access.next_value()?));
        }
        Ok(Value::Map(pairs))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Value, D::Error> {
        of_extension(Extension::read(deserializer)?)
    }
}

fn refused<E: Error>(reason: &str) -> E {
    shared::refuse();
    E::custom(reason)
}

fn of_extension<E: Error>(extension: Extension) -> Result<Value, E> {
    let Extension { code, data } = extension;
    match code {
        code::DATE_TIME => text(data).map(Value::DateTime),
        code::DATE => text(data).map(Value::Date),
        code::TIME => text(data).map(Value::Time),
        code::DURATION => micros(&data).map(Value::Duration),
        code::UUID => uuid(&data).map(Value::Uuid),
        code::DECIMAL => text(data).map(Value::Decimal),
        code::ARRAY => array::read(&data).map(Value::Array).map_err(E::custom),
        code::DATA_FRAME => data_frame::read(&data)
            .map(Value::DataFrame)
            .map_err(E::custom),
        code::SET => Err(refused("the marker of a set is not inside a set")),
        _ => Err(E::custom(format_args!("extension {code} is unknown"))),
    }
}

/// Returns whether a container of these items has no more places than items.
pub(super) fn is_exact<T>() -> bool {
    let name = type_name::<T>();
    name == type_name::<Value>() || name == type_name::<First>()
}

/// The first item of a list.
enum First {
    Mark,
    Item(Value),
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FirstVisitor)
    }
}

struct FirstVisitor;

macro_rules! items {
    ($($method:ident($type:ty))*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<First, E> {
            ValueVisitor.$method(value).map(First::Item)
        }
    )*};
}

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueVisitor.expecting(f)
    }

    items! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_f64(f64) visit_str(&str) visit_string(String) visit_bytes(&[u8])
        visit_byte_buf(Vec<u8>)
    }

    fn visit_unit<E: Error>(self) -> Result<First, E> {
        Ok(First::Item(Value::Null))
    }

    fn visit_none<E: Error>(self) -> Result<First, E> {
        Ok(First::Item(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<First, D::Error> {
        First::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<First, A::Error> {
        ValueVisitor.visit_seq(access).map(First::Item)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<First, A::Error> {
        ValueVisitor.visit_map(access).map(First::Item)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<First, D::Error> {
        match Extension::read(deserializer)? {
            Extension {
                code: code::SET,
                data,
            } if data.is_empty() => Ok(First::Mark),
            extension => of_extension(extension).map(First::Item),
        }
    }
}
