//! Conditions on the values of a variable.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::value::{DType, Value};

/// Conditions on the values of a variable. Each applies to the types named beside it; with other
/// types it is an error.
///
/// It serialises as a map without absent entries. Deserialising rejects unknown entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Constraints {
    /// Smallest number (integer, float; every element of an embedding or a tensor).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    /// Largest number (integer, float; every element of an embedding or a tensor).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
    /// Fewest characters (string, module), items (list) or entries (map).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// Largest number of characters (string, module), items (list) or entries (map).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// A regular expression that the whole text must match (string, module).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The allowed texts (choice, which needs it; string).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<String>>,
    /// The allowed modules (module).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_modules: Option<Vec<String>>,
    /// Elements of each vector, which are along the last dimension (embedding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
    /// Length of each dimension (embedding, tensor).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Vec<usize>>,
    /// Type of the elements (embedding, tensor). Lists are converted to it; arrays must have it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "write_dtype",
        deserialize_with = "read_dtype"
    )]
    pub dtype: Option<DType>,
}

#[expect(clippy::ref_option, reason = "serde gives the field by reference")]
fn write_dtype<S: Serializer>(dtype: &Option<DType>, serializer: S) -> Result<S::Ok, S::Error> {
    dtype.map(|dtype| dtype.name()).serialize(serializer)
}

fn read_dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DType>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let known = || serde::de::Error::custom(format_args!("dtype `{name}` is unknown"));
    DType::parse(&name).map(Some).ok_or_else(known)
}

impl Constraints {
    /// Creates empty constraints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the smallest number.
    #[must_use]
    pub fn min(mut self, min: impl Into<Value>) -> Self {
        self.min = Some(min.into());
        self
    }

    /// Sets the largest number.
    #[must_use]
    pub fn max(mut self, max: impl Into<Value>) -> Self {
        self.max = Some(max.into());
        self
    }

    /// Sets the fewest and the most characters, items or entries.
    #[must_use]
    pub const fn length(mut self, min: usize, max: usize) -> Self {
        (self.min_length, self.max_length) = (Some(min), Some(max));
        self
    }

    /// Sets the regular expression that the whole text must match.
    #[must_use]
    pub fn pattern(mut self, pattern: impl Into<String>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// Sets the allowed texts.
    #[must_use]
    pub fn choices<T: Into<String>>(mut self, choices: impl IntoIterator<Item = T>) -> Self {
        self.choices = Some(choices.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the allowed modules.
    #[must_use]
    pub fn allowed_modules<T: Into<String>>(
        mut self,
        modules: impl IntoIterator<Item = T>,
    ) -> Self {
        self.allowed_modules = Some(modules.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the elements of each vector.
    #[must_use]
    pub const fn dimensions(mut self, dimensions: usize) -> Self {
        self.dimensions = Some(dimensions);
        self
    }

    /// Sets the length of each dimension.
    #[must_use]
    pub fn shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
        self.shape = Some(shape.into());
        self
    }

    /// Sets the type of the elements.
    #[must_use]
    pub const fn dtype(mut self, dtype: DType) -> Self {
        self.dtype = Some(dtype);
        self
    }
}
