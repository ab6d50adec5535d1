//! Conversion of arrays into lists, for parameters that take lists.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};

/// Returns the array as nested lists of Python values.
///
/// # Errors
/// The lists would be many more than the elements, or a time is a number there since no class of
/// `datetime` can hold it.
pub(crate) fn to_list<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let shape = value.getattr_opt("shape")?;
    let shape = shape.and_then(|shape| shape.extract::<Vec<usize>>().ok());
    if let Some(shape) = shape.filter(|shape| !nests(shape)) {
        let reason = format!("lists of its shape {shape:?} would be many more than its elements");
        return Err(PyValueError::new_err(reason));
    }
    let list = value.call_method0("tolist")?;
    if is_time(value)? && has_number(&list) {
        let reason = "it has times that no class of `datetime` can hold; take it as an array";
        return Err(PyValueError::new_err(reason));
    }
    Ok(list)
}

/// Returns whether the nested lists are in proportion to the data. Many dimensions of length 1, or
/// one of length 0, would let a small array grow without bound.
fn nests(shape: &[usize]) -> bool {
    let (mut lists, mut level) = (0_usize, 1_usize);
    for length in shape {
        lists = lists.saturating_add(level);
        level = level.saturating_mul(*length);
    }
    lists <= level.saturating_mul(4).saturating_add(1024)
}

/// Returns whether the elements are times with a unit.
fn is_time(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let Some(dtype) = value.getattr_opt("dtype")? else {
        return Ok(false);
    };
    let name = dtype.str()?.to_string();
    Ok(["datetime64[", "timedelta64["]
        .iter()
        .any(|kind| name.starts_with(kind)))
}

fn has_number(list: &Bound<'_, PyAny>) -> bool {
    match list.cast::<PyList>() {
        Ok(items) => items.iter().any(|item| has_number(&item)),
        Err(_) => list.is_instance_of::<PyInt>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_in_proportion_to_the_elements() {
        for shape in [
            &[][..],
            &[1_000_000],
            &[1000, 1000],
            &[0, 5],
            &[1; 32],
            &[5, 0],
        ] {
            assert!(nests(shape), "{shape:?}");
        }
        for shape in [
            &[100_000, 0][..],
            &[usize::MAX, 0, 3],
            &[10_000, 1, 1, 1, 1, 1, 1],
        ] {
            assert!(!nests(shape), "{shape:?}");
        }
    }
}
