//! A Unix socket that only this user can reach.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::ServeError;

/// The file of a socket, which is removed on drop.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
    uid: u32,
}

impl Socket {
    /// Listens on a path.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub(super) fn bind(path: &Path) -> Result<(Self, UnixListener), ServeError> {
        let fault = |source| ServeError::Bind {
            address: path.display().to_string(),
            source,
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fault(error)),
            _ => {}
        }
        check_mode(directory)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path).map_err(fault)?;
        let metadata = fs::symlink_metadata(path).map_err(fault)?;
        let socket = Self {
            path: path.to_owned(),
            file: (metadata.dev(), metadata.ino()),
            uid: metadata.uid(),
        };
        // The owner of the new file is the user that this process acts as.
        if fs::metadata(directory).map_err(fault)?.uid() != socket.uid {
            return Err(directory_fault(directory, "belongs to another user"));
        }
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(fault)?;
        Ok((socket, listener))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the user that this process acts as.
    pub(super) const fn uid(&self) -> u32 {
        self.uid
    }
}

/// Listens on a name in the abstract namespace. Returns the listener, and the user that this
/// process acts as.
#[cfg(target_os = "linux")]
pub(super) fn bind_abstract(name: &str) -> io::Result<(UnixListener, u32)> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener as Listener};
    let listener = Listener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    // The kernel reports this process as the peer of its own connections.
    let (one, _other) = UnixStream::pair()?;
    one.set_nonblocking(true)?;
    let uid = tokio::net::UnixStream::from_std(one)?.peer_cred()?.uid();
    Ok((UnixListener::from_std(listener)?, uid))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn bind_abstract(_: &str) -> io::Result<(UnixListener, u32)> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Another server may have replaced the socket.
        let own = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.file);
        if own {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn directory_fault(path: &Path, reason: impl Into<String>) -> ServeError {
    ServeError::Directory {
        path: path.to_owned(),
        reason: reason.into(),
    }
}

fn check_mode(directory: &Path) -> Result<(), ServeError> {
    let metadata = fs::symlink_metadata(directory)
        .map_err(|error| directory_fault(directory, format!("cannot be used: {error}")))?;
    if !metadata.is_dir() {
        return Err(directory_fault(directory, "is not a directory"));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        let reason = format!("has mode {mode:o}, which gives other users access; it must be 700");
        return Err(directory_fault(directory, reason));
    }
    Ok(())
}

/// Removes the socket of a server that has ended.
fn remove_stale(path: &Path) -> Result<(), ServeError> {
    let fault = |source| ServeError::Bind {
        address: path.display().to_string(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(ServeError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fault)
        }
        _ => Err(ServeError::InUse(path.to_owned())),
    }
}
