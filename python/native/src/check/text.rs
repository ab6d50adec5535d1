//! What JSON has only as texts, or as numbers of one kind.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyType};

use super::Checked;
use crate::mismatch::Mismatch;
use crate::spec::Spec;

/// The numbers that JSON has only as texts.
pub(super) fn float(value: &Bound<'_, PyAny>) -> Option<f64> {
    match value.cast_exact::<PyString>().ok()?.to_str().ok()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The whole number that a float is.
pub(super) fn whole<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let number = value.cast_exact::<PyFloat>().ok()?.value();
    (number.fract() == 0.0).then(|| value.call_method0("__int__").ok())?
}

/// What the text of a key stands for, if that is no text.
pub(super) fn key<'py>(py: Python<'py>, text: &str) -> Option<Bound<'py, PyAny>> {
    match text {
        "true" | "false" => Some(PyBool::new(py, text == "true").to_owned().into_any()),
        "null" => Some(py.None().into_bound(py)),
        _ => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if !digits.starts_with(|c: char| c.is_ascii_digit()) {
                return None;
            }
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let number = text.parse::<f64>().ok()?;
                return Some(PyFloat::new(py, number).into_any());
            }
            // As JSON writes numbers: without leading zeros.
            if digits.len() > 1 && digits.starts_with('0') {
                return None;
            }
            match text.parse::<i64>() {
                Ok(number) => Some(PyInt::new(py, number).into_any()),
                Err(_) => Some(PyInt::new(py, text.parse::<u64>().ok()?).into_any()),
            }
        }
    }
}

/// An instance of a class that is made of a text, such as a path or an address.
pub(super) fn made<'py>(
    spec: &Spec,
    class: &Bound<'py, PyType>,
    value: Bound<'py, PyAny>,
) -> Checked<'py> {
    if value.is_instance(class).unwrap_or(false) {
        return Ok(value);
    }
    if !value.is_exact_instance_of::<PyString>() {
        return Err(Mismatch::new(spec, &value));
    }
    let made = class.call1((&value,));
    made.map_err(|error| Mismatch::because(spec, &value, &error.value(value.py()).to_string()))
}
