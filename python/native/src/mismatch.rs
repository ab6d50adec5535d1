//! What is wrong with an argument: the place, what should be there, and the code.

use pyo3::prelude::*;

use crate::describe::describe;
use crate::spec::{Field, Spec};
use crate::suggest::nearest;

/// A value that does not fit.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// From the innermost value outwards: `[1]`, `.name`.
    pub(crate) path: Vec<String>,
    /// Reads on after the name: "must be float".
    pub(crate) wanted: String,
    /// What is there, if that is said: `string "x"`.
    pub(crate) got: Option<String>,
    /// Why it does not fit; it may show the value.
    pub(crate) reason: Option<String>,
    /// The stable code.
    pub(crate) code: &'static str,
    /// One thing to do about it, where that is not to pass another value.
    pub(crate) help: Option<String>,
}

/// Codes of what is wrong with an argument, or with a field of one.
pub(crate) const MISSING: &str = "SP2002";
pub(crate) const WRONG: &str = "SP2003";
pub(crate) const UNKNOWN: &str = "SP2004";

impl Mismatch {
    pub(crate) fn new(spec: &Spec, value: &Bound<'_, PyAny>) -> Self {
        Self::wanted(format!("must be {}", spec.text()), value)
    }

    /// Something else than the type is wrong: `wanted` reads on after the name.
    pub(crate) fn wanted(wanted: String, value: &Bound<'_, PyAny>) -> Self {
        Self {
            got: Some(describe(value)),
            ..Self::of(WRONG, wanted)
        }
    }

    fn of(code: &'static str, wanted: String) -> Self {
        Self {
            path: Vec::new(),
            wanted,
            got: None,
            reason: None,
            code,
            help: None,
        }
    }

    pub(crate) fn missing(field: &Field) -> Self {
        let missing = Self::of(MISSING, format!("is missing ({})", field.spec.text()));
        missing.inside(|| format!(".{}", field.text))
    }

    pub(crate) fn unknown(spec: &Spec, fields: &[Field], name: &str) -> Self {
        let mut unknown = Self::of(UNKNOWN, format!("is not a field of {}", spec.text()));
        let names = || fields.iter().map(|field| field.text.as_str());
        unknown.help = Some(match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its fields are {}", names().collect::<Vec<_>>().join(", ")),
        });
        unknown.inside(|| format!(".{name}"))
    }

    pub(crate) fn because(spec: &Spec, value: &Bound<'_, PyAny>, reason: &str) -> Self {
        Self {
            reason: Some(reason.to_owned()),
            ..Self::new(spec, value)
        }
    }

    /// Reads on after the name: "must be float, got string "x"". With `hidden` it shows no value.
    pub(crate) fn what(&self, hidden: bool) -> String {
        let Some(got) = &self.got else {
            return self.wanted.clone();
        };
        let kind = got.split(' ').next().unwrap_or_default();
        let wanted = &self.wanted;
        match (&self.reason, hidden) {
            // Sizes of lists and names of fields tell nothing.
            (_, true) if matches!(kind, "list" | "object" | "empty" | "null" | "bytes") => {
                format!("{wanted}, got {got}")
            }
            (_, true) => format!("{wanted}, got {kind} <redacted>"),
            (Some(reason), false) => format!("{wanted}, got {got}: {reason}"),
            (None, false) => format!("{wanted}, got {got}"),
        }
    }

    pub(crate) fn inside(mut self, step: impl FnOnce() -> String) -> Self {
        self.path.push(step());
        self
    }

    /// Where in the argument the value is; empty for the argument itself.
    pub(crate) fn path(&self) -> String {
        self.path.iter().rev().map(String::as_str).collect()
    }
}
