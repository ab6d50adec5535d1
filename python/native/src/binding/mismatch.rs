//! The mismatch of an argument: its place, what is expected there, and the error code.

use pyo3::prelude::*;

use crate::binding::describe::describe;
use crate::binding::spec::{Field, Spec};
use crate::binding::suggest::nearest;

/// A value that does not satisfy its spec.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// Steps from the innermost value outwards: `[1]`, `.name`.
    pub(crate) path: Vec<String>,
    /// Predicate of a sentence whose subject is the argument: "must be float".
    pub(crate) wanted: String,
    /// Description of the actual value, if it is shown: `string "x"`.
    pub(crate) got: Option<String>,
    /// Reason for the mismatch; it may contain the value.
    pub(crate) reason: Option<String>,
    /// Stable error code.
    pub(crate) code: &'static str,
    /// Hint, if it is another one than to pass a value that fits.
    pub(crate) help: Option<String>,
}

/// Error codes of arguments and of their fields.
pub(crate) const MISSING: &str = "SP2002";
pub(crate) const WRONG: &str = "SP2003";
pub(crate) const UNKNOWN: &str = "SP2004";

impl Mismatch {
    pub(crate) fn new(spec: &Spec, value: &Bound<'_, PyAny>) -> Self {
        Self::wanted(format!("must be {}", spec.text()), value)
    }

    /// Creates a mismatch other than of the type; `wanted` is a predicate such as "must be
    /// positive".
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

    /// Returns the predicate with the actual value: "must be float, got string "x"". With `hidden`,
    /// the value is not shown.
    pub(crate) fn what(&self, hidden: bool) -> String {
        let Some(got) = &self.got else {
            return self.wanted.clone();
        };
        let kind = got.split(' ').next().unwrap_or_default();
        let wanted = &self.wanted;
        match (&self.reason, hidden) {
            // Sizes of lists and names of fields reveal nothing.
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

    /// Returns the path of the value within the argument; empty for the argument itself.
    pub(crate) fn path(&self) -> String {
        self.path.iter().rev().map(String::as_str).collect()
    }
}
