//! Compilation of specs from the tuples that Python code creates.

use std::sync::{Arc, OnceLock};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};

use super::limit::Limit;
use super::{Beyond, Definition, Field, Spec};
use crate::codec::frames::Libraries;

impl Spec {
    /// Compiles the tuple of a parameter.
    pub(crate) fn compile(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::within(spec, &mut Vec::new())
    }

    /// Compiles a tuple inside the types `outer`, which it may refer to.
    fn within(spec: &Bound<'_, PyAny>, outer: &mut Vec<Arc<Definition>>) -> PyResult<Self> {
        let spec = spec.cast::<PyTuple>()?;
        let kind: String = spec.get_item(0)?.extract()?;
        let mut inner = |index: usize| -> PyResult<Box<Self>> {
            Ok(Box::new(Self::within(&spec.get_item(index)?, outer)?))
        };
        Ok(match kind.as_str() {
            "any" => Self::Any,
            "none" => Self::None,
            "bool" => Self::Bool,
            "int" => Self::Int,
            "float" => Self::Float,
            "str" => Self::Str,
            "bytes" => Self::Bytes,
            "list" => Self::List(inner(1)?),
            "set" => Self::Set(inner(1)?, spec.get_item(2)?.extract()?),
            "frozenset" => Self::FrozenSet(inner(1)?, spec.get_item(2)?.extract()?),
            "vartuple" => Self::VarTuple(inner(1)?),
            "tuple" => Self::Tuple(several(&spec.get_item(1)?, outer)?),
            "tuplerest" => {
                let first = several(&spec.get_item(1)?, outer)?;
                let rest = Box::new(Self::within(&spec.get_item(2)?, outer)?);
                Self::TupleRest(first, rest, several(&spec.get_item(3)?, outer)?)
            }
            "dict" => Self::Dict(inner(1)?, inner(2)?),
            "union" => Self::Union(several(&spec.get_item(1)?, outer)?),
            "literal" => {
                let values = spec
                    .get_item(1)?
                    .try_iter()?
                    .collect::<PyResult<Vec<_>>>()?;
                let texts = values
                    .iter()
                    .map(|value| Ok(value.repr()?.to_string()))
                    .collect::<PyResult<Vec<_>>>()?;
                Self::Literal(
                    values.into_iter().map(Bound::unbind).collect(),
                    texts.join(" | "),
                )
            }
            "enum" => {
                let class = spec.get_item(1)?;
                let name = class.getattr("__name__")?.extract()?;
                let beyond = spec.get_item(2)?;
                let beyond = match beyond.extract::<u64>() {
                    Ok(mask) => Beyond::Bits(mask),
                    Err(_) if beyond.is_none() => Beyond::Nothing,
                    Err(_) => Beyond::More,
                };
                Self::Enum(class.unbind(), name, beyond)
            }
            "dataclass" => {
                let class = spec.get_item(1)?;
                let name = class.getattr("__name__")?.extract()?;
                Self::Dataclass(class.unbind(), name, fields(&spec.get_item(2)?, outer)?)
            }
            "typeddict" => Self::TypedDict(
                spec.get_item(1)?.extract()?,
                fields(&spec.get_item(2)?, outer)?,
            ),
            "namedtuple" => {
                let class = spec.get_item(1)?;
                let name = class.getattr("__name__")?.extract()?;
                Self::NamedTuple(class.unbind(), name, fields(&spec.get_item(2)?, outer)?)
            }
            "model" => {
                let class = spec.get_item(1)?;
                let name = class.getattr("__name__")?.extract()?;
                let tags = spec.get_item(2)?.try_iter()?;
                Self::Model(
                    class.unbind(),
                    name,
                    tags.map(|tag| tag_of(&tag?)).collect::<PyResult<_>>()?,
                )
            }
            "frame" => {
                let class = spec.get_item(1)?.cast_into::<PyType>()?;
                let libraries = Libraries::of(spec.get_item(3)?.extract()?);
                Self::Frame(class.unbind(), spec.get_item(2)?.extract()?, libraries)
            }
            "text" => {
                let class = spec.get_item(1)?.cast_into::<PyType>()?;
                let name = class.name()?.to_string();
                Self::Text(class.unbind(), name)
            }
            "ndarray" => {
                let dtype = spec.get_item(1)?;
                let dtype = (!dtype.is_none()).then(|| dtype.unbind());
                Self::Array(dtype, spec.get_item(2)?.extract()?)
            }
            "made" => {
                let make = spec.get_item(1)?.unbind();
                Self::Made(make, spec.get_item(2)?.extract()?, inner(3)?)
            }
            "limited" => {
                let limits = spec.get_item(2)?.try_iter()?;
                let limits = limits.map(|limit| Limit::read(&limit?));
                Self::Limited(inner(1)?, limits.collect::<PyResult<_>>()?)
            }
            "def" => {
                let definition = Arc::new(Definition {
                    name: spec.get_item(1)?.extract()?,
                    spec: OnceLock::new(),
                });
                outer.push(Arc::clone(&definition));
                let compiled = Self::within(&spec.get_item(2)?, outer);
                outer.pop();
                // Only this call sets it.
                let _ = definition.spec.set(compiled?);
                Self::Ref(definition)
            }
            "ref" => {
                let name: String = spec.get_item(1)?.extract()?;
                let found = outer.iter().rev().find(|known| known.name == name);
                Self::Ref(Arc::clone(found.ok_or_else(|| {
                    PyValueError::new_err(format!("no type around is named {name:?}"))
                })?))
            }
            "datetime" => Self::DateTime,
            "date" => Self::Date,
            "time" => Self::Time,
            "timedelta" => Self::TimeDelta,
            "uuid" => Self::Uuid,
            "decimal" => Self::Decimal,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "unknown kind of parameter {kind:?}"
                )));
            }
        })
    }
}

fn several(specs: &Bound<'_, PyAny>, outer: &mut Vec<Arc<Definition>>) -> PyResult<Vec<Spec>> {
    let specs = specs.try_iter()?;
    specs.map(|spec| Spec::within(&spec?, outer)).collect()
}

/// Compiles a tag of a model: a field that accepts some literals.
fn tag_of(tag: &Bound<'_, PyAny>) -> PyResult<Field> {
    let (name, values): (Bound<'_, PyString>, Vec<Py<PyAny>>) = tag.extract()?;
    Ok(Field {
        text: name.to_str()?.to_owned(),
        name: name.unbind(),
        spec: Spec::Literal(values, String::new()),
        required: true,
    })
}

fn fields(fields: &Bound<'_, PyAny>, outer: &mut Vec<Arc<Definition>>) -> PyResult<Vec<Field>> {
    fields
        .try_iter()?
        .map(|field| {
            let (name, spec, required): (Bound<'_, PyString>, Bound<'_, PyAny>, bool) =
                field?.extract()?;
            Ok(Field {
                text: name.to_str()?.to_owned(),
                name: name.unbind(),
                spec: Spec::within(&spec, outer)?,
                required,
            })
        })
        .collect()
}
