//! Scalars of numpy: sent as the Python value that equals them, or refused.

use pyo3::prelude::*;
use pyo3::types::{PyComplex, PyInt, PyTuple};

use super::refusal::{EncodeError, failed, named, type_name};
use super::{any, times};
use crate::codec::kinds;

/// Appends a scalar that does not inherit from `str`, `bytes`, `int` or `float`.
pub(super) fn scalar(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    let dtype = value.getattr("dtype");
    let kind = dtype.and_then(|dtype| dtype.getattr("kind")?.extract::<char>());
    let kind = kind.map_err(|error| failed(value, &error))?;
    if matches!(kind, 'M' | 'm') {
        return time(value, out);
    }
    let plain = value
        .call_method0("item")
        .map_err(|error| failed(value, &error))?;
    let refused = || EncodeError::new(format!("is a numpy.{}, which cannot be sent", name(value)));
    // `item` of a `longdouble` is a `longdouble`; that of a record has no names.
    if plain.get_type().is(value.get_type()) {
        return Err(refused().help(match kind {
            'c' => "send `[float(value.real), float(value.imag)]`",
            _ => "send `float(value)`",
        }));
    }
    if plain.is_instance_of::<PyComplex>() {
        return Err(refused().help("send `[value.real, value.imag]`"));
    }
    if plain.is_instance_of::<PyTuple>() {
        let what = format!(
            "is {} of {}, which cannot be sent",
            named(value),
            name(value)
        );
        let help = "send `dict(zip(value.dtype.names, value.item()))`, or `value.item()`";
        return Err(EncodeError::new(what).help(help));
    }
    any(&plain, out, depth)
}

/// Appends a `datetime64` or `timedelta64` that a class of `datetime` can hold.
fn time(value: &Bound<'_, PyAny>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let plain = plain_time(value).map_err(|error| failed(value, &error))?;
    let Some(plain) = plain else {
        let what = format!("is a numpy.{} that is not a time", name(value));
        return Err(EncodeError::new(what).help("send None instead"));
    };
    // numpy converts a time that does not fit into an integer.
    if plain.is_instance_of::<PyInt>() {
        let what = format!(
            "is a numpy.{} of {value}, which `datetime` cannot represent",
            name(value)
        );
        let help = "send `numpy.asarray(value)`, which keeps its type, or `str(value)`";
        return Err(EncodeError::new(what).help(help));
    }
    match times::encode(&plain, out)? {
        true => Ok(()),
        false => Err(EncodeError::new(format!("is {}", named(&plain)))),
    }
}

/// Returns the time as an object of `datetime`, or as an integer if no class can hold it. `None`
/// for not-a-time.
fn plain_time<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let plain = value.call_method0("item")?;
    if plain.is_none() {
        return Ok(None);
    }
    if !plain.is_instance_of::<PyInt>() {
        return Ok(Some(plain));
    }
    // Without a unit it is a number, which numpy accepts for a time of any unit.
    let unit = PyModule::import(value.py(), "numpy")?
        .call_method1("datetime_data", (value.getattr("dtype")?,))?
        .get_item(0)?;
    if unit.eq("generic")? {
        return Ok(Some(plain));
    }
    // The unit is finer than a microsecond: use the same moment in microseconds, if there is one.
    let dtype = if kinds::NUMPY_SPAN.is_instance(value) {
        "timedelta64[us]"
    } else {
        "datetime64[us]"
    };
    match value.call_method1("astype", (dtype,)) {
        Ok(rounded) if rounded.eq(value).unwrap_or(false) => rounded.call_method0("item").map(Some),
        _ => Ok(Some(plain)),
    }
}

/// Returns the numpy name of the scalar's type.
fn name(value: &Bound<'_, PyAny>) -> String {
    let dtype = value.getattr("dtype").and_then(|dtype| dtype.str());
    dtype.map_or_else(|_| type_name(value), |name| name.to_string())
}
