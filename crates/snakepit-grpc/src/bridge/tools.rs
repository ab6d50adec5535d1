//! Host tools: list, call, stream.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::host_tools::{HostState, ToolCall};
use snakepit_core::value::{Metadata, Payload};

use super::calls::MAX_STREAMS;
use super::{HostBridge, answer, argument, refusal};
use crate::budget::Budget;
use crate::link::HostRequest;

/// Bytes of a batch apart from its items.
const FRAME: usize = 24;

/// Largest number of items in one batch, whatever the worker requests.
const MAX_BATCH: usize = 1024;

#[derive(Serialize)]
struct Described {
    name: String,
    description: String,
    parameters: serde_json::Value,
    returns: serde_json::Value,
    streaming: bool,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Next {
    stream: u64,
    #[serde(default)]
    max: usize,
}

#[derive(Deserialize)]
struct Close {
    stream: u64,
}

#[derive(Serialize)]
struct Opened {
    stream: u64,
}

fn call(request: &HostRequest) -> ToolCall {
    let mut call = ToolCall::from_request(request.worker.clone(), &request.caller);
    call.deadline = request.deadline;
    call
}

/// Returns the name of the tool that a request asks for. That of an unknown one is any text, which
/// the host shows in its events, so the secrets of the worker are masked in it.
fn tool(state: &HostState, request: &HostRequest) -> String {
    let mut name = request.name.clone();
    let session = request.caller.session.as_ref();
    if let Some(mask) = &request.mask
        && !state.tools().is_exposed(session, &name)
    {
        mask.text(&mut name);
    }
    name
}

fn unknown_stream(number: u64) -> Box<ToolError> {
    refusal(
        ErrorCode::UnknownStream,
        format!("this call has no open stream {number}"),
        "open the stream again; streams end with the call that opened them",
    )
}

impl HostBridge {
    pub(super) fn tools_list(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let session = request.caller.session.as_ref();
        let tools = self.state.tools().list_exposed(session).into_iter();
        let tools: Vec<_> = tools
            .map(|tool| Described {
                name: tool.name,
                description: tool.description,
                parameters: tool.parameters,
                returns: tool.returns,
                streaming: tool.streaming,
                metadata: tool.metadata,
            })
            .collect();
        answer(&tools)
    }

    pub(super) async fn tool_call(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>> {
        let call = call(&request);
        let tool = tool(&self.state, &request);
        let args = Payload::from_msgpack(request.body);
        let result = self.state.tools().call(call, &tool, args).await?;
        Ok(result.bytes)
    }

    pub(super) async fn tool_open(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>> {
        let args = Payload::from_msgpack(request.body.clone());
        let tools = self.state.tools();
        let tool = tool(&self.state, &request);
        let stream = tools.open_stream(call(&request), &tool, args)?;
        let stream = self.call(&request).open(stream).ok_or_else(|| {
            refusal(
                ErrorCode::TooManyRequests,
                format!("this call has {MAX_STREAMS} open streams already"),
                "close some of them first",
            )
        })?;
        answer(&Opened { stream })
    }

    /// Waits for one item and adds those that are ready. An error that comes first is the answer;
    /// an error behind items is kept for the next pull.
    pub(super) async fn tool_next(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let Next { stream, max } = argument(request)?;
        let max = max.clamp(1, MAX_BATCH);
        let call = self.call(request);
        let open = call.stream(stream).ok_or_else(|| unknown_stream(stream))?;
        let mut guard = open.lock().await;
        let open = &mut *guard;
        let mut budget = Budget::new(request.max_answer.saturating_sub(FRAME));
        let (mut items, mut failure) = (Vec::new(), None);
        let ended = poll_fn(|context| {
            while items.len() < max {
                let next = match open.kept.take() {
                    Some(kept) => Poll::Ready(Some(Ok(kept))),
                    None => open.stream.as_mut().poll_next(context),
                };
                match next {
                    // An item that does not fit is kept for the next batch. An item that never fits
                    // fails when it is sent.
                    Poll::Ready(Some(Ok(item))) => {
                        if !budget.fits(item.bytes.len()) && !items.is_empty() {
                            open.kept = Some(item);
                            return Poll::Ready(false);
                        }
                        items.push(item);
                    }
                    Poll::Ready(Some(Err(error))) => {
                        failure = Some(error);
                        return Poll::Ready(true);
                    }
                    Poll::Ready(None) => return Poll::Ready(true),
                    Poll::Pending if items.is_empty() => return Poll::Pending,
                    Poll::Pending => return Poll::Ready(false),
                }
            }
            Poll::Ready(false)
        })
        .await;
        drop(guard);
        if let Some(error) = failure {
            if items.is_empty() {
                call.close(stream);
                return Err(error);
            }
            call.put_error(stream, error);
            return Ok(batch(&items, false));
        }
        if ended {
            call.close(stream);
        }
        Ok(batch(&items, ended))
    }

    pub(super) fn tool_close(&self, request: &HostRequest) -> Result<Bytes, Box<ToolError>> {
        let Close { stream } = argument(request)?;
        if self.call(request).close(stream) {
            answer(&())
        } else {
            Err(unknown_stream(stream))
        }
    }
}

/// Encodes the map of `items` and `done`. The items are MessagePack already and are copied as they
/// are.
fn batch(items: &[Payload], done: bool) -> Bytes {
    const FIX_MAP_2: u8 = 0x82;
    const FIX_STR: u8 = 0xa0;
    const ARRAY_32: u8 = 0xdd;
    const FALSE: u8 = 0xc2;
    let size: usize = items.iter().map(|item| item.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(size + FRAME);
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.push(FIX_STR | u8::try_from(text.len()).expect("the names are short"));
        bytes.extend_from_slice(text.as_bytes());
    };
    bytes.push(FIX_MAP_2);
    text(&mut bytes, "items");
    bytes.push(ARRAY_32);
    let count = u32::try_from(items.len()).expect("a batch is bounded");
    bytes.extend_from_slice(&count.to_be_bytes());
    for item in items {
        bytes.extend_from_slice(&item.bytes);
    }
    text(&mut bytes, "done");
    bytes.push(FALSE + u8::from(done));
    bytes.into()
}

#[cfg(test)]
mod tests {
    use snakepit_core::value::Value;

    use super::*;

    #[test]
    fn a_batch_is_a_map_of_the_items() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Read {
            items: Vec<Value>,
            done: bool,
        }
        let items = [Value::from("a"), Value::List(vec![Value::from(7)])];
        let encoded: Vec<_> = items
            .iter()
            .map(|item| Payload::encode(item).unwrap())
            .collect();
        for (count, done) in [(0, true), (2, false)] {
            let read: Read = Payload::from_msgpack(batch(&encoded[..count], done))
                .decode()
                .unwrap();
            let items = items[..count].to_vec();
            assert_eq!(read, Read { items, done });
        }
    }
}
