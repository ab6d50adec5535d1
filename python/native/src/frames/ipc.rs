//! Checks of an Arrow IPC stream before a library reads it.
//!
//! A library trusts the sizes that a message states. So compressed buffers are rejected, whose size
//! is not bounded by that of the stream, and so are lengths that exceed the bytes there are.

/// Number of rows and items that may have no bytes of their own, as in a column of nulls.
const FREE: u64 = 64 << 10;

/// Marker before the length of a message; Arrow before version 1.0 has none.
const CONTINUATION: [u8; 4] = [0xff; 4];

const MALFORMED: &str = "its Arrow stream is malformed";

/// Types of messages.
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
        match kind {
            RECORD_BATCH => batch(&header, size as u64)?,
            DICTIONARY_BATCH => batch(&header.table(1).ok_or(MALFORMED)?, size as u64)?,
            _ => {}
        }
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
    let most = FREE + 8 * body;
    let in_proportion = |length: i64| u64::try_from(length).is_ok_and(|length| length <= most);
    let nodes = batch.vector(1, 16).ok_or(MALFORMED)?;
    let lengths = nodes.as_chunks::<16>().0.iter().map(|node| {
        let mut length = [0; 8];
        length.copy_from_slice(&node[..8]);
        i64::from_le_bytes(length)
    });
    let mut lengths = lengths.chain([batch.long(0).unwrap_or(0)]);
    if lengths.all(in_proportion) {
        Ok(())
    } else {
        Err("it claims more rows than it has bytes for")
    }
}

/// A FlatBuffers table. Every access is checked against the length of the buffer.
struct Table<'a> {
    data: &'a [u8],
    at: usize,
    vtable: usize,
}

impl<'a> Table<'a> {
    fn root(data: &'a [u8]) -> Option<Self> {
        Self::at(data, u32_at(data, 0)?)
    }

    fn at(data: &'a [u8], at: usize) -> Option<Self> {
        let back = i32::from_le_bytes(*data.get(at..)?.first_chunk()?);
        let vtable = i64::try_from(at).ok()?.checked_sub(i64::from(back))?;
        let vtable = usize::try_from(vtable).ok()?;
        u16_at(data, vtable)?;
        Some(Self { data, at, vtable })
    }

    /// Returns the offset of a field; `None` if it is absent.
    fn field(&self, index: usize) -> Option<usize> {
        let size = u16_at(self.data, self.vtable)?;
        let entry = 4 + 2 * index;
        if entry + 2 > size {
            return None;
        }
        match u16_at(self.data, self.vtable + entry)? {
            0 => None,
            offset => self.at.checked_add(offset),
        }
    }

    fn byte(&self, index: usize) -> Option<u8> {
        self.data.get(self.field(index)?).copied()
    }

    fn long(&self, index: usize) -> Option<i64> {
        let bytes = self.data.get(self.field(index)?..)?.first_chunk()?;
        Some(i64::from_le_bytes(*bytes))
    }

    fn behind(&self, index: usize) -> Option<usize> {
        let field = self.field(index)?;
        field.checked_add(u32_at(self.data, field)?)
    }

    fn table(&self, index: usize) -> Option<Self> {
        Self::at(self.data, self.behind(index)?)
    }

    /// Returns the bytes of a vector of items of this size; empty if it is absent.
    fn vector(&self, index: usize, size: usize) -> Option<&'a [u8]> {
        if self.field(index).is_none() {
            return Some(&[]);
        }
        let at = self.behind(index)?;
        let length = u32_at(self.data, at)?.checked_mul(size)?;
        self.data.get(at + 4..)?.get(..length)
    }
}

fn u16_at(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(usize::from(u16::from_le_bytes(*bytes)))
}

fn u32_at(data: &[u8], at: usize) -> Option<usize> {
    let bytes = data.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes) as usize)
}

#[cfg(test)]
mod tests {
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
}
