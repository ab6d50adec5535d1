//! The directory that all hosts of a user share, and whether it can be trusted.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::error::{DirProblem, Error};
use crate::run_id::RunId;

/// Bytes of a socket's path on Linux, without the final NUL.
const SOCKET_PATH: usize = 107;
/// Longest name of a socket in [`Registry::socket_dir`](crate::Registry::socket_dir), in bytes.
pub const SOCKET_NAME: usize = 16;

/// A checked data directory.
#[derive(Clone, Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Creates the directory where needed and checks it.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Error> {
        let refuse = |problem| Err(Error::dir(path, problem));
        // A link is refused before it is followed; above the last part the owner of the machine
        // decides, for example with /var/run.
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
        let data = Self::existing(path)?;
        if let Err(e) = access(&data.path, AccessFlags::W_OK | AccessFlags::X_OK) {
            return refuse(DirProblem::NotWritable(e.desc().to_owned()));
        }
        for dir in [data.runs(), data.quarantine()] {
            match DirBuilder::new().mode(0o700).create(&dir) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    return refuse(DirProblem::NotWritable(e.to_string()));
                }
                _ => check(&dir)?,
            }
        }
        let bytes = data.run("").as_os_str().len() + RunId::LEN + "/s/".len() + SOCKET_NAME;
        if bytes > SOCKET_PATH {
            return refuse(DirProblem::TooLong {
                bytes,
                limit: SOCKET_PATH,
            });
        }
        Ok(data)
    }

    /// Checks a directory that must exist and creates nothing.
    pub(crate) fn existing(path: &Path) -> Result<Self, Error> {
        check(path)?;
        if let Some(kind) = nix::sys::statfs::statfs(path)
            .ok()
            .and_then(|fs| network_file_system(fs.filesystem_type().0))
        {
            return Err(Error::dir(path, DirProblem::Network(kind)));
        }
        let path = fs::canonicalize(path).map_err(|e| Error::io("resolve", path, e))?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.path.join("runs")
    }

    pub(crate) fn run(&self, name: &str) -> PathBuf {
        self.runs().join(name)
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.path.join("quarantine")
    }

    pub(crate) fn sweep_lock(&self) -> PathBuf {
        self.path.join("sweep.lock")
    }

    /// The runs that have a directory, and the names of directories that are not finished.
    pub(crate) fn list(&self) -> Result<(Vec<RunId>, Vec<PathBuf>), Error> {
        let runs = self.runs();
        let entries = match fs::read_dir(&runs) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            Err(e) => return Err(Error::io("list", runs, e)),
        };
        let (mut ids, mut unfinished) = (Vec::new(), Vec::new());
        for entry in entries.flatten() {
            let name = entry.file_name();
            if name.as_bytes().starts_with(b".tmp-") {
                unfinished.push(entry.path());
            } else if let Some(id) = name.to_str().and_then(|name| name.parse().ok()) {
                ids.push(id);
            }
        }
        ids.sort_unstable();
        Ok((ids, unfinished))
    }
}

/// A directory of ours: no link, ours, and nobody else can rename what is in it.
fn check(path: &Path) -> Result<(), Error> {
    let refuse = |problem| Err(Error::dir(path, problem));
    let meta = fs::symlink_metadata(path).map_err(|e| Error::io("look at", path, e))?;
    let us = nix::unistd::geteuid().as_raw();
    if meta.file_type().is_symlink() {
        return refuse(DirProblem::Symlink);
    }
    if !meta.is_dir() {
        return refuse(DirProblem::NotADirectory);
    }
    if meta.uid() != us {
        return refuse(DirProblem::ForeignOwner {
            owner: meta.uid(),
            us,
        });
    }
    if meta.mode() & 0o1002 == 0o0002 {
        return refuse(DirProblem::WorldWritable);
    }
    Ok(())
}

/// The name of a network file system, by the number that statfs gives.
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
