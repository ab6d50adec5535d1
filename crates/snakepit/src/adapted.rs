//! Pools with an adapter, and pools of profiles that are created with the resources of their host.

use std::sync::Arc;

use snakepit_core::worker::{AdaptedProfile, Adapter};

use crate::{PoolConfig, WorkerProfile};

/// Applies an adapter to the workers of a profile. The adapter's timeout for a command becomes the
/// timeout of the tool of that name, unless the settings of the pool contain one.
pub(crate) fn apply(
    adapter: Arc<dyn Adapter>,
    config: &mut PoolConfig,
    profile: Arc<dyn WorkerProfile>,
) -> Arc<dyn WorkerProfile> {
    for command in adapter.supported_commands().into_iter().flatten() {
        if let Some(time) = adapter.command_timeout(&command) {
            let tool = config.tools.entry(command).or_default();
            tool.timeout.get_or_insert(time);
        }
    }
    Arc::new(AdaptedProfile::new(profile, adapter))
}

#[cfg(feature = "process")]
impl crate::PoolBuilder {
    /// Creates a pool whose workers are started by a profile of this program. The factory creates
    /// it with the resources of the host, so that its processes are recorded and contained like
    /// those of other pools.
    pub fn with_factory(
        config: PoolConfig,
        factory: Arc<dyn snakepit_profiles::ProfileFactory>,
    ) -> Self {
        Self::of_source(config, crate::source::Source::Factory(factory))
    }
}
