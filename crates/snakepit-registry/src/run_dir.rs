//! The directory of the run of this process: made, kept whole while the run goes on, and removed.

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
/// A file of a run that is being replaced.
const NEXT: &str = "next";

/// Who started a run, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunMeta {
    /// The run.
    pub run_id: RunId,
    /// Process id of the host.
    pub host_pid: u32,
    /// Program of the host, to be shown to people.
    pub host_program: String,
    /// When it started, in seconds since 1970, to be shown to people. Nothing is decided by it.
    pub started: u64,
    /// Boot and namespaces.
    pub scene: Scene,
    /// The process of the host; `None` once the run is closed, and in the records of older versions.
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

/// The run directory of this process; it is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    /// The data directory, as the caller has named it.
    data: PathBuf,
    path: PathBuf,
    meta: RunMeta,
    state: Mutex<State>,
}

/// What the directory consists of.
#[derive(Debug)]
struct State {
    parts: Parts,
    /// Why it is not whole and could not be made so.
    problem: Option<String>,
    /// It is removed, and not missed.
    removed: bool,
}

#[derive(Debug)]
struct Parts {
    /// The directory of all runs.
    runs: Dir,
    dir: Dir,
    lock: FileId,
    meta: Option<FileVersion>,
    /// Held for its lock.
    _held: Kept,
}

impl RunDir {
    /// Creates the directory under another name, locks it and only then gives it its name: a
    /// sweeper that sees the name also sees the lock.
    pub(crate) fn create(data: &DataDir, named: &Path, scene: Scene) -> Result<Self, Error> {
        let id = RunId::random().map_err(|e| Error::io("name a run in", data.path(), e))?;
        let meta = RunMeta::of_this_process(id, scene);
        let parts = Parts::create(data, &meta)?;
        let state = State {
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) const fn id(&self) -> RunId {
        self.meta.run_id
    }

    /// What workers carry of it; `None` if this process cannot be identified.
    pub(crate) fn origin(&self) -> Option<Origin> {
        let host = self.meta.host.as_ref()?;
        // Above the run and the directory of all runs.
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
    /// It is gone, or something else is in its place.
    pub(crate) fn open(&self) -> Result<Dir, Error> {
        Dir::open(&self.path)
    }

    /// Opens the directory of its sockets; as [`open`](Self::open).
    pub(crate) fn open_sockets(&self) -> Result<Dir, Error> {
        self.open()?.dir(SOCKETS)
    }

    /// Why the directory is not whole, if that could not be changed.
    pub(crate) fn problem(&self) -> Option<String> {
        self.state().problem.clone()
    }

    /// Looks whether everything is in its place, and puts back what somebody has removed or moved
    /// away: cleaners of temporary files do that. The processes of the run are not concerned.
    ///
    /// # Errors
    /// Something is missing and cannot be put back.
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
            // Perhaps with the whole data directory.
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

    /// The run is over, but its directory has to stay: from now on the process of the host says
    /// nothing about it any more.
    pub(crate) fn retire(&self) {
        let state = self.state();
        let meta = RunMeta {
            host: None,
            ..self.meta.clone()
        };
        if !state.removed {
            // Otherwise it counts as alive until this process ends.
            let _ = write_meta(&state.parts.dir, &meta);
        }
    }

    /// Removes the directory with everything in it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let mut state = self.state();
        state.removed = true;
        let name = self.id().to_string();
        // Something else may have its name by now.
        if state.parts.runs.id_of(&name) == state.parts.dir.id().ok() {
            state.parts.runs.remove(&name)?;
        }
        Ok(())
    }
}

/// Whether a path leads to this directory.
fn is_at(dir: &Dir, path: &Path) -> bool {
    // Without a descriptor: there may be none to spare.
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
                // What is left of it has no name that anybody reads; the sweep removes it otherwise.
                let _ = runs.remove(&building);
                Err(e)
            }
        }
    }
}

/// Makes and locks the file whose lock says that the run goes on.
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

/// Writes the host's words about itself: whole or not at all.
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
