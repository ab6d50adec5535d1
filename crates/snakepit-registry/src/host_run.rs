//! A cheap view of a data directory's runs: the living hosts, their sockets and their files.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

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

/// The run of a host. The directory of a living host is held open; that of another run is opened
/// for each use, so that any number of runs takes few descriptors.
#[derive(Debug)]
pub struct HostRun {
    /// The id of the run.
    pub run_id: RunId,
    /// The host's metadata. `None` if it is damaged.
    pub meta: Option<RunMeta>,
    /// `true` if the host lives.
    pub alive: bool,
    place: Place,
}

/// The directory of a run.
#[derive(Debug)]
enum Place {
    Open(Dir),
    /// The directory in which it has the name of the run.
    In(Arc<Dir>),
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
        Self::host_runs_in(&data, &HostTable)
    }

    /// Does the work of [`host_runs`](Self::host_runs) on a table of processes, which is read at
    /// most once.
    fn host_runs_in(
        data: &DataDir,
        table: &dyn ProcessTable,
    ) -> Result<(Vec<HostRun>, Vec<Error>), Error> {
        let scene = Scene::here().map_err(|e| Error::io("read", "/proc", e))?;
        let mut tagged = None;
        let (mut runs, mut problems) = (Vec::new(), Vec::new());
        let parent = data.runs().map(Dir::try_clone).transpose()?.map(Arc::new);
        for id in data.list()?.0 {
            match ForeignRun::open(data, id, Access::Look) {
                Ok(Some(run)) => {
                    let alive = match run.lives(&scene) {
                        Some(alive) => alive,
                        None => {
                            let tagged = match &mut tagged {
                                Some(tagged) => tagged,
                                none => {
                                    let read = table.tagged();
                                    let read = read.map_err(|e| Error::io("read", "/proc", e))?;
                                    none.insert(read)
                                }
                            };
                            run.alive(&scene, tagged)
                        }
                    };
                    let meta = run.meta().ok().cloned();
                    let place = match &parent {
                        Some(parent) if !alive => Place::In(Arc::clone(parent)),
                        _ => Place::Open(run.into_dir()),
                    };
                    runs.push(HostRun {
                        run_id: id,
                        meta,
                        alive,
                        place,
                    });
                }
                Ok(None) => {}
                Err(e) => problems.push(e),
            }
        }
        match recordings::kept(data) {
            Ok(Some((all, ids))) => {
                let all = Arc::new(all);
                for run_id in ids {
                    match all.dir(&run_id.to_string()) {
                        Ok(dir) => runs.push(HostRun {
                            run_id,
                            meta: read_meta(&dir, run_id).ok(),
                            alive: false,
                            place: Place::In(Arc::clone(&all)),
                        }),
                        Err(e) => problems.push(e),
                    }
                }
            }
            Ok(None) => {}
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
        let sockets = self.with_dir(|dir| dir.dir(SOCKETS))?;
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
        let peer = peer.map_err(|e| Error::io("look at", name, e.into()))?;
        Ok(peer.pid().cast_unsigned())
    }

    /// Returns the names of the recordings of the host, in the order of their numbers. A directory
    /// that was removed in the meantime has none.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn recordings(&self) -> Result<Vec<String>, Error> {
        let names = match self.with_dir(Dir::names) {
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
        match self.with_dir(|dir| dir.read(name, limit)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    fn with_dir<T>(&self, look: impl FnOnce(&Dir) -> Result<T, Error>) -> Result<T, Error> {
        match &self.place {
            Place::Open(dir) => look(dir),
            Place::In(parent) => look(&parent.dir(&self.run_id.to_string())?),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::registry::RegistryConfig;
    use crate::table::{Held, Tagged};

    /// A table without processes that counts how often it is read.
    #[derive(Default)]
    struct Counting(Cell<u32>);

    impl ProcessTable for Counting {
        fn tagged(&self) -> io::Result<Vec<Tagged>> {
            self.0.set(self.0.get() + 1);
            Ok(Vec::new())
        }

        fn hold(&self, _: i32) -> io::Result<Option<Box<dyn Held>>> {
            Ok(None)
        }
    }

    #[test]
    fn the_processes_are_read_once_for_all_runs_without_metadata() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("pit");
        let registry = Registry::open(RegistryConfig::new(&path)).unwrap();
        let data = DataDir::existing(&path).unwrap();
        let look = || {
            let table = Counting::default();
            let (runs, problems) = Registry::host_runs_in(&data, &table).unwrap();
            assert!(problems.is_empty(), "{problems:?}");
            (runs.len(), table.0.get())
        };
        assert_eq!(look(), (1, 0), "the metadata suffices");
        let runs = registry.socket_dir();
        let runs = runs.ancestors().nth(2).unwrap().to_owned();
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        for _ in 0..50 {
            let id = RunId::random().unwrap();
            let mut dir = std::fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut dir, 0o700);
            dir.create(runs.join(id.to_string())).unwrap();
        }
        assert_eq!(look(), (51, 1));
        let before = open();
        let found = Registry::host_runs_in(&data, &Counting::default()).unwrap();
        assert!(open() < before + 10, "{} descriptors more", open() - before);
        drop(found);
    }
}
