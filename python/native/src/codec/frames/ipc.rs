//! Checks of an Arrow IPC stream before a library reads it.
//!
//! A library trusts the sizes that a message states. So compressed buffers are rejected, whose size
//! is not bounded by that of the stream, and so are lengths that exceed the bytes there are,
//! buffers that share their bytes, and dictionaries in parts, each of which makes a copy of those
//! before.

mod flat;
mod schema;

use self::flat::Table;

/// Number of rows and items that may have no bytes of their own, as in a column of nulls.
const FREE: u64 = 64 << 10;

/// Marker before the length of a message; Arrow before version 1.0 has none.
const CONTINUATION: [u8; 4] = [0xff; 4];

const MALFORMED: &str = "its Arrow stream is malformed";

/// Types of messages.
const SCHEMA: u8 = 1;
const DICTIONARY_BATCH: u8 = 2;
const RECORD_BATCH: u8 = 3;

/// Checks all messages of a stream.
///
/// # Errors
/// The reason why the stream is rejected.
pub(super) fn check(stream: &[u8]) -> Result<(), &'static str> {
    if stream.is_empty() {
        return Err("its Arrow stream is empty");
    }
    let mut rest = stream;
    let mut at_beginning = true;
    loop {
        if rest.is_empty() {
            return Ok(());
        }
        let mut length = take::<4>(&mut rest)?;
        if length == CONTINUATION {
            length = take::<4>(&mut rest)?;
        }
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return match rest.is_empty() {
                true => Ok(()),
                false => Err("bytes follow its Arrow stream"),
            };
        }
        let (metadata, behind) = rest.split_at_checked(length).ok_or(CUT)?;
        let message = Table::root(metadata).ok_or(MALFORMED)?;
        let body = message.long(3).unwrap_or(0);
        let size = usize::try_from(body).map_err(|_| MALFORMED)?;
        rest = behind.get(size..).ok_or(CUT)?;
        let kind = message.byte(1).unwrap_or(0);
        let header = message.table(2).ok_or(MALFORMED)?;
        if kind == SCHEMA && !at_beginning {
            return Err("it has a schema behind its beginning");
        }
        schema::check(&message, (kind == SCHEMA).then_some(&header))?;
        match kind {
            RECORD_BATCH => batch(&header, size as u64)?,
            DICTIONARY_BATCH if header.byte(2).is_some_and(|delta| delta != 0) => {
                return Err("a dictionary comes in parts, write it in one piece");
            }
            DICTIONARY_BATCH => batch(&header.table(1).ok_or(MALFORMED)?, size as u64)?,
            _ => {}
        }
        at_beginning = false;
    }
}

const CUT: &str = "its Arrow stream is cut short";

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (first, behind) = rest.split_first_chunk::<N>().ok_or(CUT)?;
    *rest = behind;
    Ok(*first)
}

fn batch(batch: &Table<'_>, body: u64) -> Result<(), &'static str> {
    if batch.field(3).is_some() {
        return Err("its buffers are compressed, write it without compression");
    }
    let mut total = 0_u64;
    for buffer in batch.vector(2, 16).ok_or(MALFORMED)?.as_chunks::<16>().0 {
        let length = u64::try_from(second_long(buffer)).map_err(|_| MALFORMED)?;
        total = total.saturating_add(length);
    }
    if total > body {
        return Err("its buffers share their bytes");
    }
    let most = FREE + 8 * body;
    let in_proportion = |length: i64| u64::try_from(length).is_ok_and(|length| length <= most);
    let nodes = batch.vector(1, 16).ok_or(MALFORMED)?;
    let lengths = nodes.as_chunks::<16>().0.iter().map(first_long);
    let mut lengths = lengths.chain([batch.long(0).unwrap_or(0)]);
    if lengths.all(in_proportion) {
        Ok(())
    } else {
        Err("it claims more rows than it has bytes for")
    }
}

/// Returns the first number of a pair: the rows of a node, the offset of a buffer.
fn first_long(pair: &[u8; 16]) -> i64 {
    i64::from_le_bytes(*pair.first_chunk().expect("it has 16 bytes"))
}

/// Returns the second number of a pair: the nulls of a node, the length of a buffer.
fn second_long(pair: &[u8; 16]) -> i64 {
    i64::from_le_bytes(*pair.last_chunk().expect("it has 16 bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_that_end_early_are_refused() {
        assert_eq!(check(&[]), Err("its Arrow stream is empty"));
        let end = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(check(&end), Ok(()));
        assert_eq!(
            check(&[&end[..], &[1]].concat()),
            Err("bytes follow its Arrow stream")
        );
        for length in 1..8 {
            assert_eq!(check(&end[..length]), Err(CUT));
        }
        assert_eq!(check(&[0xff, 0xff, 0xff, 0x7f, 1]), Err(CUT));
        assert_eq!(check(&[4, 0, 0, 0, 9, 9, 9, 9]), Err(MALFORMED));
    }

    /// A message of this metadata, without a body.
    fn message(metadata: &[u8]) -> Vec<u8> {
        let length = u32::try_from(metadata.len()).unwrap();
        [&CONTINUATION, &length.to_le_bytes()[..], metadata].concat()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_metadata_is_checked_or_refused(numbers in prop::collection::vec(prop_oneof![0_u16..40, any::<u16>()], 0..60)) {
            let metadata: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let _ = check(&message(&metadata));
        }
    }
}
