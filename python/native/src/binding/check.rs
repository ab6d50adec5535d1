//! Validation: checks a decoded argument against its spec and converts it.

mod choice;
mod containers;
mod duration;
mod forms;
mod frame;
mod keys;
mod limits;
mod record;
mod text;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyFrozenSet, PyInt, PySet, PyString, PyTuple};

use self::containers::{each, items_of};
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::Spec;
use crate::codec::array;
use crate::codec::kinds;

type Checked<'py> = Result<Bound<'py, PyAny>, Mismatch>;

/// Returns the value as the tool receives it. With `exact`, a value that JSON can carry as its own
/// type is not converted from another type.
#[inline]
pub(crate) fn check<'py>(spec: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    // Most arguments have their exact type.
    let is_exact = match spec {
        Spec::Any => true,
        Spec::Int => value.is_exact_instance_of::<PyInt>(),
        Spec::Float => value.is_exact_instance_of::<PyFloat>(),
        Spec::Str => value.is_exact_instance_of::<PyString>(),
        Spec::Bool => value.is_exact_instance_of::<PyBool>(),
        _ => false,
    };
    if is_exact {
        return Ok(value);
    }
    converted(spec, value, exact)
}

fn converted<'py>(spec: &Spec, value: Bound<'py, PyAny>, exact: bool) -> Checked<'py> {
    let py = value.py();
    let fits = match spec {
        // `check` has accepted exact instances.
        Spec::Any | Spec::Bool | Spec::Str => false,
        Spec::None => value.is_none(),
        Spec::Int => match text::whole(&value) {
            // JSON has one type of numbers: 3.0 is an integer.
            Some(number) if !exact => return Ok(number),
            _ => false,
        },
        Spec::Bytes => {
            if !exact && let Ok(text) = value.cast_exact::<PyString>() {
                let data = text
                    .to_str()
                    .ok()
                    .and_then(|text| STANDARD.decode(text).ok());
                let data = data.map(|data| PyBytes::new(py, &data).into_any());
                return data.ok_or_else(|| Mismatch::because(spec, &value, "it is not base64"));
            }
            value.is_exact_instance_of::<PyBytes>()
        }
        Spec::Float => {
            if !exact && let Ok(number) = value.cast_exact::<PyInt>() {
                let number = number
                    .extract::<f64>()
                    .map_err(|_| Mismatch::new(spec, &value))?;
                return Ok(PyFloat::new(py, number).into_any());
            }
            if !exact && let Some(number) = text::float(&value) {
                return Ok(PyFloat::new(py, number).into_any());
            }
            false
        }
        Spec::List(item) => return containers::list(spec, item, value, exact),
        Spec::Set(item, distinct) => {
            let new = |items| PySet::new(py, items).map(Bound::into_any);
            return containers::set(spec, item, *distinct, &value, exact, new);
        }
        Spec::FrozenSet(item, distinct) => {
            let new = |items| PyFrozenSet::new(py, items).map(Bound::into_any);
            return containers::set(spec, item, *distinct, &value, exact, new);
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
        Spec::TupleRest(first, rest, last) => {
            let items = items_of(spec, &value)?;
            let Some(middle) = items.len().checked_sub(first.len() + last.len()) else {
                return Err(Mismatch::new(spec, &value));
            };
            let of = |index: usize| match index.checked_sub(first.len()) {
                None => &first[index],
                Some(index) => index
                    .checked_sub(middle)
                    .map_or(&**rest, |index| &last[index]),
            };
            let items = each(&items, of, exact)?;
            return made(PyTuple::new(py, items), spec, &value);
        }
        Spec::Dict(key, item) => return containers::dict(spec, key, item, value, exact),
        Spec::Array(dtype, shape) => return containers::array(spec, dtype, shape, &value),
        Spec::Union(members) => return choice::union(spec, members, &value, exact),
        Spec::Literal(values, _) => {
            let found = choice::literal(values, &value, exact);
            return found.ok_or_else(|| Mismatch::new(spec, &value));
        }
        Spec::Enum(class, ..) => return choice::enumeration(spec, class.bind(py), &value),
        Spec::Dataclass(class, _, fields) => {
            let values = record::fields(spec, fields, &value, exact)?;
            return record::made(spec, class.bind(py), &values, &value);
        }
        Spec::TypedDict(_, fields) => {
            return record::fields(spec, fields, &value, exact).map(Bound::into_any);
        }
        Spec::NamedTuple(class, _, fields) => {
            return record::named_tuple(spec, class.bind(py), fields, &value, exact);
        }
        Spec::Model(class, ..) => return record::model(spec, class.bind(py), &value),
        Spec::Frame(class, ..) => return frame::made(spec, class.bind(py), value, exact),
        Spec::Text(class, _) => return text::made(spec, class.bind(py), value),
        Spec::Made(make, _, inner) => {
            if let Some(scalar) = array::scalar(&value, make.bind(py)) {
                return Ok(scalar);
            }
            let plain = check(inner, value.clone(), exact).map_err(|error| {
                let own = error.path.is_empty() && error.wanted == wanted(inner);
                Mismatch {
                    wanted: if own { wanted(spec) } else { error.wanted },
                    ..error
                }
            });
            return made(make.bind(py).call1((plain?,)), spec, &value);
        }
        Spec::Limited(inner, limits) => {
            let value = check(inner, value, exact)?;
            return limits::check(limits, value);
        }
        Spec::Ref(definition) => return check(definition.spec(), value, exact),
        Spec::DateTime => return text::iso(spec, &kinds::DATETIME, value),
        Spec::Date => return text::iso(spec, &kinds::DATE, value),
        Spec::Time => return text::iso(spec, &kinds::TIME, value),
        Spec::TimeDelta => return text::time_delta(spec, value, exact),
        Spec::Uuid => return text::uuid(spec, value),
        Spec::Decimal => return text::decimal(spec, value, exact),
    };
    if fits {
        Ok(value)
    } else {
        Err(Mismatch::new(spec, &value))
    }
}

fn wanted(spec: &Spec) -> String {
    format!("must be {}", spec.text())
}

fn made<'py, T>(
    made: PyResult<Bound<'py, T>>,
    spec: &Spec,
    value: &Bound<'_, PyAny>,
) -> Checked<'py> {
    made.map(Bound::into_any)
        .map_err(|error| Mismatch::because(spec, value, &error.to_string()))
}
