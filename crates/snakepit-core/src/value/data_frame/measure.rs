//! The size of the records of a data frame, counted before they are made.
//!
//! A name stands once in a frame and once in each of its records, and a text of a dictionary in as
//! many cells as refer to it.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_data::ArrayData;
use arrow_schema::DataType;

use super::cell;
use crate::value::{Form, Value, payload_bytes};

/// Size in bytes that records may always have.
const FREE: usize = 64 << 20;

/// Size that records may have for each byte of their frame, in bytes: a number of one byte takes
/// two values in memory.
const PER_BYTE: usize = 256;

/// The same for cells that may share their bytes, which are counted one by one.
const PER_BYTE_SHARED: usize = 64;

/// Size of a cell that may share its bytes.
const SHARING: usize = size_of::<Value>();

/// The error that records would take too much memory, or be too long a text.
#[derive(Debug, thiserror::Error)]
#[error("its values would take too much memory")]
pub(super) struct Full;

/// The memory that the records of a frame may still take.
#[derive(Debug)]
pub(super) struct Room {
    left: usize,
    shared: usize,
    cell: usize,
    /// Size of a key besides its name.
    key: usize,
}

impl Room {
    /// Creates the room of a frame of this many bytes.
    pub(super) fn of(size: usize, form: Form) -> Self {
        let (cell, key) = match form {
            Form::Tree => (size_of::<Value>(), size_of::<Value>()),
            Form::Text => (8, 4),
        };
        Self {
            left: FREE.saturating_add(size.saturating_mul(PER_BYTE)),
            shared: FREE.saturating_add(size.saturating_mul(PER_BYTE_SHARED)),
            cell,
            key,
        }
    }

    /// Deducts a column of this name.
    pub(super) fn column(&mut self, name: &str, array: &dyn Array) -> Result<(), Full> {
        self.take(array.len(), self.key.saturating_add(name.len()))?;
        self.data(&array.to_data())?;
        if shares(array.data_type()) {
            (0..array.len()).try_for_each(|index| self.shared(array, index))?;
        }
        Ok(())
    }

    fn take(&mut self, count: usize, size: usize) -> Result<(), Full> {
        let left = self.left.checked_sub(count.saturating_mul(size));
        self.left = left.ok_or(Full)?;
        Ok(())
    }

    /// Deducts the cells of an array, and those of the arrays inside of it.
    fn data(&mut self, data: &ArrayData) -> Result<(), Full> {
        self.take(data.len(), self.cell)?;
        if let DataType::Struct(fields) = data.data_type() {
            for field in fields {
                self.take(data.len(), self.key.saturating_add(field.name().len()))?;
            }
        }
        if matches!(data.data_type(), DataType::Dictionary(..)) {
            return Ok(());
        }
        data.child_data()
            .iter()
            .try_for_each(|child| self.data(child))
    }

    /// Deducts a cell whose type [shares] bytes.
    fn shared(&mut self, array: &dyn Array, index: usize) -> Result<(), Full> {
        self.take_shared(SHARING)?;
        if array.is_null(index) {
            return Ok(());
        }
        match array.data_type() {
            DataType::Dictionary(..) => match cell::key(array, index) {
                Some(key) => self.shared(array.as_any_dictionary().values(), key),
                None => Ok(()),
            },
            DataType::Struct(fields) => {
                let columns = fields.iter().zip(array.as_struct().columns());
                for (field, column) in columns {
                    self.take_shared(field.name().len().saturating_add(SHARING))?;
                    self.shared(column, index)?;
                }
                Ok(())
            }
            DataType::List(_) => self.items(&*array.as_list::<i32>().value(index)),
            DataType::LargeList(_) => self.items(&*array.as_list::<i64>().value(index)),
            DataType::FixedSizeList(..) => self.items(&*array.as_fixed_size_list().value(index)),
            DataType::Map(..) => self.items(&array.as_map().value(index)),
            // It has no parts.
            _ => self.take_shared(payload_bytes(&cell::value(array, index))),
        }
    }

    fn items(&mut self, items: &dyn Array) -> Result<(), Full> {
        (0..items.len()).try_for_each(|index| self.shared(items, index))
    }

    fn take_shared(&mut self, size: usize) -> Result<(), Full> {
        self.shared = self.shared.checked_sub(size).ok_or(Full)?;
        Ok(())
    }
}

/// Returns whether cells of the type may share bytes.
fn shares(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(..) | DataType::Utf8View | DataType::BinaryView => true,
        DataType::Struct(fields) => fields.iter().any(|field| shares(field.data_type())),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => shares(field.data_type()),
        _ => false,
    }
}
