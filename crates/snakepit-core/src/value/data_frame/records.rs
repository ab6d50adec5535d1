//! Data frames as records: one map for each row.

use std::collections::HashSet;

use arrow_array::{Array, RecordBatch, RecordBatchReader as _};
use arrow_schema::{DataType, Fields};

use super::extension::Cells;
use super::measure::Room;
use super::{DataFrame, cell};
use crate::value::{Form, JsonError, Value};

/// Number of rows and items that may have no bytes of their own, as in a column of nulls.
const FREE: usize = 64 << 10;

/// The rows of a data frame that was checked: all types have values, and its length is in
/// proportion to its bytes.
#[derive(Debug)]
pub(crate) struct Records {
    fields: Fields,
    cells: Vec<Cells>,
    batches: Vec<RecordBatch>,
    /// The data frame is a single column, whose cells are the rows.
    column: bool,
}

impl DataFrame {
    /// Returns the rows as a list of maps; a column without an index as a list of its values. Times
    /// become ISO 8601 texts (with a zone: in UTC), decimals become [`Value::Decimal`], time spans
    /// become seconds, periods of pandas the texts that pandas shows.
    ///
    /// # Errors
    /// [`JsonError::DataFrame`] if the stream is malformed, has a type without a corresponding
    /// [`Value`], or would take more than 64 MiB and 256 bytes of memory for each byte of the
    /// stream; [`JsonError::SameKey`] if two columns have the same name.
    pub fn to_records(&self) -> Result<Value, JsonError> {
        Ok(Value::List(Records::of(self, Form::Tree)?.rows().collect()))
    }
}

impl Records {
    /// Reads and checks a data frame.
    pub(crate) fn of(frame: &DataFrame, form: Form) -> Result<Self, JsonError> {
        let refused = |reason: String| JsonError::DataFrame(reason);
        let batches = Vec::<RecordBatch>::try_from(frame);
        let batches = batches.map_err(|error| refused(error.to_string()))?;
        let fields = frame
            .batches()
            .map(|batches| batches.schema().fields.clone());
        let fields = fields.map_err(|error| refused(error.to_string()))?;
        examine(&fields)?;
        // A column with an index has two columns: the index and its values.
        let column = frame.kind().is_column() && fields.len() == 1;
        let size = frame.size();
        let most = FREE.saturating_add(size.saturating_mul(8));
        let mut rows = 0_usize;
        let mut room = Room::of(size, form);
        for batch in &batches {
            rows = rows.saturating_add(batch.num_rows());
            let mut columns = batch.columns().iter();
            if rows > most || !columns.all(|column| in_proportion(column, most)) {
                return Err(refused("it has more rows than bytes".to_owned()));
            }
            for (field, values) in fields.iter().zip(batch.columns()) {
                let name = if column { "" } else { field.name() };
                room.column(name, values)
                    .map_err(|full| refused(full.to_string()))?;
            }
        }
        Ok(Self {
            cells: fields.iter().map(|field| Cells::of(field)).collect(),
            fields,
            batches,
            column,
        })
    }

    /// Returns the rows one after the other.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Value> {
        self.batches
            .iter()
            .flat_map(|batch| (0..batch.num_rows()).map(move |index| (batch, index)))
            .map(|(batch, index)| {
                let columns = self.cells.iter().zip(batch.columns());
                let mut values = columns.map(|(cells, column)| cells.value(column, index));
                match self.column {
                    true => values.next().unwrap_or_default(),
                    false => {
                        let names = self.fields.iter().map(|field| field.name().as_str().into());
                        Value::Map(names.zip(values).collect())
                    }
                }
            })
    }
}

/// Rejects types without values, and fields with the same name.
fn examine(fields: &Fields) -> Result<(), JsonError> {
    let mut names = HashSet::with_capacity(fields.len());
    for field in fields {
        if !names.insert(field.name()) {
            return Err(JsonError::SameKey(beginning(field.name())));
        }
        if !cell::has_values(field.data_type()) {
            let name = beginning(field.name());
            let kind = beginning(&field.data_type().to_string());
            let reason = format!("column `{name}` is of the type {kind}, which JSON lacks");
            return Err(JsonError::DataFrame(reason));
        }
        examine_within(field.data_type())?;
    }
    Ok(())
}

/// Returns the first characters of a text.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn examine_within(data_type: &DataType) -> Result<(), JsonError> {
    match data_type {
        DataType::Struct(fields) => examine(fields),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => examine_within(field.data_type()),
        DataType::Dictionary(_, values) => examine_within(values),
        _ => Ok(()),
    }
}

/// Returns whether no array inside another one has more than `most` items.
fn in_proportion(array: &dyn Array, most: usize) -> bool {
    fn within(data: &arrow_data::ArrayData, most: usize) -> bool {
        data.len() <= most && data.child_data().iter().all(|child| within(child, most))
    }
    within(&array.to_data(), most)
}
