//! Small texts that users attach to sessions, variables and tools.

use std::collections::BTreeMap;

use crate::code::ErrorCode;

/// Texts by key.
pub type Metadata = BTreeMap<String, String>;

/// Largest number of entries of one [`Metadata`].
pub(crate) const MAX_ENTRIES: usize = 32;
/// Largest number of bytes of keys and values of one [`Metadata`] together.
pub(crate) const MAX_BYTES: usize = 4096;

/// Bytes of keys and values together.
pub(crate) fn bytes(metadata: &Metadata) -> usize {
    metadata
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum()
}

/// Checks both limits.
pub(crate) fn check(metadata: &Metadata) -> Result<(), MetadataError> {
    if metadata.len() > MAX_ENTRIES {
        return Err(MetadataError::Entries(metadata.len()));
    }
    let bytes = bytes(metadata);
    if bytes > MAX_BYTES {
        return Err(MetadataError::Bytes(bytes));
    }
    Ok(())
}

/// Metadata beyond its limits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// More than 32 entries.
    #[error("metadata has {0} entries, more than {MAX_ENTRIES}")]
    Entries(usize),
    /// More than 4096 bytes.
    #[error("metadata has {0} bytes, more than {MAX_BYTES}")]
    Bytes(usize),
}

impl MetadataError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        ErrorCode::InvalidMetadata
    }

    /// Returns a hint: one thing to do about the error.
    pub fn help(&self) -> String {
        "keep large or many values in variables or programs".into()
    }
}
