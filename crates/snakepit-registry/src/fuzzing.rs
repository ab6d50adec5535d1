//! Entry points for fuzzing: readers of untrusted bytes that are otherwise private. Not part of the
//! API.

use std::io;
use std::os::unix::fs::FileExt;

use crate::record::Record;
use crate::stored::records_of;

/// Reads the database file of another run. `None` if it is rejected.
pub fn records(file: &[u8]) -> Option<Vec<Record>> {
    records_of(&Bytes(file), file.len() as u64).ok()
}

/// A file in memory.
struct Bytes<'a>(&'a [u8]);

impl FileExt for Bytes<'_> {
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.0.get(start..).unwrap_or_default();
        let length = rest.len().min(out.len());
        out[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}
