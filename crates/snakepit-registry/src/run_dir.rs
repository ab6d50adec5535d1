//! The directory of one run. Whoever holds the lock on its `lock` file is alive; no process id
//! is ever asked for that.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;
use crate::error::{DirProblem, Error};
use crate::identity::Scene;
use crate::run_id::RunId;

/// An unfinished run directory is removed when it is older than this and nobody locks it.
const UNFINISHED_AGE: Duration = Duration::from_secs(60);

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
}

/// The run directory of this process; it stays locked until it is dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
    id: RunId,
    inode: (u64, u64),
    /// Held for its lock.
    _lock: Flock<File>,
}

impl RunDir {
    /// Creates the directory under another name, locks it and only then gives it its name: a
    /// sweeper that sees the name also sees the lock.
    pub(crate) fn create(data: &DataDir, scene: Scene) -> Result<Self, Error> {
        let id = RunId::random().map_err(|e| Error::io("name a run in", data.path(), e))?;
        let building = data.run(&format!(".tmp-{id}"));
        let path = data.run(&id.to_string());
        let built = build(&building, id, scene).and_then(|(lock, inode)| {
            fs::rename(&building, &path).map_err(|e| Error::io("name", &path, e))?;
            Ok(Self {
                path,
                id,
                inode,
                _lock: lock,
            })
        });
        if built.is_err() {
            // What is left of it has no name that anybody reads; the sweep removes it otherwise.
            let _ = fs::remove_dir_all(&building);
        }
        built
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    pub(crate) fn sockets(&self) -> PathBuf {
        self.path.join("s")
    }

    /// Whether the directory is still there under its name.
    pub(crate) fn exists(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|meta| (meta.dev(), meta.ino()) == self.inode)
    }

    /// Removes the directory with everything in it.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        if !self.exists() {
            return Ok(());
        }
        remove_tree(&self.path)
    }
}

fn build(dir: &Path, id: RunId, scene: Scene) -> Result<(Flock<File>, (u64, u64)), Error> {
    let make = |path: &Path| {
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::dir(path, DirProblem::NotWritable(e.to_string()))
            }
            _ => Error::io("create", path, e),
        })
    };
    make(dir)?;
    let lock_path = dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&lock_path)
        .map_err(|e| Error::io("create", &lock_path, e))?;
    let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, e)| Error::io("lock", &lock_path, e.into()))?;
    make(&dir.join("db"))?;
    make(&dir.join("s"))?;
    let host_program = std::env::current_exe()
        .unwrap_or_default()
        .display()
        .to_string();
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let meta = RunMeta {
        run_id: id,
        host_pid: std::process::id(),
        host_program,
        started,
        scene,
    };
    let meta_path = dir.join("meta.json");
    let text = serde_json::to_vec_pretty(&meta).expect("the fields have only string keys");
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&meta_path)
        .and_then(|mut file| file.write_all(&text))
        .map_err(|e| Error::io("write", &meta_path, e))?;
    let stat = fs::symlink_metadata(dir).map_err(|e| Error::io("look at", dir, e))?;
    Ok((lock, (stat.dev(), stat.ino())))
}

/// A run of another host, as its directory shows it.
#[derive(Debug)]
pub(crate) struct ForeignRun {
    pub(crate) id: RunId,
    path: PathBuf,
    lock: Option<Flock<File>>,
}

/// How a foreign run is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// To look at it.
    Look,
    /// To sweep it.
    Sweep,
}

impl ForeignRun {
    /// Opens a run; `None` when it has just been removed. The lock tells whether its host lives.
    pub(crate) fn open(data: &DataDir, id: RunId, access: Access) -> Result<Option<Self>, Error> {
        let path = data.run(&id.to_string());
        let lock_path = path.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::Sweep)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&lock_path);
        let file = match file {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // A directory without a lock file is damaged; the rename comes after the lock.
                return Ok(path.is_dir().then_some(Self {
                    id,
                    path,
                    lock: None,
                }));
            }
            Err(e) => return Err(Error::io("open", lock_path, e)),
        };
        let inode = file.metadata().map(|meta| (meta.dev(), meta.ino()));
        let inode = inode.map_err(|e| Error::io("look at", &lock_path, e))?;
        let how = match access {
            Access::Look => FlockArg::LockSharedNonblock,
            Access::Sweep => FlockArg::LockExclusiveNonblock,
        };
        match Flock::lock(file, how) {
            // Another sweeper may have removed the run while this one waited for the system.
            Ok(lock) => match fs::symlink_metadata(&lock_path) {
                Ok(meta) if (meta.dev(), meta.ino()) == inode => Ok(Some(Self {
                    id,
                    path,
                    lock: Some(lock),
                })),
                _ => Ok(None),
            },
            Err((_, Errno::EWOULDBLOCK)) => Ok(Some(Self {
                id,
                path,
                lock: None,
            })),
            Err((_, e)) => Err(Error::io("lock", lock_path, e.into())),
        }
    }

    /// Whether its host lives. A directory without a lock file belongs to nobody.
    pub(crate) fn alive(&self) -> bool {
        self.lock.is_none() && self.path.join("lock").exists()
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("db")
    }

    /// What the host wrote about itself; an error when the file is damaged.
    pub(crate) fn meta(&self) -> Result<RunMeta, Error> {
        let path = self.path.join("meta.json");
        let text = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        let damaged = |detail: String| Error::Corrupt {
            path: path.clone(),
            detail,
        };
        let meta: RunMeta = serde_json::from_slice(&text).map_err(|e| damaged(e.to_string()))?;
        if meta.run_id != self.id {
            return Err(damaged("it belongs to another run".to_owned()));
        }
        Ok(meta)
    }

    /// Moves the database into the data directory's quarantine, where nothing reads it.
    pub(crate) fn quarantine(&self, data: &DataDir) -> Result<PathBuf, Error> {
        let target = data.quarantine().join(self.id.to_string());
        fs::rename(self.database(), &target).map_err(|e| Error::io("move", &target, e))?;
        // The host's own words help whoever looks at it later; they may be missing.
        let _ = fs::copy(self.path.join("meta.json"), target.join("meta.json"));
        Ok(target)
    }

    /// Removes the directory, still holding its lock.
    pub(crate) fn remove(self) -> Result<(), Error> {
        remove_tree(&self.path)
    }
}

fn remove_tree(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Removes a run directory that was never finished, when its builder is gone.
pub(crate) fn remove_unfinished(path: &Path) {
    let old = |path: &Path| {
        let age =
            SystemTime::now().duration_since(fs::symlink_metadata(path).ok()?.modified().ok()?);
        // A time stamp in the future counts as young.
        Some(age.unwrap_or_default() > UNFINISHED_AGE)
    };
    if old(path) != Some(true) {
        return;
    }
    let unlocked = match File::open(path.join("lock")) {
        Ok(file) => Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok(),
        Err(_) => true,
    };
    if unlocked {
        // It holds nothing that was ever used; the next sweep tries again.
        let _ = fs::remove_dir_all(path);
    }
}

/// Only one host sweeps at a time; `None` when another one does.
pub(crate) fn lock_sweep(data: &DataDir) -> Result<Option<Flock<File>>, Error> {
    let path = data.sweep_lock();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&path)
        .map_err(|e| Error::io("open", &path, e))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, e)) => Err(Error::io("lock", path, e.into())),
    }
}
