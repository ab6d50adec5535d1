//! Conversion between [`Value`] and JSON.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize as _;
use serde_json::{Number, Value as Json};

use super::counted::{Budget, Counted};
use super::json_error::JsonError;
use super::{Value, whole_numbers};
#[cfg(feature = "arrow")]
use crate::value::data_frame::records::Records;
use crate::value::{DataFrame, Tensor};

/// Characters of a key or a number that an error shows.
const SHOWN: usize = 40;

/// The key that marks an array whose nested lists would be out of proportion to its data.
pub(super) const ARRAY: &str = "$array";

/// The key that marks bytes in JSON.
pub(super) const BYTES: &str = "$bytes";

/// The form in which JSON is made. The size of the cells of a data frame depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A tree of values in memory.
    Tree,
    /// A text that is written piece by piece.
    Text,
}

impl Value {
    /// Converts the value into JSON. Kinds that JSON lacks are written as follows: bytes as
    /// `{"$bytes": "<base64>"}`; date, time, UUID and decimal as text; a time span as seconds; NaN
    /// and the infinities as the texts `NaN`, `Infinity` and `-Infinity`; map keys as text; a set
    /// as a list; an array as nested lists, or as `{"$array": {"dtype", "shape", "data"}}` if most
    /// of these lists would have one item ([`Tensor::to_nested`](crate::value::Tensor::to_nested)).
    /// With feature `arrow`, a data frame is a list of objects, one for each row, and a single
    /// column is a list.
    ///
    /// Work and memory are linear in the size of the value. [`json_text`](Self::json_text) writes
    /// the same without building it, and keeps the order of the keys.
    ///
    /// # Errors
    /// [`JsonError::SameKey`] if two keys of a map become the same text; [`JsonError::SetKey`] if a
    /// key is a set; [`JsonError::DataFrame`] for a data frame that is malformed or has a type that
    /// JSON lacks, and without feature `arrow` for every data frame.
    pub fn to_json(&self) -> Result<Json, JsonError> {
        check(self, Form::Tree)?;
        Ok(self.json())
    }

    fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) => Json::from(*value),
            Self::UInt(value) => Json::from(*value),
            Self::Float(value) => {
                Number::from_f64(*value).map_or_else(|| Json::from(float(*value)), Json::Number)
            }
            Self::Str(text)
            | Self::DateTime(text)
            | Self::Date(text)
            | Self::Time(text)
            | Self::Decimal(text) => Json::from(text.as_str()),
            Self::Bytes(data) => {
                let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
                encode(data, &mut text);
                object([(BYTES, Json::from(text))])
            }
            Self::List(items) => items.iter().map(Self::json).collect(),
            Self::FrozenSet(set) => set.items().iter().map(Self::json).collect(),
            Self::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key_text(key), value.json()))
                .collect(),
            Self::Duration(micros) => Json::from(*micros as f64 / 1e6),
            Self::Uuid(bytes) => Json::from(uuid_text(bytes)),
            Self::Array(tensor) => array(tensor),
            Self::DataFrame(frame) => frame_json(frame),
        }
    }

    /// Parses JSON text by the rules of [`from_json`](Self::from_json); keys stay in order.
    ///
    /// # Errors
    /// The text is not JSON, nests deeper than 127 levels, has a key twice in an object or a whole
    /// number of more than 64 bits, or its values would take more than 64 MiB of memory and 4 bytes
    /// for each byte of text, or 256 MiB.
    pub fn parse_json(text: &[u8]) -> Result<Self, JsonError> {
        let budget = Budget::of(text.len());
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Self::deserialize(Counted::new(&mut reader, &budget, size_of::<Self>()));
        let mut value = value
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|error| malformed(&error))?;
        if let Some(number) = whole_numbers::too_large(text) {
            return Err(JsonError::WholeNumber(shown(number)));
        }
        settle(&mut value)?;
        Ok(value)
    }

    /// Converts JSON into a value. `{"$bytes": "<base64>"}` becomes bytes; everything else keeps
    /// its kind.
    pub fn from_json(json: Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::UInt))
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN))),
            Json::String(text) => Self::Str(text),
            Json::Array(items) => Self::List(items.into_iter().map(Self::from_json).collect()),
            Json::Object(map) => {
                let data = map
                    .get(BYTES)
                    .filter(|_| map.len() == 1)
                    .and_then(Json::as_str)
                    .and_then(decode);
                if let Some(data) = data {
                    return Self::Bytes(data.into());
                }
                Self::Map(
                    map.into_iter()
                        .map(|(key, value)| (Self::Str(key), Self::from_json(value)))
                        .collect(),
                )
            }
        }
    }
}

fn malformed(error: &serde_json::Error) -> JsonError {
    let reason = error.to_string();
    JsonError::Malformed(match reason.strip_prefix("recursion limit exceeded") {
        Some(place) => format!("it nests deeper than 127 levels{place}"),
        None => reason,
    })
}

/// Converts a value that was parsed from JSON text into the form of [`Value::from_json`].
fn settle(value: &mut Value) -> Result<(), JsonError> {
    match value {
        Value::List(items) => items.iter_mut().try_for_each(settle),
        Value::Map(pairs) => {
            if let [(Value::Str(key), Value::Str(text))] = pairs.as_slice()
                && key == BYTES
                && let Some(data) = decode(text)
            {
                *value = Value::Bytes(data.into());
                return Ok(());
            }
            let mut keys = HashSet::with_capacity(pairs.len());
            for (key, _) in pairs.iter() {
                if let Value::Str(key) = key
                    && !keys.insert(key.as_str())
                {
                    return Err(JsonError::RepeatedKey(shown(key)));
                }
            }
            pairs.iter_mut().try_for_each(|(_, value)| settle(value))
        }
        _ => Ok(()),
    }
}

/// Rejects values that have no JSON: a map of which two keys become the same text; a key with a set
/// in it, which has no order and so no text; a data frame that cannot be shown. Keys that are texts
/// need no check.
pub(super) fn check(value: &Value, form: Form) -> Result<(), JsonError> {
    match value {
        Value::List(items) => items.iter().try_for_each(|item| check(item, form)),
        Value::Map(pairs) => {
            if pairs.iter().any(|(key, _)| !matches!(key, Value::Str(_))) {
                let mut keys = HashSet::with_capacity(pairs.len());
                for (key, _) in pairs {
                    if has_set(key) {
                        return Err(JsonError::SetKey(shown(&key.to_string())));
                    }
                    let text = key_text(key);
                    if keys.contains(&text) {
                        return Err(JsonError::SameKey(shown(&text)));
                    }
                    keys.insert(text);
                }
            }
            pairs.iter().try_for_each(|(_, value)| check(value, form))
        }
        Value::DataFrame(frame) => check_frame(frame, form),
        _ => Ok(()),
    }
}

fn has_set(key: &Value) -> bool {
    match key {
        Value::FrozenSet(_) => true,
        Value::List(items) => items.iter().any(has_set),
        _ => false,
    }
}

#[cfg(feature = "arrow")]
fn check_frame(frame: &DataFrame, form: Form) -> Result<(), JsonError> {
    Records::of(frame, form).map(drop)
}

#[cfg(not(feature = "arrow"))]
fn check_frame(_: &DataFrame, _: Form) -> Result<(), JsonError> {
    let reason = "that needs feature `arrow` of snakepit; or send records, such as `value.to_dict(\"records\")` of pandas";
    Err(JsonError::DataFrame(reason.to_owned()))
}

/// Converts a data frame that was checked.
#[cfg(feature = "arrow")]
fn frame_json(frame: &DataFrame) -> Json {
    Records::of(frame, Form::Tree).map_or(Json::Null, |records| {
        records.rows().map(|row| row.json()).collect()
    })
}

#[cfg(not(feature = "arrow"))]
const fn frame_json(_: &DataFrame) -> Json {
    Json::Null
}

/// Returns the first characters of a text.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn key_text(key: &Value) -> String {
    let mut text = String::new();
    super::text::key_text(key, &mut text).expect("a string takes any text");
    text
}

fn object<const N: usize>(pairs: [(&str, Json); N]) -> Json {
    let pairs = pairs.into_iter();
    Json::Object(pairs.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn array(tensor: &Tensor) -> Json {
    match tensor.to_nested() {
        Value::Array(tensor) => {
            let flat = tensor.flat().into_iter();
            let array = object([
                ("dtype", Json::from(&*tensor.dtype().name())),
                ("shape", tensor.shape().to_vec().into()),
                ("data", flat.map(|element| element.json()).collect()),
            ]);
            object([(ARRAY, array)])
        }
        nested => nested.json(),
    }
}

pub(super) fn float(value: f64) -> String {
    match value {
        _ if value.is_nan() => "NaN".to_owned(),
        f64::INFINITY => "Infinity".to_owned(),
        f64::NEG_INFINITY => "-Infinity".to_owned(),
        _ => format!("{value:?}"),
    }
}

pub(super) fn uuid_text(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// Appends standard base64 with padding.
pub(super) fn encode(data: &[u8], text: &mut String) {
    STANDARD.encode_string(data, text);
}

/// Decodes standard base64 with padding; `None` for other text.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
