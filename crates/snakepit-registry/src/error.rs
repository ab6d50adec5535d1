//! All errors of the registry, each with a stable code and one thing to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::containment::{Containment, Refusal};

/// The reason an operation of the registry failed. A code never changes its meaning; a message may.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory cannot be used.
    #[error("data directory {path} {problem}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The problem with it.
        problem: DirProblem,
    },
    /// A file operation failed.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// The operation, for example `open`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error that the system returned.
        source: Arc<io::Error>,
    },
    /// A file in the data directory does not belong to this user. Nothing was read from it.
    #[error("{path} is not trusted: {problem}")]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// The problem with it.
        problem: Distrust,
    },
    /// The database has no room for another record; nothing was written.
    #[error("the process registry {path} is full: {limit}")]
    Full {
        /// The database directory.
        path: PathBuf,
        /// The limit that was reached.
        limit: Limit,
    },
    /// The database of a run is damaged.
    #[error("the process registry {path} is damaged: {detail}")]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// The damage that was found.
        detail: String,
    },
    /// The database was written in another format.
    #[error("the process registry {path} has format {found}, this program reads {expected}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The format that was found.
        found: u32,
        /// The format of this program.
        expected: u32,
    },
    /// The registry is closed, or its writer thread has ended.
    #[error("the process registry is closed")]
    Closed,
    /// The spawn gate is closed: no further process can be started.
    #[error("no process is started any more: the spawn gate is closed")]
    GateClosed,
    /// A worker id is empty, too long or holds control characters.
    #[error("worker id {id:?} is not usable: {problem}")]
    WorkerId {
        /// The id.
        id: String,
        /// The problem with it.
        problem: &'static str,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {problem}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The reason.
        problem: SpawnProblem,
    },
    /// The chosen containment does not work here. No other mode was used instead.
    #[error("containment `{mode}` does not work here: {refusal}")]
    Containment {
        /// The mode.
        mode: Containment,
        /// The reason.
        refusal: Refusal,
    },
    /// A thread of the registry could not be started.
    #[error("cannot start the registry's {name} thread: {source}")]
    Thread {
        /// The name of the thread.
        name: &'static str,
        /// The error that the system returned.
        source: Arc<io::Error>,
    },
}

/// The problem with a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirProblem {
    /// The path is a symbolic link.
    Symlink,
    /// The path exists and is not a directory.
    NotADirectory,
    /// The directory belongs to another user.
    ForeignOwner {
        /// The id of that user.
        owner: u32,
        /// The id of this process's user.
        us: u32,
    },
    /// The group of the directory or all users may write to it.
    WorldWritable,
    /// The directory cannot be created or written to.
    NotWritable(
        /// The error that the system returned.
        String,
    ),
    /// The directory lies on a network file system, where locks are unreliable.
    Network(
        /// The kind of file system.
        &'static str,
    ),
    /// The path is too long for the sockets below it.
    TooLong {
        /// Bytes that the longest socket path would have.
        bytes: usize,
        /// Bytes that a socket path may have.
        limit: usize,
    },
}

impl fmt::Display for DirProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symlink => f.write_str("is a symbolic link"),
            Self::NotADirectory => f.write_str("is not a directory"),
            Self::ForeignOwner { owner, us } => {
                write!(f, "belongs to user {owner}, this program runs as user {us}")
            }
            Self::WorldWritable => f.write_str("is writable by its group or by all users"),
            Self::NotWritable(why) => write!(f, "cannot be written to: {why}"),
            Self::Network(kind) => write!(f, "lies on a network file system ({kind})"),
            Self::TooLong { bytes, limit } => {
                write!(
                    f,
                    "is too long: its sockets need {bytes} bytes, {limit} are possible"
                )
            }
        }
    }
}

/// The reason a file is not trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Distrust {
    /// The name is a symbolic link.
    Link,
    /// The file is not a regular file.
    Kind,
    /// The file is not a socket.
    NoSocket,
    /// The file belongs to another user, or other users may write to it.
    Foreign(
        /// The problem with its owner or its permissions.
        DirProblem,
    ),
    /// The file is larger than the registry ever writes.
    Size {
        /// Size of the file in bytes.
        size: u64,
        /// Largest accepted size in bytes.
        limit: u64,
    },
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str("it is a symbolic link"),
            Self::Kind => f.write_str("it is not a regular file"),
            Self::NoSocket => f.write_str("it is not a socket"),
            Self::Foreign(problem) => write!(f, "it {problem}"),
            Self::Size { size, limit } => write!(f, "it has {size} bytes, {limit} are possible"),
        }
    }
}

/// The limit that kept the database from growing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The space of the file system, a quota, or the limit for the size of a file.
    Disk,
    /// The largest size that the database may grow to.
    Map,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk => "no space left on the file system",
            Self::Map => "the database has reached its largest size",
        })
    }
}

/// The reason a program could not be started.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SpawnProblem {
    /// The path is not absolute.
    NotAbsolute,
    /// There is no such file.
    NotFound,
    /// The file may not be executed.
    NotExecutable,
    /// The file has no format that the system can run, or its interpreter is missing.
    BadFormat,
    /// The working directory does not exist or may not be entered.
    WorkingDir(
        /// The directory.
        PathBuf,
    ),
    /// An argument or a variable contains a NUL byte, or the name of a variable contains `=`.
    BadArgument(
        /// The text.
        String,
    ),
    /// The system had no process, descriptor or memory to spare during the whole retry time.
    Resources(
        /// The last error that the system returned.
        Arc<io::Error>,
    ),
    /// The process ended before it could be identified.
    Vanished,
    /// Any other error.
    Other(
        /// The error that the system returned.
        Arc<io::Error>,
    ),
}

impl fmt::Display for SpawnProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("the path is not absolute"),
            Self::NotFound => f.write_str("there is no such file"),
            Self::NotExecutable => f.write_str("the file may not be executed"),
            Self::BadFormat => {
                f.write_str("it is not an executable program, or its interpreter is missing")
            }
            Self::WorkingDir(dir) => {
                write!(
                    f,
                    "the working directory {} cannot be entered",
                    dir.display()
                )
            }
            Self::BadArgument(text) => {
                write!(
                    f,
                    "{text:?} is not a valid argument or name of an environment variable"
                )
            }
            Self::Resources(error) => write!(f, "the system is out of resources: {error}"),
            Self::Vanished => f.write_str("the process ended immediately"),
            Self::Other(error) => write!(f, "{error}"),
        }
    }
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>, error: io::Error) -> Self {
        let path = path.into();
        if is_disk_full(&error) {
            return Self::Full {
                path,
                limit: Limit::Disk,
            };
        }
        Self::Io {
            what,
            path,
            source: Arc::new(error),
        }
    }

    pub(crate) fn dir(path: &Path, problem: DirProblem) -> Self {
        Self::DataDir {
            path: path.to_owned(),
            problem,
        }
    }

    pub(crate) fn spawn(program: &Path, problem: SpawnProblem) -> Self {
        Self::Spawn {
            program: program.to_owned(),
            problem,
        }
    }

    /// Returns `true` if a file or directory belongs to another user or could be changed by one.
    pub(crate) const fn is_distrust(&self) -> bool {
        matches!(self, Self::Untrusted { .. } | Self::DataDir { .. })
    }

    /// Returns the stable code, for example `SP6004`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DataDir { .. } => "SP6001",
            Self::Io { .. } => "SP6002",
            Self::Full { .. } => "SP6003",
            Self::Corrupt { .. } => "SP6004",
            Self::Version { .. } => "SP6005",
            Self::Closed => "SP6006",
            Self::GateClosed => "SP6007",
            Self::WorkerId { .. } => "SP6008",
            Self::Spawn { .. } => "SP6009",
            Self::Thread { .. } => "SP6010",
            Self::Containment { .. } => "SP6011",
            Self::Untrusted { .. } => "SP6012",
        }
    }

    /// Returns one thing to do about the error.
    pub const fn help(&self) -> &'static str {
        match self {
            Self::DataDir { problem, .. } => match problem {
                DirProblem::TooLong { .. } => "choose a data directory with a shorter path",
                DirProblem::Network(_) => "choose a data directory on a local file system",
                DirProblem::WorldWritable => "remove the write permission of others (chmod go-w)",
                DirProblem::Symlink => "name the directory that the link points to",
                _ => "choose a directory that belongs to the user of this program",
            },
            Self::Untrusted { .. } => "find out which program or user created it, and remove it",
            Self::Io { .. } => "check the permissions and the health of the file system",
            Self::Full { .. } => "free space in the data directory's file system",
            Self::Corrupt { .. } => "start again: the sweep moves damaged files to quarantine",
            Self::Version { .. } => "start again: the sweep moves files of other formats away",
            Self::Closed | Self::GateClosed => "open a new registry",
            Self::WorkerId { .. } => "use 1 to 128 bytes without control characters",
            Self::Spawn { problem, .. } => match problem {
                SpawnProblem::Resources(_) => "raise the limits of processes and open files",
                SpawnProblem::NotAbsolute => "give the program's absolute path",
                _ => "check the program with `ls -l` and by starting it by hand",
            },
            Self::Thread { .. } => "raise the limit of processes (ulimit -u)",
            Self::Containment { mode, .. } => mode.help(),
        }
    }
}

/// Returns `true` if the error means that no space is left.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG)
    )
}
