//! The directory that all hosts of a user share, and the checks before it is trusted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::fstatfs;
use nix::unistd::{AccessFlags, access};

use crate::error::{DirProblem, Error};
use crate::run_id::RunId;
use crate::trusted::Dir;

/// Largest size in bytes of a socket's path on Linux, without the final NUL.
const SOCKET_PATH: usize = 107;
/// Longest name of a socket in [`Registry::socket_dir`](crate::Registry::socket_dir), in bytes.
pub const SOCKET_NAME: usize = 16;

const RUNS: &str = "runs";
const QUARANTINE: &str = "quarantine";
/// Name prefix of a run directory that is being created.
pub(crate) const UNFINISHED: &str = ".tmp-";

/// A checked data directory, held open.
#[derive(Debug)]
pub(crate) struct DataDir {
    top: Dir,
    path: PathBuf,
    /// The directory of the runs. `None` until a host has run here.
    runs: Option<Dir>,
}

impl DataDir {
    /// Creates the directory if needed and checks it.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Error> {
        let refuse = |problem| Err(Error::dir(path, problem));
        // A link is rejected before it is followed. The parents of the last component are trusted,
        // for example `/var/run`: the administrator decides about them.
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let mut builder = DirBuilder::new();
                if let Err(e) = builder.recursive(true).mode(0o700).create(path) {
                    return refuse(DirProblem::NotWritable(e.to_string()));
                }
            }
            Err(e) => return refuse(DirProblem::NotWritable(e.to_string())),
            Ok(_) => {}
        }
        let (top, real) = open(path)?;
        if let Err(e) = access(path, AccessFlags::W_OK | AccessFlags::X_OK) {
            return refuse(DirProblem::NotWritable(e.desc().to_owned()));
        }
        top.ensure_dir(QUARANTINE)?;
        let data = Self {
            runs: Some(top.ensure_dir(RUNS)?),
            top,
            path: real,
        };
        let bytes = data.longest_path();
        if bytes > SOCKET_PATH {
            return refuse(DirProblem::TooLong {
                bytes,
                limit: SOCKET_PATH,
            });
        }
        Ok(data)
    }

    /// Returns the length in bytes of the longest possible path of a socket.
    fn longest_path(&self) -> usize {
        self.run("").as_os_str().len() + RunId::LEN + "/s/".len() + SOCKET_NAME
    }

    /// Checks a directory that must exist. Creates nothing.
    pub(crate) fn existing(path: &Path) -> Result<Self, Error> {
        let (top, real) = open(path)?;
        let runs = match top.dir(RUNS) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            other => Some(other?),
        };
        Ok(Self {
            runs,
            top,
            path: real,
        })
    }

    /// Returns the path, with all links resolved.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the directory itself.
    pub(crate) const fn top(&self) -> &Dir {
        &self.top
    }

    /// Returns the directory of the runs. `None` if no host has run here yet.
    pub(crate) const fn runs(&self) -> Option<&Dir> {
        self.runs.as_ref()
    }

    /// Returns the path of a run, or of another entry beside the runs.
    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.path.join(RUNS).join(name)
    }

    /// Returns the directory for damaged databases.
    pub(crate) fn quarantine(&self) -> Result<Dir, Error> {
        self.top.ensure_dir(QUARANTINE)
    }

    /// Returns the runs that have a directory, and the names of unfinished directories.
    pub(crate) fn list(&self) -> Result<(Vec<RunId>, Vec<String>), Error> {
        let (mut ids, mut unfinished) = (Vec::new(), Vec::new());
        let Some(runs) = &self.runs else {
            return Ok((ids, unfinished));
        };
        for name in runs.names()? {
            // All names that the registry creates are UTF-8.
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(UNFINISHED) {
                unfinished.push(name.to_owned());
            } else if let Ok(id) = name.parse() {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok((ids, unfinished))
    }
}

/// Returns `true` if `data_dir` exists and hosts of this user can keep their records in it. Changes
/// nothing.
pub fn is_usable(data_dir: &Path) -> bool {
    DataDir::existing(data_dir).is_ok_and(|data| data.longest_path() <= SOCKET_PATH)
        && access(data_dir, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Opens and checks the directory. Also returns its path with all links resolved.
fn open(path: &Path) -> Result<(Dir, PathBuf), Error> {
    let top = Dir::open(path)?;
    let kind = fstatfs(&top).ok();
    if let Some(kind) = kind.and_then(|fs| network_file_system(fs.filesystem_type().0)) {
        return Err(Error::dir(path, DirProblem::Network(kind)));
    }
    let link = format!("/proc/self/fd/{}", top.as_fd().as_raw_fd());
    let real = fs::read_link(link).map_err(|e| Error::io("resolve", path, e))?;
    Ok((top, real))
}

/// Returns the name of a network file system by the number that statfs reports.
pub(crate) fn network_file_system(magic: i64) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0xFF53_4D42 => Some("CIFS"),
        0xFE53_4D42 => Some("SMB"),
        0x517B => Some("SMB"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x00C3_6400 => Some("Ceph"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0x0102_1994), None, "tmpfs is local");
        assert_eq!(network_file_system(0xEF53), None, "ext4 is local");
    }
}
