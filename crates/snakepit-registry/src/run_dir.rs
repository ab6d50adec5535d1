//! The directory of this process's run: created, restored if damaged, and removed.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::data_dir::{DataDir, UNFINISHED};
use crate::error::Error;
use crate::identity::{ProcessIdentity, Scene};
use crate::keeper::{self, Kept};
use crate::origin::Origin;
use crate::pidfd::PidFd;
use crate::run_id::RunId;
use crate::store::{DATA_FILE, Store};
use crate::trusted::{Dir, FileId, FileVersion};

pub(crate) const LOCK: &str = "lock";
pub(crate) const META: &str = "meta.json";
pub(crate) const DATABASE: &str = "db";
pub(crate) const SOCKETS: &str = "s";
/// Name of a file of a run while it is being replaced.
const NEXT: &str = "next";

/// The metadata of a run: the host that started it, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMeta {
    /// The id of the run.
    pub run_id: RunId,
    /// Process id of the host.
    pub host_pid: u32,
    /// Program of the host, for display.
    pub host_program: String,
    /// Start time in seconds since 1970, for display. No decision depends on it.
    pub started: u64,
    /// Boot and namespaces of the host.
    pub scene: Scene,
    /// The process of the host. `None` once the run is closed, and in the records of older
    /// versions.
    #[serde(default)]
    pub host: Option<ProcessIdentity>,
}

impl RunMeta {
    fn of_this_process(run_id: RunId, scene: Scene) -> Self {
        let host_program = std::env::current_exe()
            .unwrap_or_default()
            .display()
            .to_string();
        let started = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let host_pid = std::process::id();
        let held = i32::try_from(host_pid).map(PidFd::open);
        let host = held.ok().and_then(|held| {
            let held = held.ok().flatten()?;
            ProcessIdentity::of(&held).ok()
        });
        Self {
            run_id,
            host_pid,
            host_program,
            started,
            scene,
            host,
        }
    }
}

/// The run directory of this process. It stays locked until this is dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    /// The data directory, as the caller named it.
    data: PathBuf,
    path: PathBuf,
    meta: RunMeta,
    state: Mutex<DirectoryState>,
}

/// The state of the directory.
#[derive(Debug)]
struct DirectoryState {
    parts: Parts,
    /// The reason the directory is incomplete and could not be restored.
    problem: Option<String>,
    /// `true` once the directory was removed and must not be restored.
    removed: bool,
}

#[derive(Debug)]
struct Parts {
    /// The directory of all runs.
    runs: Dir,
    dir: Dir,
    lock: FileId,
    meta: Option<FileVersion>,
    /// Kept for its lock.
    _held: Kept,
}

impl RunDir {
    /// Creates the directory under another name, locks it and only then renames it, so a sweeper
    /// that sees the final name also sees the lock.
    pub(crate) fn create(data: &DataDir, named: &Path, scene: Scene) -> Result<Self, Error> {
        let id = RunId::random().map_err(|e| Error::io("name a run in", data.path(), e))?;
        let meta = RunMeta::of_this_process(id, scene);
        let parts = Parts::create(data, &meta)?;
        let state = DirectoryState {
            parts,
            problem: None,
            removed: false,
        };
        Ok(Self {
            data: std::path::absolute(named).unwrap_or_else(|_| data.path().to_owned()),
            path: data.run(&id.to_string()),
            meta,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, DirectoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn id(&self) -> RunId {
        self.meta.run_id
    }

    /// Returns the origin that workers carry. `None` if this process cannot be identified.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let host = self.meta.host.as_ref()?;
        // Removes two components: the run, and the directory of all runs.
        let data_dir = self.path.ancestors().nth(2)?;
        Some(Origin::new(host, &self.meta.scene, data_dir))
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(crate) fn sockets(&self) -> PathBuf {
        self.path.join(SOCKETS)
    }

    /// Opens the directory.
    ///
    /// # Errors
    /// The directory is gone, or another file is in its place.
    pub(crate) fn open(&self) -> Result<Dir, Error> {
        Dir::open(&self.path)
    }

    /// Opens the directory of the run's sockets. Fails as [`open`](Self::open) does.
    pub(crate) fn open_sockets(&self) -> Result<Dir, Error> {
        self.open()?.dir(SOCKETS)
    }

    /// Returns the reason the directory is incomplete. `None` if it is complete.
    pub(crate) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Checks that every file of the run is in place, and restores the missing ones: cleaners of
    /// temporary files remove or move them. The processes of the run are not affected.
    ///
    /// # Errors
    /// A file is missing and cannot be restored.
    pub(crate) fn mend(&self, store: &mut Store) -> Result<(), Error> {
        let mut state = self.state();
        if state.removed {
            return Ok(());
        }
        let mended = self.mend_parts(&mut state.parts).and_then(|()| {
            let there = state.parts.dir.id_of(DATABASE).is_some();
            if !there {
                state.parts.dir.create_dir(DATABASE)?;
            }
            let file = format!("{DATABASE}/{DATA_FILE}");
            store.keep_at(state.parts.dir.id_of(&file))
        });
        state.problem = mended.as_ref().err().map(Error::to_string);
        mended
    }

    fn mend_parts(&self, parts: &mut Parts) -> Result<(), Error> {
        if !is_at(&parts.dir, &self.path) {
            // The whole data directory may be gone.
            let data = DataDir::prepare(&self.data)?;
            *parts = Parts::create(&data, &self.meta)?;
            return Ok(());
        }
        let dir = &parts.dir;
        if dir.id_of(LOCK) != Some(parts.lock) {
            dir.remove(LOCK)?;
            (parts.lock, parts._held) = lock(dir)?;
        }
        if parts.meta.is_none() || dir.version_of(META) != parts.meta {
            parts.meta = write_meta(dir, &self.meta)?;
        }
        if dir.id_of(SOCKETS).is_none() {
            dir.create_dir(SOCKETS)?;
        }
        Ok(())
    }

    /// Ends the run without removing its directory: the process of the host is deleted from the
    /// metadata, so it no longer counts as the run's sign of life.
    pub(crate) fn retire(&self) {
        let state = self.state();
        let meta = RunMeta {
            host: None,
            ..self.meta.clone()
        };
        if !state.removed {
            // If this fails, the run counts as alive until this process ends.
            let _ = write_meta(&state.parts.dir, &meta);
        }
    }

    /// Removes the directory with its contents.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.removed = true;
        let name = self.id().to_string();
        // Another directory may have this name by now.
        if state.parts.runs.id_of(&name) == state.parts.dir.id().ok() {
            state.parts.runs.remove(&name)?;
        }
        Ok(())
    }
}

/// Returns `true` if a path leads to this directory.
fn is_at(dir: &Dir, path: &Path) -> bool {
    // Opens no descriptor: there may be none to spare.
    let there = std::fs::symlink_metadata(path);
    there.is_ok_and(|there| dir.id().is_ok_and(|dir| dir == (there.dev(), there.ino())))
}

impl Parts {
    fn create(data: &DataDir, meta: &RunMeta) -> Result<Self, Error> {
        let runs = data.top().ensure_dir("runs")?;
        let name = meta.run_id.to_string();
        let building = format!("{UNFINISHED}{name}");
        let build = || {
            let dir = runs.create_dir(&building)?;
            let (lock, held) = lock(&dir)?;
            dir.create_dir(DATABASE)?;
            dir.create_dir(SOCKETS)?;
            let meta = write_meta(&dir, meta)?;
            runs.rename(&building, &runs, &name)?;
            Ok((dir, lock, held, meta))
        };
        match build() {
            Ok((dir, lock, held, meta)) => Ok(Self {
                runs,
                dir,
                lock,
                meta,
                _held: held,
            }),
            Err(e) => {
                // No reader uses the unfinished name; if the removal fails, a sweep repeats it.
                let _ = runs.remove(&building);
                Err(e)
            }
        }
    }
}

/// Creates and locks the file whose lock shows that the run is alive.
fn lock(dir: &Dir) -> Result<(FileId, Kept), Error> {
    let path = dir.path().join(LOCK);
    let file = dir.create(LOCK)?;
    match keeper::lock(&file).map_err(|e| Error::io("lock", &path, e))? {
        Some(held) => Ok((crate::trusted::id_of_file(&file, &path)?, held)),
        None => Err(Error::io(
            "lock",
            path,
            std::io::ErrorKind::WouldBlock.into(),
        )),
    }
}

/// Replaces the host's metadata atomically.
fn write_meta(dir: &Dir, meta: &RunMeta) -> Result<Option<FileVersion>, Error> {
    let text = serde_json::to_vec_pretty(meta).expect("the fields have only string keys");
    dir.remove(NEXT)?;
    let mut file = dir.create(NEXT)?;
    let path = dir.path().join(META);
    let written = file.write_all(&text);
    written.map_err(|e| Error::io("write", &path, e))?;
    dir.rename(NEXT, dir, META)?;
    Ok(dir.version_of(META))
}
