//! Errors of arguments: which argument, what is wrong with it, and what to do.

use std::borrow::Cow;

use pyo3::prelude::*;

use crate::binding::fault::{Fault, fault};
use crate::binding::mismatch::Mismatch;
use crate::binding::tool::{Param, Tool};
use crate::codec::decode::DecodeError;
use crate::codec::msgpack::Token;
use crate::known;

pub(super) fn wrong(
    py: Python<'_>,
    tool: &Tool,
    param: &Param,
    name: &str,
    mismatch: &Mismatch,
) -> Fault {
    let path = format!("{name}{}", mismatch.path());
    let message = format!(
        "argument `{path}` of tool `{}` {}",
        tool.name,
        mismatch.what(is_secret(py, &path))
    );
    let message = without_secrets(message);
    let help = mismatch.help.clone().unwrap_or_else(|| {
        param.spec.example(py).map_or_else(
            || format!("pass {}", param.spec.text()),
            |example| {
                format!(
                    "pass a value that fits, for example {} = {example}",
                    param.text
                )
            },
        )
    });
    at(&path, fault(mismatch.code, message, Some(tool), help))
}

/// Returns whether the name of an argument says that its value is a secret; also true if Python
/// fails to decide.
fn is_secret(py: Python<'_>, path: &str) -> bool {
    let judge = || {
        let module = py.import("snakepit_bridge._observe.fields")?;
        module.call_method1("is_secret", (path,))?.extract::<bool>()
    };
    judge().unwrap_or(true)
}

/// Masks what looks like a secret in a message.
pub(crate) fn without_secrets(message: String) -> String {
    match known::redact(&message) {
        Cow::Owned(masked) => masked,
        Cow::Borrowed(_) => message,
    }
}

/// Returns the error with the path of the argument that it is about.
pub(super) fn at(path: &str, mut fault: Fault) -> Fault {
    path.clone_into(&mut fault.path);
    fault
}

pub(super) fn invalid(tool: &Tool, error: &DecodeError) -> Fault {
    fault(
        "SP2006",
        format!(
            "the arguments of tool `{}` cannot be decoded: {error}",
            tool.name
        ),
        Some(tool),
        "send MessagePack as docs/values.md describes it, at most 128 levels deep",
    )
}

/// Returns the error for an argument whose bytes cannot be decoded.
pub(super) fn invalid_at(tool: &Tool, name: &str, error: &DecodeError) -> Fault {
    let path = format!("{name}{}", error.path());
    let mut fault = at(&path, invalid(tool, error));
    if let Some(reason) = error.frame_reason() {
        fault.message = format!(
            "argument `{path}` of tool `{}` is a data frame that cannot be read: {reason}",
            tool.name
        );
        "send an Arrow IPC stream without compressed buffers".clone_into(&mut fault.help);
    }
    fault
}

pub(super) fn bad_key(tool: &Tool, key: Token<'_>) -> Fault {
    let message = format!(
        "the names of the arguments of tool `{}` must be strings, got {key:?}",
        tool.name
    );
    fault(
        "SP2008",
        message,
        Some(tool),
        "pass an object whose keys are the names of the parameters",
    )
}
