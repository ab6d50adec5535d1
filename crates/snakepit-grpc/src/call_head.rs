//! The head of a call, read where it lies: its texts are parts of the frame.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

// Numbers of the fields of `ExecuteToolRequest` that the head of a call may have.
pub(crate) const SESSION_ID: u32 = 1;
pub(crate) const TOOL_NAME: u32 = 2;
pub(crate) const METADATA: u32 = 4;
#[cfg(feature = "client")]
pub(crate) const ENCODING: u32 = 101;
#[cfg(feature = "client")]
pub(crate) const CALL_ID: u32 = 103;
pub(crate) const TIMEOUT_US: u32 = 104;
pub(crate) const TRACE: u32 = 105;
pub(crate) const CORRELATION_ID: u32 = 106;
pub(crate) const TRACE_STATE: u32 = 107;

/// The fields of an `ExecuteToolRequest` that a worker reads; empty or 0 where the message does not
/// have them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallHead<'a> {
    /// Session of the caller.
    pub session_id: &'a str,
    /// Name of the tool.
    pub tool_name: &'a str,
    /// Microseconds until the deadline; 0 if there is none.
    pub timeout_us: u64,
    /// The worker's span of the call: trace id, span id and flags.
    pub trace: &'a [u8],
    /// Correlation id.
    pub correlation_id: &'a str,
    /// The header `tracestate`.
    pub trace_state: &'a str,
    /// Texts for the tool by key.
    pub metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> CallHead<'a> {
    /// Reads the encoded message. Other fields are passed over.
    ///
    /// # Errors
    /// Bytes that are no message, or texts that are not UTF-8.
    pub fn decode(mut head: &'a [u8]) -> Result<Self, BadHead> {
        let mut read = Self::default();
        while !head.is_empty() {
            let (field, wire) = decode_key(&mut head)?;
            match (field, wire) {
                (SESSION_ID, WireType::LengthDelimited) => read.session_id = text(&mut head)?,
                (TOOL_NAME, WireType::LengthDelimited) => read.tool_name = text(&mut head)?,
                (TIMEOUT_US, WireType::Varint) => read.timeout_us = decode_varint(&mut head)?,
                (TRACE, WireType::LengthDelimited) => read.trace = bytes(&mut head)?,
                (CORRELATION_ID, WireType::LengthDelimited) => {
                    read.correlation_id = text(&mut head)?;
                }
                (TRACE_STATE, WireType::LengthDelimited) => read.trace_state = text(&mut head)?,
                (METADATA, WireType::LengthDelimited) => {
                    read.metadata.push(entry(bytes(&mut head)?)?);
                }
                _ => skip_field(wire, field, &mut head, DecodeContext::default())?,
            }
        }
        Ok(read)
    }
}

/// A defect of bytes that are not the head of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadHead {
    /// The bytes are not a protobuf message.
    Message(DecodeError),
    /// A field is longer than the bytes that are left.
    CutShort,
    /// A text is not UTF-8.
    NotUtf8,
}

impl From<DecodeError> for BadHead {
    fn from(error: DecodeError) -> Self {
        Self::Message(error)
    }
}

impl std::fmt::Display for BadHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(error) => error.fmt(f),
            Self::CutShort => f.write_str("a field is cut short"),
            Self::NotUtf8 => f.write_str("a text is not UTF-8"),
        }
    }
}

impl std::error::Error for BadHead {}

fn bytes<'a>(head: &mut &'a [u8]) -> Result<&'a [u8], BadHead> {
    let length = usize::try_from(decode_varint(head)?).map_err(|_| BadHead::CutShort)?;
    let (bytes, rest) = head.split_at_checked(length).ok_or(BadHead::CutShort)?;
    *head = rest;
    Ok(bytes)
}

/// Reads an entry of a map of texts.
fn entry(mut message: &[u8]) -> Result<(&str, &str), BadHead> {
    let (mut key, mut value) = ("", "");
    while !message.is_empty() {
        let (field, wire) = decode_key(&mut message)?;
        match (field, wire) {
            (1, WireType::LengthDelimited) => key = text(&mut message)?,
            (2, WireType::LengthDelimited) => value = text(&mut message)?,
            _ => skip_field(wire, field, &mut message, DecodeContext::default())?,
        }
    }
    Ok((key, value))
}

fn text<'a>(head: &mut &'a [u8]) -> Result<&'a str, BadHead> {
    std::str::from_utf8(bytes(head)?).map_err(|_| BadHead::NotUtf8)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::pb;

    #[test]
    fn it_is_what_the_generated_decoder_reads() {
        let message = pb::ExecuteToolRequest {
            session_id: "s-1".to_owned(),
            tool_name: "mean".to_owned(),
            parameters: [("a".to_owned(), Default::default())].into(),
            metadata: [("b".to_owned(), "c".to_owned())].into(),
            stream: true,
            payload: vec![1, 2, 3].into(),
            encoding: 1,
            call_id: 7,
            timeout_us: u64::MAX,
            trace: vec![9; 25].into(),
            correlation_id: "ä".to_owned(),
            trace_state: "a=b".to_owned(),
            ..Default::default()
        };
        let head = message.encode_to_vec();
        let expected = CallHead {
            session_id: "s-1",
            tool_name: "mean",
            timeout_us: u64::MAX,
            trace: &[9; 25],
            correlation_id: "ä",
            trace_state: "a=b",
            metadata: vec![("b", "c")],
        };
        assert_eq!(CallHead::decode(&head), Ok(expected));
        assert_eq!(CallHead::decode(&[]), Ok(CallHead::default()));
        // Wherever the message is cut, it is refused or ends between two fields.
        for end in 0..head.len() {
            let generated = pb::ExecuteToolRequest::decode(&head[..end]);
            assert_eq!(CallHead::decode(&head[..end]).is_ok(), generated.is_ok());
        }
    }

    #[test]
    fn a_text_that_is_not_utf8_is_refused() {
        assert_eq!(CallHead::decode(b"\x12\x01\xff"), Err(BadHead::NotUtf8));
        assert_eq!(CallHead::decode(b"\x12\x02a"), Err(BadHead::CutShort));
        assert!(CallHead::decode(b"\x07").is_err());
    }
}
