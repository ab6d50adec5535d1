//! Data frames as record batches of arrow-rs.

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;

use super::{DataFrame, DataFrameError, ipc};

impl DataFrame {
    /// Creates a data frame from record batches of one schema; without batches it has no rows. The
    /// columns are copied once, into the payload in which they are sent.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use snakepit_core::value::DataFrame;
    /// use arrow_array::{Float64Array, RecordBatch};
    ///
    /// let prices = Float64Array::from(vec![Some(1.5), None]);
    /// let batch = RecordBatch::try_from_iter([("price", Arc::new(prices) as _)]).unwrap();
    /// let frame = DataFrame::from_batches(&batch.schema(), [&batch]).unwrap();
    /// assert_eq!(frame.batches().unwrap().next().unwrap().unwrap(), batch);
    /// ```
    ///
    /// # Errors
    /// [`DataFrameError::Unwritable`] if a batch has another schema, or a type that the format does
    /// not have.
    pub fn from_batches<'a>(
        schema: &Schema,
        batches: impl IntoIterator<Item = &'a RecordBatch>,
    ) -> Result<Self, DataFrameError> {
        let unwritable = |error: ArrowError| DataFrameError::Unwritable(error.to_string());
        let mut encoder = StreamEncoder::try_new(schema).map_err(unwritable)?;
        let mut parts = Vec::new();
        for batch in batches {
            if batch.schema_ref().fields() != &schema.fields {
                let what = "a batch has another schema than the frame";
                return Err(DataFrameError::Unwritable(what.to_owned()));
            }
            parts.extend(encoder.encode(batch).map_err(unwritable)?);
        }
        parts.extend(encoder.finish().map_err(unwritable)?);
        let parts = parts.into_iter().map(Bytes::from_owner);
        Ok(Self::from_parts(parts.collect()))
    }

    /// Reads the record batches one after the other. They share the memory of the data frame where
    /// it is aligned.
    ///
    /// # Errors
    /// [`DataFrameError::Malformed`] if the stream does not begin with a schema.
    pub fn batches(&self) -> Result<Batches, DataFrameError> {
        ipc::check(self.ipc()).map_err(|error| malformed(&error))?;
        let mut batches = Batches {
            decoder: StreamDecoder::new(),
            left: Buffer::from(self.ipc().clone()),
            schema: Schema::empty().into(),
            next: None,
            failed: false,
        };
        let first = batches.read().map_err(|error| malformed(&error))?;
        let Some(schema) = batches.decoder.schema() else {
            return Err(DataFrameError::Malformed("it has no schema".to_owned()));
        };
        batches.schema = schema;
        batches.next = first;
        Ok(batches)
    }
}

fn malformed(error: &ArrowError) -> DataFrameError {
    DataFrameError::Malformed(error.to_string())
}

impl TryFrom<&RecordBatch> for DataFrame {
    type Error = DataFrameError;

    fn try_from(batch: &RecordBatch) -> Result<Self, DataFrameError> {
        Self::from_batches(batch.schema_ref(), [batch])
    }
}

impl TryFrom<&DataFrame> for Vec<RecordBatch> {
    type Error = DataFrameError;

    fn try_from(frame: &DataFrame) -> Result<Self, DataFrameError> {
        frame
            .batches()?
            .map(|batch| batch.map_err(|error| malformed(&error)))
            .collect()
    }
}

/// The record batches of a [`DataFrame`].
#[derive(Debug)]
pub struct Batches {
    decoder: StreamDecoder,
    left: Buffer,
    schema: SchemaRef,
    next: Option<RecordBatch>,
    failed: bool,
}

impl Batches {
    fn read(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        ipc::guarded(|| match self.decoder.decode(&mut self.left)? {
            Some(batch) => Ok(Some(batch)),
            None => self.decoder.finish().map(|()| None),
        })
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        if let Some(batch) = self.next.take() {
            return Some(Ok(batch));
        }
        let read = self.read();
        // After an error, nothing more can be read.
        self.failed = read.is_err();
        read.transpose()
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}
