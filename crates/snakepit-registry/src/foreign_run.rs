//! The run of another host, as seen through its directory. Its contents are untrusted until they
//! are checked.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::identity::Scene;
use crate::keeper::{self, Kept};
use crate::origin;
use crate::pulse::{self, Pulse};
use crate::record::Record;
use crate::recordings;
use crate::run_dir::{DATABASE, LOCK, META, RunMeta};
use crate::run_id::RunId;
use crate::stored::records_in;
use crate::table::Tagged;
use crate::trusted::Dir;

/// Age beyond which an unfinished run directory is removed, if no process has locked it.
const UNFINISHED_AGE: Duration = Duration::from_secs(60);
/// Largest size of a host's metadata in bytes: two paths of the longest kind fit.
const MAX_META: u64 = 64 << 10;

/// The purpose for which a foreign run is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A report on the run.
    Look,
    /// A sweep of the run.
    Sweep,
}

/// The owner of a run's lock.
#[derive(Debug)]
enum Lock {
    /// The host, a copy of the host, or a sweeper.
    Theirs,
    /// This process, until this is dropped.
    Ours(#[expect(dead_code, reason = "held for its lock")] Held),
    /// None: the lock file was removed.
    Missing,
}

#[derive(Debug)]
enum Held {
    #[expect(dead_code, reason = "held for its lock")]
    Shared(Flock<File>),
    #[expect(dead_code, reason = "held for its lock")]
    Exclusive(Kept),
}

/// A run of another host.
#[derive(Debug)]
pub(crate) struct ForeignRun<'a> {
    pub(crate) id: RunId,
    runs: &'a Dir,
    dir: Dir,
    lock: Lock,
    /// The host's metadata, or the error if it is damaged.
    meta: Result<RunMeta, Error>,
}

impl<'a> ForeignRun<'a> {
    /// Opens a run. `None` if it has just been removed.
    ///
    /// # Errors
    /// A file or directory of the run is not trusted. Its contents must be ignored and its
    /// processes must not be touched.
    pub(crate) fn open(
        data: &'a DataDir,
        id: RunId,
        access: Access,
    ) -> Result<Option<Self>, Error> {
        let Some(runs) = data.runs() else {
            return Ok(None);
        };
        let dir = match runs.dir(&id.to_string()) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            other => other?,
        };
        let Some(lock) = lock(&dir, access)? else {
            return Ok(None);
        };
        let meta = match read_meta(&dir, id) {
            Err(e) if e.is_distrust() => return Err(e),
            other => other,
        };
        Ok(Some(Self {
            id,
            runs,
            dir,
            lock,
            meta,
        }))
    }

    /// Returns `true` if the host lives. `tagged` holds the processes that carry marks.
    pub(crate) fn alive(&self, here: &Scene, tagged: &[Tagged]) -> bool {
        let pulse = self.meta.as_ref().map(|meta| pulse::of(meta, here));
        match pulse.unwrap_or(Pulse::Unknown) {
            Pulse::Alive => true,
            // The file may be changed or copied; the workers name the host that started them.
            Pulse::Gone => origin::named_by_workers(self.id, here, tagged),
            Pulse::Unknown => match self.lock {
                Lock::Theirs => true,
                Lock::Ours(_) if self.meta.is_ok() => false,
                // These states prove nothing, because a free lock may be a new file.
                Lock::Ours(_) | Lock::Missing => pulse::seen_by_children(self.id, tagged),
            },
        }
    }

    /// Returns `true` if the host lives. `None` if that cannot be determined without examining
    /// other processes.
    pub(crate) fn lives(&self, here: &Scene) -> Option<bool> {
        match pulse::of(self.meta.as_ref().ok()?, here) {
            Pulse::Alive => Some(true),
            Pulse::Gone => Some(false),
            Pulse::Unknown => None,
        }
    }

    /// Releases the lock and returns the directory.
    pub(crate) fn into_dir(self) -> Dir {
        self.dir
    }

    /// Returns the host's metadata.
    ///
    /// # Errors
    /// The file is missing or damaged.
    pub(crate) fn meta(&self) -> Result<&RunMeta, Error> {
        self.meta.as_ref().map_err(Error::clone)
    }

    /// Reads the records of the run.
    ///
    /// # Errors
    /// The file is damaged or not trusted.
    pub(crate) fn records(&self) -> Result<Vec<Record>, Error> {
        match self.dir.dir(DATABASE) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Ok(Vec::new())
            }
            other => records_in(&other?),
        }
    }

    /// Moves the database into the data directory's quarantine, where it is never read. `None` if
    /// there is none.
    pub(crate) fn quarantine(&self, data: &DataDir) -> Result<Option<PathBuf>, Error> {
        if self.dir.id_of(DATABASE).is_none() {
            return Ok(None);
        }
        let quarantine = data.quarantine()?;
        let name = self.id.to_string();
        self.dir.rename(DATABASE, &quarantine, &name)?;
        let kept = quarantine.dir(&name)?;
        // The metadata helps whoever examines the database later; it may be missing.
        if let Ok(Some(words)) = self.dir.read(META, MAX_META) {
            let copied = kept.create(META).map(|mut file| file.write_all(&words));
            drop(copied);
        }
        Ok(Some(kept.path().to_owned()))
    }

    /// Moves the recordings of the host to the directory beside the runs.
    ///
    /// # Errors
    /// The recordings cannot be moved.
    pub(crate) fn keep_recordings(&self, data: &DataDir) -> Result<(), Error> {
        recordings::keep(&self.dir, self.id, data)
    }

    /// Removes the directory while its lock is still held.
    pub(crate) fn remove(self) -> Result<(), Error> {
        self.runs.remove(&self.id.to_string())
    }
}

/// Takes the lock of a run. `None` if another sweeper has removed the run meanwhile.
fn lock(dir: &Dir, access: Access) -> Result<Option<Lock>, Error> {
    let Some(file) = dir.file(LOCK, MAX_META)? else {
        return Ok(Some(Lock::Missing));
    };
    let path = || dir.path().join(LOCK);
    let id = crate::trusted::id_of_file(&file, &path())?;
    let held = match access {
        Access::Look => match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(lock) => Some(Held::Shared(lock)),
            Err((_, Errno::EWOULDBLOCK)) => None,
            Err((_, e)) => return Err(Error::io("lock", path(), e.into())),
        },
        Access::Sweep => keeper::lock(&file)
            .map_err(|e| Error::io("lock", path(), e))?
            .map(Held::Exclusive),
    };
    Ok(match held {
        None => Some(Lock::Theirs),
        Some(held) if dir.id_of(LOCK) == Some(id) => Some(Lock::Ours(held)),
        Some(_) => None,
    })
}

pub(crate) fn read_meta(dir: &Dir, id: RunId) -> Result<RunMeta, Error> {
    let path = dir.path().join(META);
    let damaged = |detail: String| Error::Corrupt {
        path: path.clone(),
        detail,
    };
    let text = dir.read(META, MAX_META)?;
    let text = text.ok_or_else(|| damaged("it is missing".to_owned()))?;
    let meta: RunMeta = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
    if meta.run_id != id {
        return Err(damaged("it belongs to another run".to_owned()));
    }
    Ok(meta)
}

/// Removes a run directory that was never finished, if the process that built it is gone.
pub(crate) fn remove_unfinished(data: &DataDir, name: &str) {
    let Some(Ok((runs, dir))) = data
        .runs()
        .map(|runs| runs.dir(name).map(|dir| (runs, dir)))
    else {
        return;
    };
    let age = |file: &File| {
        let changed = file.metadata().ok()?.mtime();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        // A time stamp in the future counts as young.
        Some(now.saturating_sub(Duration::from_secs(u64::try_from(changed).ok()?)))
    };
    let opened = dir.reopen();
    if !opened.is_ok_and(|file| age(&file).is_some_and(|age| age > UNFINISHED_AGE)) {
        return;
    }
    let unlocked = match dir.file(LOCK, MAX_META) {
        Ok(Some(file)) => keeper::lock(&file).is_ok_and(|lock| lock.is_some()),
        Ok(None) => true,
        Err(_) => false,
    };
    if unlocked {
        // The directory holds nothing that was ever used; the next sweep tries again.
        let _ = runs.remove(name);
    }
}

/// Takes the lock for sweeping. `None` if another host is sweeping.
pub(crate) fn lock_sweep(data: &DataDir) -> Result<Option<Kept>, Error> {
    const NAME: &str = "sweep.lock";
    let file = data.top().lock_file(NAME)?;
    keeper::lock(&file).map_err(|e| Error::io("lock", data.top().path().join(NAME), e))
}
