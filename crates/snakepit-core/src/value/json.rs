//! Between [`Value`] and JSON.

use serde_json::{Map, Number, Value as Json};

use super::Value;

/// The key that marks bytes in JSON.
const BYTES: &str = "$bytes";
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Value {
    /// As JSON. What JSON does not have is written as follows: bytes as `{"$bytes": "<base64>"}`; date, time, UUID and decimal as text;
    /// a span of time as seconds; NaN and the infinities as the texts `NaN`, `Infinity` and `-Infinity`; map keys as text.
    pub fn to_json(&self) -> Json {
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
            Self::Bytes(data) => Json::Object(Map::from_iter([(
                BYTES.to_owned(),
                Json::from(encode(data)),
            )])),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(pairs) => pairs
                .iter()
                .map(|(key, value)| (key_text(key), value.to_json()))
                .collect(),
            Self::Duration(micros) => Json::from(*micros as f64 / 1e6),
            Self::Uuid(bytes) => Json::from(uuid_text(bytes)),
            Self::Array(tensor) => tensor.to_nested().to_json(),
        }
    }

    /// From JSON. `{"$bytes": "<base64>"}` becomes bytes; everything else is taken as it is.
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

fn key_text(key: &Value) -> String {
    match key.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
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

/// Standard base64 with padding.
fn encode(data: &[u8]) -> String {
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let bits = chunk
            .iter()
            .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * index)) as usize & 63];
            text.push(if index <= chunk.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

/// `None` for text that is not standard base64 with padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 {
        return None;
    }
    let mut data = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for index in 0..4 {
            let digit = chunk.get(index).map_or(Some(0), |digit| {
                ALPHABET.iter().position(|known| known == digit)
            })?;
            bits = bits << 6 | u32::try_from(digit).expect("a digit is below 64");
        }
        data.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Some(data)
}
