//! Instances that are sent as the map of their fields: dataclasses, and models of pydantic, attrs
//! and msgspec.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::refusal::{EncodeError, failed, unsendable};
use super::{any, deeper, string};
use crate::codec::frames;
use crate::codec::kinds;
use crate::codec::msgpack::{Token, write};

/// Appends an instance.
pub(super) fn encode(
    value: &Bound<'_, PyAny>,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), EncodeError> {
    if value.is_instance_of::<PyType>() {
        return Err(unsendable(value));
    }
    if kinds::MODEL.is_instance(value) {
        // The model knows its aliases, its computed fields and what is excluded.
        let dumped = value
            .call_method0("model_dump")
            .map_err(|error| failed(value, &error))?;
        return any(&dumped, out, deeper(depth)?);
    }
    let Some(names) = names(value).ok().flatten() else {
        return match frames::encode(value, out, depth == 0)? {
            true => Ok(()),
            false => Err(unsendable(value)),
        };
    };
    let depth = deeper(depth)?;
    let tag = tag(value).map_err(|error| failed(value, &error))?;
    write(out, Token::Map(names.len() + usize::from(tag.is_some())));
    if let Some((name, tag)) = tag {
        string(&name, out)?;
        any(&tag, out, depth)?;
    }
    for name in names {
        string(&name, out)?;
        let item = value
            .getattr(&name)
            .map_err(|error| failed(value, &error))?;
        any(&item, out, depth).map_err(|error| error.inside(|| format!(".{name}")))?;
    }
    let checked = value.py().check_signals();
    checked.map_err(|error| failed(value, &error))
}

/// Returns the tag of a msgspec struct: the field that distinguishes it, and its value.
fn tag<'py>(
    value: &Bound<'py, PyAny>,
) -> PyResult<Option<(Bound<'py, PyString>, Bound<'py, PyAny>)>> {
    let Some(config) = value.get_type().getattr_opt("__struct_config__")? else {
        return Ok(None);
    };
    let tag = config.getattr("tag")?;
    if tag.is_none() {
        return Ok(None);
    }
    Ok(Some((config.getattr("tag_field")?.cast_into()?, tag)))
}

/// Returns the names of the fields; `None` if the class is none of these libraries'.
fn names<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyString>>>> {
    let class = value.get_type();
    if let Some(fields) = class.getattr_opt("__dataclass_fields__")? {
        let mut names = Vec::new();
        for (name, field) in fields.cast_into::<PyDict>()?.iter() {
            // ClassVar and InitVar are listed too, but are no fields.
            let kind = field.getattr("_field_type")?.getattr("name")?;
            if kind.extract::<String>()? == "_FIELD" {
                names.push(name.cast_into::<PyString>()?);
            }
        }
        return Ok(Some(names));
    }
    let (fields, named) = match class.getattr_opt("__attrs_attrs__")? {
        Some(fields) => (fields, true),
        None => match class.getattr_opt("__struct_fields__")? {
            Some(fields) => (fields, false),
            None => return Ok(None),
        },
    };
    let mut names = Vec::new();
    for field in fields.try_iter()? {
        let field = field?;
        let name = if named { field.getattr("name")? } else { field };
        names.push(name.cast_into::<PyString>()?);
    }
    Ok(Some(names))
}
