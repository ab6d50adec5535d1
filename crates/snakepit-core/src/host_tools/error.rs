//! Errors of the registration of host tools.

use crate::code::ErrorCode;
use crate::error::ToolError;
use crate::state::StateError;
use crate::value::MetadataError;

/// The reason why a host tool cannot be registered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is not 1 to 64 of the characters a-z A-Z 0-9 . _ - with a letter or digit first.
    #[error("tool name {name:?} {reason}")]
    Name {
        /// The name, shortened.
        name: String,
        /// The rule that the name breaks.
        reason: &'static str,
    },
    /// A tool of this name exists, or the batch has it twice.
    #[error("duplicate_tool: tool `{0}` exists already")]
    Duplicate(String),
    /// The metadata exceeds its limits.
    #[error("tool `{tool}`: {source}")]
    Metadata {
        /// The tool.
        tool: String,
        /// The exceeded limit.
        source: MetadataError,
    },
    /// The number of tools would exceed its limit.
    #[error("there are {usage} tools already, and at most {limit} are allowed")]
    TooMany {
        /// Existing tools.
        usage: usize,
        /// Allowed tools.
        limit: usize,
    },
    /// The session is over.
    #[error(transparent)]
    Session(#[from] StateError),
}

impl RegisterError {
    /// The stable code.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Name { .. } => ErrorCode::InvalidToolName,
            Self::Duplicate(_) => ErrorCode::DuplicateTool,
            Self::Metadata { source, .. } => source.code(),
            Self::TooMany { .. } => ErrorCode::TooManyTools,
            Self::Session(error) => error.code(),
        }
    }

    /// Hint: one thing to do about the error.
    pub fn help(&self) -> String {
        match self {
            Self::Name { .. } => {
                "use at most 64 of the characters a-z A-Z 0-9 . _ - with a letter or digit first"
                    .into()
            }
            Self::Duplicate(_) => "choose another name, or remove the other tool first".into(),
            Self::Metadata { source, .. } => source.help(),
            Self::TooMany { .. } => "remove tools, or raise `host_tools.max_tools`".into(),
            Self::Session(error) => error.help(),
        }
    }
}

impl From<RegisterError> for ToolError {
    fn from(error: RegisterError) -> Self {
        let mut converted = Self::new(error.code(), error.to_string());
        converted.help = error.help();
        converted
    }
}
