//! Data frames, and columns of them, as Arrow data.

#[cfg(feature = "arrow")]
mod batches;
#[cfg(feature = "arrow")]
mod cell;
#[cfg(feature = "arrow")]
mod ipc;
#[cfg(feature = "arrow")]
pub(crate) mod records;
mod wire;

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::ErrorCode;
#[cfg(feature = "arrow")]
pub use batches::Batches;
pub(crate) use wire::read;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The type that a [`DataFrame`] has in Python, unless the annotation of a parameter asks
        /// for another one.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum DataFrameKind {
            $($(#[$doc])* $name,)*
        }

        impl DataFrameKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The number that stands for it on the wire.
            pub const fn code(self) -> u8 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The kind with this number.
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Full name of the class in Python.
            pub const fn python_name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// Arrow data that no library of Python has made: a table of pyarrow there.
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
    /// It is one column, and not a table of columns.
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

/// A data frame or a column of one: an Arrow IPC stream, and the type that it has in Python. Cheap
/// to clone.
///
/// With feature `arrow` it is made of `RecordBatch`es, and read as such; without it, the stream can
/// be passed on and given to any reader of Arrow. The stream is not examined before it is read.
#[derive(Clone)]
pub struct DataFrame {
    kind: DataFrameKind,
    stream: Arc<Stream>,
}

/// The bytes of a frame.
struct Stream {
    /// The stream in one piece.
    whole: OnceLock<Bytes>,
    /// Its pieces, if it was made of columns that lie elsewhere; they are put together when it is
    /// sent, or asked for as a whole.
    parts: Vec<Bytes>,
}

impl DataFrame {
    /// Takes an Arrow IPC stream without compressed buffers, which Python reads as a table of
    /// pyarrow.
    pub fn from_ipc(ipc: impl Into<Bytes>) -> Self {
        Self {
            kind: DataFrameKind::Arrow,
            stream: Arc::new(Stream {
                whole: OnceLock::from(ipc.into()),
                parts: Vec::new(),
            }),
        }
    }

    /// Takes such a stream in pieces.
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

    /// The same data, of another type in Python. A column is the only column of its stream.
    #[must_use]
    pub fn with_kind(self, kind: DataFrameKind) -> Self {
        Self { kind, ..self }
    }

    /// The type that it has in Python.
    pub const fn kind(&self) -> DataFrameKind {
        self.kind
    }

    /// The Arrow IPC stream.
    pub fn ipc(&self) -> &Bytes {
        let stream = &self.stream;
        stream.whole.get_or_init(|| stream.parts.concat().into())
    }

    /// Bytes of the stream.
    pub fn size(&self) -> usize {
        self.pieces().iter().map(Bytes::len).sum()
    }

    /// The stream in its pieces.
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
    /// The stream is malformed, compressed, or of a version that is not known.
    #[error("the Arrow data cannot be read: {0}")]
    Malformed(String),
    /// The batches cannot be written as one stream.
    #[error("the record batches cannot be written: {0}")]
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
        assert!(DataFrameKind::PandasSeries.is_column() && !DataFrameKind::Arrow.is_column());
    }
}
