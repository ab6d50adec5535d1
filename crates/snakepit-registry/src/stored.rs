//! Reads the records of a database that this process does not have open, without LMDB.

use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::Error;
use crate::pages::{self, PagesError};
use crate::record::{FORMAT, Record, RecordError};
use crate::store::{DATA_FILE, FORMAT_KEY};
use crate::trusted::Dir;

/// Reads the records of a database that belongs to another run or to a dead host, without LMDB. A
/// missing file has no records.
///
/// # Errors
/// The file is damaged, has another format, or is not trusted.
pub fn read_records(dir: &Path) -> Result<Vec<Record>, Error> {
    records_in(&Dir::open(dir)?)
}

/// Reads the records in a directory that was checked.
pub(crate) fn records_in(dir: &Dir) -> Result<Vec<Record>, Error> {
    let path = dir.path().join(DATA_FILE);
    let Some(file) = dir.file(DATA_FILE, pages::MAX_FILE)? else {
        return Ok(Vec::new());
    };
    let length = file
        .metadata()
        .map_err(|e| Error::io("read", &path, e))?
        .len();
    let corrupt = |detail| Error::Corrupt {
        path: path.clone(),
        detail,
    };
    match records_of(&file, length) {
        Ok(records) => Ok(records),
        Err(Unreadable::Row(error)) => Err(bad_row(&path, error)),
        Err(Unreadable::Pages(PagesError::Io(e))) => Err(Error::io("read", path, e)),
        Err(Unreadable::Pages(PagesError::Version(found))) => Err(Error::Version {
            path,
            found,
            expected: 1,
        }),
        Err(Unreadable::Pages(e @ PagesError::Damaged(_))) => Err(corrupt(e.to_string())),
    }
}

/// Reads the records in a database file of this length.
pub(crate) fn records_of(file: &impl FileExt, length: u64) -> Result<Vec<Record>, Unreadable> {
    let mut records = Vec::new();
    pages::read(file, length, |key, value| {
        if key == FORMAT_KEY.as_bytes() {
            let found = value
                .first_chunk()
                .map_or(0, |bytes| u32::from_le_bytes(*bytes));
            if found != FORMAT {
                return Err(Unreadable::Row(RecordError::Format(found)));
            }
        } else {
            records.push(Record::decode(value).map_err(Unreadable::Row)?);
        }
        Ok(())
    })?;
    Ok(records)
}

/// The reason a database cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Pages(PagesError),
    Row(RecordError),
}

impl From<PagesError> for Unreadable {
    fn from(error: PagesError) -> Self {
        Self::Pages(error)
    }
}

pub(crate) fn bad_row(path: &Path, error: RecordError) -> Error {
    match error {
        RecordError::Version(found) => Error::Version {
            path: path.to_owned(),
            found: found.into(),
            expected: FORMAT,
        },
        RecordError::Format(found) => Error::Version {
            path: path.to_owned(),
            found,
            expected: FORMAT,
        },
        other => Error::Corrupt {
            path: path.to_owned(),
            detail: other.to_string(),
        },
    }
}
