//! Functions of the host that workers may call.

mod args;
mod call;
mod config;
mod context;
mod error;
mod failure;
mod host_state;
mod journal;
mod registry;
mod tool;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use futures_core::Stream;
use tokio::sync::Semaphore;

use crate::call::CallObserver;
use crate::config::ConfigError;
use crate::error::ToolError;
use crate::id::SessionId;
use crate::state::{Session, Sessions};
use crate::value::Payload;
pub use config::HostToolConfig;
pub use context::{ToolCall, ToolContext};
pub use error::RegisterError;
pub use failure::{ToolFailure, ToolResult};
pub use host_state::{HostState, HostStateConfig};
use registry::Registry;
pub use tool::{HostTool, HostToolInfo};

/// An error on its way to the caller.
type Fault = Box<ToolError>;

fn fault(error: impl Into<ToolError>) -> Fault {
    Box::new(error.into())
}

/// Results of one streaming host tool. The stream ends after the last result or after the first
/// error. Dropping it ends the tool.
pub type ToolStream = Pin<Box<dyn Stream<Item = Result<Payload, Box<ToolError>>> + Send>>;

/// The functions of a host that workers may call. Cheap to clone.
///
/// A tool is global or belongs to one session. A session's tool is removed with its session, and
/// hides a global tool of the same name.
#[derive(Clone)]
pub struct HostTools {
    inner: Arc<Inner>,
}

struct Inner {
    config: HostToolConfig,
    sessions: Sessions,
    registry: Registry,
    /// Permits for the threads of synchronous tools.
    blocking: Arc<Semaphore>,
    observer: OnceLock<Arc<dyn CallObserver>>,
}

impl HostTools {
    /// Creates an empty registry for these sessions.
    ///
    /// # Errors
    /// A setting is out of range.
    pub fn new(config: HostToolConfig, sessions: &Sessions) -> Result<Self, ConfigError> {
        config.validate()?;
        let inner = Arc::new(Inner {
            registry: Registry::new(config.max_tools),
            blocking: Arc::new(Semaphore::new(config.max_blocking)),
            sessions: sessions.clone(),
            config,
            observer: OnceLock::new(),
        });
        let tools = Arc::downgrade(&inner);
        sessions.on_end(move |id, generation, _| {
            if let Some(tools) = tools.upgrade() {
                tools.registry.end(id, generation);
            }
        });
        Ok(Self { inner })
    }

    /// The settings.
    pub fn config(&self) -> &HostToolConfig {
        &self.inner.config
    }

    /// Sets the observer of all further calls of host tools. Returns false if there is one already.
    pub fn observe(&self, observer: Arc<dyn CallObserver>) -> bool {
        self.inner.observer.set(observer).is_ok()
    }

    /// Registers a tool for all sessions.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(&self, tool: HostTool) -> Result<(), RegisterError> {
        self.register_all(vec![tool])
    }

    /// Registers tools for all sessions. If one of them cannot be registered, none is.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register_all(&self, tools: Vec<HostTool>) -> Result<(), RegisterError> {
        self.inner.registry.add_global(tools)
    }

    /// Registers tools for one session. If one of them cannot be registered, none is.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register_for(
        &self,
        session: &Session,
        tools: Vec<HostTool>,
    ) -> Result<(), RegisterError> {
        session.touch()?;
        let registry = &self.inner.registry;
        registry.add_for(session, tools)?;
        // A session that ended meanwhile has been cleaned up already, so tools that were added late
        // are removed here.
        session.info().map(drop).map_err(|error| {
            registry.end(session.id(), session.generation());
            error.into()
        })
    }

    /// Removes a global tool; running calls continue. Returns `false` if there is none of this
    /// name.
    pub fn unregister(&self, name: &str) -> bool {
        self.inner.registry.remove_global(name)
    }

    /// Removes a tool of a session; running calls continue. Returns `false` if there is none of
    /// this name.
    pub fn unregister_for(&self, session: &Session, name: &str) -> bool {
        self.inner.registry.remove_for(session, name)
    }

    /// Returns the tools that a session sees, ordered by name; without a session the global ones.
    pub fn list(&self, session: Option<&SessionId>) -> Vec<HostToolInfo> {
        self.inner.registry.list(session, false)
    }

    /// Returns the tools of [`list`](Self::list) that workers may see and call.
    pub fn list_exposed(&self, session: Option<&SessionId>) -> Vec<HostToolInfo> {
        self.inner.registry.list(session, true)
    }

    /// Returns true if a session sees a tool of this name that workers may see and call; without a
    /// session, a global one.
    pub fn is_exposed(&self, session: Option<&SessionId>, name: &str) -> bool {
        self.inner.registry.is_exposed(session, name)
    }

    /// Calls an exposed tool, for a worker or another peer.
    ///
    /// # Errors
    /// Unknown or hidden tool, streaming tool, bad arguments, the tool's own error or panic,
    /// deadline, nesting too deep.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call: an asynchronous tool is dropped; a synchronous one
    /// continues and sees [`ToolContext::is_cancelled`].
    ///
    /// # Panics
    /// If there is no tokio runtime.
    pub async fn call(
        &self,
        call: ToolCall,
        name: &str,
        args: Payload,
    ) -> Result<Payload, Box<ToolError>> {
        self.inner.call(call, name, args).await
    }

    /// Opens the stream of an exposed streaming tool, for a worker or another peer.
    ///
    /// # Errors
    /// As [`call`](Self::call); an error after the start is the last item.
    pub fn open_stream(
        &self,
        call: ToolCall,
        name: &str,
        args: Payload,
    ) -> Result<ToolStream, Box<ToolError>> {
        self.inner.open_stream(call, name, args)
    }
}

impl fmt::Debug for HostTools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTools")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}
