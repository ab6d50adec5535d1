//! The description that a worker gives of itself, checked before it is decoded.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use snakepit_core::error::{ErrorCode, ToolError};

use super::short_name;
use crate::pb;

/// Largest number of tools of one worker.
const MAX_TOOLS: usize = 10_000;

/// Largest number of fields in the description and its tools. A field of two bytes may be a message
/// that takes hundreds of bytes in memory.
const MAX_FIELDS: usize = 100_000;

/// Largest size of a tool's name in bytes.
const MAX_NAME: usize = 256;

/// Field number of `DescribeResponse.tools`.
const TOOLS: u32 = 7;

/// Decodes a `DescribeResponse`.
///
/// # Errors
/// The message is malformed, has too many tools or fields, or contains a tool without a name, with
/// a name that is too long, or with the name of another tool.
pub fn description(head: &Bytes) -> Result<pb::DescribeResponse, Box<ToolError>> {
    check_counts(head)?;
    let message = pb::DescribeResponse::decode(head.clone()).map_err(|_| malformed())?;
    let mut names = HashSet::with_capacity(message.tools.len());
    for (index, tool) in message.tools.iter().enumerate() {
        let name = short_name(&tool.name);
        if tool.name.is_empty() {
            return Err(refused(&format!("tool {index} has no name")));
        }
        if tool.name.len() > MAX_NAME {
            let bytes = tool.name.len();
            return Err(refused(&format!(
                "the name of tool `{name}` has {bytes} bytes, more than {MAX_NAME}"
            )));
        }
        if !names.insert(tool.name.as_str()) {
            return Err(refused(&format!("two tools are named `{name}`")));
        }
    }
    Ok(message)
}

fn check_counts(head: &[u8]) -> Result<(), Box<ToolError>> {
    let (mut rest, mut tools, mut fields) = (head, 0_usize, 0_usize);
    while !rest.is_empty() {
        let (tag, wire) = decode_key(&mut rest).map_err(|_| malformed())?;
        fields += 1;
        if tag == TOOLS && wire == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(|_| malformed())?;
            let length = usize::try_from(length).map_err(|_| malformed())?;
            let (tool, behind) = rest.split_at_checked(length).ok_or_else(malformed)?;
            (rest, tools) = (behind, tools + 1);
            fields += count(tool)?;
        } else {
            skip_field(wire, tag, &mut rest, DecodeContext::default()).map_err(|_| malformed())?;
        }
        if tools > MAX_TOOLS || fields > MAX_FIELDS {
            return Err(refused(&format!(
                "it has more than {MAX_TOOLS} tools, or more than {MAX_FIELDS} fields in all"
            )));
        }
    }
    Ok(())
}

/// Returns the number of fields of one message.
fn count(mut message: &[u8]) -> Result<usize, Box<ToolError>> {
    let mut fields = 0;
    while !message.is_empty() {
        let (tag, wire) = decode_key(&mut message).map_err(|_| malformed())?;
        skip_field(wire, tag, &mut message, DecodeContext::default()).map_err(|_| malformed())?;
        fields += 1;
    }
    Ok(fields)
}

fn malformed() -> Box<ToolError> {
    refused("it cannot be decoded")
}

fn refused(reason: &str) -> Box<ToolError> {
    let message = format!("the worker's description of itself is refused: {reason}");
    let mut error = ToolError::new(ErrorCode::Protocol, message);
    error.help = "give each tool a name of its own, or update host and worker together".to_owned();
    Box::new(error)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool(name: &str) -> pb::ToolSpec {
        pb::ToolSpec {
            name: name.to_owned(),
            ..Default::default()
        }
    }

    fn described(tools: Vec<pb::ToolSpec>) -> Result<pb::DescribeResponse, Box<ToolError>> {
        let message = pb::DescribeResponse {
            tools,
            ..Default::default()
        };
        description(&message.encode_to_vec().into())
    }

    #[test]
    fn tools_have_names_of_their_own() {
        let many: Vec<_> = (0..MAX_TOOLS).map(|n| tool(&n.to_string())).collect();
        assert_eq!(described(many.clone()).unwrap().tools.len(), MAX_TOOLS);
        let long = "n".repeat(MAX_NAME + 1);
        for (tools, reason) in [
            (vec![tool("a"), tool("")], "tool 1 has no name"),
            (
                vec![tool("a"), tool("b"), tool("a")],
                "two tools are named `a`",
            ),
            (vec![tool(&long)], "257 bytes"),
            (
                [many, vec![tool("one more")]].concat(),
                "more than 10000 tools",
            ),
            (vec![tool(""); 400_000], "more than 10000 tools"),
            (
                vec![pb::ToolSpec {
                    parameters: vec![pb::ParameterSpec::default(); 400_000],
                    ..tool("a")
                }],
                "more than 100000 fields",
            ),
        ] {
            let error = described(tools).unwrap_err();
            assert_eq!(error.code, ErrorCode::Protocol);
            assert!(error.message.contains(reason), "{}", error.message);
        }
        let error = description(&Bytes::from_static(&[0xff; 1000])).unwrap_err();
        assert!(
            error.message.contains("cannot be decoded"),
            "{}",
            error.message
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_description_or_an_error(bytes: Vec<u8>) {
            let _ = description(&bytes.into());
        }

        #[test]
        fn a_damaged_description_is_one_or_an_error(
            names in proptest::collection::vec(".{0,20}", 0..5), at: prop::sample::Index, byte: u8,
        ) {
            let tools = names.iter().map(|name| tool(name)).collect();
            let message = pb::DescribeResponse { tools, slots: 3, ..Default::default() };
            let mut bytes = message.encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = description(&bytes.into());
        }
    }
}
