//! The error that a host tool returns.

use std::any::type_name;
use std::error::Error as StdError;

use super::RegisterError;
use crate::code::ErrorCode;
use crate::error::{Error, ToolError, with_causes};
use crate::state::{StateError, VariableError};
use crate::value::PayloadError;

/// The error of a host tool. Every error converts into it, so that `?` can be used; errors of this
/// crate keep their code.
#[derive(Debug)]
pub struct ToolFailure(Box<ToolError>);

/// Result of a host tool.
pub type ToolResult<T> = Result<T, ToolFailure>;

impl ToolFailure {
    /// Creates a failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(Box::new(ToolError::new(ErrorCode::HostToolFailed, message)))
    }

    /// Converts into the error that the caller receives.
    pub fn into_error(self) -> Box<ToolError> {
        self.0
    }
}

impl<E: StdError + 'static> From<E> for ToolFailure {
    fn from(error: E) -> Self {
        fn known<T: StdError + Into<ToolError> + 'static>(
            error: Box<dyn StdError>,
        ) -> Result<ToolError, Box<dyn StdError>> {
            error.downcast::<T>().map(|error| (*error).into())
        }
        let error: Box<dyn StdError> = Box::new(error);
        let converted = known::<ToolError>(error)
            .or_else(known::<Error>)
            .or_else(known::<StateError>)
            .or_else(known::<RegisterError>)
            .or_else(known::<PayloadError>)
            .or_else(|error| {
                error
                    .downcast::<VariableError>()
                    .map(|error| StateError::from(*error).into())
            });
        let converted = converted.unwrap_or_else(|error| {
            let mut other = ToolError::new(ErrorCode::HostToolFailed, with_causes(&*error));
            let path = type_name::<E>();
            let (module, name) = path.rsplit_once("::").unwrap_or(("", path));
            (other.module, other.type_name) = (module.into(), name.into());
            other
        });
        Self(Box::new(converted))
    }
}
