//! The definition of a variable without its value, and the check of new values against it.

use std::sync::Arc;

use regex::Regex;

use super::compare::Number;
use super::{Constraints, VariableError, VariableType, array, usable};
use crate::value::{DType, Metadata, Value, kind_of, metadata, names};

/// Maximum depth of a list or a map; a reply nests it some levels deeper.
const MAX_DEPTH: usize = crate::value::Payload::MAX_DEPTH - 8;
/// Bytes counted for each variable in addition to its name, value and metadata.
const OVERHEAD: usize = 160;
/// Bytes counted for a pattern, which is larger than its text once compiled.
const PATTERN: usize = 8 << 10;

/// The definition of a variable, without its value. It never changes.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: Arc<str>,
    pub(crate) kind: VariableType,
    pub(crate) constraints: Arc<Constraints>,
    pub(crate) metadata: Arc<Metadata>,
    pattern: Option<Regex>,
}

impl Spec {
    pub(crate) fn new(
        name: &str,
        kind: VariableType,
        constraints: Constraints,
        metadata: Metadata,
    ) -> Result<Self, VariableError> {
        let pattern = usable::check(name, kind, &constraints)?;
        Ok(Self {
            name: name.into(),
            kind,
            constraints: Arc::new(constraints),
            metadata: Arc::new(metadata),
            pattern,
        })
    }

    /// Returns the bytes that count against the quotas.
    pub(crate) fn bytes(&self) -> usize {
        let texts = |list: &Option<Vec<String>>| {
            list.iter()
                .flatten()
                .map(|text| size_of::<String>() + text.len())
                .sum::<usize>()
        };
        let constraints = &self.constraints;
        OVERHEAD
            + self.name.len()
            + metadata::bytes(&self.metadata)
            + texts(&constraints.choices)
            + texts(&constraints.allowed_modules)
            + constraints
                .pattern
                .as_ref()
                .map_or(0, |pattern| PATTERN + pattern.len())
    }

    /// Returns the value as it is kept, if it has the right type and satisfies the constraints.
    pub(crate) fn accept(&self, value: Value) -> Result<Value, VariableError> {
        use VariableType as T;
        match (self.kind, value) {
            (T::String, Value::Str(text)) => self.text(text),
            (T::Choice, Value::Str(text)) => {
                self.listed("choices", self.constraints.choices.as_deref(), &text)?;
                Ok(Value::Str(text))
            }
            (T::Module, Value::Str(text)) if is_module(&text) => self.text(text),
            (T::Module, Value::Str(text)) => {
                let found = format!("the text {:?}, which names no module", names::short(&text));
                Err(self.wrong(found))
            }
            (T::Integer, value @ (Value::Int(_) | Value::UInt(_))) => self.number(value),
            (T::Float, value @ Value::Float(_)) => self.number(value),
            (T::Float, value @ (Value::Int(_) | Value::UInt(_))) => {
                let float = match value {
                    Value::UInt(value) => value as f64,
                    Value::Int(value) => value as f64,
                    _ => unreachable!("the pattern has no other kinds"),
                };
                self.number(value)?;
                Ok(Value::Float(float))
            }
            (T::Boolean, value @ Value::Bool(_)) => Ok(value),
            (T::Embedding | T::Tensor, value) => self.array(value),
            (T::List, value @ (Value::List(_) | Value::FrozenSet(_))) => self.container(value),
            (T::Map, value @ Value::Map(_)) => self.container(value),
            (T::DataFrame, value @ Value::DataFrame(_)) => Ok(value),
            (_, other) => Err(self.wrong(kind_of(&other))),
        }
    }

    fn container(&self, value: Value) -> Result<Value, VariableError> {
        let (items, count) = match &value {
            Value::List(items) => ("items", items.len()),
            Value::FrozenSet(set) => ("items", set.items().len()),
            Value::Map(pairs) => ("entries", pairs.len()),
            other => return Err(self.wrong(kind_of(other))),
        };
        self.length(count, items, || kind_of(&value))?;
        match crate::value::deep_bytes(&value, MAX_DEPTH) {
            Some(_) => Ok(value),
            None => Err(self.wrong(format!("one that nests deeper than {MAX_DEPTH} levels"))),
        }
    }

    fn length(
        &self,
        length: usize,
        of: &str,
        shown: impl Fn() -> String,
    ) -> Result<(), VariableError> {
        let constraints = &self.constraints;
        if let Some(min) = constraints.min_length.filter(|min| length < *min) {
            let reason = format!("it has {length} {of}, fewer than {min}");
            return Err(self.violates("min_length", reason, shown()));
        }
        if let Some(max) = constraints.max_length.filter(|max| length > *max) {
            let reason = format!("it has {length} {of}, more than {max}");
            return Err(self.violates("max_length", reason, shown()));
        }
        Ok(())
    }

    fn text(&self, text: String) -> Result<Value, VariableError> {
        let constraints = &self.constraints;
        let shown = || format!("{:?}", names::short(&text));
        self.length(text.chars().count(), "characters", shown)?;
        if let Some(pattern) = self
            .pattern
            .as_ref()
            .filter(|pattern| !pattern.is_match(&text))
        {
            let pattern = constraints.pattern.as_deref().unwrap_or(pattern.as_str());
            let reason = format!("it does not match `{}`", names::short(pattern));
            return Err(self.violates("pattern", reason, shown()));
        }
        self.listed("choices", constraints.choices.as_deref(), &text)?;
        self.listed(
            "allowed_modules",
            constraints.allowed_modules.as_deref(),
            &text,
        )?;
        Ok(Value::Str(text))
    }

    fn listed(
        &self,
        constraint: &'static str,
        allowed: Option<&[String]>,
        text: &str,
    ) -> Result<(), VariableError> {
        let Some(allowed) = allowed.filter(|allowed| !allowed.iter().any(|one| one == text)) else {
            return Ok(());
        };
        let reason = format!("it must be one of {}", names::short(&allowed.join(", ")));
        Err(self.violates(constraint, reason, format!("{:?}", names::short(text))))
    }

    fn number(&self, value: Value) -> Result<Value, VariableError> {
        let number = Number::of(&value).expect("the caller checked the kind");
        self.bounds(number)
            .map_err(|(constraint, reason)| self.violates(constraint, reason, value.to_string()))?;
        Ok(value)
    }

    /// Checks the bounds. The error names the bound that the number violates.
    fn bounds(&self, number: Number) -> Result<(), (&'static str, String)> {
        let bound = |value: &Option<Value>| value.as_ref().and_then(Number::of);
        if let (Some(min), Some(shown)) = (bound(&self.constraints.min), &self.constraints.min)
            && !number.compare(min).is_some_and(std::cmp::Ordering::is_ge)
        {
            return Err(("min", format!("it must be at least {shown}")));
        }
        if let (Some(max), Some(shown)) = (bound(&self.constraints.max), &self.constraints.max)
            && !number.compare(max).is_some_and(std::cmp::Ordering::is_le)
        {
            return Err(("max", format!("it must be at most {shown}")));
        }
        Ok(())
    }

    fn array(&self, value: Value) -> Result<Value, VariableError> {
        let constraints = &self.constraints;
        if self.kind == VariableType::Embedding && matches!(value, Value::Map(_)) {
            return Err(self.wrong("a map".into()));
        }
        let tensor = array::of(value, constraints.dtype).map_err(|found| self.wrong(found))?;
        let shown = || Value::Array(tensor.clone()).to_string();
        if self.kind == VariableType::Embedding && tensor.shape().is_empty() {
            return Err(self.wrong("an array without dimensions".into()));
        }
        if let Some(dtype) = constraints.dtype.filter(|dtype| *dtype != tensor.dtype()) {
            let reason = format!("its elements must be {dtype}");
            return Err(self.violates("dtype", reason, shown()));
        }
        let last = tensor.shape().last().copied();
        if let Some(dimensions) = constraints.dimensions.filter(|n| Some(*n) != last) {
            let reason = format!("each vector must have {dimensions} elements");
            return Err(self.violates("dimensions", reason, shown()));
        }
        if let Some(shape) = constraints
            .shape
            .as_ref()
            .filter(|shape| **shape != tensor.shape())
        {
            let reason = format!("its shape must be {shape:?}");
            return Err(self.violates("shape", reason, shown()));
        }
        if constraints.min.is_some() || constraints.max.is_some() {
            if matches!(tensor.dtype(), DType::Complex64 | DType::Complex128) {
                return Err(self.wrong(format!(
                    "an array of {}, which has no order",
                    tensor.dtype()
                )));
            }
            for (index, element) in tensor.to_f64().into_iter().enumerate() {
                self.bounds(Number::Float(element))
                    .map_err(|(constraint, reason)| {
                        self.violates(constraint, reason, format!("{element} at place {index}"))
                    })?;
            }
        }
        Ok(Value::Array(tensor))
    }

    fn wrong(&self, found: String) -> VariableError {
        VariableError::WrongType {
            name: self.name.to_string(),
            expected: self.kind,
            found,
        }
    }

    fn violates(&self, constraint: &'static str, reason: String, value: String) -> VariableError {
        VariableError::Constraint {
            name: self.name.to_string(),
            constraint,
            reason,
            value,
        }
    }
}

/// Returns true for identifiers with dots between them.
fn is_module(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut chars = part.chars();
        chars
            .next()
            .is_some_and(|first| first == '_' || first.is_alphabetic())
            && chars.all(|char| char == '_' || char.is_alphanumeric())
    })
}
