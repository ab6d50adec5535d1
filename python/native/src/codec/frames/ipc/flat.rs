//! Tables of a FlatBuffer.

/// A FlatBuffers table. Every access is checked against the length of the buffer.
pub(super) struct Table<'a> {
    data: &'a [u8],
    at: usize,
    vtable: usize,
}

impl<'a> Table<'a> {
    pub(super) fn root(data: &'a [u8]) -> Option<Self> {
        Self::at(data, u32_at(data, 0)?)
    }

    fn at(data: &'a [u8], at: usize) -> Option<Self> {
        let back = i32::from_le_bytes(*data.get(at..)?.first_chunk()?);
        let vtable = i64::try_from(at).ok()?.checked_sub(i64::from(back))?;
        let vtable = usize::try_from(vtable).ok()?;
        u16_at(data, vtable)?;
        Some(Self { data, at, vtable })
    }

    /// Returns the size of the whole buffer in bytes.
    pub(super) const fn length(&self) -> usize {
        self.data.len()
    }

    /// Returns the offset of a field; `None` if it is absent.
    pub(super) fn field(&self, index: usize) -> Option<usize> {
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

    pub(super) fn byte(&self, index: usize) -> Option<u8> {
        self.data.get(self.field(index)?).copied()
    }

    pub(super) fn long(&self, index: usize) -> Option<i64> {
        let bytes = self.data.get(self.field(index)?..)?.first_chunk()?;
        Some(i64::from_le_bytes(*bytes))
    }

    fn behind(&self, index: usize) -> Option<usize> {
        let field = self.field(index)?;
        field.checked_add(u32_at(self.data, field)?)
    }

    pub(super) fn table(&self, index: usize) -> Option<Self> {
        Self::at(self.data, self.behind(index)?)
    }

    /// Returns the tables that a vector refers to; none if it is absent.
    pub(super) fn tables(&self, index: usize) -> Option<impl Iterator<Item = Option<Self>>> {
        let data = self.data;
        let items = self.vector(index, 4)?;
        let first = match items {
            [] => 0,
            _ => self.behind(index)?.checked_add(4)?,
        };
        Some((0..items.len() / 4).map(move |item| {
            let at = first + 4 * item;
            Self::at(data, at.checked_add(u32_at(data, at)?)?)
        }))
    }

    /// Returns the bytes of a vector of items of this size; empty if it is absent.
    pub(super) fn vector(&self, index: usize, size: usize) -> Option<&'a [u8]> {
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
