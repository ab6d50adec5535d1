//! The constraints that can be used with each type.

use regex::{Regex, RegexBuilder};

use super::compare::Number;
use super::{Constraints, VariableError, VariableType};
use crate::value::Tensor;

/// Largest number of bytes of a compiled pattern.
const PATTERN_BYTES: usize = 256 << 10;

/// Checks that all constraints apply to the type and do not contradict themselves; compiles the
/// pattern.
pub(super) fn check(
    name: &str,
    kind: VariableType,
    constraints: &Constraints,
) -> Result<Option<Regex>, VariableError> {
    use VariableType as T;
    let fault = |constraint, reason: String| VariableError::InvalidConstraint {
        name: name.to_owned(),
        constraint,
        reason,
    };
    let number = &[T::Integer, T::Float, T::Embedding, T::Tensor][..];
    let text = &[T::String, T::Module][..];
    let sized = &[T::String, T::Module, T::List, T::Map][..];
    let array = &[T::Embedding, T::Tensor][..];
    let applies = [
        ("min", constraints.min.is_some(), number),
        ("max", constraints.max.is_some(), number),
        ("min_length", constraints.min_length.is_some(), sized),
        ("max_length", constraints.max_length.is_some(), sized),
        ("pattern", constraints.pattern.is_some(), text),
        (
            "choices",
            constraints.choices.is_some(),
            &[T::Choice, T::String],
        ),
        (
            "allowed_modules",
            constraints.allowed_modules.is_some(),
            &[T::Module],
        ),
        (
            "dimensions",
            constraints.dimensions.is_some(),
            &[T::Embedding],
        ),
        ("shape", constraints.shape.is_some(), array),
        ("dtype", constraints.dtype.is_some(), array),
    ];
    for (constraint, given, kinds) in applies {
        if given && !kinds.contains(&kind) {
            return Err(fault(
                constraint,
                format!("does not apply to the type {kind}"),
            ));
        }
    }
    let bound = |constraint, value: &Option<_>| match value {
        None => Ok(None),
        Some(value) => match Number::of(value) {
            Some(bound) if bound.compare(bound).is_some() => Ok(Some(bound)),
            _ => Err(fault(
                constraint,
                format!("is not a number: {}", value.json_preview(60)),
            )),
        },
    };
    let (min, max) = (
        bound("min", &constraints.min)?,
        bound("max", &constraints.max)?,
    );
    if let (Some(min), Some(max)) = (min, max)
        && min.compare(max).is_some_and(std::cmp::Ordering::is_gt)
    {
        return Err(fault("min", "is above `max`".into()));
    }
    if let (Some(min), Some(max)) = (constraints.min_length, constraints.max_length)
        && min > max
    {
        return Err(fault("min_length", "is above `max_length`".into()));
    }
    if kind == T::Choice && constraints.choices.as_ref().is_none_or(Vec::is_empty) {
        return Err(fault("choices", "is needed for the type choice".into()));
    }
    if constraints
        .shape
        .as_ref()
        .is_some_and(|shape| shape.len() > Tensor::MAX_DIMENSIONS)
    {
        return Err(fault(
            "shape",
            format!("has more than {} dimensions", Tensor::MAX_DIMENSIONS),
        ));
    }
    let Some(pattern) = &constraints.pattern else {
        return Ok(None);
    };
    // The pattern is compiled without the group first, so that it cannot close the group.
    let build = |pattern: &str| {
        RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
    };
    build(pattern)
        .and_then(|_| build(&format!(r"\A(?:{pattern})\z")))
        .map(Some)
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            fault(
                "pattern",
                format!("is not a usable regular expression: {reason}"),
            )
        })
}
