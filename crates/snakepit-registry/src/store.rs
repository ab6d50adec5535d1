//! The database of one run: an LMDB environment that only this process opens.

use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use heed::types::{Bytes, Str};
use heed::{
    CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::error::{Error, Limit};
use crate::record::{FORMAT, Record};
use crate::stored::{bad_row, read_records};
use crate::trusted::FileId;

/// Key of the row that holds the version of the rows. No worker's key has this form.
pub(crate) const FORMAT_KEY: &str = "!format";
/// Name of LMDB's file in the database directory.
pub(crate) const DATA_FILE: &str = "data.mdb";

/// Directory of a temporary environment that is open while the file is reopened.
const SPARE: &str = "spare";

/// Sizes of the database.
#[derive(Clone, Copy, Debug)]
pub struct StoreSize {
    /// Bytes of address space at the start, a multiple of the page size. The space uses no memory.
    pub initial: usize,
    /// Largest size in bytes that the map grows to.
    pub max: usize,
}

impl Default for StoreSize {
    fn default() -> Self {
        Self {
            initial: 1 << 20,
            max: 1 << 30,
        }
    }
}

/// A change to one row.
#[derive(Clone, Debug)]
pub enum Change {
    /// Writes a record, replacing the one with the same key.
    Put(Box<Record>),
    /// Deletes the row with this key, if there is one.
    Delete(String),
}

/// Facts about the database, for reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Number of rows.
    pub records: usize,
    /// Size of the file in bytes.
    pub file_bytes: u64,
    /// Size in bytes that the file may reach before the map has to grow.
    pub map_bytes: usize,
}

/// The database. It is not shared between threads or processes: the lock of the run directory
/// excludes other processes and one thread does all the work, so LMDB's own locks are disabled.
#[derive(Debug)]
pub struct Store {
    env: Env<WithoutTls>,
    dir: PathBuf,
    map: usize,
    size: StoreSize,
    /// The file that LMDB has open.
    file: Option<FileId>,
    /// The records of a file that was removed, until they are in a new file.
    lost: Option<Vec<Record>>,
}

impl Store {
    /// Opens or creates the database in a directory. An existing file is checked without LMDB
    /// first; a registry only opens files that it has created itself.
    ///
    /// # Errors
    /// The file is damaged or has another format, or the system refuses access.
    pub fn open(dir: &Path, size: StoreSize) -> Result<Self, Error> {
        let used = match std::fs::metadata(dir.join(DATA_FILE)) {
            Ok(meta) => {
                read_records(dir)?;
                usize::try_from(meta.len()).unwrap_or(usize::MAX)
            }
            Err(_) => 0,
        };
        let map = used.saturating_mul(2).next_power_of_two().max(size.initial);
        let env = open_env(dir, map)?;
        let mut store = Self {
            env,
            dir: dir.to_owned(),
            map,
            size,
            file: file_id(dir),
            lost: None,
        };
        store.write(size.max, |rows, txn| {
            rows.put(txn, FORMAT_KEY, &FORMAT.to_le_bytes())
        })?;
        Ok(store)
    }

    /// Applies all changes in one transaction: all of them or none. Grows the map if needed.
    ///
    /// # Errors
    /// [`Error::Full`] and others; the database is unchanged then.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        // A deletion needs pages too, and must succeed even if the map has reached its limit.
        let deletes = changes
            .iter()
            .all(|change| matches!(change, Change::Delete(_)));
        let max = self.size.max.saturating_mul(if deletes { 2 } else { 1 });
        self.write(max, |rows, txn| {
            for change in changes {
                match change {
                    Change::Put(record) => rows.put(txn, &record.key(), &record.encode())?,
                    Change::Delete(key) => {
                        rows.delete(txn, key)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Writes all records to a new file if `found`, the file that has the name now, is not the open
    /// one.
    pub(crate) fn keep_at(&mut self, found: Option<FileId>) -> Result<(), Error> {
        if self.lost.is_none() && found.is_some() && found == self.file {
            return Ok(());
        }
        let records = match self.lost.take() {
            Some(records) => records,
            None => self.records()?,
        };
        let rebuilt = self.rebuild(&records);
        if rebuilt.is_err() {
            self.lost = Some(records);
        }
        rebuilt
    }

    fn rebuild(&mut self, records: &[Record]) -> Result<(), Error> {
        self.put_aside()?;
        let file = self.dir.join(DATA_FILE);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", file, e));
            }
            _ => {}
        }
        self.take_up()?;
        let changes: Vec<Change> = records
            .iter()
            .map(|record| Change::Put(Box::new(record.clone())))
            .collect();
        self.write(self.size.max, |rows, txn| {
            rows.put(txn, FORMAT_KEY, &FORMAT.to_le_bytes())
        })?;
        self.apply(&changes)
    }

    /// Returns all records, ordered by key.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, Error> {
        if let Some(lost) = &self.lost {
            return Ok(lost.clone());
        }
        self.read(|rows, txn| {
            let mut records = Vec::new();
            for row in rows.iter(txn)? {
                let (key, value) = row?;
                if key != FORMAT_KEY {
                    records.push(Record::decode(value).map_err(|e| bad_row(&self.dir, e)));
                }
            }
            Ok(records)
        })?
        .into_iter()
        .collect()
    }

    /// Returns facts about the database.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn stats(&self) -> Result<StoreStats, Error> {
        let rows = self.read(|rows, txn| rows.len(txn))?;
        let records = usize::try_from(rows)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let file_bytes = self.env.real_disk_size().map_err(|e| self.error(e))?;
        Ok(StoreStats {
            records,
            file_bytes,
            map_bytes: self.map,
        })
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&Database<'_, Str, Bytes>, &RoTxn<'_>) -> heed::Result<T>,
    ) -> Result<T, Error> {
        let attempt = || {
            let txn = self.env.read_txn()?;
            self.env.open_databases_and_commit(txn, |opener, txn| {
                let rows = opener.open_database(txn, None)?;
                // The main database always exists: LMDB creates it with the file.
                let rows = rows.ok_or(heed::Error::Mdb(MdbError::NotFound))?;
                look(&rows, txn).map(CommitOrAbort::<Database<'_, Str, Bytes>, T>::Abort)
            })
        };
        match attempt() {
            Ok(CommitOrAbort::Abort(value)) => Ok(value),
            Ok(CommitOrAbort::Commit(_)) => unreachable!("the closure never commits"),
            Err(e) => Err(self.error(e)),
        }
    }

    fn write(
        &mut self,
        max: usize,
        change: impl Fn(&Database<'_, Str, Bytes>, &mut RwTxn<'_>) -> heed::Result<()>,
    ) -> Result<(), Error> {
        if self.lost.is_some() {
            let gone = std::io::Error::new(std::io::ErrorKind::NotFound, "its file is gone");
            return Err(Error::io("write to the database", &self.dir, gone));
        }
        let mut reopened = false;
        loop {
            match write_once(&self.env, &change) {
                Ok(()) => return Ok(()),
                Err(heed::Error::Mdb(MdbError::MapFull)) => self.grow(max)?,
                // A failed write of a meta page makes LMDB refuse everything until it is opened
                // again; the file itself still holds the last good transaction.
                Err(heed::Error::Mdb(MdbError::Panic)) if !reopened => {
                    reopened = true;
                    self.reopen()?;
                }
                Err(e) => return Err(self.error(e)),
            }
        }
    }

    #[expect(unsafe_code, reason = "LMDB cannot know whether transactions are open")]
    fn grow(&mut self, max: usize) -> Result<(), Error> {
        let map = self.map.saturating_mul(2);
        if map > max {
            return Err(Error::Full {
                path: self.dir.clone(),
                limit: Limit::Map,
            });
        }
        // SAFETY: the store is used by one thread (`&mut self`), and no transaction outlives the
        // call that began it, so none is open here.
        unsafe { self.env.resize(map) }.map_err(|e| self.error(e))?;
        self.map = map;
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), Error> {
        read_records(&self.dir)?;
        self.put_aside()?;
        self.take_up()
    }

    /// Closes the file. LMDB must not have the same file open twice, so this comes before the file
    /// is opened again. A temporary environment takes its place, because the field cannot be empty.
    fn put_aside(&mut self) -> Result<(), Error> {
        let spare = self.dir.join(SPARE);
        // The temporary environment may be open already if the last attempt failed after this step.
        if self.env.path() != spare {
            std::fs::create_dir_all(&spare).map_err(|e| Error::io("create", &spare, e))?;
            drop(std::mem::replace(&mut self.env, open_env(&spare, 1 << 16)?));
        }
        Ok(())
    }

    fn take_up(&mut self) -> Result<(), Error> {
        self.env = open_env(&self.dir, self.map)?;
        self.file = file_id(&self.dir);
        let _ = std::fs::remove_dir_all(self.dir.join(SPARE));
        Ok(())
    }

    fn error(&self, error: heed::Error) -> Error {
        store_error(&self.dir, error)
    }
}

fn file_id(dir: &Path) -> Option<FileId> {
    let meta = std::fs::symlink_metadata(dir.join(DATA_FILE)).ok()?;
    Some((meta.dev(), meta.ino()))
}

fn write_once(
    env: &Env<WithoutTls>,
    change: impl Fn(&Database<'_, Str, Bytes>, &mut RwTxn<'_>) -> heed::Result<()>,
) -> heed::Result<()> {
    let txn = env.write_txn()?;
    env.create_databases_and_commit(txn, |opener, txn| {
        let rows = opener.create_database(txn, None)?;
        change(&rows, txn)?;
        Ok(CommitOrAbort::<_, ()>::Commit(rows))
    })
    .map(drop)
}

#[expect(unsafe_code, reason = "LMDB maps a file into memory")]
fn open_env(dir: &Path, map: usize) -> Result<Env<WithoutTls>, Error> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(map);
    // SAFETY: NO_LOCK asks for one writer at a time and no reader beside it: the run directory is
    // locked by this process, and `Store` is used by one thread. NO_META_SYNC may lose the last
    // transaction when the power fails; after a boot the file is never opened again.
    unsafe { options.flags(EnvFlags::NO_META_SYNC | EnvFlags::NO_LOCK) };
    // SAFETY: no other process changes the file: it lies in a directory of mode 0700 that belongs
    // to this run alone, and existing files have been checked page by page.
    let env = unsafe { options.open(dir) }.map_err(|e| store_error(dir, e))?;
    close_at_exec(&dir.join(DATA_FILE));
    Ok(env)
}

/// Marks LMDB's data file as close-on-exec. LMDB does not do so, and children that other code
/// starts would inherit it; this crate's own children never do. If the flag cannot be set, such a
/// child only holds the file open.
#[expect(
    unsafe_code,
    reason = "LMDB does not show its descriptor, /proc does as a number"
)]
fn close_at_exec(file: &Path) {
    for entry in std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
    {
        let number = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let (Some(number), Ok(link)) = (number, std::fs::read_link(entry.path())) else {
            continue;
        };
        if link == file {
            // SAFETY: the descriptor is borrowed for one call; LMDB closes it not before the
            // environment is dropped, which this thread owns.
            let fd = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
        }
    }
}

fn store_error(dir: &Path, error: heed::Error) -> Error {
    let corrupt = |detail: String| Error::Corrupt {
        path: dir.to_owned(),
        detail,
    };
    match error {
        heed::Error::Io(e) => Error::io("write to the database", dir, e),
        heed::Error::Mdb(MdbError::MapFull) => Error::Full {
            path: dir.to_owned(),
            limit: Limit::Map,
        },
        heed::Error::Mdb(MdbError::VersionMismatch) => Error::Version {
            path: dir.to_owned(),
            found: 0,
            expected: 1,
        },
        other => corrupt(other.to_string()),
    }
}
