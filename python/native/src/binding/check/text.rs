//! Values that JSON carries as texts, or as numbers of its one type.

use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyString, PyType};

use super::{Checked, duration, forms};
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::Spec;
use crate::codec::decode::from_iso;
use crate::codec::kinds::{self, Kind};

/// Returns the float that JSON can carry only as a text: NaN or an infinity.
pub(super) fn float(value: &Bound<'_, PyAny>) -> Option<f64> {
    match value.cast_exact::<PyString>().ok()?.to_str().ok()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Returns a float without a fraction as an integer.
pub(super) fn whole<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let number = value.cast_exact::<PyFloat>().ok()?.value();
    (number.fract() == 0.0).then(|| value.call_method0("__int__").ok())?
}

/// Creates an instance of a class whose constructor takes a text, such as a path or an address.
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

/// Returns a date, a time, or both; accepts ISO 8601 text.
pub(super) fn iso<'py>(spec: &Spec, kind: &Kind, value: Bound<'py, PyAny>) -> Checked<'py> {
    let (right, form): (fn(&str) -> bool, _) = match spec {
        Spec::Date => (forms::is_date, "YYYY-MM-DD"),
        Spec::Time => (forms::is_time, "HH:MM:SS.ffffff+HH:MM"),
        _ => (forms::is_date_time, "YYYY-MM-DDTHH:MM:SS.ffffff+HH:MM"),
    };
    if let Ok(text) = value.cast::<PyString>() {
        let text = text.to_str().ok().filter(|text| right(text));
        let made = text.and_then(|text| from_iso(kind, value.py(), text).ok());
        let reason = || format!("it is not in ISO 8601 form, {form}, with six digits at most");
        return made.ok_or_else(|| Mismatch::because(spec, &value, &reason()));
    }
    let wrong = matches!(spec, Spec::Date) && kinds::DATETIME.is_instance(&value);
    if kind.is_instance(&value) && !wrong {
        Ok(value)
    } else {
        Err(Mismatch::new(spec, &value))
    }
}

/// Range of seconds that a `timedelta` can hold.
const SECONDS: std::ops::Range<f64> = -86_399_999_913_600.0..86_400_000_000_000.0;

/// Returns a `timedelta`; accepts ISO 8601 text and seconds.
pub(super) fn time_delta<'py>(spec: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    let py = value.py();
    let because = |reason: &str| Mismatch::because(spec, &value, reason);
    if kinds::TIMEDELTA.is_instance(&value) {
        return Ok(value);
    }
    if exact {
        return Err(Mismatch::new(spec, &value));
    }
    let made = if let Ok(text) = value.cast_exact::<PyString>() {
        let micros = text.to_str().ok().and_then(duration::micros);
        let micros = micros.ok_or_else(|| {
            because("it is not an ISO 8601 duration of weeks, days, hours, minutes and seconds")
        })?;
        kinds::TIMEDELTA
            .get(py)
            .and_then(|class| class.call1((0, 0, micros)))
    } else if value.is_exact_instance_of::<PyInt>() || value.is_exact_instance_of::<PyFloat>() {
        let seconds = value.extract::<f64>().unwrap_or(f64::NAN);
        if !SECONDS.contains(&seconds) {
            return Err(because("`timedelta` cannot hold that number of seconds"));
        }
        kinds::TIMEDELTA
            .get(py)
            .and_then(|class| class.call1((0, &value)))
    } else {
        return Err(Mismatch::new(spec, &value));
    };
    made.map_err(|error| because(&error.to_string()))
}

/// Returns a UUID; accepts text of five groups.
pub(super) fn uuid<'py>(spec: &Spec, value: Bound<'py, PyAny>) -> Checked<'py> {
    if kinds::UUID.is_instance(&value) {
        return Ok(value);
    }
    let Ok(text) = value.cast::<PyString>() else {
        return Err(Mismatch::new(spec, &value));
    };
    let made = text.to_str().ok().filter(|text| forms::is_uuid(text));
    let made = made.and_then(|text| {
        let class = kinds::UUID.get(value.py()).ok()?;
        class.call1((text,)).ok()
    });
    let reason = "it is not in the form of 8-4-4-4-12 hexadecimal digits";
    made.ok_or_else(|| Mismatch::because(spec, &value, reason))
}

/// Returns a decimal number; accepts text and integers.
pub(super) fn decimal<'py>(spec: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    let py = value.py();
    if kinds::DECIMAL.is_instance(&value) {
        return Ok(value);
    }
    let text = value.cast::<PyString>().ok();
    let from = match text {
        Some(text) => text
            .to_str()
            .is_ok_and(forms::is_decimal)
            .then(|| value.clone()),
        None if exact => None,
        None if value.is_exact_instance_of::<PyInt>() => Some(value.clone()),
        None => whole(&value),
    };
    let made = from.and_then(|from| {
        let class = kinds::DECIMAL.get(py).ok()?;
        class.call1((from,)).ok()
    });
    made.ok_or_else(|| Mismatch::new(spec, &value))
}
