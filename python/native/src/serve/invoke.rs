//! Invocation of a tool: its context, its arguments, and its own code.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use crate::binding::bind::{Bindings, bind};
use crate::binding::fault::{Fault, fault, raised};
use crate::binding::tool::Tool;
use crate::observe::telemetry;
use crate::serve::SlotRuntime;
use crate::serve::call::Call;
use crate::serve::context::Context;

/// Decodes the arguments and calls the tool's function; an asynchronous function returns its
/// coroutine. The context stays set.
pub(crate) fn begin<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
) -> Result<Bound<'py, PyAny>, Fault> {
    let bindings = prepare(py, runtime, tool, call, args)?;
    let made = bindings.call(py, &tool.function);
    made.map_err(|error| raised(py, runtime, &error, tool))
}

/// Decodes the arguments, runs the tool and returns its result.
pub(crate) fn execute<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
) -> Result<Bound<'py, PyAny>, Fault> {
    let bindings = prepare(py, runtime, tool, call, args)?;
    let result = runtime.cancels.inside(|| {
        let result = bindings.call(py, &tool.function);
        if tool.awaits && !tool.streaming {
            return result
                .and_then(|coroutine| runtime.catalog.bind(py).call_method1("run", (coroutine,)));
        }
        result
    });
    if !tool.streaming {
        release_context(py, tool);
    }
    result.map_err(|error| raised(py, runtime, &error, tool))
}

/// Sets the context of a call and decodes its arguments.
fn prepare<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    tool: &Tool,
    call: &Call,
    args: &[u8],
) -> Result<Bindings<'py>, Fault> {
    if call.cancelled.load(Ordering::Acquire) {
        return Err(cancelled(tool));
    }
    telemetry::follow(py);
    let exception = |error: PyErr| raised(py, runtime, &error, tool);
    let context = if tool.knows_context() {
        Some(context(py, runtime, call).map_err(exception)?)
    } else {
        None
    };
    if let Some((owner, context)) = tool.owner.as_ref().zip(context.as_ref()) {
        owner
            .bind(py)
            .setattr("session_context", context)
            .map_err(exception)?;
    }
    bind(py, tool, context, args)
}

fn context<'py>(
    py: Python<'py>,
    runtime: &SlotRuntime,
    call: &Call,
) -> PyResult<Bound<'py, PyAny>> {
    let (worker, link) = (&runtime.worker_id, &runtime.link);
    let context = Context::new(
        call,
        Arc::clone(worker),
        Arc::clone(link),
        runtime.max_payload,
    );
    // Tools see a class of the package that wraps this one. It is looked up when the first tool
    // needs it.
    let class = match runtime.context_class.get() {
        Some(class) => class,
        None => {
            let class = runtime.catalog.bind(py).getattr("context_class")?.unbind();
            runtime.context_class.get_or_init(|| class)
        }
    };
    class.bind(py).call1((Bound::new(py, context)?,))
}

/// Clears the context of a call that is over, so that it is not mistaken for the next call's.
pub(crate) fn release_context(py: Python<'_>, tool: &Tool) {
    if let Some(owner) = &tool.owner
        && let Err(error) = owner.bind(py).setattr("session_context", py.None())
    {
        error.write_unraisable(py, Some(owner.bind(py)));
    }
}

pub(crate) fn cancelled(tool: &Tool) -> Fault {
    fault(
        "SP3002",
        format!("the call of tool `{}` was cancelled", tool.name),
        Some(tool),
        "",
    )
}
