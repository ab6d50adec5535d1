//! Errors of calls as they are sent to the host.

use std::time::Duration;

use prost::Message as _;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use snakepit_grpc::pb;

use crate::binding::tool::Tool;
use crate::cancel::escalation::CancelStep;
use crate::serve::SlotRuntime;

/// The error of a failed call, as its protobuf message.
pub(crate) type Fault = Box<pb::ToolError>;

/// Longest text of one field, in bytes.
const MAX_TEXT: usize = 64 << 10;

/// Longest encoded error, in bytes; the head of a frame may have 1 MiB.
const MAX_ENCODED: usize = 900 << 10;

/// Longest chain of causes, in exceptions.
const MAX_CAUSES: usize = 16;

/// Creates an error that the runtime itself reports.
pub(crate) fn fault(
    code: &str,
    message: impl Into<String>,
    tool: Option<&Tool>,
    help: impl Into<String>,
) -> Fault {
    let mut fault = pb::ToolError {
        code: code.to_owned(),
        message: message.into(),
        help: help.into(),
        ..Default::default()
    };
    if let Some(tool) = tool {
        fault.file.clone_from(&tool.file);
        fault.line = tool.line;
        fault.source.clone_from(&tool.signature);
    }
    Box::new(fault)
}

/// Creates the error for an exception that the tool raised; the catalog describes the exception.
pub(crate) fn raised(py: Python<'_>, runtime: &SlotRuntime, error: &PyErr, tool: &Tool) -> Fault {
    let object = tool.object.clone_ref(py);
    // Before Python 3.12, the traceback of a fetched exception is stored beside it, not in it.
    if let Some(traceback) = error.traceback(py) {
        let _ = error.value(py).setattr("__traceback__", traceback);
    }
    let described = runtime
        .catalog
        .bind(py)
        .call_method1("describe_exception", (error.value(py), object))
        .and_then(|described| from_dict(&described, 0));
    let mut described = described.unwrap_or_else(|second| plain(py, error, &second, tool));
    if let Some(stopped) = runtime.cancels.stopped() {
        note_stop(&mut described, stopped);
    }
    bounded(described)
}

/// Adds a note to the error of a cancelled call: the step that stopped it, and after how long.
pub(crate) fn note_stop(fault: &mut Fault, (step, after): (CancelStep, Duration)) {
    if fault.code == "SP3002" {
        fault.notes.push(format!(
            "stopped by step `{}`, {} ms after the cancellation",
            step.name(),
            after.as_millis()
        ));
    }
}

/// Creates the error for an adapter that did not load, from a `LoadError` with its fields or from
/// any other exception.
pub(crate) fn load_failed(py: Python<'_>, error: &PyErr) -> Fault {
    let value = error.value(py);
    let text = |name: &str| {
        value
            .getattr(name)
            .and_then(|text| text.extract::<String>())
            .unwrap_or_default()
    };
    let code = text("code");
    if code.starts_with("SP") {
        return bounded(Box::new(pb::ToolError {
            code,
            message: text("message"),
            file: text("file"),
            line: value
                .getattr("line")
                .and_then(|line| line.extract())
                .unwrap_or_default(),
            source: text("source"),
            help: text("help"),
            traceback: text("traceback"),
            ..Default::default()
        }));
    }
    let mut fault = fault(
        "SP5003",
        format!("the adapter cannot be loaded: {error}"),
        None,
        "fix the exception in the adapter",
    );
    fault.traceback = error
        .traceback(py)
        .and_then(|traceback| traceback.format().ok())
        .unwrap_or_default();
    bounded(fault)
}

/// Creates the error for an exception that the catalog failed to describe.
fn plain(py: Python<'_>, error: &PyErr, second: &PyErr, tool: &Tool) -> Fault {
    let name = error
        .get_type(py)
        .name()
        .map_or_else(|_| "Exception".to_owned(), |name| name.to_string());
    let text = error.value(py).str();
    let text = text.map_or_else(
        |_| "its text is not available".to_owned(),
        |text| text.to_string_lossy().into_owned(),
    );
    let mut fault = fault("SP3001", text, Some(tool), "");
    let why = format!("the exception cannot be described any further: {second}");
    fault.notes.push(why);
    fault.r#type = name;
    let module = error.get_type(py).module();
    fault.module = module.map_or_else(|_| String::new(), |module| module.to_string());
    fault
}

fn from_dict(described: &Bound<'_, PyAny>, depth: usize) -> PyResult<Fault> {
    let dict = described.cast::<PyDict>()?;
    let text = |name: &str| -> PyResult<String> {
        match dict.get_item(name)? {
            Some(value) if !value.is_none() => Ok(value
                .cast::<pyo3::types::PyString>()?
                .to_string_lossy()
                .into_owned()),
            _ => Ok(String::new()),
        }
    };
    let cause = match dict.get_item("cause")? {
        Some(cause) if !cause.is_none() && depth < MAX_CAUSES => {
            Some(from_dict(&cause, depth + 1)?)
        }
        _ => None,
    };
    let mut notes = Vec::new();
    if let Some(items) = dict.get_item("notes")? {
        for item in items.try_iter()? {
            notes.push(item?.str()?.to_string_lossy().into_owned());
        }
    }
    let line = dict
        .get_item("line")?
        .and_then(|line| line.extract().ok())
        .unwrap_or_default();
    Ok(Box::new(pb::ToolError {
        code: text("code")?,
        r#type: text("type")?,
        module: text("module")?,
        message: text("message")?,
        traceback: text("traceback")?,
        notes,
        cause,
        file: text("file")?,
        line,
        source: text("source")?,
        help: text("help")?,
        path: String::new(),
        span: None,
    }))
}

/// Shortens an error so that it fits into the head of a frame.
fn bounded(mut fault: Fault) -> Fault {
    let mut next = Some(&mut fault);
    while let Some(error) = next {
        for text in [
            &mut error.message,
            &mut error.traceback,
            &mut error.source,
            &mut error.help,
            &mut error.file,
            &mut error.path,
        ] {
            clip(text, MAX_TEXT);
        }
        error.notes.truncate(32);
        error.notes.iter_mut().for_each(|note| clip(note, 4096));
        next = error.cause.as_mut();
    }
    if fault.encoded_len() > MAX_ENCODED {
        fault.cause = None;
    }
    fault
}

/// Keeps the beginning and the end of a text, which are more useful than its middle.
fn clip(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    let (mut head, mut tail) = (limit / 2, text.len() - limit / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    text.replace_range(head..tail, "\n[…]\n");
}
