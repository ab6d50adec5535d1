//! Lists, sets, tuples, dictionaries and arrays.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PyTuple};

use super::{Checked, check, keys, made};
use crate::binding::describe::describe;
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::Spec;
use crate::codec::array;

/// Checks a list and its items. Creates a new list only if an item is converted.
pub(super) fn list<'py>(
    spec: &Spec,
    item: &Spec,
    value: Bound<'py, PyAny>,
    exact: bool,
) -> Checked<'py> {
    let value = listed(spec, value)?;
    let Ok(list) = value.cast_exact::<PyList>() else {
        return Err(Mismatch::new(spec, &value));
    };
    if matches!(item, Spec::Any) {
        return Ok(value);
    }
    let mut converted = false;
    let mut items = Vec::with_capacity(list.len());
    for (index, old) in list.iter().enumerate() {
        let new = check(item, old.clone(), exact)
            .map_err(|error| error.inside(|| format!("[{index}]")))?;
        converted |= !new.is(&old);
        items.push(new);
    }
    if converted {
        made(PyList::new(value.py(), items), spec, &value)
    } else {
        Ok(value)
    }
}

/// Converts an array, a frozenset or a tuple, which arrive where a list is expected, into a list.
fn listed<'py>(spec: &Spec, value: Bound<'py, PyAny>) -> Checked<'py> {
    if value.is_exact_instance_of::<PyList>() {
        return Ok(value);
    }
    if value.is_exact_instance_of::<PyFrozenSet>() || value.is_exact_instance_of::<PyTuple>() {
        let items = value.py().get_type::<PyList>().call1((&value,));
        return items.map_err(|error| Mismatch::because(spec, &value, &error.to_string()));
    }
    if !array::is_array(&value) {
        return Ok(value);
    }
    let items = array::to_list(&value);
    items.map_err(|error| Mismatch::because(spec, &value, &error.to_string()))
}

pub(super) fn items_of<'py>(
    spec: &Spec,
    value: &Bound<'py, PyAny>,
) -> Result<Bound<'py, PyList>, Mismatch> {
    let items = listed(spec, value.clone())?;
    items
        .cast_exact::<PyList>()
        .cloned()
        .map_err(|_| Mismatch::new(spec, value))
}

pub(super) fn each<'a, 'py>(
    items: &Bound<'py, PyList>,
    spec: impl Fn(usize) -> &'a Spec,
    exact: bool,
) -> Result<Vec<Bound<'py, PyAny>>, Mismatch> {
    let items = items.iter().enumerate();
    items
        .map(|(index, item)| {
            check(spec(index), item, exact).map_err(|error| error.inside(|| format!("[{index}]")))
        })
        .collect()
}

/// Creates a set of the items of a list. With `distinct`, two equal items are an error.
pub(super) fn set<'py>(
    spec: &Spec,
    item: &Spec,
    distinct: bool,
    value: &Bound<'py, PyAny>,
    exact: bool,
    new: impl FnOnce(Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>>,
) -> Checked<'py> {
    let items = each(&items_of(spec, value)?, |_| item, exact)?;
    let count = items.len();
    let set = made(new(items), spec, value)?;
    if distinct && set.len().is_ok_and(|len| len != count) {
        let reason = "two of its items are the same";
        return Err(Mismatch::because(spec, value, reason));
    }
    Ok(set)
}

pub(super) fn dict<'py>(
    spec: &Spec,
    key: &Spec,
    item: &Spec,
    value: Bound<'py, PyAny>,
    exact: bool,
) -> Checked<'py> {
    let Ok(dict) = value.cast_exact::<PyDict>() else {
        return Err(Mismatch::new(spec, &value));
    };
    if matches!((key, item), (Spec::Any, Spec::Any)) {
        return Ok(value);
    }
    let new = PyDict::new(value.py());
    for (name, old) in dict.iter() {
        let step = || format!("[{}]", describe(&name).trim_start_matches("string "));
        let new_key = keys::check(key, &name, exact).map_err(|error| Mismatch {
            wanted: format!("has a key that {}", error.wanted),
            ..error
        })?;
        let new_item = check(item, old, exact).map_err(|error| error.inside(step))?;
        new.set_item(new_key, new_item)
            .map_err(|error| Mismatch::because(spec, &value, &error.to_string()))?;
    }
    if new.len() != dict.len() {
        return Err(Mismatch::because(
            spec,
            &value,
            "two of its keys are the same",
        ));
    }
    Ok(new.into_any())
}

/// Converts a value into a numpy array of the annotated element type and shape.
pub(super) fn array<'py>(
    spec: &Spec,
    dtype: &Option<Py<PyAny>>,
    shape: &Option<Vec<Option<usize>>>,
    value: &Bound<'py, PyAny>,
) -> Checked<'py> {
    let py = value.py();
    let because = |reason: &str| Mismatch::because(spec, value, reason);
    let typed = array::is_array(value);
    if !typed && !value.is_exact_instance_of::<PyList>() {
        return Err(Mismatch::new(spec, value));
    }
    let dtype = dtype.as_ref().map(|dtype| dtype.bind(py));
    let module = py.import("snakepit_bridge._hints.array_fit");
    let made = module.and_then(|module| match typed {
        true => module.call_method1("of_array", (value, dtype)),
        // A list has no element type of its own to keep.
        false => module.call_method1("of_lists", (value, dtype, shape.clone())),
    });
    let made = made.map_err(|error| because(&error.value(py).to_string()))?;
    if let Some(wanted) = shape {
        let shape = made
            .getattr("shape")
            .and_then(|shape| shape.extract::<Vec<usize>>());
        let shape = shape.unwrap_or_default();
        let fits = shape.len() == wanted.len()
            && shape
                .iter()
                .zip(wanted)
                .all(|(have, want)| want.is_none_or(|want| want == *have));
        if !fits {
            return Err(because(&format!("its shape is {shape:?}")));
        }
    }
    Ok(made)
}
