//! Sockets and files that a host publishes in its run's directory, beside the records.

use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::error::Error;
use crate::registry::Registry;
use crate::shared_words::SharedWords;

impl Registry {
    /// Listens on a socket in the run's directory of sockets, which has mode 0700. The name may
    /// have up to [`SOCKET_NAME`](crate::SOCKET_NAME) bytes. An existing socket of this name is
    /// replaced. The socket's file is removed with the run.
    ///
    /// # Errors
    /// The directory is gone or not trusted, or the system cannot create the socket.
    pub fn listen(&self, name: &str) -> Result<UnixListener, Error> {
        let sockets = self.inner.run.open_sockets()?;
        sockets.remove(name)?;
        // Bound through the descriptor: the path may be too long for an address, or lead elsewhere
        // by now.
        let listening = UnixListener::bind(sockets.reach(Path::new(name)));
        listening.map_err(|e| Error::io("listen on", sockets.path().join(name), e))
    }

    /// Creates a file of `words` words in the run's directory and maps it into memory. Other
    /// processes can read the written words in the file, even after this process was killed. An
    /// existing file of this name is replaced.
    ///
    /// # Errors
    /// The file cannot be created, or the file system has no room for it.
    pub fn share_words(&self, name: &str, words: usize) -> Result<SharedWords, Error> {
        let dir = self.inner.run.open()?;
        dir.remove(name)?;
        let file = dir.create(name)?;
        SharedWords::map(&file, words).map_err(|e| Error::io("map", dir.path().join(name), e))
    }
}
