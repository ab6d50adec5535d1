//! The bodies of `MANY` and `MANY_REPLY`.

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ItemResult};

use crate::frame::MAX_HEAD;
use crate::{convert, pb};

/// Appends one item of a `MANY` body.
pub(super) fn push_item(item: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(item.len()).expect("the caller keeps items below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(item);
}

/// Encodes items as the body of a `MANY` frame.
///
/// # Panics
/// An item has 4 GiB or more.
pub fn encode_items<'a>(items: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        push_item(item, &mut out);
    }
    out
}

/// Decodes the items of a `MANY` body. `None` if it is malformed.
pub fn decode_items(body: &Bytes) -> Option<Vec<Bytes>> {
    let mut items = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let (item, end) = take(body, at)?;
        items.push(item);
        at = end;
    }
    Some(items)
}

/// Decodes the results of a `MANY_REPLY` body as (status, bytes). `None` if it is malformed.
pub fn decode_results(body: &Bytes) -> Option<Vec<(u8, Bytes)>> {
    let mut results = Vec::new();
    each_result(body, |status, bytes| {
        results.push((status, bytes));
        Some(())
    })?;
    Some(results)
}

/// Appends the results of a `MANY_REPLY` body, up to `expected` in total. Returns `false`, and
/// appends none, if the body is malformed or has more. `mask` hides secrets in errors.
#[must_use]
pub(super) fn append_results(
    body: &Bytes,
    results: &mut Vec<ItemResult>,
    expected: usize,
    mask: impl Fn(&mut pb::ToolError),
) -> bool {
    let before = results.len();
    let appended = each_result(body, |status, bytes| {
        if results.len() == expected {
            return None;
        }
        results.push(result(status, bytes, &mask)?);
        Some(())
    });
    if appended.is_none() {
        results.truncate(before);
    }
    appended.is_some()
}

fn each_result(body: &Bytes, mut each: impl FnMut(u8, Bytes) -> Option<()>) -> Option<()> {
    let mut at = 0;
    while at < body.len() {
        let (bytes, end) = take(body, at + 1)?;
        each(body[at], bytes)?;
        at = end;
    }
    Some(())
}

/// Returns the length-prefixed slice at `at`, and the offset of its end.
fn take(body: &Bytes, at: usize) -> Option<(Bytes, usize)> {
    let prefix = body.get(at..at.checked_add(4)?)?;
    let len = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]) as usize;
    let start = at + 4;
    let end = start.checked_add(len)?;
    if end > body.len() {
        return None;
    }
    Some((body.slice(start..end), end))
}

/// Decodes one result of a batch. `None` if it is malformed.
fn result(status: u8, bytes: Bytes, mask: impl Fn(&mut pb::ToolError)) -> Option<ItemResult> {
    match status {
        0 => Some(Ok(Payload::from_msgpack(bytes))),
        // The error is an encoded head, so the limit of a head applies.
        1 if bytes.len() <= MAX_HEAD => {
            let mut error = pb::ToolError::decode(bytes).ok()?;
            mask(&mut error);
            Some(Err(CallError::Tool(Box::new(convert::tool_error(error)))))
        }
        _ => None,
    }
}
