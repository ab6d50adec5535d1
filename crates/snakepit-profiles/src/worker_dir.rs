//! `WorkerDir`: the private directory of one worker.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use snakepit_core::error::{ErrorCode, StartError};

use crate::ground;
use crate::run::Run;

/// Number of the next directory of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of mode 0700 with a short path, for the sockets and files of one worker. Dropping
/// it removes the directory.
#[derive(Debug)]
pub struct WorkerDir(PathBuf);

impl WorkerDir {
    pub(crate) async fn create(run: &Run) -> Result<Self, StartError> {
        let run = run.clone();
        let creating = tokio::task::spawn_blocking(move || Self::make(&run));
        creating.await.map_err(|_| ground::closing())?
    }

    fn make(run: &Run) -> Result<Self, StartError> {
        let registry = run.registry();
        // It creates directories again that a cleaner of temporary files has removed. If that
        // fails, so does the next step.
        let _ = registry.mend();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = registry.socket_dir().join(format!("c{number}"));
        let created = DirBuilder::new().mode(0o700).create(&path);
        created.map_err(|error| {
            let message = format!(
                "the directory {} cannot be created: {error}",
                path.display()
            );
            let mut error = StartError::new(ErrorCode::StartFailed, message);
            error.help = Some("set TMPDIR to a short, writable path".to_owned());
            error
        })?;
        Ok(Self(path))
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkerDir {
    fn drop(&mut self) {
        // What remains is removed with the run.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
