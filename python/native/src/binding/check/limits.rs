//! Bounds that an annotation adds to its type.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use super::Checked;
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::limit::{Limit, Rule};
use crate::codec::kinds;

/// Returns the value if it satisfies all bounds.
pub(super) fn check<'py>(limits: &[Limit], value: Bound<'py, PyAny>) -> Checked<'py> {
    for limit in limits {
        let wrong = match keeps(limit, &value) {
            Ok(true) => continue,
            Ok(false) => Mismatch::wanted(format!("must {}", limit.text), &value),
            Err(error) => Mismatch {
                reason: Some(error.to_string()),
                ..Mismatch::wanted(format!("must {}", limit.text), &value)
            },
        };
        return Err(wrong);
    }
    Ok(value)
}

/// Returns whether a value satisfies a bound. As in JSON Schema, a bound does not apply to values
/// of other types: a length is satisfied by a number, and every bound but a predicate by None.
fn keeps(limit: &Limit, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let bound = limit.bound.bind(value.py());
    let compared = |holds: PyResult<bool>| {
        let other = is_number(bound) && !is_number(value);
        if value.is_none() || other {
            Ok(true)
        } else {
            holds
        }
    };
    match limit.rule {
        Rule::Greater => compared(value.gt(bound)),
        Rule::AtLeast => compared(value.ge(bound)),
        Rule::Less => compared(value.lt(bound)),
        Rule::AtMost => compared(value.le(bound)),
        Rule::MultipleOf => compared(is_multiple(value, bound)),
        Rule::MinLength => length(value, |length| Ok(length >= bound.extract::<usize>()?)),
        Rule::MaxLength => length(value, |length| Ok(length <= bound.extract::<usize>()?)),
        Rule::Pattern if value.is_instance_of::<PyString>() => {
            Ok(!bound.call_method1("search", (value,))?.is_none())
        }
        Rule::Pattern => Ok(true),
        Rule::Predicate => bound.call1((value,))?.is_truthy(),
    }
}

fn length(value: &Bound<'_, PyAny>, keeps: impl FnOnce(usize) -> PyResult<bool>) -> PyResult<bool> {
    value.len().map_or(Ok(true), keeps)
}

fn is_number(value: &Bound<'_, PyAny>) -> bool {
    let number = value.is_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>();
    number || value.is_instance_of::<PyFloat>() || kinds::DECIMAL.is_instance(value)
}

/// Returns whether a number is a multiple of `bound`. If either is a float, their quotient decides,
/// so that 1.1 is a multiple of 0.1.
fn is_multiple(value: &Bound<'_, PyAny>, bound: &Bound<'_, PyAny>) -> PyResult<bool> {
    if kinds::DECIMAL.is_instance(value) && bound.is_instance_of::<PyFloat>() {
        let bound = kinds::DECIMAL.get(value.py())?.call1((bound.str()?,))?;
        return value.rem(bound)?.eq(0);
    }
    if bound.is_instance_of::<PyFloat>() {
        let quotient = value.div(bound)?.extract::<f64>()?;
        return Ok(quotient.fract() == 0.0);
    }
    value.rem(bound)?.eq(0)
}
