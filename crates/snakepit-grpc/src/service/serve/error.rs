//! The errors of starting a server.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines, and the server has no TLS.
    #[error(
        "{0} is not a loopback address, and without TLS the token would travel in the clear; use \
         `serve_tls` (feature `tls`)"
    )]
    NotLoopback(SocketAddr),
    /// The operating system refuses the address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: String,
        /// The error that the system returned.
        source: io::Error,
    },
    /// Another server listens on this socket.
    #[error("another server listens on {}", .0.display())]
    InUse(PathBuf),
    /// The path names a file that is not a socket.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket's directory is accessible to others, belongs to another user, or is not a
    /// directory.
    #[error("the directory {} {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The problem with it.
        reason: String,
    },
}
