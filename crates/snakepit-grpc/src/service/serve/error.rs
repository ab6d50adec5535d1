//! Why a server cannot listen.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address can be reached from other machines, and there is no TLS.
    #[error("{0} is not a loopback address, and without TLS the token would travel in the clear")]
    NotLoopback(SocketAddr),
    /// The operating system refuses the address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Another server listens on this socket.
    #[error("another server listens on {}", .0.display())]
    InUse(PathBuf),
    /// The path belongs to something that is not a socket.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket's directory is open to others, of another user, or no directory.
    #[error("the directory {} {reason}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}
