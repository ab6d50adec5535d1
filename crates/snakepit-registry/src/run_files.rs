//! What a host keeps in its run's directory beside its records: sockets and files that others may look at.

use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::error::Error;
use crate::registry::Registry;
use crate::shared_words::SharedWords;

impl Registry {
    /// Listens on a socket of this name, of at most [`SOCKET_NAME`](crate::SOCKET_NAME) bytes, in the run's directory of sockets, which
    /// has mode 0700. One of this name that is there is replaced. The name goes with the run.
    ///
    /// # Errors
    /// The directory is gone or not ours, or the system has no socket to give.
    pub fn listen(&self, name: &str) -> Result<UnixListener, Error> {
        let sockets = self.inner.run.open_sockets()?;
        sockets.remove(name)?;
        // Through the descriptor: the path may be too long for an address, and lead elsewhere by now.
        let listening = UnixListener::bind(sockets.reach(Path::new(name)));
        listening.map_err(|e| Error::io("listen on", sockets.path().join(name), e))
    }

    /// Makes a file of so many words in the run's directory and maps it into memory: what is written to it is there for others, also
    /// when this process is killed. One of this name that is there is replaced.
    ///
    /// # Errors
    /// The file cannot be made, or there is no room for it.
    pub fn share_words(&self, name: &str, words: usize) -> Result<SharedWords, Error> {
        let dir = self.inner.run.open()?;
        dir.remove(name)?;
        let file = dir.create(name)?;
        SharedWords::map(&file, words).map_err(|e| Error::io("map", dir.path().join(name), e))
    }
}
