//! Functions of the host that workers may call.

mod args;
mod call;
mod config;
mod context;
mod error;
mod failure;
mod journal;
mod registry;
mod tool;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tokio::sync::Semaphore;

use crate::{ConfigError, Payload, Session, SessionId, Sessions, ToolError};
pub use config::HostToolConfig;
pub use context::{ToolCall, ToolContext};
pub use error::RegisterError;
pub use failure::{ToolFailure, ToolResult};
use registry::Registry;
pub use tool::{HostTool, HostToolInfo};

/// An error on its way to the caller.
type Fault = Box<ToolError>;

fn fault(error: impl Into<ToolError>) -> Fault {
    Box::new(error.into())
}

/// Results of one streaming host tool. It ends after the last one or after the first error. Dropping it ends the tool.
pub type ToolStream = Pin<Box<dyn Stream<Item = Result<Payload, Box<ToolError>>> + Send>>;

/// The functions of a host that workers may call. Cheap to clone.
///
/// A tool is global or belongs to one session, with which it goes; a session's tool hides a global one of the same name.
#[derive(Clone)]
pub struct HostTools {
    inner: Arc<Inner>,
}

struct Inner {
    config: HostToolConfig,
    sessions: Sessions,
    registry: Registry,
    /// Threads for synchronous tools.
    blocking: Arc<Semaphore>,
}

impl HostTools {
    /// An empty registry for these sessions.
    ///
    /// # Errors
    /// A setting that is out of range.
    pub fn new(config: HostToolConfig, sessions: &Sessions) -> Result<Self, ConfigError> {
        config.validate()?;
        let inner = Arc::new(Inner {
            registry: Registry::new(config.max_tools),
            blocking: Arc::new(Semaphore::new(config.max_blocking)),
            sessions: sessions.clone(),
            config,
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

    /// Registers a tool for all sessions.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register(&self, tool: HostTool) -> Result<(), RegisterError> {
        self.register_all(vec![tool])
    }

    /// Registers tools for all sessions, or none when one of them cannot be.
    ///
    /// # Errors
    /// See [`RegisterError`].
    pub fn register_all(&self, tools: Vec<HostTool>) -> Result<(), RegisterError> {
        self.inner.registry.add_global(tools)
    }

    /// Registers tools for one session, or none when one of them cannot be.
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
        // A session that ended meanwhile has been cleared away already, so what was added late goes here.
        session.info().map(drop).map_err(|error| {
            registry.end(session.id(), session.generation());
            error.into()
        })
    }

    /// Removes a global tool; calls under way go on. `false` when there is none.
    pub fn unregister(&self, name: &str) -> bool {
        self.inner.registry.remove_global(name)
    }

    /// Removes a tool of a session; calls under way go on. `false` when there is none.
    pub fn unregister_for(&self, session: &Session, name: &str) -> bool {
        self.inner.registry.remove_for(session, name)
    }

    /// The tools that a session sees, in order of their names; without a session the global ones.
    pub fn list(&self, session: Option<&SessionId>) -> Vec<HostToolInfo> {
        self.inner.registry.list(session, false)
    }

    /// As [`list`](Self::list), but only those that workers may see and call.
    pub fn list_exposed(&self, session: Option<&SessionId>) -> Vec<HostToolInfo> {
        self.inner.registry.list(session, true)
    }

    /// A session sees a tool of this name that workers may see and call; without a session, a global one.
    pub fn is_exposed(&self, session: Option<&SessionId>, name: &str) -> bool {
        self.inner.registry.is_exposed(session, name)
    }

    /// Calls a tool that is exposed, for a worker or another peer.
    ///
    /// # Errors
    /// Unknown or hidden tool, streaming tool, bad arguments, the tool's own error or panic, deadline, nesting too deep.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the call: an asynchronous tool is dropped, a synchronous one goes on but is told.
    ///
    /// # Panics
    /// When there is no tokio runtime.
    pub async fn call(
        &self,
        call: ToolCall,
        name: &str,
        args: Payload,
    ) -> Result<Payload, Box<ToolError>> {
        self.inner.call(call, name, args).await
    }

    /// Opens the stream of a streaming tool that is exposed, for a worker or another peer.
    ///
    /// # Errors
    /// As [`call`](Self::call); errors after the start come as the last item.
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
