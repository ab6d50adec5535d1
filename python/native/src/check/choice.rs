//! Unions, literals and enums.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};

use super::{Checked, check};
use crate::kinds;
use crate::mismatch::Mismatch;
use crate::spec::Spec;

/// The first member that takes the value as it is, else the first that can convert it.
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
            // The branch that the value names says most; else a mismatch inside says more than "none of these".
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

/// Whether a value names this member by the fields that tell members apart: those of one literal, or of an enum.
fn is_meant(member: &Spec, value: &Bound<'_, PyAny>) -> bool {
    let (Spec::Dataclass(_, _, fields) | Spec::TypedDict(_, fields)) = member.target() else {
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

pub(super) fn literal<'py>(
    values: &[Py<PyAny>],
    value: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyAny>> {
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

pub(super) fn enumeration<'py>(
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
