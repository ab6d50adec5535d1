//! A data frame as a MessagePack extension: version, kind, number of padding bytes, padding, and
//! the Arrow IPC stream.

use std::borrow::Cow;

use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

use super::{DataFrame, DataFrameKind};
use crate::value::payload::raw;
use crate::value::{DATA_FRAME, Value, write_extension};

/// Version of the block's layout.
const VERSION: u8 = 1;

/// Bytes of the fixed header: version, kind, number of padding bytes.
const FIXED: usize = 3;

/// Marker of an extension whose length has four bytes.
const EXT_32: u8 = 0xc9;

/// Alignment of the stream in its payload where possible, so that it can be read without a copy.
const ALIGNMENT: usize = 64;

impl Serialize for DataFrame {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The stream may be large: it is copied once, to its place.
        let done = raw(serializer, |out| self.append(out));
        let serializer = match done {
            Ok(done) => return done,
            Err(serializer) => serializer,
        };
        let mut block = vec![VERSION, self.kind.code(), 0];
        for piece in self.pieces() {
            block.extend_from_slice(piece);
        }
        write_extension(serializer, DATA_FRAME, &block)
    }
}

impl DataFrame {
    fn append(&self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        let head = 6 + FIXED;
        let padding = (out.len() + head).next_multiple_of(ALIGNMENT) - out.len() - head;
        let length = FIXED + padding + self.size();
        let written = u32::try_from(length).map_err(|_| "a data frame has at most 4 GiB")?;
        out.reserve_exact(6 + length);
        out.push(EXT_32);
        out.extend_from_slice(&written.to_be_bytes());
        out.push(DATA_FRAME as u8);
        out.extend_from_slice(&[VERSION, self.kind.code(), padding as u8]);
        out.resize(out.len() + padding, 0);
        for piece in self.pieces() {
            out.extend_from_slice(piece);
        }
        Ok(())
    }
}

/// Decodes a block; the data frame shares its memory.
pub(crate) fn read(block: &Bytes) -> Result<DataFrame, String> {
    let Some(&[version, kind, padding]) = block.first_chunk::<FIXED>() else {
        return Err("the header of a data frame is cut short".to_owned());
    };
    if version != VERSION {
        return Err(format!("version {version} of data frames is unknown"));
    }
    let kind = DataFrameKind::from_code(kind)
        .ok_or_else(|| format!("kind {kind} of data frames is unknown"))?;
    let begin = FIXED + usize::from(padding);
    if begin > block.len() {
        return Err("the header of a data frame is cut short".to_owned());
    }
    Ok(DataFrame::from_ipc(block.slice(begin..)).with_kind(kind))
}

impl<'de> Deserialize<'de> for DataFrame {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::DataFrame(frame) => Ok(frame),
            other => Err(D::Error::custom(format_args!(
                "expected a data frame, got {other}"
            ))),
        }
    }
}

/// The schema accepts any value: in JSON a data frame is a list of records, elsewhere an extension.
impl JsonSchema for DataFrame {
    fn schema_name() -> Cow<'static, str> {
        "DataFrame".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A data frame" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Payload;

    fn frame(length: usize) -> DataFrame {
        DataFrame::from_ipc(vec![7; length]).with_kind(DataFrameKind::PolarsSeries)
    }

    #[test]
    fn frames_survive_alone_and_within_other_values() {
        for length in [0, 1, 300, 70_000] {
            let frame = frame(length);
            let payload = Payload::encode(&frame).unwrap();
            assert_eq!(payload.decode::<DataFrame>().unwrap(), frame);
            assert_eq!(payload.decode::<Value>().unwrap(), frame.clone().into());
            let nested = Value::Map(vec![("a".into(), vec![frame.clone().into()].into())]);
            let both = Payload::encode(&(1, &nested, &frame)).unwrap();
            let (one, first, second): (u8, Value, DataFrame) = both.decode().unwrap();
            assert_eq!((one, first, second), (1, nested, frame));
        }
    }

    #[test]
    fn a_large_stream_is_aligned_and_shares_its_payload() {
        let payload = Payload::encode(&("x", frame(70_000))).unwrap();
        let (_, frame): (String, DataFrame) = payload.decode().unwrap();
        let begin = frame.ipc().as_ptr() as usize - payload.bytes.as_ptr() as usize;
        assert!(begin < payload.bytes.len() && begin.is_multiple_of(ALIGNMENT));
    }

    #[test]
    fn malformed_blocks_are_refused() {
        let read = |bytes: &[u8]| read(&Bytes::copy_from_slice(bytes)).unwrap_err();
        assert_eq!(read(&[1, 1]), "the header of a data frame is cut short");
        assert_eq!(read(&[1, 1, 1]), "the header of a data frame is cut short");
        assert_eq!(read(&[2, 1, 0]), "version 2 of data frames is unknown");
        assert_eq!(read(&[1, 99, 0]), "kind 99 of data frames is unknown");
        let other = Payload::encode(&"text").unwrap();
        let error = other.decode::<DataFrame>().unwrap_err().to_string();
        assert!(error.contains("a data frame"), "{error}");
    }
}
