//! Bounds that restrict the values of a type.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// A bound.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) rule: Rule,
    pub(crate) bound: Py<PyAny>,
    /// Text that follows "must" in error messages.
    pub(crate) text: String,
}

/// The comparison of a value with the bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    Greater,
    AtLeast,
    Less,
    AtMost,
    MultipleOf,
    MinLength,
    MaxLength,
    /// The bound is a compiled pattern, which must match somewhere in the value.
    Pattern,
    /// The bound is a function that returns whether it accepts the value.
    Predicate,
}

impl Limit {
    /// Compiles the tuple of name, bound and text.
    pub(super) fn read(limit: &Bound<'_, PyAny>) -> PyResult<Self> {
        let (name, bound, text): (String, Bound<'_, PyAny>, String) = limit.extract()?;
        let rule = match name.as_str() {
            "gt" => Rule::Greater,
            "ge" => Rule::AtLeast,
            "lt" => Rule::Less,
            "le" => Rule::AtMost,
            "multiple_of" => Rule::MultipleOf,
            "min_length" => Rule::MinLength,
            "max_length" => Rule::MaxLength,
            "pattern" => Rule::Pattern,
            "predicate" => Rule::Predicate,
            _ => return Err(PyValueError::new_err(format!("unknown bound {name:?}"))),
        };
        Ok(Self {
            rule,
            bound: bound.unbind(),
            text,
        })
    }
}
