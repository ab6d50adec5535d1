//! Reads settings as they are written in a file: durations, sizes, and the word `none`.

use std::collections::btree_map::Iter;
use std::time::Duration;

use figment::Error;
use figment::error::{Actual, Kind};
use figment::value::{Dict, Num, Value};
use serde::Deserializer;
use serde::de::value::SeqDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use snakepit_core::config::Bytes;

use crate::text::{parse_duration, parse_size, seconds};

/// The word that unsets a setting, also one from the defaults of all pools.
pub(super) const NONE: &str = "none";

const DURATION: &str = "a duration such as \"250ms\", \"1.5s\", \"1d\" or a number of seconds";
const SIZE: &str = "a size such as \"64MiB\" or a number of bytes";

/// Reads a table. The word `none` stands for the `None` of an optional setting, and for the default
/// of any other.
pub(super) fn read<T: DeserializeOwned>(table: Dict) -> Result<T, Error> {
    let mut table = Value::from(table);
    loop {
        match T::deserialize(Reader::new(&table)) {
            Err(error) if error.kind == unset() && remove(&mut table, &error.path) => {}
            result => return result,
        }
    }
}

/// The error of a setting with the word `none` that is not optional.
fn unset() -> Kind {
    Kind::MissingField(NONE.into())
}

/// Removes the value at a path. Returns false if there is none.
fn remove(value: &mut Value, path: &[String]) -> bool {
    let (Value::Dict(_, entries), [key, rest @ ..]) = (value, path) else {
        return false;
    };
    match (rest, entries.get_mut(key)) {
        ([], _) => entries.remove(key).is_some(),
        (rest, Some(inner)) => remove(inner, rest),
        (_, None) => false,
    }
}

/// One value.
#[derive(Clone, Copy)]
struct Reader<'a> {
    value: &'a Value,
    /// True for a setting, false for an entry of a map or a list.
    setting: bool,
}

impl<'a> Reader<'a> {
    const fn new(value: &'a Value) -> Self {
        Self {
            value,
            setting: false,
        }
    }

    fn text(self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// Fails if the word `none` unsets a setting that is not optional.
    fn check(self) -> Result<Self, Error> {
        if self.setting && self.text() == Some(NONE) {
            return Err(unset().into());
        }
        Ok(self)
    }

    fn wrong(self, expected: &str) -> Error {
        match self.value.to_actual() {
            actual @ (Actual::Str(_)
            | Actual::Unsigned(_)
            | Actual::Signed(_)
            | Actual::Float(_)) => Kind::InvalidValue(actual, expected.to_owned()).into(),
            actual => Kind::InvalidType(actual, expected.to_owned()).into(),
        }
    }

    fn duration(self) -> Result<Duration, Error> {
        let duration = match self.value {
            Value::String(_, text) => parse_duration(text).ok(),
            Value::Num(_, Num::F32(_) | Num::F64(_)) => {
                let number = self.value.to_f64();
                number.and_then(|number| seconds(number).ok())
            }
            Value::Num(_, number) => whole(*number).map(Duration::from_secs),
            _ => None,
        };
        duration.ok_or_else(|| self.wrong(DURATION))
    }

    fn size(self) -> Result<Value, Error> {
        let size = match self.value {
            Value::String(_, text) => parse_size(text).ok(),
            Value::Num(_, number) => whole(*number).and_then(|size| size.try_into().ok()),
            _ => None,
        };
        size.map(Value::from).ok_or_else(|| self.wrong(SIZE))
    }
}

/// Methods for settings that are not optional.
macro_rules! required {
    ($($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.check()?.deserialize_any(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(_, text) => visitor.visit_str(text),
            Value::Char(_, letter) => visitor.visit_char(*letter),
            Value::Bool(_, value) => visitor.visit_bool(*value),
            Value::Num(_, number) => visit(*number, visitor),
            Value::Empty(..) => visitor.visit_unit(),
            Value::Dict(_, table) => visitor.visit_map(Entries::new(table, false)),
            Value::Array(_, items) => visitor.visit_seq(Items(items.iter().enumerate())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.text() == Some(NONE) {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // The name is that of the standard library's type.
        if name == "Duration" {
            let duration = self.check()?.duration()?;
            let parts = [duration.as_secs(), duration.subsec_nanos().into()];
            return visitor.visit_seq(SeqDeserializer::<_, Error>::new(parts.into_iter()));
        }
        match self.check()?.value {
            Value::Dict(_, table) => visitor.visit_map(Entries::new(table, true)),
            other => Err(Kind::InvalidType(other.to_actual(), "a table".to_owned()).into()),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == Bytes::NAME && self.text() != Some(NONE) {
            return visitor.visit_newtype_struct(Reader::new(&self.size()?));
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.text() {
            Some(NONE) if self.setting && !words.contains(&NONE) => Err(unset().into()),
            Some(word) => visitor.visit_enum(word.into_deserializer()),
            None => self.deserialize_any(visitor),
        }
    }

    required! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_seq deserialize_map
    }

    serde::forward_to_deserialize_any! { unit unit_struct tuple tuple_struct identifier ignored_any }
}

/// Returns a whole number that is not negative.
fn whole(number: Num) -> Option<u64> {
    let signed = number.to_i128().and_then(|number| number.try_into().ok());
    signed.or_else(|| number.to_u128()?.try_into().ok())
}

/// Passes a number to a visitor.
fn visit<'de, V: Visitor<'de>>(number: Num, visitor: V) -> Result<V::Value, Error> {
    if let Some(number) = whole(number) {
        return visitor.visit_u64(number);
    }
    if let Some(Ok(number)) = number.to_i128().map(i64::try_from) {
        return visitor.visit_i64(number);
    }
    visitor.visit_f64(number.to_f64().unwrap_or(f64::NAN))
}

/// Adds a key in front of an error's path.
fn under(key: &str, mut error: Error) -> Error {
    error.path.insert(0, key.to_owned());
    error
}

struct Entries<'a> {
    entries: Iter<'a, String, Value>,
    current: Option<(&'a str, Reader<'a>)>,
    settings: bool,
}

impl<'a> Entries<'a> {
    fn new(table: &'a Dict, settings: bool) -> Self {
        Self {
            entries: table.iter(),
            current: None,
            settings,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.entries.next() else {
            return Ok(None);
        };
        let setting = self.settings;
        self.current = Some((key, Reader { value, setting }));
        seed.deserialize(key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (key, value) = self.current.take().expect("serde asks for keys first");
        seed.deserialize(value).map_err(|error| under(key, error))
    }
}

struct Items<'a>(std::iter::Enumerate<std::slice::Iter<'a, Value>>);

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some((index, item)) = self.0.next() else {
            return Ok(None);
        };
        let item = seed.deserialize(Reader::new(item));
        item.map(Some)
            .map_err(|error| under(&index.to_string(), error))
    }
}
