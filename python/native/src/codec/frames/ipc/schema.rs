//! The size of what the metadata of a message says, counted before a library copies it.
//!
//! Several places of a FlatBuffer may refer to the same part, and each reference becomes a copy: a
//! field that is two children of another one doubles with each level.

use super::MALFORMED;
use super::flat::Table;

/// Factor by which metadata may grow when it is read.
const SHARED: usize = 8;

/// Size in bytes that short metadata may always grow to.
const SHORT: usize = 4 << 10;

/// Largest number of levels of fields in fields.
const DEPTH: usize = 64;

/// Size of a reference in bytes.
const REFERENCE: usize = 4;

/// Name of the extension type whose values are pickled objects of Python. Old versions of pyarrow
/// unpickle them.
const PICKLED: &[u8] = b"arrow.py_extension_type";

type Checked = Result<(), &'static str>;

/// Checks the metadata of a message, and its schema if it has one.
///
/// # Errors
/// The metadata is malformed, claims more than its length allows, or has a type of pickled objects.
pub(super) fn check(message: &Table<'_>, schema: Option<&Table<'_>>) -> Checked {
    let length = message.length();
    let mut room = Room {
        tables: length / REFERENCE,
        bytes: length.saturating_mul(SHARED).saturating_add(SHORT),
    };
    room.pairs(message, 4)?;
    let Some(schema) = schema else { return Ok(()) };
    room.pairs(schema, 2)?;
    room.fields(schema, 1, DEPTH)
}

/// The size that the metadata may still grow by.
struct Room {
    tables: usize,
    bytes: usize,
}

impl Room {
    /// Deducts the fields that a vector of a table refers to, and those inside of them.
    fn fields(&mut self, table: &Table<'_>, index: usize, depth: usize) -> Checked {
        let depth = depth.checked_sub(1).ok_or(MALFORMED)?;
        for field in table.tables(index).ok_or(MALFORMED)? {
            let field = self.table(field)?;
            self.text(&field, 0)?;
            self.of_type(&field)?;
            self.pairs(&field, 6)?;
            self.fields(&field, 5, depth)?;
        }
        Ok(())
    }

    /// Deducts the type of a field: the zone of a time is a text, the numbers of a union are a
    /// vector.
    fn of_type(&mut self, field: &Table<'_>) -> Checked {
        const TIMESTAMP: u8 = 10;
        const UNION: u8 = 14;
        let of = || field.table(3).ok_or(MALFORMED);
        match field.byte(2) {
            Some(TIMESTAMP) => self.text(&of()?, 1).map(drop),
            Some(UNION) => self.take(of()?.vector(1, 4).ok_or(MALFORMED)?),
            _ => Ok(()),
        }
    }

    /// Deducts pairs of texts.
    fn pairs(&mut self, table: &Table<'_>, index: usize) -> Checked {
        for pair in table.tables(index).ok_or(MALFORMED)? {
            let pair = self.table(pair)?;
            self.text(&pair, 0)?;
            if self.text(&pair, 1)? == PICKLED {
                return Err("it has a type of pickled objects, which are not read");
            }
        }
        Ok(())
    }

    fn table<'a>(&mut self, table: Option<Table<'a>>) -> Result<Table<'a>, &'static str> {
        self.tables = self.tables.checked_sub(1).ok_or(MALFORMED)?;
        table.ok_or(MALFORMED)
    }

    fn text<'a>(&mut self, table: &Table<'a>, index: usize) -> Result<&'a [u8], &'static str> {
        let text = table.vector(index, 1).ok_or(MALFORMED)?;
        self.take(text)?;
        Ok(text)
    }

    fn take(&mut self, bytes: &[u8]) -> Checked {
        self.bytes = self.bytes.checked_sub(bytes.len()).ok_or(MALFORMED)?;
        Ok(())
    }
}
