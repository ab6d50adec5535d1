//! All state of a host in one handle.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::ConfigError;
use crate::events::Events;
use crate::host_tools::{HostToolConfig, HostTools};
use crate::runtime::current_runtime;
use crate::state::{SessionConfig, Sessions};

/// Settings of [`HostState`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HostStateConfig {
    /// Settings of the sessions.
    pub sessions: SessionConfig,
    /// Settings of the host tools.
    pub tools: HostToolConfig,
}

impl HostStateConfig {
    /// Creates the default settings.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Sessions and host tools of a host. Cheap to clone.
#[derive(Clone)]
pub struct HostState {
    events: Events,
    sessions: Sessions,
    tools: HostTools,
    extensions: Arc<Mutex<Extensions>>,
    sweeper: Arc<Sweeper>,
}

/// Values that other crates keep with the state, one of each type.
type Extensions = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

struct Sweeper {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Stops the sweeping task with the last handle.
    _guard: DropGuard,
}

impl HostState {
    /// Creates empty state. A task sweeps expired sessions until [`close`](Self::close), or until
    /// the last handle is gone.
    ///
    /// # Errors
    /// A setting is out of range; [`NoRuntime`](crate::error::ErrorCode::NoRuntime) without a tokio
    /// runtime that has timers.
    pub fn new(config: HostStateConfig) -> Result<Self, ConfigError> {
        current_runtime()?;
        let events = Events::new();
        let sessions = Sessions::with_events(config.sessions, events.clone())?;
        let tools = HostTools::new(config.tools, &sessions)?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let sweep = sweep(sessions.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(sweep));
        let sweeper = Arc::new(Sweeper {
            tasks,
            _guard: stop.clone().drop_guard(),
            stop,
        });
        Ok(Self {
            events,
            sessions,
            tools,
            extensions: Arc::default(),
            sweeper,
        })
    }

    /// Returns true if both are handles of the same state.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sweeper, &other.sweeper)
    }

    /// The hub that this state and the pools of the host emit events into.
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// The sessions.
    pub const fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The host tools.
    pub const fn tools(&self) -> &HostTools {
        &self.tools
    }

    /// Returns the value of this type that belongs to the state. The first call creates it.
    pub fn extension<T: Any + Send + Sync>(&self, create: impl FnOnce() -> Arc<T>) -> Arc<T> {
        let mut known = self
            .extensions
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(known)) = known
            .get(&TypeId::of::<T>())
            .map(|known| Arc::clone(known).downcast())
        {
            return known;
        }
        let created = create();
        known.insert(TypeId::of::<T>(), created.clone());
        created
    }

    /// Ends all sessions and their watchers; every later operation fails. Running tools are not
    /// waited for.
    ///
    /// # Cancel safety
    /// Once polled, everything has ended; only the end of the sweeping task is waited for.
    pub async fn close(&self) {
        self.sessions.close();
        self.sweeper.stop.cancel();
        self.sweeper.tasks.close();
        self.sweeper.tasks.wait().await;
    }
}

async fn sweep(sessions: Sessions) {
    let mut ticks = interval(sessions.config().sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        sessions.sweep();
    }
}

impl fmt::Debug for HostState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostState")
            .field("sessions", &self.sessions)
            .finish_non_exhaustive()
    }
}
