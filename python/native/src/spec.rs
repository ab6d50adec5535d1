//! What a parameter accepts, compiled once per tool from the tuples that `_schema.py` makes of type hints.

use std::fmt::Write as _;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// What a value must be.
#[derive(Debug)]
pub(crate) enum Spec {
    Any,
    None,
    Bool,
    Int,
    Float,
    Str,
    Bytes,
    List(Box<Self>),
    Set(Box<Self>),
    FrozenSet(Box<Self>),
    /// `tuple[T, ...]`
    VarTuple(Box<Self>),
    Tuple(Vec<Self>),
    Dict(Box<Self>, Box<Self>),
    Union(Vec<Self>),
    Literal(Vec<Py<PyAny>>, String),
    Enum(Py<PyAny>, String),
    Dataclass(Py<PyAny>, String, Vec<Field>),
    TypedDict(String, Vec<Field>),
    DateTime,
    Date,
    Time,
    TimeDelta,
    Uuid,
    Decimal,
}

/// A field of a dataclass or a key of a `TypedDict`.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Py<PyString>,
    pub(crate) text: String,
    pub(crate) spec: Spec,
    pub(crate) required: bool,
}

impl Spec {
    /// Compiles a tuple.
    pub(crate) fn compile(spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let spec = spec.cast::<PyTuple>()?;
        let kind: String = spec.get_item(0)?.extract()?;
        let inner = |index: usize| -> PyResult<Box<Self>> {
            Ok(Box::new(Self::compile(&spec.get_item(index)?)?))
        };
        let several = |index: usize| -> PyResult<Vec<Self>> {
            spec.get_item(index)?
                .try_iter()?
                .map(|item| Self::compile(&item?))
                .collect()
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
            "set" => Self::Set(inner(1)?),
            "frozenset" => Self::FrozenSet(inner(1)?),
            "vartuple" => Self::VarTuple(inner(1)?),
            "tuple" => Self::Tuple(several(1)?),
            "dict" => Self::Dict(inner(1)?, inner(2)?),
            "union" => Self::Union(several(1)?),
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
                Self::Enum(class.unbind(), name)
            }
            "dataclass" => {
                let class = spec.get_item(1)?;
                let name = class.getattr("__name__")?.extract()?;
                Self::Dataclass(class.unbind(), name, fields(&spec.get_item(2)?)?)
            }
            "typeddict" => {
                Self::TypedDict(spec.get_item(1)?.extract()?, fields(&spec.get_item(2)?)?)
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

    /// The type as it is written in Python.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Any => "any value".to_owned(),
            Self::None => "None".to_owned(),
            Self::Bool => "bool".to_owned(),
            Self::Int => "int".to_owned(),
            Self::Float => "float".to_owned(),
            Self::Str => "str".to_owned(),
            Self::Bytes => "bytes".to_owned(),
            Self::List(item) => generic("list", &[item]),
            Self::Set(item) => generic("set", &[item]),
            Self::FrozenSet(item) => generic("frozenset", &[item]),
            Self::VarTuple(item) => match **item {
                Self::Any => "tuple".to_owned(),
                _ => format!("tuple[{}, ...]", item.text()),
            },
            Self::Tuple(items) => {
                let items = items.iter().map(Self::text).collect::<Vec<_>>();
                format!(
                    "tuple[{}]",
                    if items.is_empty() {
                        "()".to_owned()
                    } else {
                        items.join(", ")
                    }
                )
            }
            Self::Dict(key, value) => generic("dict", &[key, value]),
            Self::Union(members) => members
                .iter()
                .map(Self::text)
                .collect::<Vec<_>>()
                .join(" | "),
            Self::Literal(_, text)
            | Self::Enum(_, text)
            | Self::Dataclass(_, text, _)
            | Self::TypedDict(text, _) => text.clone(),
            Self::DateTime => "datetime".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::TimeDelta => "timedelta".to_owned(),
            Self::Uuid => "UUID".to_owned(),
            Self::Decimal => "Decimal".to_owned(),
        }
    }

    /// JSON of a value that is accepted, for help texts; `None` when JSON has none.
    pub(crate) fn example(&self, py: Python<'_>) -> Option<String> {
        Some(match self {
            Self::Any => "1".to_owned(),
            Self::None => "null".to_owned(),
            Self::Bool => "true".to_owned(),
            Self::Int => "3".to_owned(),
            Self::Float => "1.5".to_owned(),
            Self::Str => "\"text\"".to_owned(),
            Self::Bytes => "{\"$bytes\": \"aGk=\"}".to_owned(),
            Self::List(item) if matches!(**item, Self::Float) => "[1.0, 2.0]".to_owned(),
            Self::List(item) if matches!(**item, Self::Int) => "[1, 2]".to_owned(),
            Self::List(item) | Self::Set(item) | Self::FrozenSet(item) | Self::VarTuple(item) => {
                format!("[{}]", item.example(py)?)
            }
            Self::Tuple(items) => {
                let items = items
                    .iter()
                    .map(|item| item.example(py))
                    .collect::<Option<Vec<_>>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Dict(key, value) if matches!(**key, Self::Str | Self::Any) => {
                format!("{{\"key\": {}}}", value.example(py)?)
            }
            Self::Dict(..) => return None,
            Self::Union(members) => members
                .iter()
                .find(|member| !matches!(member, Self::None))?
                .example(py)?,
            Self::Literal(values, _) => json(values.first()?.bind(py))?,
            Self::Enum(class, _) => json(
                &class
                    .bind(py)
                    .try_iter()
                    .ok()?
                    .next()?
                    .ok()?
                    .getattr("value")
                    .ok()?,
            )?,
            Self::Dataclass(_, _, fields) | Self::TypedDict(_, fields) => {
                let mut text = String::from("{");
                for field in fields.iter().filter(|field| field.required) {
                    let comma = if text.len() > 1 { ", " } else { "" };
                    let _ = write!(
                        text,
                        "{comma}\"{}\": {}",
                        field.text,
                        field.spec.example(py)?
                    );
                }
                text + "}"
            }
            Self::DateTime => "\"2026-01-31T12:00:00+00:00\"".to_owned(),
            Self::Date => "\"2026-01-31\"".to_owned(),
            Self::Time => "\"12:00:00\"".to_owned(),
            Self::TimeDelta => "1.5".to_owned(),
            Self::Uuid => "\"12345678-1234-5678-1234-567812345678\"".to_owned(),
            Self::Decimal => "\"1.50\"".to_owned(),
        })
    }
}

fn generic(name: &str, items: &[&Spec]) -> String {
    if items.iter().all(|item| matches!(item, Spec::Any)) {
        return name.to_owned();
    }
    let items = items.iter().map(|item| item.text()).collect::<Vec<_>>();
    format!("{name}[{}]", items.join(", "))
}

fn fields(fields: &Bound<'_, PyAny>) -> PyResult<Vec<Field>> {
    fields
        .try_iter()?
        .map(|field| {
            let (name, spec, required): (Bound<'_, PyString>, Bound<'_, PyAny>, bool) =
                field?.extract()?;
            Ok(Field {
                text: name.to_str()?.to_owned(),
                name: name.unbind(),
                spec: Spec::compile(&spec)?,
                required,
            })
        })
        .collect()
}

/// JSON of a plain value.
fn json(value: &Bound<'_, PyAny>) -> Option<String> {
    if let Ok(text) = value.extract::<String>() {
        return Some(format!("{text:?}"));
    }
    if let Ok(flag) = value.extract::<bool>() {
        return Some(flag.to_string());
    }
    value.extract::<i64>().map(|number| number.to_string()).ok()
}
