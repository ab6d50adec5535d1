//! Examples of accepted values for help texts, as JSON.

use std::fmt::Write as _;

use pyo3::prelude::*;

use super::Spec;
use super::limit::{Limit, Rule};

impl Spec {
    /// Returns an accepted value as JSON; `None` if there is no simple one.
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
            Self::List(item)
            | Self::Set(item, _)
            | Self::FrozenSet(item, _)
            | Self::VarTuple(item) => {
                format!("[{}]", item.example(py).unwrap_or_default())
            }
            Self::TupleRest(first, _, last) => {
                let items = first.iter().chain(last);
                let items = items
                    .map(|item| item.example(py))
                    .collect::<Option<Vec<_>>>()?;
                format!("[{}]", items.join(", "))
            }
            Self::Array(dtype, shape) if are_numbers(dtype) && is_of_two(shape) => {
                "[1.0, 2.0]".to_owned()
            }
            Self::Array(..) => return None,
            Self::Limited(inner, limits) => bounded(py, inner, limits)?,
            // The callable knows which values it takes.
            Self::Made(_, _, inner) if matches!(**inner, Self::Any) => return None,
            Self::Made(_, _, inner) => inner.example(py)?,
            // A type that contains itself has no end.
            Self::Ref(_) | Self::Model(..) => return None,
            Self::Text(..) => return None,
            Self::Frame(_, name, _) if name.ends_with("DataFrame") || name.ends_with("Table") => {
                "[{\"column\": 1}]".to_owned()
            }
            Self::Frame(..) => "[1, 2]".to_owned(),
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
            Self::Dict(key, value) if matches!(**key, Self::Int) => {
                format!("{{\"1\": {}}}", value.example(py)?)
            }
            Self::Dict(..) => return None,
            Self::Union(members) => members
                .iter()
                .filter(|member| !matches!(member, Self::None))
                .find_map(|member| member.example(py))?,
            Self::Literal(values, _) => json(values.first()?.bind(py))?,
            Self::Enum(class, ..) => json(
                &class
                    .bind(py)
                    .try_iter()
                    .ok()?
                    .next()?
                    .ok()?
                    .getattr("value")
                    .ok()?,
            )?,
            Self::Dataclass(_, _, fields)
            | Self::TypedDict(_, fields)
            | Self::NamedTuple(_, _, fields) => {
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

/// Returns whether an array of this element type may have whole numbers.
fn are_numbers(dtype: &Option<Py<PyAny>>) -> bool {
    dtype.as_ref().is_none_or(|dtype| {
        let name = dtype.to_string();
        ["float", "int", "uint"]
            .iter()
            .any(|kind| name.starts_with(kind))
    })
}

/// Returns whether an array of this shape may have one dimension and two elements.
fn is_of_two(shape: &Option<Vec<Option<usize>>>) -> bool {
    matches!(shape.as_deref(), None | Some([None | Some(2)]))
}

/// Returns a number that satisfies a single bound; `None` for other types and for several bounds.
fn bounded(py: Python<'_>, inner: &Spec, limits: &[Limit]) -> Option<String> {
    let [limit] = limits else { return None };
    if !matches!(inner.target(), Spec::Int | Spec::Float) {
        return None;
    }
    let bound = limit.bound.bind(py);
    let bound = match limit.rule {
        Rule::AtLeast | Rule::AtMost | Rule::MultipleOf => bound.clone(),
        Rule::Greater => bound.add(1).ok()?,
        Rule::Less => bound.sub(1).ok()?,
        _ => return None,
    };
    Some(bound.str().ok()?.to_string())
}

/// Returns the JSON of a text, a bool or an integer; `None` for other values.
fn json(value: &Bound<'_, PyAny>) -> Option<String> {
    if let Ok(text) = value.extract::<String>() {
        return Some(format!("{text:?}"));
    }
    if let Ok(flag) = value.extract::<bool>() {
        return Some(flag.to_string());
    }
    value.extract::<i64>().map(|number| number.to_string()).ok()
}
