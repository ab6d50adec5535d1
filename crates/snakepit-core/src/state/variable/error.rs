//! Errors of single variables.

use crate::code::ErrorCode;
use crate::state::VariableType;

/// The reason why an operation on one variable failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// No variable has this name.
    #[error("variable `{name}` does not exist")]
    Unknown {
        /// The requested name.
        name: String,
        /// Similar names.
        near: Vec<String>,
    },
    /// A variable of this name exists already.
    #[error("variable `{0}` exists already")]
    Exists(String),
    /// The value is not of the variable's type.
    #[error("variable `{name}` is of type {expected}, the value is {found}")]
    WrongType {
        /// The variable.
        name: String,
        /// Type of the variable.
        expected: VariableType,
        /// The kind of the value: a short phrase.
        found: String,
    },
    /// The value violates a constraint.
    #[error("variable `{name}`: the value {value} violates `{constraint}`: {reason}")]
    Constraint {
        /// The variable.
        name: String,
        /// The constraint, for example `max`.
        constraint: &'static str,
        /// The requirement of the constraint: a short phrase.
        reason: String,
        /// The value, shortened.
        value: String,
    },
    /// A constraint cannot be used with this type, or contradicts itself.
    #[error("variable `{name}`: constraint `{constraint}` {reason}")]
    InvalidConstraint {
        /// The variable.
        name: String,
        /// The constraint.
        constraint: &'static str,
        /// The reason: a short phrase.
        reason: String,
    },
    /// The variable has been changed in the meantime.
    #[error("variable `{name}` is at version {actual}, not {expected}")]
    StaleVersion {
        /// The variable.
        name: String,
        /// The version that the caller expected.
        expected: u64,
        /// The current version.
        actual: u64,
    },
}

impl VariableError {
    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::UnknownVariable,
            Self::Exists(_) => ErrorCode::VariableExists,
            Self::WrongType { .. } => ErrorCode::WrongVariableType,
            Self::Constraint { .. } => ErrorCode::ConstraintViolated,
            Self::InvalidConstraint { .. } => ErrorCode::InvalidConstraint,
            Self::StaleVersion { .. } => ErrorCode::StaleVersion,
        }
    }

    /// Returns a hint: one thing to do about the error.
    pub fn help(&self) -> String {
        match self {
            Self::Unknown { near, .. } => match near.first() {
                Some(name) => format!("did you mean `{name}`?"),
                None => "register the variable first".into(),
            },
            Self::Exists(_) => "set it instead, or delete it first".into(),
            Self::WrongType { expected, .. } => format!("give a value of type {expected}"),
            Self::Constraint { constraint, .. } => {
                format!("choose a value that satisfies `{constraint}`")
            }
            Self::InvalidConstraint { constraint, .. } => {
                format!("correct or remove `{constraint}`")
            }
            Self::StaleVersion { .. } => "read the variable again and repeat the update".into(),
        }
    }
}
