//! The thread of the exporters, with a runtime of its own, so that a busy application does not
//! delay them and they do not delay it.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The running thread. Dropping this stops it.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    tasks: TaskTracker,
    stop: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("snakepit-telemetry".to_owned());
        let thread = thread.spawn(move || {
            // Logs and traces of the exporters must not be exported: each export would cause
            // another one.
            #[cfg(feature = "otlp")]
            let _suppressed = opentelemetry::Context::enter_telemetry_suppressed_scope();
            runtime.block_on(stopped.cancelled());
            runtime.shutdown_background();
        })?;
        Ok(Self {
            handle,
            tasks: TaskTracker::new(),
            stop,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(crate) const fn parts(&self) -> (&Handle, &TaskTracker, &CancellationToken) {
        (&self.handle, &self.tasks, &self.stop)
    }

    #[cfg(feature = "otlp")]
    pub(crate) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends all tasks and waits for the thread.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // The thread panics only if the runtime does.
        let _ = thread.take().map(JoinHandle::join);
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
