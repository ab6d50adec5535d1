//! Batches: one tool, many items, one result each, in order.

use std::time::Duration;

use prost::Message as _;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};

use crate::binding::fault::{Fault, fault};
use crate::binding::tool::Tool;
use crate::link::outbox::Outbox;
use crate::process::clock;
use crate::serve::SlotRuntime;
use crate::serve::call::Call;
use crate::serve::invoke::execute;
use crate::serve::reply::{check_size, encode_result};

/// Longest time of an item that is gathered with others: gathering slower ones saves nothing and
/// only delays them.
const SLOW: Duration = Duration::from_micros(20);

/// Bytes before an item: its status and its length.
const ITEM_HEAD: usize = 1 + 4;

/// Runs the tool on every item of a batch. Without a tool, every item fails with the given error.
///
/// # Errors
/// The connection fails.
pub(crate) fn run(
    py: Python<'_>,
    outbox: &Outbox,
    runtime: &SlotRuntime,
    call: &Call,
    tool: Result<&Tool, &Fault>,
    mut items: &[u8],
    scratch: &mut Vec<u8>,
) -> PyResult<()> {
    let header = Header::new(Kind::ManyReply, call.id);
    let mut first = true;
    let mut before = clock::now();
    while !items.is_empty() {
        let Some((item, rest)) = split(items) else {
            let fault = fault(
                "SP5007",
                "a batch of calls is cut short",
                None,
                "update host and worker together",
            );
            return call.fail(py, outbox, &fault, || runtime.cancels.stopped());
        };
        items = rest;
        answer(py, runtime, call, tool, item, scratch);
        outbox.gather_item(py, header, scratch)?;
        call.count();
        let mut now = clock::now();
        if first || now.duration_since(before) > SLOW {
            outbox.flush(py)?;
            // The write may have waited for a slow reader, which is not the tool's time.
            now = clock::now();
        }
        before = now;
        first = false;
    }
    let head = call.end(|| runtime.cancels.stopped());
    outbox.finish_items(py, header, &head)
}

/// Splits the first item off; `None` if its length exceeds the bytes that are left.
pub(crate) fn split(items: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = items.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Appends the answer to one item.
pub(crate) fn encode_item(item: &Result<Vec<u8>, Fault>, out: &mut Vec<u8>) {
    let error;
    let (status, bytes) = match item {
        Ok(bytes) => (0, bytes),
        Err(fault) => {
            error = fault.encode_to_vec();
            (1, &error)
        }
    };
    let length = u32::try_from(bytes.len()).expect("payloads are below 4 GiB");
    out.push(status);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Runs the tool on one item and writes its answer into `out`.
fn answer(
    py: Python<'_>,
    runtime: &SlotRuntime,
    call: &Call,
    tool: Result<&Tool, &Fault>,
    item: &[u8],
    out: &mut Vec<u8>,
) {
    out.clear();
    out.extend_from_slice(&[0; ITEM_HEAD]);
    let result = tool.map_err(Clone::clone).and_then(|tool| {
        let result = execute(py, runtime, tool, call, item)?;
        encode_result(&result, runtime, "result", tool, out)?;
        check_size(out.len() - ITEM_HEAD, runtime.max_payload, "result", tool)
    });
    if let Err(fault) = result {
        out.truncate(ITEM_HEAD);
        out[0] = 1;
        fault.encode(out).expect("a vector takes any length");
    }
    let length = u32::try_from(out.len() - ITEM_HEAD).expect("payloads are below 4 GiB");
    out[1..ITEM_HEAD].copy_from_slice(&length.to_le_bytes());
}
