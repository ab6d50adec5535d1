//! A look at the runs of a data directory that costs little: which hosts live, their sockets and their files.

use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun, read_meta};
use crate::identity::Scene;
use crate::recordings;
use crate::registry::Registry;
use crate::run_dir::{RunMeta, SOCKETS};
use crate::run_id::RunId;
use crate::table::{HostTable, ProcessTable};
use crate::trusted::Dir;

/// The run of a host, held open by its directory.
#[derive(Debug)]
pub struct HostRun {
    /// The run.
    pub run_id: RunId,
    /// What its host wrote about itself. `None` if that is damaged.
    pub meta: Option<RunMeta>,
    /// Its host lives.
    pub alive: bool,
    dir: Dir,
}

impl Registry {
    /// The runs of a data directory, those whose recordings alone are left included, and what is wrong with those that are not trusted. Unlike [`inspect`](Self::inspect) it reads no
    /// records, and looks at other processes only if a host does not say who it is.
    ///
    /// # Errors
    /// The data directory does not exist or cannot be trusted.
    pub fn host_runs(data_dir: &Path) -> Result<(Vec<HostRun>, Vec<Error>), Error> {
        let data = DataDir::existing(data_dir)?;
        let scene = Scene::here().map_err(|e| Error::io("read", "/proc", e))?;
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        for id in data.list()?.0 {
            match ForeignRun::open(&data, id, Access::Look) {
                Ok(Some(run)) => {
                    let alive = match run.lives(&scene) {
                        Some(alive) => alive,
                        None => {
                            let tagged = HostTable.tagged();
                            let tagged = tagged.map_err(|e| Error::io("read", "/proc", e))?;
                            run.alive(&scene, &tagged)
                        }
                    };
                    let meta = run.meta().ok().cloned();
                    runs.push(HostRun {
                        run_id: id,
                        meta,
                        alive,
                        dir: run.into_dir(),
                    });
                }
                Ok(None) => {}
                Err(e) => problems.push(e),
            }
        }
        match recordings::kept(&data) {
            Ok(kept) => runs.extend(kept.into_iter().map(|(run_id, dir)| HostRun {
                run_id,
                meta: read_meta(&dir, run_id).ok(),
                alive: false,
                dir,
            })),
            Err(e) => problems.push(e),
        }
        Ok((runs, problems))
    }
}

impl HostRun {
    /// Connects to a socket of the host. The socket must be one of this user in a directory of this user, and so must the process behind
    /// it. Blocks for a few system calls.
    ///
    /// # Errors
    /// [`Error::Io`] when nobody listens, [`Error::Untrusted`] or [`Error::DataDir`] when it is not ours.
    pub fn connect(&self, name: &str) -> Result<UnixStream, Error> {
        let sockets = self.dir.dir(SOCKETS)?;
        sockets.check_socket(name)?;
        let path = || sockets.path().join(name);
        let connected = UnixStream::connect(sockets.reach(Path::new(name)));
        let stream = connected.map_err(|e| Error::io("connect to", path(), e))?;
        let peer = getsockopt(&stream, sockopt::PeerCredentials);
        let peer = peer.map_err(|e| Error::io("look at", path(), e.into()))?;
        sockets.check_peer(name, peer.uid())?;
        Ok(stream)
    }

    /// The bytes of a file of the host; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read, is no regular file of this user, or is larger than `limit` bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        self.dir.read(name, limit)
    }
}
