//! Errors of values that cannot be sent.

use std::fmt;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// A value that cannot be sent: its place, the reason, and what to send instead. It lies behind a
/// pointer, so that the result of a value that can be sent fits a register.
#[derive(Debug)]
pub(crate) struct EncodeError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    /// Steps from the innermost container outwards.
    path: Vec<String>,
    what: String,
    help: Option<String>,
}

impl EncodeError {
    #[cold]
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self(Box::new(Refusal {
            path: Vec::new(),
            what: what.into(),
            help: None,
        }))
    }

    /// Sets the hint that says what to send instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds the place of the error within the value.
    pub(crate) fn at(mut self, path: String) -> Self {
        self.0.path.insert(0, path);
        self
    }

    /// Returns the hint that says what to send instead, if there is one.
    pub(crate) fn way_out(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Returns the reason and the hint on one line.
    pub(crate) fn with_way_out(&self) -> String {
        match &self.0.help {
            Some(help) => format!("{self}: {help}"),
            None => self.to_string(),
        }
    }

    #[cold]
    pub(super) fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        // The full path of a value that nests too deep is of no use.
        if self.0.path.len() < 16 {
            self.0.path.push(step());
        }
        self
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.0
            .path
            .iter()
            .rev()
            .try_for_each(|step| f.write_str(step))?;
        write!(f, " {}", self.0.what)
    }
}

/// Returns the error for a value of a type that cannot be sent. Python code supplies the hint for
/// types of known libraries.
pub(super) fn unsendable(value: &Bound<'_, PyAny>) -> EncodeError {
    let error = EncodeError::new(format!("is {}, which cannot be sent", named(value)));
    let module = value.py().import("snakepit_bridge._unsendable.instead");
    let help = module
        .and_then(|module| module.call_method1("instead", (value,)))
        .and_then(|help| help.extract::<Option<String>>());
    match help {
        Ok(Some(help)) => error.help(help),
        _ => error,
    }
}

/// Returns the full name of the type, without `builtins`.
pub(crate) fn type_name(value: &Bound<'_, PyAny>) -> String {
    let class = value.get_type();
    let name = class
        .qualname()
        .map_or_else(|_| "object".to_owned(), |name| name.to_string());
    match class.module() {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    }
}

/// Full name of the type with its article.
pub(crate) fn named(value: &Bound<'_, PyAny>) -> String {
    let name = type_name(value);
    let article = match name.starts_with(['a', 'e', 'i', 'o', 'A', 'E', 'I', 'O']) {
        true => "an",
        false => "a",
    };
    format!("{article} {name}")
}

pub(super) fn failed(value: &Bound<'_, PyAny>, error: &PyErr) -> EncodeError {
    EncodeError::new(format!("is {} that cannot be read: {error}", named(value)))
}

/// A text that UTF-8 cannot carry, with the first character for which that is so.
pub(super) fn surrogate(text: &Bound<'_, PyString>) -> EncodeError {
    let first = || -> PyResult<(usize, String)> {
        let lossy = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
        let lossy = lossy.cast_into::<PyBytes>()?;
        let valid = lossy.as_bytes().utf8_chunks().next();
        let at = valid.map_or(0, |chunk| chunk.valid().chars().count());
        let shown = text.get_item(at)?.repr()?;
        Ok((at, shown.to_string()))
    };
    let name = named(text);
    let what = match first() {
        Ok((at, shown)) => {
            format!("is {name} with the lone surrogate {shown} at {at}, which UTF-8 cannot carry")
        }
        Err(_) => format!("is {name} with a lone surrogate, which UTF-8 cannot carry"),
    };
    EncodeError::new(what).help(
        "send bytes, `value.encode(\"utf-8\", \"surrogatepass\")`, or a text, `value.encode(\"utf-8\", \"replace\").decode()`",
    )
}

pub(super) fn changed() -> EncodeError {
    EncodeError::new("changed while it was being sent")
}
