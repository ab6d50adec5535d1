//! Deserialization of a type from a [`Value`], whose errors can name the value that does not fit.

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{
    Deserializer, EnumAccess, Error as _, IntoDeserializer, Unexpected, VariantAccess, Visitor,
};

use super::Value;
use super::explain::Wrong;
use super::kinds::{EXTENSION, code};

/// A value as a deserializer, which behaves like a self-describing codec.
#[derive(Clone, Copy)]
pub(super) struct Described<'a>(pub(super) &'a Value);

/// A part of an extension.
enum Part {
    Code(i8),
    Data(Vec<u8>),
}

impl<'de> IntoDeserializer<'de, Wrong> for Part {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Part {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self {
            Self::Code(code) => visitor.visit_i8(code),
            Self::Data(data) => visitor.visit_byte_buf(data),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Wrong> for Described<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Described<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visitor.visit_i64(*value),
            Value::UInt(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Bytes(data) => visitor.visit_borrowed_bytes(data),
            Value::List(items) => {
                visitor.visit_seq(SeqDeserializer::new(items.iter().map(Described)))
            }
            Value::FrozenSet(set) => {
                let items = set.items().iter().map(Described);
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            Value::Map(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, item)| (Described(key), Described(item)));
                visitor.visit_map(MapDeserializer::new(pairs))
            }
            Value::Str(text)
            | Value::DateTime(text)
            | Value::Date(text)
            | Value::Time(text)
            | Value::Decimal(text) => visitor.visit_borrowed_str(text),
            Value::Duration(micros) => visitor.visit_i64(*micros),
            Value::Uuid(bytes) => visitor.visit_borrowed_bytes(bytes),
            Value::Array(_) | Value::DataFrame(_) => visitor.visit_string(self.0.to_string()),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if name != EXTENSION {
            return visitor.visit_newtype_struct(self);
        }
        let (code, data) = match self.0 {
            Value::DateTime(text) => (code::DATE_TIME, text.clone().into_bytes()),
            Value::Date(text) => (code::DATE, text.clone().into_bytes()),
            Value::Time(text) => (code::TIME, text.clone().into_bytes()),
            Value::Decimal(text) => (code::DECIMAL, text.clone().into_bytes()),
            Value::Duration(micros) => (code::DURATION, micros.to_be_bytes().to_vec()),
            Value::Uuid(bytes) => (code::UUID, bytes.to_vec()),
            _ => return visitor.visit_newtype_struct(self),
        };
        let parts = [Part::Code(code), Part::Data(data)];
        visitor.visit_newtype_struct(SeqDeserializer::new(parts.into_iter()))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Str(name) => visitor.visit_enum(Variant {
                name,
                content: None,
            }),
            Value::Map(pairs) => match &pairs[..] {
                [(Value::Str(name), content)] => visitor.visit_enum(Variant {
                    name,
                    content: Some(content),
                }),
                _ => Err(Wrong::invalid_type(
                    Unexpected::Map,
                    &"a map of one variant",
                )),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A variant of an enum, with its content.
struct Variant<'a> {
    name: &'a str,
    content: Option<&'a Value>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Wrong;
    type Variant = Self;

    fn variant_seed<V: serde::de::DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), Wrong> {
        let name: StrDeserializer<'de, Wrong> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<Described<'de>, Wrong> {
        let missing = || Wrong::new(format!("is the variant `{}` without its value", self.name));
        self.content.map(Described).ok_or_else(missing)
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Wrong;

    fn unit_variant(self) -> Result<(), Wrong> {
        match self.content {
            None | Some(Value::Null) => Ok(()),
            Some(_) => Err(Wrong::new(format!(
                "is the variant `{}`, which has no value",
                self.name
            ))),
        }
    }

    fn newtype_variant_seed<T: serde::de::DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, Wrong> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.content()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.content()?.deserialize_any(visitor)
    }
}
