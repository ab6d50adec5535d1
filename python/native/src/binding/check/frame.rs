//! Data frames of the class that an annotation names.

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::Checked;
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::Spec;
use crate::codec::frames;

/// Returns the value as an instance of the class. Unless `exact`, converts frames of other classes,
/// records and columns.
pub(super) fn made<'py>(
    spec: &Spec,
    class: &Bound<'py, PyType>,
    value: Bound<'py, PyAny>,
    exact: bool,
) -> Checked<'py> {
    if value.is_instance(class).unwrap_or(false) {
        return Ok(value);
    }
    match frames::fit(class, &value, exact) {
        Ok(Some(made)) => Ok(made),
        Ok(None) => Err(Mismatch::new(spec, &value)),
        Err(error) => {
            let reason = error.value(value.py()).to_string();
            Err(Mismatch::because(spec, &value, &reason))
        }
    }
}
