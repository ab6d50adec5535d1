//! Checks of the messages of an Arrow IPC stream before they are decoded.
//!
//! The decoder trusts what a message states about its buffers, and panics if it is wrong. So the
//! statements are checked against the bytes first.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_ipc::{DictionaryBatch, Message, MessageHeader, RecordBatch, root_as_message_with_opts};
use arrow_schema::ArrowError;
use flatbuffers::VerifierOptions;

/// Number of rows and items that may have no bytes of their own, as in a column of nulls.
const FREE: u64 = 64 << 10;

/// Factor by which the metadata of a message may grow when it is read: several places of a flat
/// buffer may refer to the same part, and each reference becomes a copy.
const SHARED: usize = 8;

/// Size in bytes that short metadata may always grow to.
const SHORT: usize = 4 << 10;

/// Marker before the length of a message; Arrow before version 1.0 has none.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Checks all messages of a stream.
///
/// # Errors
/// The stream is cut short or malformed, or claims more than it has.
pub(super) fn check(stream: &[u8]) -> Result<(), ArrowError> {
    let mut rest = stream;
    let mut at_beginning = true;
    while !rest.is_empty() {
        let mut length = take::<4>(&mut rest)?;
        if length == CONTINUATION {
            length = take::<4>(&mut rest)?;
        }
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return match rest.is_empty() {
                true => Ok(()),
                false => Err(wrong("bytes follow the end of the stream")),
            };
        }
        let (metadata, behind) = rest.split_at_checked(length).ok_or_else(cut)?;
        // The reader of the metadata requires alignment.
        let metadata = metadata.to_vec();
        let message = root_as_message_with_opts(&limits(length), &metadata);
        let message = message.map_err(|_| wrong("a message is malformed"))?;
        if message.header_type() == MessageHeader::Schema && !at_beginning {
            return Err(wrong("it has a schema behind its beginning"));
        }
        at_beginning = false;
        let size = usize::try_from(message.bodyLength()).map_err(|_| cut())?;
        rest = behind.get(size..).ok_or_else(cut)?;
        if let Some(batch) = batch(&message)? {
            check_batch(&batch, size as u64)?;
        }
    }
    Ok(())
}

/// Returns the limits for metadata of this length.
fn limits(length: usize) -> VerifierOptions {
    let usual = VerifierOptions::default();
    VerifierOptions {
        // A reference takes four bytes.
        max_tables: usual.max_tables.min(length / 4),
        max_apparent_size: usual
            .max_apparent_size
            .min(length.saturating_mul(SHARED).saturating_add(SHORT)),
        ..usual
    }
}

/// Returns the record batch of a message, if it has one.
fn batch<'a>(message: &Message<'a>) -> Result<Option<RecordBatch<'a>>, ArrowError> {
    let missing = || wrong("a message has no header");
    match message.header_type() {
        MessageHeader::RecordBatch => {
            let batch = message.header_as_record_batch().ok_or_else(missing)?;
            Ok(Some(batch))
        }
        MessageHeader::DictionaryBatch => {
            let dictionary: DictionaryBatch<'a> =
                message.header_as_dictionary_batch().ok_or_else(missing)?;
            if dictionary.isDelta() {
                // Each part makes a copy of all before it.
                return Err(wrong("a dictionary comes in parts, write it in one piece"));
            }
            dictionary.data().ok_or_else(missing).map(Some)
        }
        _ => Ok(None),
    }
}

fn check_batch(batch: &RecordBatch<'_>, body: u64) -> Result<(), ArrowError> {
    if batch.compression().is_some() {
        return Err(wrong(
            "its buffers are compressed, write it without compression",
        ));
    }
    let within = |offset: i64, length: i64| {
        let end = offset.checked_add(length);
        offset >= 0 && length >= 0 && end.is_some_and(|end| end as u64 <= body)
    };
    let mut total = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        if !within(buffer.offset(), buffer.length()) {
            return Err(wrong("a buffer lies outside of its message"));
        }
        total = total.saturating_add(buffer.length().unsigned_abs());
    }
    if total > body {
        return Err(wrong("its buffers share their bytes"));
    }
    let most = FREE.saturating_add(body.saturating_mul(8));
    let in_proportion = |length: i64| u64::try_from(length).is_ok_and(|length| length <= most);
    let nodes = batch.nodes().into_iter().flatten();
    let mut lengths = nodes.map(|node| node.length()).chain([batch.length()]);
    if lengths.all(in_proportion) {
        Ok(())
    } else {
        Err(wrong("it claims more rows than it has bytes for"))
    }
}

/// Runs the decoder. A panic of the decoder becomes an error.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, ArrowError> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(wrong("the decoder cannot read it")))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ArrowError> {
    let (first, behind) = rest.split_first_chunk::<N>().ok_or_else(cut)?;
    *rest = behind;
    Ok(*first)
}

fn cut() -> ArrowError {
    wrong("the stream is cut short")
}

fn wrong(what: &str) -> ArrowError {
    ArrowError::IpcError(what.to_owned())
}
