//! Why something could not be done with one variable.

use crate::{ErrorCode, VariableType};

/// Why something could not be done with one variable.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VariableError {
    /// No variable has this name.
    #[error("variable `{name}` does not exist")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Names that are like it.
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
        /// Its type.
        expected: VariableType,
        /// What the value is: a short phrase.
        found: String,
    },
    /// The value violates a constraint.
    #[error("variable `{name}`: the value {value} violates `{constraint}`: {reason}")]
    Constraint {
        /// The variable.
        name: String,
        /// The constraint, for example `max`.
        constraint: &'static str,
        /// What it asks for: a short phrase.
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
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody else changed the variable in the meantime.
    #[error("variable `{name}` is at version {actual}, not {expected}")]
    StaleVersion {
        /// The variable.
        name: String,
        /// The version that the caller expected.
        expected: u64,
        /// The version now.
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

    /// One thing to do about it.
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
            Self::StaleVersion { .. } => "get the variable again and repeat the update".into(),
        }
    }
}
