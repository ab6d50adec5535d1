//! Typed values that a session keeps under a name.

mod array;
mod compare;
mod constraints;
mod error;
pub(crate) mod spec;
mod usable;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::value::{Metadata, Value};
pub use constraints::Constraints;
pub use error::VariableError;

/// A variable at one moment. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Variable {
    /// Name of the variable.
    pub name: Arc<str>,
    /// Type of the variable.
    pub kind: VariableType,
    /// Value of the variable. The value of an embedding or a tensor is always a [`Value::Array`].
    pub value: Arc<Value>,
    /// Version: 1 after registration, and one more with each change.
    pub version: u64,
    /// Conditions that its values must satisfy.
    pub constraints: Arc<Constraints>,
    /// Metadata of the variable.
    pub metadata: Arc<Metadata>,
}

impl Variable {
    /// Size of the value in bytes: a lower bound of every encoding of it.
    pub fn value_bytes(&self) -> usize {
        crate::value::payload_bytes(&self.value)
    }

    /// Size of name, constraints and metadata in bytes: a lower bound of every encoding of them.
    pub fn description_bytes(&self) -> usize {
        let constraints = &self.constraints;
        let lists = [&constraints.choices, &constraints.allowed_modules];
        let texts = lists.into_iter().flatten().flatten();
        let texts = texts.chain(&constraints.pattern).map(String::len);
        self.name.len() + crate::value::metadata::bytes(&self.metadata) + texts.sum::<usize>()
    }
}

/// Type of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableType {
    /// Text.
    String,
    /// An integer.
    Integer,
    /// A floating-point number; integers are accepted too.
    Float,
    /// A truth value.
    Boolean,
    /// A text of those in [`Constraints::choices`].
    Choice,
    /// Name of a module: identifiers with dots between them.
    Module,
    /// Vectors: an array, or lists, of numbers in one dimension or more.
    Embedding,
    /// Numbers in any number of dimensions: an array, nested lists, or a map of `shape` and `data`.
    Tensor,
    /// A list of values of any kind, which keep their kinds; a set is accepted too.
    List,
    /// A map with keys and values of any kind, which keep their kinds.
    Map,
    /// A data frame or a column of one, kept as it is.
    DataFrame,
}

impl VariableType {
    /// Every type.
    pub const ALL: &'static [Self] = &[
        Self::String,
        Self::Integer,
        Self::Float,
        Self::Boolean,
        Self::Choice,
        Self::Module,
        Self::Embedding,
        Self::Tensor,
        Self::List,
        Self::Map,
        Self::DataFrame,
    ];

    /// Returns the name, for example `integer`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Choice => "choice",
            Self::Module => "module",
            Self::Embedding => "embedding",
            Self::Tensor => "tensor",
            Self::List => "list",
            Self::Map => "map",
            Self::DataFrame => "data_frame",
        }
    }

    /// Returns the type with this name. `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for VariableType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A variable to be registered.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NewVariable {
    /// Name: 1 to 256 bytes without control characters.
    pub name: String,
    /// Type of the variable.
    pub kind: VariableType,
    /// Initial value.
    pub value: Value,
    /// Conditions that its values must satisfy, including the initial one.
    pub constraints: Constraints,
    /// Metadata: at most 32 entries and 4096 bytes.
    pub metadata: Metadata,
}

impl NewVariable {
    /// Creates a variable without constraints or metadata.
    pub fn new(name: impl Into<String>, kind: VariableType, value: impl Into<Value>) -> Self {
        Self {
            name: name.into(),
            kind,
            value: value.into(),
            constraints: Constraints::default(),
            metadata: Metadata::new(),
        }
    }

    /// Sets the constraints.
    #[must_use]
    pub fn constraints(mut self, constraints: Constraints) -> Self {
        self.constraints = constraints;
        self
    }

    /// Sets one entry of the metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }
}

/// A value to be set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SetVariable {
    /// Name of the variable.
    pub name: String,
    /// The new value.
    pub value: Value,
    /// Version that the variable must have now. `None` for any.
    pub expected_version: Option<u64>,
}

impl SetVariable {
    /// Sets the value at any version.
    pub fn new(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            expected_version: None,
        }
    }

    /// Sets the value only if this is the current version.
    #[must_use]
    pub const fn expected_version(mut self, version: u64) -> Self {
        self.expected_version = Some(version);
        self
    }
}
