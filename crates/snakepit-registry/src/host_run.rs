//! A cheap view of a data directory's runs: the living hosts, their sockets and their files.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::foreign_run::{Access, ForeignRun, read_meta};
use crate::identity::Scene;
use crate::recordings::{self, RECORDING};
use crate::registry::Registry;
use crate::run_dir::{RunMeta, SOCKETS};
use crate::run_id::RunId;
use crate::table::{HostTable, ProcessTable};
use crate::trusted::Dir;

/// The run of a host, held open by its directory.
#[derive(Debug)]
pub struct HostRun {
    /// The id of the run.
    pub run_id: RunId,
    /// The host's metadata. `None` if it is damaged.
    pub meta: Option<RunMeta>,
    /// `true` if the host lives.
    pub alive: bool,
    dir: Dir,
}

impl Registry {
    /// Returns the runs of a data directory, including those of which only recordings are left, and
    /// the errors of runs that are not trusted. Unlike [`inspect`](Self::inspect), reads no records
    /// and examines other processes only if the metadata of a host is inconclusive.
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
    /// Connects to a socket of the host. The socket, its directory and the process behind it must
    /// belong to this user. Blocks for a few system calls.
    ///
    /// # Errors
    /// [`Error::Io`] if no process listens, [`Error::Untrusted`] or [`Error::DataDir`] if the
    /// socket is not trusted.
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

    /// Returns the id of the process that listens on a socket of the host, as
    /// [`connect`](Self::connect) finds it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn listener(&self, name: &str) -> Result<u32, Error> {
        let stream = self.connect(name)?;
        let peer = getsockopt(&stream, sockopt::PeerCredentials);
        let peer =
            peer.map_err(|e| Error::io("look at", self.dir.path().join(SOCKETS), e.into()))?;
        Ok(peer.pid().cast_unsigned())
    }

    /// Returns the names of the recordings of the host, in the order of their numbers. A directory
    /// that was removed in the meantime has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn recordings(&self) -> Result<Vec<String>, Error> {
        let names = match self.dir.names() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other?,
        };
        let names = names.into_iter();
        let numbers = names.filter_map(|name| {
            let number: u32 = name.to_str()?.strip_prefix(RECORDING)?.parse().ok()?;
            Some(number)
        });
        let mut numbers: Vec<u32> = numbers.collect();
        numbers.sort_unstable();
        // `+1` and `01` are numbers as well, but no names of recordings.
        numbers.dedup();
        let names = numbers.iter().map(|number| format!("{RECORDING}{number}"));
        Ok(names.collect())
    }

    /// Reads a file of the host. `None` if there is none.
    ///
    /// # Errors
    /// The file cannot be read, is not a regular file of this user, or is larger than `limit`
    /// bytes.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        self.dir.read(name, limit)
    }
}
