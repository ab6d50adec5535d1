//! Values with named fields: dataclasses, `TypedDict`s, named tuples and models.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::{Checked, check};
use crate::binding::describe::describe;
use crate::binding::mismatch::{MISSING, Mismatch};
use crate::binding::spec::{Field, Spec};

/// Checks the fields of a dataclass or a `TypedDict`: no unknown field, no required field missing.
pub(super) fn fields<'py>(
    spec: &Spec,
    fields: &[Field],
    value: &Bound<'py, PyAny>,
    exact: bool,
) -> Result<Bound<'py, PyDict>, Mismatch> {
    let py = value.py();
    let Ok(dict) = value.cast_exact::<PyDict>() else {
        return Err(Mismatch::new(spec, value));
    };
    let values = PyDict::new(py);
    let mut known = 0;
    for field in fields {
        let name = field.name.bind(py);
        match dict.get_item(name) {
            Ok(Some(item)) => {
                known += 1;
                let item = check(&field.spec, item, exact)
                    .map_err(|error| error.inside(|| format!(".{}", field.text)))?;
                values
                    .set_item(name, item)
                    .map_err(|error| Mismatch::because(spec, value, &error.to_string()))?;
            }
            _ if field.required => {
                return Err(Mismatch::missing(field));
            }
            _ => {}
        }
    }
    if known != dict.len() {
        let extra = dict.keys().iter().find(|key| {
            fields
                .iter()
                .all(|field| !key.eq(field.name.bind(py)).unwrap_or(false))
        });
        return Err(match extra.as_ref().map(|key| key.extract::<String>()) {
            Some(Ok(name)) => Mismatch::unknown(spec, fields, &name),
            _ => {
                let extra = extra.map_or_else(String::new, |key| describe(&key));
                let reason = format!("{} has no field {extra}", spec.text());
                Mismatch::because(spec, value, &reason)
            }
        });
    }
    Ok(values)
}

/// Creates an instance of a class that takes its fields by name.
pub(super) fn made<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    values: &Bound<'py, PyDict>,
    value: &Bound<'py, PyAny>,
) -> Checked<'py> {
    let made = class.call((), Some(values));
    made.map_err(|error| Mismatch::because(spec, value, &error.to_string()))
}

/// Creates a named tuple from a list of its items, or from a map of its fields.
pub(super) fn named_tuple<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    fields: &[Field],
    value: &Bound<'py, PyAny>,
    exact: bool,
) -> Checked<'py> {
    let Ok(items) = value.cast_exact::<PyList>() else {
        let values = self::fields(spec, fields, value, exact)?;
        return made(spec, class, &values, value);
    };
    let required = fields.iter().filter(|field| field.required).count();
    if !(required..=fields.len()).contains(&items.len()) {
        let reason = format!("it has {} items", items.len());
        return Err(Mismatch::because(spec, value, &reason));
    }
    let mut checked = Vec::with_capacity(items.len());
    for (item, field) in items.iter().zip(fields) {
        let item = check(&field.spec, item, exact);
        checked.push(item.map_err(|error| error.inside(|| format!(".{}", field.text)))?);
    }
    let made = PyTuple::new(value.py(), checked).and_then(|items| class.call1(items));
    made.map_err(|error| Mismatch::because(spec, value, &error.to_string()))
}

/// Creates a pydantic model, which validates the value itself. The first of its errors gives place
/// and reason.
pub(super) fn model<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Checked<'py> {
    let py = value.py();
    let error = match class.call_method1("model_validate", (value,)) {
        Ok(made) => return Ok(made),
        Err(error) => error,
    };
    let first = || -> PyResult<(Vec<Bound<'py, PyAny>>, String)> {
        let errors = error.value(py).call_method0("errors")?;
        let first = errors.get_item(0)?;
        let place = first
            .get_item("loc")?
            .try_iter()?
            .collect::<PyResult<_>>()?;
        Ok((place, first.get_item("msg")?.extract()?))
    };
    let Ok((place, reason)) = first() else {
        return Err(Mismatch::because(spec, value, &error.to_string()));
    };
    let mut wrong = value.clone();
    for step in &place {
        if let Ok(inner) = wrong.get_item(step) {
            wrong = inner;
        }
    }
    let mismatch = match reason.strip_prefix("Input should ") {
        Some(rest) => Mismatch::wanted(format!("must {rest}"), &wrong),
        None if reason == "Field required" => Mismatch {
            code: MISSING,
            got: None,
            ..Mismatch::wanted("is missing".to_owned(), &wrong)
        },
        None => Mismatch::because(spec, &wrong, &reason),
    };
    let steps = place
        .iter()
        .rev()
        .map(|step| match step.extract::<usize>() {
            Ok(index) => format!("[{index}]"),
            Err(_) => format!(".{step}"),
        });
    Err(steps.fold(mismatch, |mismatch, step| mismatch.inside(|| step)))
}
