//! The tools of a pool, for those who look for one.

use std::sync::Arc;

use tokio::time::timeout_at;

use super::Pool;
use super::shared::Shared;
use super::state::Tools;
use crate::call::CallOptions;
use crate::error::{Error, Phase};
use crate::pool::call::limits::Limits;
use crate::worker::ToolInfo;

impl Pool {
    /// Returns the tools, as described by the latest ready worker. They stay known while no worker
    /// is ready; before the first worker is ready, there are none.
    pub fn tools(&self) -> Vec<ToolInfo> {
        let known = self.shared().known_tools();
        let tools = known.iter().flat_map(|tools| tools.iter());
        tools.cloned().collect()
    }

    /// Looks up a tool by its name. `None` if the pool has none of that name. Before the first
    /// worker is ready, it waits as long as a call with these options may wait for a slot.
    ///
    /// # Errors
    /// [`Error::Timeout`] in [`Phase::Queue`], [`Error::Start`] as soon as the pool gives up,
    /// [`Error::Closed`].
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn find_tool(
        &self,
        name: &str,
        options: &CallOptions,
    ) -> Result<Option<Arc<ToolInfo>>, Error> {
        let shared = self.shared();
        if let Some(tools) = shared.known_tools() {
            return Ok(tools.get(name).cloned());
        }
        let (until, after) = Limits::new(&shared.config, name, options).queue;
        let tools = timeout_at(until, shared.described())
            .await
            .map_err(|_| shared.timeout(Phase::Queue, after))??;
        Ok(tools.get(name).cloned())
    }
}

impl Shared {
    fn known_tools(&self) -> Option<Arc<Tools>> {
        self.lock().tools()
    }

    /// Waits for the first worker that describes its tools.
    async fn described(&self) -> Result<Arc<Tools>, Error> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.lock();
                if let Some(tools) = state.tools() {
                    return Ok(tools);
                }
                if let Some(why) = state.unavailable() {
                    drop(state);
                    return Err(self.unavailable(why));
                }
            }
            changed.await;
        }
    }
}
