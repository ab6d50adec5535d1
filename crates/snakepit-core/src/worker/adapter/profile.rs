//! `AdaptedProfile`: a profile whose workers have an adapter.

use std::num::NonZeroU16;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;

use super::Adapter;
use super::worker::AdaptedWorker;
use crate::error::{ErrorCode, StartError};
use crate::host_tools::HostState;
use crate::worker::{Containment, StartContext, ToolInfo, Worker, WorkerInfo, WorkerProfile};

/// Starts the workers of another profile, and applies an [`Adapter`] to their calls.
#[derive(Clone, Debug)]
pub struct AdaptedProfile {
    inner: Arc<dyn WorkerProfile>,
    adapter: Arc<dyn Adapter>,
    /// The tools that may be called. `None` for all.
    supported: Option<Arc<[String]>>,
}

impl AdaptedProfile {
    /// Applies `adapter` to the workers of `inner`.
    pub fn new(inner: Arc<dyn WorkerProfile>, adapter: Arc<dyn Adapter>) -> Self {
        let supported = adapter.supported_commands().map(Arc::from);
        Self {
            inner,
            adapter,
            supported,
        }
    }

    /// Returns the description of a worker with its supported tools only. A worker that does not
    /// describe itself has all of them.
    fn described(&self, mut info: WorkerInfo) -> WorkerInfo {
        if let Some(supported) = &self.supported {
            if info.tools.is_empty() {
                info.tools = supported.iter().map(|name| named(name)).collect();
            }
            info.tools.retain(|tool| supported.contains(&tool.name));
        }
        for tool in &mut info.tools {
            self.adapter.describe(tool);
        }
        info
    }
}

fn named(name: &str) -> ToolInfo {
    ToolInfo {
        name: name.to_owned(),
        ..ToolInfo::default()
    }
}

#[async_trait]
impl WorkerProfile for AdaptedProfile {
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
        self.inner.state()
    }

    async fn start(&self, context: StartContext) -> Result<Arc<dyn Worker>, StartError> {
        let worker = self.inner.start(context).await?;
        let info = worker.info().clone();
        let info = catch_unwind(AssertUnwindSafe(|| self.described(info))).map_err(|_| {
            let message = "the adapter panicked in `describe`";
            StartError::new(ErrorCode::StartFailed, message)
        })?;
        Ok(Arc::new(AdaptedWorker {
            inner: worker,
            adapter: Arc::clone(&self.adapter),
            supported: self.supported.clone(),
            info,
        }))
    }
}
