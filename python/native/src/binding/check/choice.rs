//! Unions, literals and enums.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::{Checked, check, forms};
use crate::binding::mismatch::Mismatch;
use crate::binding::spec::{Beyond, Spec};
use crate::codec::kinds;

/// Returns the value converted by the first member that accepts it as it is, else by the first one
/// that can convert it.
pub(super) fn union<'py>(
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
    let mut best: Option<((bool, usize), Mismatch)> = None;
    for member in members.iter().filter(|_| !exact) {
        match check(member, value.clone(), false) {
            Ok(value) => return Ok(value),
            // The branch that the value names is the most useful one to report, then the one whose
            // mismatch lies deepest.
            Err(error) => {
                let rank = (is_meant(member, value), error.path.len());
                if rank > best.as_ref().map_or((false, 0), |(rank, _)| *rank) {
                    best = Some((rank, error));
                }
            }
        }
    }
    Err(best.map_or_else(|| Mismatch::new(spec, value), |(_, error)| error))
}

/// Returns whether a value names this member by the fields that tell the members apart: those whose
/// type is a literal.
fn is_meant(member: &Spec, value: &Bound<'_, PyAny>) -> bool {
    let (Spec::Dataclass(_, _, fields)
    | Spec::NamedTuple(_, _, fields)
    | Spec::Model(_, _, fields)
    | Spec::TypedDict(_, fields)) = member.target()
    else {
        return false;
    };
    let Ok(dict) = value.cast_exact::<PyDict>() else {
        return false;
    };
    let mut tags = fields
        .iter()
        .filter(|field| matches!(field.spec.target(), Spec::Literal(..)))
        .peekable();
    tags.peek().is_some()
        && tags.all(|field| {
            let tag = dict.get_item(field.name.bind(value.py())).ok().flatten();
            tag.is_some_and(|tag| check(&field.spec, tag, false).is_ok())
        })
}

/// Returns the literal that equals a value. With `exact`, 1 and 1.0 differ; JSON has one type for
/// both.
pub(super) fn literal<'py>(
    values: &[Py<PyAny>],
    value: &Bound<'py, PyAny>,
    exact: bool,
) -> Option<Bound<'py, PyAny>> {
    let mut values = values.iter().map(|literal| literal.bind(value.py()));
    let found = values.find(|literal| {
        plain(literal).is_some_and(|plain| {
            (!exact || plain.get_type().is(value.get_type())) && same(&plain, value)
        })
    });
    found.cloned()
}

/// Returns the value of an enum member; any other literal stands for itself.
fn plain<'py>(literal: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    if kinds::ENUM.is_instance(literal) {
        literal.getattr("value").ok()
    } else {
        Some(literal.clone())
    }
}

/// Returns whether two values are the same in JSON: unlike Python, `True` and `1` differ; a tuple
/// is a list.
fn same(plain: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> bool {
    if let (Some(plain), Some(items)) = (items(plain), items(value)) {
        let mut pairs = plain.iter().zip(items.iter());
        return plain.len() == items.len() && pairs.all(|(plain, item)| same(&plain, &item));
    }
    plain.is_instance_of::<PyBool>() == value.is_instance_of::<PyBool>()
        && plain.eq(value).unwrap_or(false)
}

fn items<'py>(value: &Bound<'py, PyAny>) -> Option<Bound<'py, PyList>> {
    match value.cast::<PyTuple>() {
        Ok(tuple) => Some(tuple.to_list()),
        Err(_) => value.cast::<PyList>().cloned().ok(),
    }
}

/// Returns the value whose text, as the key of a JSON object, is `name`.
pub(super) fn by_key<'a, 'py: 'a>(
    mut values: impl Iterator<Item = &'a Bound<'py, PyAny>>,
    name: &str,
) -> Option<Bound<'py, PyAny>> {
    let found = values.find(|value| plain(value).is_some_and(|plain| is_key(&plain, name)));
    found.cloned()
}

fn is_key(plain: &Bound<'_, PyAny>, name: &str) -> bool {
    if let Ok(flag) = plain.cast::<PyBool>() {
        return name == if flag.is_true() { "true" } else { "false" };
    }
    if plain.is_none() {
        return name == "null";
    }
    match plain.cast::<PyString>() {
        Ok(text) => text.to_str().is_ok_and(|text| text == name),
        Err(_) if plain.is_instance_of::<PyInt>() || plain.is_instance_of::<PyFloat>() => {
            plain.str().is_ok_and(|text| text.to_string_lossy() == name)
        }
        Err(_) => false,
    }
}

/// Returns the member of an enum whose value, as the key of a JSON object, is `name`.
pub(super) fn member_by_key<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
    name: &str,
) -> Checked<'py> {
    let members: Vec<_> = class.try_iter().into_iter().flatten().flatten().collect();
    if let Some(member) = by_key(members.iter(), name) {
        return Ok(member);
    }
    if let Spec::Enum(_, _, Beyond::Bits(_)) = spec
        && let Ok(bits) = name.parse::<u64>()
        && forms::is_whole(name)
    {
        return enumeration(spec, class, &PyInt::new(key.py(), bits).into_any());
    }
    enumeration(spec, class, key.as_any())
}

pub(super) fn enumeration<'py>(
    spec: &Spec,
    class: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> Checked<'py> {
    let mut known = Vec::new();
    for member in class.try_iter().into_iter().flatten().flatten() {
        let Some(plain) = plain(&member) else {
            continue;
        };
        if same(&plain, value) {
            return Ok(member);
        }
        if known.len() < 10 {
            let text = plain.repr();
            known.push(text.map_or_else(|_| "?".to_owned(), |text| text.to_string()));
        }
    }
    let more = match spec {
        Spec::Enum(_, _, Beyond::Bits(mask)) => bits(value, *mask),
        Spec::Enum(_, _, Beyond::More) => Some(value.clone()),
        _ => None,
    };
    let made = more.and_then(|value| class.call1((value,)).ok());
    made.ok_or_else(|| {
        Mismatch::because(spec, value, &format!("its values are {}", known.join(", ")))
    })
}

/// Returns the number if it has only bits of the mask.
fn bits<'py>(value: &Bound<'py, PyAny>, mask: u64) -> Option<Bound<'py, PyAny>> {
    let number = super::text::whole(value).unwrap_or_else(|| value.clone());
    let bits = number.cast_exact::<PyInt>().ok()?.extract::<u64>().ok()?;
    (bits & !mask == 0).then_some(number)
}
