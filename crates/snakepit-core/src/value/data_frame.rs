//! Data frames and columns as Arrow data.

#[cfg(feature = "arrow")]
mod batches;
#[cfg(feature = "arrow")]
mod cell;
#[cfg(feature = "arrow")]
mod extension;
#[cfg(feature = "arrow")]
mod ipc;
#[cfg(feature = "arrow")]
mod measure;
#[cfg(feature = "arrow")]
pub(crate) mod records;
mod wire;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::printable::Printable;
#[cfg(feature = "arrow")]
pub use batches::Batches;
pub(crate) use wire::read;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The Python class of a [`DataFrame`]. The annotation of a parameter may request another
        /// class.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DataFrameKind {
            $($(#[$doc])* $name,)*
        }

        impl DataFrameKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Returns the number of the kind on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// Returns the kind with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the full name of the Python class.
            pub const fn python_name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// Arrow data from another source than a Python library; Python reads it as a table of pyarrow.
    #[default]
    Arrow = 0, "pyarrow.Table";
    /// A frame of pandas.
    PandasFrame = 1, "pandas.DataFrame";
    /// A series of pandas.
    PandasSeries = 2, "pandas.Series";
    /// A frame of polars.
    PolarsFrame = 3, "polars.DataFrame";
    /// A series of polars.
    PolarsSeries = 4, "polars.Series";
    /// A table of pyarrow.
    Table = 5, "pyarrow.Table";
    /// A record batch of pyarrow.
    RecordBatch = 6, "pyarrow.RecordBatch";
    /// An array of pyarrow.
    Array = 7, "pyarrow.Array";
    /// A chunked array of pyarrow.
    ChunkedArray = 8, "pyarrow.ChunkedArray";
    /// A reader of record batches of pyarrow.
    RecordBatchReader = 9, "pyarrow.RecordBatchReader";
}

impl DataFrameKind {
    /// Returns the kind with this full name of a class in Python. `None` if no kind has it.
    pub fn parse(name: &str) -> Option<Self> {
        let named = Self::ALL.iter().copied();
        // The first one has the name of another.
        named.skip(1).find(|kind| kind.python_name() == name)
    }

    /// Returns whether the kind is a single column instead of a table.
    pub const fn is_column(self) -> bool {
        matches!(
            self,
            Self::PandasSeries | Self::PolarsSeries | Self::Array | Self::ChunkedArray
        )
    }
}

impl fmt::Display for DataFrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.python_name())
    }
}

/// A data frame or a single column: an Arrow IPC stream, and the Python class that it becomes.
/// Cheap to clone.
///
/// With feature `arrow`, a data frame is created from `RecordBatch`es and read as such. Without it,
/// the stream can be forwarded and given to any reader of Arrow. The stream is not examined before
/// it is read.
#[derive(Clone)]
pub struct DataFrame {
    kind: DataFrameKind,
    stream: Arc<Stream>,
}

/// The bytes of a data frame.
struct Stream {
    /// The stream in one piece.
    whole: OnceLock<Bytes>,
    /// The pieces of the stream, if its columns lie in memory of their own. They are joined when
    /// the stream is sent, or requested as a whole.
    parts: Vec<Bytes>,
}

impl DataFrame {
    /// Wraps an Arrow IPC stream without compressed buffers and without dictionaries in parts.
    /// Python reads it as a table of pyarrow.
    pub fn from_ipc(ipc: impl Into<Bytes>) -> Self {
        Self {
            kind: DataFrameKind::Arrow,
            stream: Arc::new(Stream {
                whole: OnceLock::from(ipc.into()),
                parts: Vec::new(),
            }),
        }
    }

    /// Wraps an Arrow IPC stream in pieces.
    #[cfg(feature = "arrow")]
    fn from_parts(parts: Vec<Bytes>) -> Self {
        Self {
            kind: DataFrameKind::Arrow,
            stream: Arc::new(Stream {
                whole: OnceLock::new(),
                parts,
            }),
        }
    }

    /// Returns the same data as another Python class. For a column, the stream must have exactly
    /// one column.
    #[must_use]
    pub fn with_kind(self, kind: DataFrameKind) -> Self {
        Self { kind, ..self }
    }

    /// Returns the Python class of the data.
    pub const fn kind(&self) -> DataFrameKind {
        self.kind
    }

    /// Returns the Arrow IPC stream.
    pub fn ipc(&self) -> &Bytes {
        let stream = &self.stream;
        stream.whole.get_or_init(|| stream.parts.concat().into())
    }

    /// Returns the size of the stream in bytes.
    pub fn size(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// Returns the stream in its pieces.
    fn pieces(&self) -> &[Bytes] {
        let whole = self.stream.whole.get();
        whole.map_or(&*self.stream.parts, std::slice::from_ref)
    }
}

impl PartialEq for DataFrame {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.size() == other.size() && self.ipc() == other.ipc()
    }
}

impl Eq for DataFrame {}

impl fmt::Debug for DataFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataFrame({} of {} bytes)", self.kind, self.size())
    }
}

/// A failure to write or read Arrow data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataFrameError {
    /// The stream is malformed, compressed, or of an unknown version.
    #[error("the Arrow data cannot be read: {}", Printable(_0))]
    Malformed(String),
    /// The batches cannot be written as one stream.
    #[error("the record batches cannot be written: {}", Printable(_0))]
    Unwritable(String),
}

impl DataFrameError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidPayload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_known_by_its_number() {
        for kind in DataFrameKind::ALL {
            assert_eq!(DataFrameKind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(DataFrameKind::from_code(200), None);
        for kind in &DataFrameKind::ALL[1..] {
            assert_eq!(DataFrameKind::parse(kind.python_name()), Some(*kind));
        }
        assert_eq!(DataFrameKind::parse("pandas.Frame"), None);
        assert!(DataFrameKind::PandasSeries.is_column() && !DataFrameKind::Arrow.is_column());
    }
}
