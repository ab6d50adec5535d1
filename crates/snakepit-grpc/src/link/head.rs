//! The head of a call, encoded without building the message.

use prost::encoding::{WireType, encode_key, encode_varint};
use snakepit_core::call::Request;

use crate::call_head::{
    CALL_ID, CORRELATION_ID, ENCODING, METADATA, SESSION_ID, TIMEOUT_US, TOOL_NAME, TRACE,
    TRACE_STATE,
};
use crate::convert::beginning;

/// Longest correlation id in bytes; a longer one is truncated.
const MAX_CORRELATION: usize = 1024;

/// `ENCODING_MSGPACK`.
const MSGPACK: u64 = 1;

/// Appends an `ExecuteToolRequest` without payload. The request's trace is the worker's span of the
/// call.
pub(super) fn encode_call(request: &Request, out: &mut Vec<u8>) {
    if let Some(session) = &request.session {
        text(SESSION_ID, session.as_str(), out);
    }
    text(TOOL_NAME, &request.tool, out);
    number(ENCODING, MSGPACK, out);
    number(CALL_ID, request.call.0, out);
    if let Some(left) = request.remaining(request.at) {
        // Zero would mean "no deadline".
        number(
            TIMEOUT_US,
            u64::try_from(left.as_micros()).unwrap_or(u64::MAX).max(1),
            out,
        );
    }
    if let Some(span) = request.trace {
        bytes(TRACE, &span.to_bytes(), out);
        if !request.trace_state.is_empty() {
            text(TRACE_STATE, request.trace_state.as_str(), out);
        }
    }
    if let Some(correlation) = &request.correlation {
        let correlation = beginning(correlation, MAX_CORRELATION);
        text(CORRELATION_ID, correlation, out);
    }
    let mut entry = Vec::new();
    for (key, value) in request.metadata.iter().flat_map(|metadata| metadata.iter()) {
        entry.clear();
        text(1, key, &mut entry);
        text(2, value, &mut entry);
        bytes(METADATA, &entry, out);
    }
}

fn text(tag: u32, value: &str, out: &mut Vec<u8>) {
    bytes(tag, value.as_bytes(), out);
}

fn bytes(tag: u32, value: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn number(tag: u32, value: u64, out: &mut Vec<u8>) {
    encode_key(tag, WireType::Varint, out);
    encode_varint(value, out);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message as _;
    use snakepit_core::events::TraceContext;
    use snakepit_core::value::Payload;
    use tokio::time::Instant;

    use super::*;
    use crate::pb;

    #[tokio::test(start_paused = true)]
    async fn the_generated_decoder_reads_it() {
        let mut request = Request::new("mean", Payload::default());
        request.session = Some("s-1".into());
        request.deadline = Some(Instant::now() + Duration::from_millis(5));
        let mut bytes = Vec::new();
        encode_call(&request, &mut bytes);
        let message = pb::ExecuteToolRequest::decode(&bytes[..]).unwrap();
        assert_eq!(message.tool_name, "mean");
        assert_eq!(message.session_id, "s-1");
        assert_eq!(message.encoding, pb::Encoding::Msgpack as i32);
        assert_eq!(message.call_id, request.call.0);
        assert_eq!(message.timeout_us, 5000);
        assert!(message.trace.is_empty() && message.correlation_id.is_empty());

        request.deadline = Some(Instant::now());
        bytes.clear();
        encode_call(&request, &mut bytes);
        assert_eq!(
            pb::ExecuteToolRequest::decode(&bytes[..])
                .unwrap()
                .timeout_us,
            1
        );

        let span = TraceContext::start(true);
        request.correlation = Some("ä".repeat(600).into());
        request.trace_state = snakepit_core::events::TraceState::parse("a=b");
        request.trace = Some(span);
        let metadata = [("tenant", "a"), ("", "")].map(|(key, value)| (key.into(), value.into()));
        request.metadata = Some(std::sync::Arc::new(metadata.into()));
        bytes.clear();
        encode_call(&request, &mut bytes);
        let message = pb::ExecuteToolRequest::decode(&bytes[..]).unwrap();
        assert_eq!(message.trace[..], span.to_bytes());
        assert_eq!(message.trace_state, "a=b");
        assert_eq!(message.correlation_id, "ä".repeat(512));
        assert_eq!(message.metadata.len(), 2);
        assert_eq!(message.metadata["tenant"], "a");
    }
}
