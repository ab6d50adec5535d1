//! Directories and files that are checked before their contents are trusted.
//!
//! They are opened by descriptor below a directory that was checked itself, without following links
//! and without blocking. The checks are made on the open descriptor: its kind, its owner, that no
//! other user may write to it, and its size. No name is looked up a second time.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};

use crate::error::{DirProblem, Distrust, Error};

/// Permissions for the owner alone.
const PRIVATE_DIR: Mode = Mode::S_IRWXU;
const PRIVATE_FILE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR);

/// An open directory that belongs to this user.
#[derive(Debug)]
pub(crate) struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Identity of a file or directory, independent of its name: device and inode.
pub(crate) type FileId = (u64, u64);

/// Identity of a file, its size and the time of its last change.
pub(crate) type FileVersion = (FileId, i64, i64, i64);

fn id(stat: &FileStat) -> FileId {
    (stat.st_dev, stat.st_ino)
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Returns the identity of an open file.
pub(crate) fn id_of_file(file: &File, path: &Path) -> Result<FileId, Error> {
    let stat = fstat(file).map_err(|e| Error::io("look at", path, e.into()))?;
    Ok(id(&stat))
}

/// Returns the problem if the owner is another user.
fn foreign_owner(owner: u32) -> Option<DirProblem> {
    let us = nix::unistd::geteuid().as_raw();
    (owner != us).then_some(DirProblem::ForeignOwner { owner, us })
}

/// Returns the problem with the owner or the permissions, if there is one.
fn foreign(stat: &FileStat) -> Option<DirProblem> {
    if let Some(problem) = foreign_owner(stat.st_uid) {
        return Some(problem);
    }
    let others = Mode::S_IWGRP | Mode::S_IWOTH;
    Mode::from_bits_truncate(stat.st_mode)
        .intersects(others)
        .then_some(DirProblem::WorldWritable)
}

impl Dir {
    /// Opens a directory by its path. The parents of the last component are trusted: the
    /// administrator decides about them.
    ///
    /// # Errors
    /// [`Error::DataDir`] if the path is a link or no directory, or belongs to another user.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        open_dir(AT_FDCWD, path, path.to_owned())
    }

    /// Opens a subdirectory.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn dir(&self, name: &str) -> Result<Self, Error> {
        open_dir(self.fd.as_fd(), Path::new(name), self.path.join(name))
    }

    /// Creates a subdirectory that must not exist, accessible to its owner alone.
    pub(crate) fn create_dir(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        mkdirat(&self.fd, name, PRIVATE_DIR).map_err(|e| not_made(&path, e))?;
        self.dir(name)
    }

    /// Opens a subdirectory; creates it if it does not exist.
    pub(crate) fn ensure_dir(&self, name: &str) -> Result<Self, Error> {
        let path = self.path.join(name);
        match mkdirat(&self.fd, name, PRIVATE_DIR) {
            Ok(()) | Err(Errno::EEXIST) => self.dir(name),
            Err(e) => Err(not_made(&path, e)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns another handle of the same directory.
    pub(crate) fn try_clone(&self) -> Result<Self, Error> {
        let fd = self.fd.try_clone();
        let fd = fd.map_err(|e| Error::io("open", &self.path, e))?;
        Ok(Self {
            fd,
            path: self.path.clone(),
        })
    }

    /// Returns the identity of the directory.
    pub(crate) fn id(&self) -> Result<FileId, Error> {
        let stat = fstat(&self.fd).map_err(|e| Error::io("look at", &self.path, e.into()))?;
        Ok(id(&stat))
    }

    /// Returns the directory as a file, to examine its times.
    pub(crate) fn reopen(&self) -> io::Result<File> {
        Ok(File::from(self.fd.try_clone()?))
    }

    /// Returns the identity of the file or directory that has this name now. `None` if there is
    /// none.
    pub(crate) fn id_of(&self, name: &str) -> Option<FileId> {
        let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        stat.ok().map(|stat| id(&stat))
    }

    /// Returns the version of the file with this name. It changes when the file is written to.
    pub(crate) fn version_of(&self, name: &str) -> Option<FileVersion> {
        let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
        Some((id(&stat), stat.st_size, stat.st_mtime, stat.st_mtime_nsec))
    }

    /// Opens a file for reading. `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Untrusted`] if it is not a regular file of this user or is larger than `limit`
    /// bytes.
    pub(crate) fn file(&self, name: &str, limit: u64) -> Result<Option<File>, Error> {
        let flags = OFlag::O_RDONLY;
        match self.open_file(name, flags, limit) {
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(Error::io("open", self.path.join(name), e.into())),
            Ok(file) => file.map(Some),
        }
    }

    /// Opens a file to lock it; creates it if it does not exist.
    ///
    /// # Errors
    /// As for [`file`](Self::file).
    pub(crate) fn lock_file(&self, name: &str) -> Result<File, Error> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT;
        self.open_file(name, flags, u64::MAX)
            .map_err(|e| Error::io("open", self.path.join(name), e.into()))?
    }

    /// Creates a file that must not exist.
    pub(crate) fn create(&self, name: &str) -> Result<File, Error> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL;
        self.open_file(name, flags, u64::MAX)
            .map_err(|e| Error::io("create", self.path.join(name), e.into()))?
    }

    fn open_file(
        &self,
        name: &str,
        flags: OFlag,
        limit: u64,
    ) -> Result<Result<File, Error>, Errno> {
        let path = self.path.join(name);
        let refuse = |problem| {
            Ok(Err(Error::Untrusted {
                path: path.clone(),
                problem,
            }))
        };
        // `O_NONBLOCK` keeps a pipe or a device from blocking the caller.
        let safe = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let file = match openat(&self.fd, name, flags | safe, PRIVATE_FILE) {
            Err(Errno::ELOOP) => return refuse(Distrust::Link),
            // The errors for a pipe without a reader, a directory or a socket.
            Err(Errno::ENXIO | Errno::EISDIR | Errno::ENODEV) => return refuse(Distrust::Kind),
            other => File::from(other?),
        };
        let stat = fstat(&file)?;
        if kind(&stat) != SFlag::S_IFREG {
            return refuse(Distrust::Kind);
        }
        if let Some(problem) = foreign(&stat) {
            return refuse(Distrust::Foreign(problem));
        }
        let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
        if size > limit {
            return refuse(Distrust::Size { size, limit });
        }
        Ok(Ok(file))
    }

    /// Reads a file. `None` if there is none.
    ///
    /// # Errors
    /// As for [`file`](Self::file).
    pub(crate) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(file) = self.file(name, limit)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // The file may grow after its size was checked.
        let read = file.take(limit).read_to_end(&mut bytes);
        read.map_err(|e| Error::io("read", self.path.join(name), e))?;
        Ok(Some(bytes))
    }

    /// Moves a file or directory to another name, or into another directory.
    pub(crate) fn rename(&self, name: &str, to: &Self, new: &str) -> Result<(), Error> {
        renameat(&self.fd, name, &to.fd, new)
            .map_err(|e| Error::io("move to", to.path.join(new), e.into()))
    }

    /// Removes a file, or a directory with its contents. Links are removed, not followed. Succeeds
    /// if there is none.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.reach(Path::new(name));
        let removed = match fs::remove_dir_all(&path) {
            Err(e) if e.raw_os_error() == Some(libc::ENOTDIR) => fs::remove_file(&path),
            other => other,
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", self.path.join(name), e))
            }
            _ => Ok(()),
        }
    }

    /// Returns the names of the entries.
    pub(crate) fn names(&self) -> Result<Vec<OsString>, Error> {
        let listed = fs::read_dir(self.reach(Path::new("."))).and_then(Iterator::collect);
        let entries: Vec<fs::DirEntry> = listed.map_err(|e| Error::io("list", &self.path, e))?;
        Ok(entries.iter().map(fs::DirEntry::file_name).collect())
    }

    /// Checks that an entry is a socket of this user.
    ///
    /// # Errors
    /// [`Error::Untrusted`] if it is not, [`Error::Io`] if there is none.
    pub(crate) fn check_socket(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let stat = fstatat(&self.fd, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let stat = stat.map_err(|e| Error::io("find", &path, e.into()))?;
        let problem = match kind(&stat) {
            SFlag::S_IFSOCK => foreign_owner(stat.st_uid).map(Distrust::Foreign),
            SFlag::S_IFLNK => Some(Distrust::Link),
            _ => Some(Distrust::NoSocket),
        };
        match problem {
            Some(problem) => Err(Error::Untrusted { path, problem }),
            None => Ok(()),
        }
    }

    /// Checks that the process behind one of its sockets belongs to this user.
    ///
    /// # Errors
    /// [`Error::Untrusted`] if it does not.
    pub(crate) fn check_peer(&self, name: &str, uid: u32) -> Result<(), Error> {
        match foreign_owner(uid) {
            Some(problem) => Err(Error::Untrusted {
                path: self.path.join(name),
                problem: Distrust::Foreign(problem),
            }),
            None => Ok(()),
        }
    }

    /// Returns a path through the descriptor, which stays valid if the directory is moved.
    pub(crate) fn reach(&self, name: &Path) -> PathBuf {
        Path::new(&format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name)
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open_dir(at: BorrowedFd<'_>, name: &Path, path: PathBuf) -> Result<Dir, Error> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd = match openat(at, name, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(e @ (Errno::ENOTDIR | Errno::ELOOP)) => {
            let stat = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW);
            let problem = match stat.map(|stat| kind(&stat)) {
                Ok(SFlag::S_IFLNK) => DirProblem::Symlink,
                Ok(_) => DirProblem::NotADirectory,
                Err(_) => return Err(Error::io("open", path, e.into())),
            };
            return Err(Error::dir(&path, problem));
        }
        Err(Errno::EACCES) => {
            // An unreadable directory usually belongs to another user.
            let stat = fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok();
            if let Some(problem) = stat.as_ref().and_then(foreign) {
                return Err(Error::dir(&path, problem));
            }
            return Err(Error::io("open", path, Errno::EACCES.into()));
        }
        Err(e) => return Err(Error::io("open", path, e.into())),
    };
    let stat = fstat(&fd).map_err(|e| Error::io("look at", &path, e.into()))?;
    match foreign(&stat) {
        Some(problem) => Err(Error::dir(&path, problem)),
        None => Ok(Dir { fd, path }),
    }
}

fn not_made(path: &Path, errno: Errno) -> Error {
    match errno {
        Errno::EEXIST | Errno::ENOSPC | Errno::EDQUOT | Errno::EMFILE | Errno::ENFILE => {
            Error::io("create", path, errno.into())
        }
        _ => Error::dir(path, DirProblem::NotWritable(errno.desc().to_owned())),
    }
}
