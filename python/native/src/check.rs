//! Checks a decoded argument against its spec and converts it.

use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple,
};

use crate::array;
use crate::decode::{decimal, from_iso};
use crate::describe::describe;
use crate::kinds;
use crate::mismatch::Mismatch;
use crate::spec::{Field, Spec};

type Checked<'py> = Result<Bound<'py, PyAny>, Mismatch>;

/// The value as the tool gets it. With `exact` nothing is converted that JSON could have carried as what it is.
pub(crate) fn check<'py>(spec: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    let py = value.py();
    let fits = match spec {
        Spec::Any => true,
        Spec::None => value.is_none(),
        Spec::Bool => value.is_exact_instance_of::<PyBool>(),
        Spec::Int => value.is_exact_instance_of::<PyInt>(),
        Spec::Str => value.is_exact_instance_of::<PyString>(),
        Spec::Bytes => value.is_exact_instance_of::<PyBytes>(),
        Spec::Float => {
            if !exact && let Ok(number) = value.cast_exact::<PyInt>() {
                let number = number
                    .extract::<f64>()
                    .map_err(|_| Mismatch::new(spec, &value))?;
                return Ok(PyFloat::new(py, number).into_any());
            }
            if !exact && let Some(number) = written_as_text(&value) {
                return Ok(PyFloat::new(py, number).into_any());
            }
            value.is_exact_instance_of::<PyFloat>()
        }
        Spec::List(item) => return list(spec, item, value, exact),
        Spec::Set(item) => {
            let items = items_of(spec, &value)?;
            let items = each(&items, |_| item, exact)?;
            return made(PySet::new(py, items), spec, &value);
        }
        Spec::FrozenSet(item) => {
            let items = items_of(spec, &value)?;
            let items = each(&items, |_| item, exact)?;
            return made(PyFrozenSet::new(py, items), spec, &value);
        }
        Spec::VarTuple(item) => {
            let items = items_of(spec, &value)?;
            let items = each(&items, |_| item, exact)?;
            return made(PyTuple::new(py, items), spec, &value);
        }
        Spec::Tuple(members) => {
            let items = items_of(spec, &value)?;
            if items.len() != members.len() {
                return Err(Mismatch::new(spec, &value));
            }
            let items = each(&items, |index| &members[index], exact)?;
            return made(PyTuple::new(py, items), spec, &value);
        }
        Spec::Dict(key, item) => return dict(spec, key, item, value, exact),
        Spec::Union(members) => return union(spec, members, &value, exact),
        Spec::Literal(values, _) => {
            return literal(values, &value).ok_or_else(|| Mismatch::new(spec, &value));
        }
        Spec::Enum(class, _) => return enumeration(spec, class.bind(py), &value),
        Spec::Dataclass(class, _, fields) => {
            let values = record(spec, fields, &value, exact)?;
            return class
                .bind(py)
                .call((), Some(&values))
                .map_err(|error| Mismatch::because(spec, &value, &error.to_string()));
        }
        Spec::TypedDict(_, fields) => {
            return record(spec, fields, &value, exact).map(Bound::into_any);
        }
        Spec::DateTime => return iso(spec, &kinds::DATETIME, value),
        Spec::Date => return iso(spec, &kinds::DATE, value),
        Spec::Time => return iso(spec, &kinds::TIME, value),
        Spec::TimeDelta => {
            let number =
                value.is_exact_instance_of::<PyInt>() || value.is_exact_instance_of::<PyFloat>();
            if number && !exact {
                let made = kinds::TIMEDELTA
                    .get(py)
                    .and_then(|class| class.call1((0, value.clone())));
                return made.map_err(|error| Mismatch::because(spec, &value, &error.to_string()));
            }
            kinds::TIMEDELTA.is_instance(&value)
        }
        Spec::Uuid => {
            if let Ok(text) = value.cast::<PyString>() {
                let made = kinds::UUID.get(py).and_then(|class| class.call1((text,)));
                return made.map_err(|error| {
                    Mismatch::because(spec, &value, &error.value(py).to_string())
                });
            }
            kinds::UUID.is_instance(&value)
        }
        Spec::Decimal => {
            if let Ok(text) = value.cast::<PyString>() {
                let made = text.to_str().and_then(|text| decimal(py, text));
                return made.map_err(|_| Mismatch::new(spec, &value));
            }
            if value.is_exact_instance_of::<PyInt>() && !exact {
                let made = kinds::DECIMAL
                    .get(py)
                    .and_then(|class| class.call1((value.clone(),)));
                return made.map_err(|_| Mismatch::new(spec, &value));
            }
            kinds::DECIMAL.is_instance(&value)
        }
    };
    if fits {
        Ok(value)
    } else {
        Err(Mismatch::new(spec, &value))
    }
}

/// The numbers that JSON has only as texts.
fn written_as_text(value: &Bound<'_, PyAny>) -> Option<f64> {
    match value.cast_exact::<PyString>().ok()?.to_str().ok()? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// The items of a list that came as it is; a new list only when an item is converted.
fn list<'py>(spec: &Spec, item: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
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

/// An array that came where a list is wanted becomes one.
fn listed<'py>(spec: &Spec, value: Bound<'py, PyAny>) -> Checked<'py> {
    if value.is_exact_instance_of::<PyList>() || !array::is_array(&value) {
        return Ok(value);
    }
    let items = array::to_list(&value);
    items.map_err(|error| Mismatch::because(spec, &value, &error.to_string()))
}

fn items_of<'py>(spec: &Spec, value: &Bound<'py, PyAny>) -> Result<Bound<'py, PyList>, Mismatch> {
    let items = listed(spec, value.clone())?;
    items
        .cast_exact::<PyList>()
        .cloned()
        .map_err(|_| Mismatch::new(spec, value))
}

fn each<'a, 'py>(
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

fn made<'py, T>(
    made: PyResult<Bound<'py, T>>,
    spec: &Spec,
    value: &Bound<'_, PyAny>,
) -> Checked<'py> {
    made.map(Bound::into_any)
        .map_err(|error| Mismatch::because(spec, value, &error.to_string()))
}

fn dict<'py>(
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
        let new_key = check(key, name.clone(), exact).map_err(|error| Mismatch {
            wanted: format!("has a key that {}", error.wanted),
            ..error
        })?;
        let new_item = check(item, old, exact).map_err(|error| error.inside(step))?;
        new.set_item(new_key, new_item)
            .map_err(|error| Mismatch::because(spec, &value, &error.to_string()))?;
    }
    Ok(new.into_any())
}

/// The first member that takes the value as it is, else the first that can convert it.
fn union<'py>(
    spec: &Spec,
    members: &[Spec],
    value: &Bound<'py, PyAny>,
    exact: bool,
) -> Checked<'py> {
    for member in members {
        if let Ok(value) = check(member, value.clone(), true) {
            return Ok(value);
        }
    }
    let mut deepest: Option<Mismatch> = None;
    for member in members.iter().filter(|_| !exact) {
        match check(member, value.clone(), false) {
            Ok(value) => return Ok(value),
            // A mismatch inside says more than "none of these".
            Err(error)
                if error.path.len() > deepest.as_ref().map_or(0, |deepest| deepest.path.len()) =>
            {
                deepest = Some(error)
            }
            Err(_) => {}
        }
    }
    Err(deepest.unwrap_or_else(|| Mismatch::new(spec, value)))
}

fn literal<'py>(values: &[Py<PyAny>], value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let py = value.py();
    values
        .iter()
        .map(|literal| literal.bind(py))
        .find_map(|literal| {
            // True == 1 in Python; the types must agree too. A member of an enum stands for its value.
            let plain = if kinds::ENUM.is_instance(literal) {
                literal.getattr("value").ok()?
            } else {
                literal.clone()
            };
            let same = plain.get_type().is(value.get_type()) && plain.eq(value).unwrap_or(false);
            same.then(|| literal.clone())
        })
}

fn enumeration<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Checked<'py> {
    let mut known = Vec::new();
    for member in class.try_iter().into_iter().flatten().flatten() {
        let Ok(plain) = member.getattr("value") else {
            continue;
        };
        // A tuple value arrives as a list.
        let plain = match plain.cast::<PyTuple>() {
            Ok(tuple) => tuple.to_list().into_any(),
            Err(_) => plain,
        };
        if plain.is_instance_of::<PyBool>() == value.is_instance_of::<PyBool>()
            && plain.eq(value).unwrap_or(false)
        {
            return Ok(member);
        }
        if known.len() < 10 {
            known.push(
                plain
                    .repr()
                    .map_or_else(|_| "?".to_owned(), |text| text.to_string()),
            );
        }
    }
    // Flags and `_missing_` hooks know more values than their members.
    class.call1((value,)).map_err(|_| {
        Mismatch::because(spec, value, &format!("its values are {}", known.join(", ")))
    })
}

/// The fields of a dataclass or a `TypedDict`, all known, the required ones present.
fn record<'py>(
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

fn iso<'py>(spec: &Spec, kind: &kinds::Kind, value: Bound<'py, PyAny>) -> Checked<'py> {
    if let Ok(text) = value.cast::<PyString>() {
        let made = text
            .to_str()
            .and_then(|text| from_iso(kind, value.py(), text));
        return made.map_err(|_| Mismatch::because(spec, &value, "it is not in ISO 8601 form"));
    }
    let wrong = matches!(spec, Spec::Date) && kinds::DATETIME.is_instance(&value);
    if kind.is_instance(&value) && !wrong {
        Ok(value)
    } else {
        Err(Mismatch::new(spec, &value))
    }
}
