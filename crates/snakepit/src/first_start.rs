//! While the whole starts, the first failure counts.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use snakepit_core::{Containment, StartContext, Worker};

use crate::{HostState, StartError, WorkerProfile};

/// A profile whose failures are permanent until [`Starting`] is dropped: somebody waits for the start and wants to know why it failed, not
/// to see it tried again with growing pauses.
#[derive(Debug)]
pub(crate) struct FirstStart {
    inner: Arc<dyn WorkerProfile>,
    /// The state of the host, for profiles that have none.
    state: HostState,
    over: Arc<AtomicBool>,
}

/// As long as it lives, the start is going on.
#[derive(Debug)]
pub(crate) struct Starting(Arc<AtomicBool>);

impl FirstStart {
    pub(crate) fn new(inner: Arc<dyn WorkerProfile>, state: HostState) -> (Self, Starting) {
        let over = Arc::<AtomicBool>::default();
        (
            Self {
                inner,
                state,
                over: Arc::clone(&over),
            },
            Starting(over),
        )
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl WorkerProfile for FirstStart {
    fn slots(&self) -> NonZeroU16 {
        self.inner.slots()
    }

    fn containment(&self) -> Containment {
        self.inner.containment()
    }

    fn state(&self) -> Option<HostState> {
        self.inner.state().or_else(|| Some(self.state.clone()))
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        self.inner.start(context).await.map_err(|mut error| {
            error.permanent |= !self.over.load(Ordering::Relaxed);
            error
        })
    }
}
