//! Bounds that an annotation adds to its type.

use pyo3::prelude::*;

use super::Checked;
use crate::mismatch::Mismatch;
use crate::spec::limit::{Limit, Rule};

/// The value, if it keeps all bounds.
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

fn keeps(limit: &Limit, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let bound = limit.bound.bind(value.py());
    match limit.rule {
        Rule::Greater => value.gt(bound),
        Rule::AtLeast => value.ge(bound),
        Rule::Less => value.lt(bound),
        Rule::AtMost => value.le(bound),
        Rule::MultipleOf => value.call_method1("__mod__", (bound,))?.eq(0),
        Rule::MinLength => Ok(value.len()? >= bound.extract::<usize>()?),
        Rule::MaxLength => Ok(value.len()? <= bound.extract::<usize>()?),
        Rule::Pattern => Ok(!bound.call_method1("search", (value,))?.is_none()),
        Rule::Predicate => bound.call1((value,))?.is_truthy(),
    }
}
