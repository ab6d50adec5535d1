//! Specs of parameters: the values that they accept, compiled once per tool from the tuples that
//! `_hints/schema.py` creates from type hints.

mod compile;
mod example;
mod frames;
pub(crate) mod limit;

use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use self::limit::Limit;
use crate::codec::frames::Libraries;

/// A spec: the set of values that a type hint accepts.
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
    /// With `true`, an item must not occur twice.
    Set(Box<Self>, bool),
    FrozenSet(Box<Self>, bool),
    /// `tuple[T, ...]`
    VarTuple(Box<Self>),
    Tuple(Vec<Self>),
    /// `tuple[A, *tuple[T, ...], B]`
    TupleRest(Vec<Self>, Box<Self>, Vec<Self>),
    Dict(Box<Self>, Box<Self>),
    Union(Vec<Self>),
    Literal(Vec<Py<PyAny>>, String),
    Enum(Py<PyAny>, String, Beyond),
    Dataclass(Py<PyAny>, String, Vec<Field>),
    TypedDict(String, Vec<Field>),
    NamedTuple(Py<PyAny>, String, Vec<Field>),
    /// A pydantic model, with the fields that tell it apart from others.
    Model(Py<PyAny>, String, Vec<Field>),
    /// A class whose constructor takes a text.
    Text(Py<PyType>, String),
    /// A class of data frames or columns, its name, and its library.
    Frame(Py<PyType>, String, Libraries),
    /// A numpy array: element type, and shape with `None` for any length.
    Array(Option<Py<PyAny>>, Option<Vec<Option<usize>>>),
    /// An instance that a callable makes of another value, and its name.
    Made(Py<PyAny>, String, Box<Self>),
    /// A type with bounds.
    Limited(Box<Self>, Vec<Limit>),
    /// A reference to a type that contains itself.
    Ref(Arc<Definition>),
    DateTime,
    Date,
    Time,
    TimeDelta,
    Uuid,
    Decimal,
}

/// Values that an enum accepts beyond those of its members.
#[derive(Debug)]
pub(crate) enum Beyond {
    Nothing,
    /// Combinations of these bits.
    Bits(u64),
    /// Values that its `_missing_` hook accepts.
    More,
}

/// A field of a dataclass or a key of a `TypedDict`.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Py<PyString>,
    pub(crate) text: String,
    pub(crate) spec: Spec,
    pub(crate) required: bool,
}

/// The definition of a type that contains itself.
#[derive(Debug)]
pub(crate) struct Definition {
    name: String,
    /// Empty only during compilation.
    spec: OnceLock<Spec>,
}

impl Definition {
    /// Returns the spec of the type.
    pub(crate) fn spec(&self) -> &Spec {
        self.spec.get().unwrap_or(&Spec::Any)
    }
}

impl Spec {
    /// Returns the spec behind a reference, behind bounds or behind a callable; otherwise itself.
    pub(crate) fn target(&self) -> &Self {
        match self {
            Self::Ref(definition) => definition.spec(),
            Self::Limited(inner, _) | Self::Made(_, _, inner) => inner.target(),
            other => other,
        }
    }

    /// Returns the type in Python's notation.
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
            Self::Set(item, _) => generic("set", &[item]),
            Self::FrozenSet(item, _) => generic("frozenset", &[item]),
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
            Self::TupleRest(first, rest, last) => {
                let mut items: Vec<_> = first.iter().map(Self::text).collect();
                items.push(format!("*tuple[{}, ...]", rest.text()));
                items.extend(last.iter().map(Self::text));
                format!("tuple[{}]", items.join(", "))
            }
            Self::Dict(key, value) => generic("dict", &[key, value]),
            Self::Array(dtype, _) => match dtype {
                Some(dtype) => format!("ndarray of {dtype}"),
                None => "ndarray".to_owned(),
            },
            Self::Limited(inner, _) => inner.text(),
            Self::Made(_, name, inner) => match &**inner {
                Self::List(item) => generic(name, &[item]),
                Self::Dict(key, value) => generic(name, &[key, value]),
                _ => name.clone(),
            },
            Self::Ref(definition) => definition.name.clone(),
            Self::Union(members) => members
                .iter()
                .map(Self::text)
                .collect::<Vec<_>>()
                .join(" | "),
            Self::Literal(_, text)
            | Self::Enum(_, text, _)
            | Self::Dataclass(_, text, _)
            | Self::TypedDict(text, _)
            | Self::NamedTuple(_, text, _)
            | Self::Model(_, text, _)
            | Self::Text(_, text)
            | Self::Frame(_, text, _) => text.clone(),
            Self::DateTime => "datetime".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Time => "time".to_owned(),
            Self::TimeDelta => "timedelta".to_owned(),
            Self::Uuid => "UUID".to_owned(),
            Self::Decimal => "Decimal".to_owned(),
        }
    }
}

fn generic(name: &str, items: &[&Spec]) -> String {
    if items.iter().all(|item| matches!(item, Spec::Any)) {
        return name.to_owned();
    }
    let items = items.iter().map(|item| item.text()).collect::<Vec<_>>();
    format!("{name}[{}]", items.join(", "))
}
