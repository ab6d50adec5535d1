//! `Adapter`: an application's checks and conversions around the calls of any workers.

mod profile;
mod worker;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::ToolInfo;
use crate::error::{ErrorCode, ToolError};
use crate::host_tools::{ToolFailure, ToolResult};
use crate::value::Payload;
pub use profile::AdaptedProfile;

/// Checks and conversions around the calls of workers of any profile; [`AdaptedProfile`] applies
/// them. Arguments and results are typed by [`Payload::decode`] and [`Payload::encode`].
///
/// The methods run on the host for every attempt of a caller's call, not for health checks and
/// warm-ups, so they must be fast and must not
/// block. A panic in one fails its call only.
///
/// ```
/// use snakepit_core::host_tools::{ToolFailure, ToolResult};
/// use snakepit_core::value::Payload;
/// use snakepit_core::worker::Adapter;
///
/// #[derive(Debug)]
/// struct Images;
///
/// #[derive(serde::Deserialize)]
/// struct Resize {
///     width: u32,
/// }
///
/// impl Adapter for Images {
///     fn supported_commands(&self) -> Option<Vec<String>> {
///         Some(vec!["resize".to_owned()])
///     }
///
///     fn validate(&self, _: &str, args: &Payload) -> ToolResult<()> {
///         let resize: Resize = args.decode()?;
///         match resize.width {
///             0 => Err(ToolFailure::new("`width` must be positive")),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
pub trait Adapter: fmt::Debug + Send + Sync + 'static {
    /// Returns the names of the tools that may be called. `None` for all tools of the workers.
    fn supported_commands(&self) -> Option<Vec<String>> {
        None
    }

    /// Returns the time for a call of this tool, including the queue. `None` for the time of the
    /// pool. Only [supported commands](Self::supported_commands) are asked for, once.
    fn command_timeout(&self, _tool: &str) -> Option<Duration> {
        None
    }

    /// Changes the description of a tool, for example because [`prepare_args`](Self::prepare_args)
    /// accepts other arguments than the worker.
    fn describe(&self, _tool: &mut ToolInfo) {}

    /// Checks the arguments of a call before it is sent.
    ///
    /// # Errors
    /// The reason for the rejection. Without a code of its own it has
    /// [`ErrorCode::InvalidArguments`].
    fn validate(&self, _tool: &str, _args: &Payload) -> ToolResult<()> {
        Ok(())
    }

    /// Converts the arguments of a valid call into those that the worker expects.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    fn prepare_args(&self, _tool: &str, args: Payload) -> ToolResult<Payload> {
        Ok(args)
    }

    /// Converts a result, or one chunk of a stream, into the one that the caller receives.
    ///
    /// # Errors
    /// The reason why the result cannot be used. Without a code of its own it has
    /// [`ErrorCode::ToolRaised`]. In a stream it is the last item, and the tool is cancelled.
    fn process_response(&self, _tool: &str, response: Payload) -> ToolResult<Payload> {
        Ok(response)
    }
}

/// Calls `validate` and `prepare_args` of an adapter.
fn prepared(adapter: &dyn Adapter, tool: &str, args: Payload) -> Result<Payload, Box<ToolError>> {
    let code = ErrorCode::InvalidArguments;
    guarded("validate", code, || adapter.validate(tool, &args))?;
    guarded("prepare_args", code, || adapter.prepare_args(tool, args))
}

/// Calls `process_response` of an adapter.
fn processed(
    adapter: &dyn Adapter,
    tool: &str,
    response: Payload,
) -> Result<Payload, Box<ToolError>> {
    guarded("process_response", ErrorCode::ToolRaised, || {
        adapter.process_response(tool, response)
    })
}

/// Calls one method of an adapter. `code` is for errors without a code of their own.
fn guarded<T>(
    method: &str,
    code: ErrorCode,
    call: impl FnOnce() -> ToolResult<T>,
) -> Result<T, Box<ToolError>> {
    let called = catch_unwind(AssertUnwindSafe(call));
    called
        .unwrap_or_else(|_| {
            let message = format!("the adapter panicked in `{method}`");
            let error = ToolError::new(ErrorCode::HostToolPanicked, message);
            Err(ToolFailure::from(error))
        })
        .map_err(|failure| {
            let mut error = failure.into_error();
            if error.code == ErrorCode::HostToolFailed {
                error.code = code;
            }
            error
        })
}
