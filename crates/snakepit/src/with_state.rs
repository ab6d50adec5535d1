//! A profile that carries the state of the host, for profiles without a state.

use std::num::NonZeroU16;
use std::sync::Arc;

use async_trait::async_trait;
use snakepit_core::worker::{Containment, StartContext, Worker};

use crate::{HostState, StartError, WorkerProfile};

/// A profile whose workers' tools use the state of the host, unless the profile has its own.
#[derive(Debug)]
pub(crate) struct WithState {
    inner: Arc<dyn WorkerProfile>,
    state: HostState,
}

impl WithState {
    pub(crate) const fn new(inner: Arc<dyn WorkerProfile>, state: HostState) -> Self {
        Self { inner, state }
    }
}

#[async_trait]
impl WorkerProfile for WithState {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

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
        self.inner.start(context).await
    }
}
