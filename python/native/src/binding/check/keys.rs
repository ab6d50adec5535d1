//! Keys of maps, which JSON always writes as texts.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use super::{Checked, choice, forms, limits, text};
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::Spec;

/// Checks a key. Unless `exact`, a text is read as a value of the key's type.
pub(super) fn check<'py>(spec: &Spec, key: &Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    match key.cast_exact::<PyString>() {
        Ok(name) if !exact => read(spec, name),
        _ => super::check(spec, key.clone(), exact),
    }
}

fn read<'py>(spec: &Spec, key: &Bound<'py, PyString>) -> Checked<'py> {
    let py = key.py();
    let failed = || Mismatch::new(spec, key);
    let name = key.to_str().map_err(|_| failed())?;
    let read = match spec {
        Spec::Ref(definition) => return read(definition.spec(), key),
        Spec::Limited(inner, bounds) => return limits::check(bounds, read(inner, key)?),
        Spec::Made(make, _, inner) => {
            let made = make.bind(py).call1((read(inner, key)?,));
            return super::made(made, spec, key.as_any());
        }
        Spec::Union(members) => {
            for member in members {
                if let Ok(value) = super::check(member, key.as_any().clone(), true) {
                    return Ok(value);
                }
            }
            members.iter().find_map(|member| read(member, key).ok())
        }
        Spec::None => (name == "null").then(|| py.None().into_bound(py)),
        Spec::Bool => match name {
            "true" | "false" => Some(PyBool::new(py, name == "true").to_owned().into_any()),
            _ => None,
        },
        Spec::Int if forms::is_whole(name) => match name.parse::<i64>() {
            Ok(number) => Some(PyInt::new(py, number).into_any()),
            Err(_) => py.get_type::<PyInt>().call1((key,)).ok(),
        },
        Spec::Int => None,
        Spec::Float => {
            let number = forms::is_number(name).then(|| name.parse::<f64>().ok());
            let number = number.flatten().or_else(|| text::float(key));
            number.map(|number| PyFloat::new(py, number).into_any())
        }
        Spec::Literal(values, _) => choice::by_key(values.iter().map(|value| value.bind(py)), name),
        Spec::Enum(class, _, _) => return choice::member_by_key(spec, class.bind(py), key, name),
        _ => return super::check(spec, key.as_any().clone(), false),
    };
    read.ok_or_else(failed)
}
