//! JSON text of a [`Value`], written piece by piece.

use std::fmt::{self, Write};

use serde_json::Number;

use super::Value;
use super::json::{ARRAY, BYTES, Form, check, float, uuid_text};
use super::json_error::JsonError;
#[cfg(feature = "arrow")]
use crate::value::data_frame::records::Records;
use crate::value::{DType, DataFrame, Tensor};

/// Bytes of a text that are written at once: a writer that stops early does not pay for the rest of
/// a long text.
const PIECE: usize = 4096;

/// Size of data frames that a preview shows as records, in bytes for each of its characters: a
/// frame is read as a whole.
const PER_CHARACTER: usize = 1024;

/// The JSON text of a [`Value`], created by [`Value::json_text`] and written with `{}`. It
/// allocates nothing. A writer that returns an error stops it at once.
#[derive(Clone, Copy, Debug)]
pub struct JsonText<'a>(&'a Value);

impl Value {
    /// Returns the value as JSON text, which is generated while it is written. It follows the rules
    /// of [`to_json`](Self::to_json); keys are in the order of their map.
    ///
    /// # Errors
    /// As [`to_json`](Self::to_json).
    pub fn json_text(&self) -> Result<JsonText<'_>, JsonError> {
        check(self, Form::Text)?;
        Ok(JsonText(self))
    }

    /// Returns the first `limit` characters of the JSON text, and `…` if there are more. Work and
    /// memory depend on the limit, not on the size of the value.
    pub fn json_preview(&self, limit: usize) -> String {
        let mut preview = Preview {
            text: String::new(),
            left: limit,
        };
        if any(self, limit.saturating_mul(PER_CHARACTER), &mut preview).is_err() {
            preview.text.push('…');
        }
        preview.text
    }
}

impl fmt::Display for JsonText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        any(self.0, usize::MAX, f)
    }
}

/// A writer that accepts a number of characters and then fails.
struct Preview {
    text: String,
    left: usize,
}

impl Write for Preview {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        match text.char_indices().nth(self.left) {
            Some((end, _)) => {
                self.text.push_str(&text[..end]);
                self.left = 0;
                Err(fmt::Error)
            }
            None => {
                self.text.push_str(text);
                self.left -= text.chars().count();
                Ok(())
            }
        }
    }
}

/// Writes a value. Data frames up to a number of bytes are records.
fn any(value: &Value, frames: usize, out: &mut dyn Write) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Bool(value) => write!(out, "{value}"),
        Value::Int(value) => write!(out, "{value}"),
        Value::UInt(value) => write!(out, "{value}"),
        Value::Float(value) => number(*value, out),
        Value::Str(text)
        | Value::DateTime(text)
        | Value::Date(text)
        | Value::Time(text)
        | Value::Decimal(text) => quoted(text, out),
        Value::Bytes(data) => {
            write!(out, "{{\"{BYTES}\":\"")?;
            base64(data, out)?;
            out.write_str("\"}")
        }
        Value::List(items) => list(items, frames, out),
        Value::FrozenSet(set) => list(set.items(), frames, out),
        Value::Map(pairs) => {
            out.write_str("{")?;
            for (index, (key, value)) in pairs.iter().enumerate() {
                out.write_str(if index == 0 { "\"" } else { ",\"" })?;
                key_text(key, &mut Escaped(out))?;
                out.write_str("\":")?;
                any(value, frames, out)?;
            }
            out.write_str("}")
        }
        Value::Duration(micros) => number(*micros as f64 / 1e6, out),
        Value::Uuid(bytes) => write!(out, "\"{}\"", uuid_text(bytes)),
        Value::Array(tensor) => array(tensor, out),
        Value::DataFrame(frame) => data_frame(frame, frames, out),
    }
}

fn list(items: &[Value], frames: usize, out: &mut dyn Write) -> fmt::Result {
    out.write_str("[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(",")?;
        }
        any(item, frames, out)?;
    }
    out.write_str("]")
}

/// Writes the text of a key, without quotes. Keys within a key are not quoted: quoting them at each
/// level would double the text each time.
pub(super) fn key_text(key: &Value, out: &mut dyn Write) -> fmt::Result {
    match key {
        Value::Str(text)
        | Value::DateTime(text)
        | Value::Date(text)
        | Value::Time(text)
        | Value::Decimal(text) => out.write_str(text),
        Value::Float(value) if !value.is_finite() => out.write_str(&float(*value)),
        Value::Uuid(bytes) => out.write_str(&uuid_text(bytes)),
        Value::List(items) => inner_keys(items, out),
        Value::FrozenSet(set) => inner_keys(set.items(), out),
        Value::Map(pairs) => {
            out.write_str("{")?;
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.write_str(",")?;
                }
                inner_key(key, out)?;
                out.write_str(":")?;
                inner_key(value, out)?;
            }
            out.write_str("}")
        }
        other => any(other, 0, out),
    }
}

fn inner_keys(items: &[Value], out: &mut dyn Write) -> fmt::Result {
    out.write_str("[")?;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.write_str(",")?;
        }
        inner_key(item, out)?;
    }
    out.write_str("]")
}

/// Writes a part of a key that is a container.
fn inner_key(value: &Value, out: &mut dyn Write) -> fmt::Result {
    match value {
        Value::List(_) | Value::FrozenSet(_) | Value::Map(_) => key_text(value, out),
        leaf => any(leaf, 0, out),
    }
}

/// A writer that escapes text for the inside of a JSON string.
struct Escaped<'a>(&'a mut dyn Write);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let short = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0x08 => "\\b",
                0x0c => "\\f",
                0..0x20 => "",
                _ if at - plain >= PIECE && text.is_char_boundary(at) => {
                    self.0.write_str(&text[plain..at])?;
                    plain = at;
                    continue;
                }
                _ => continue,
            };
            if plain < at {
                self.0.write_str(&text[plain..at])?;
            }
            if short.is_empty() {
                write!(self.0, "\\u{byte:04x}")?;
            } else {
                self.0.write_str(short)?;
            }
            plain = at + 1;
        }
        if plain < text.len() {
            self.0.write_str(&text[plain..])?;
        }
        Ok(())
    }
}

fn quoted(text: &str, out: &mut dyn Write) -> fmt::Result {
    out.write_str("\"")?;
    Escaped(out).write_str(text)?;
    out.write_str("\"")
}

fn number(value: f64, out: &mut dyn Write) -> fmt::Result {
    match Number::from_f64(value) {
        Some(number) => write!(out, "{number}"),
        None => write!(out, "\"{}\"", float(value)),
    }
}

/// Writes standard base64 with padding.
fn base64(data: &[u8], out: &mut dyn Write) -> fmt::Result {
    let mut text = String::with_capacity(data.len().min(PIECE / 4 * 3).div_ceil(3) * 4);
    for piece in data.chunks(PIECE / 4 * 3) {
        text.clear();
        super::json::encode(piece, &mut text);
        out.write_str(&text)?;
    }
    Ok(())
}

/// Writes the records of a data frame if it can be shown as such. Otherwise, which occurs only in a
/// preview, writes its name and its size.
fn data_frame(frame: &DataFrame, largest: usize, out: &mut dyn Write) -> fmt::Result {
    #[cfg(feature = "arrow")]
    if frame.size() <= largest
        && let Ok(records) = Records::of(frame, Form::Text)
    {
        out.write_str("[")?;
        for (index, row) in records.rows().enumerate() {
            if index > 0 {
                out.write_str(",")?;
            }
            any(&row, 0, out)?;
        }
        return out.write_str("]");
    }
    #[cfg(not(feature = "arrow"))]
    let _ = largest;
    let what = format!("<{} of {} bytes>", frame.kind(), frame.size());
    quoted(&what, out)
}

fn array(tensor: &Tensor, out: &mut dyn Write) -> fmt::Result {
    let mut elements = tensor.data().chunks_exact(tensor.dtype().size());
    if tensor.is_empty() {
        return out.write_str("[]");
    }
    if tensor.nests() {
        return level(tensor.shape(), tensor.dtype(), &mut elements, out);
    }
    write!(
        out,
        "{{\"{ARRAY}\":{{\"dtype\":\"{}\",\"shape\":[",
        tensor.dtype()
    )?;
    for (index, length) in tensor.shape().iter().enumerate() {
        write!(out, "{}{length}", if index == 0 { "" } else { "," })?;
    }
    out.write_str("],\"data\":")?;
    level(&[tensor.len()], tensor.dtype(), &mut elements, out)?;
    out.write_str("}}")
}

fn level(
    shape: &[usize],
    dtype: DType,
    elements: &mut std::slice::ChunksExact<'_, u8>,
    out: &mut dyn Write,
) -> fmt::Result {
    let Some((length, rest)) = shape.split_first() else {
        return elements
            .next()
            .map_or(Ok(()), |bytes| any(&dtype.read(bytes), 0, out));
    };
    out.write_str("[")?;
    for index in 0..*length {
        if index > 0 {
            out.write_str(",")?;
        }
        level(rest, dtype, elements, out)?;
    }
    out.write_str("]")
}
