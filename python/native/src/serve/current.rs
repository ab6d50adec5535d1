//! The call that the running code belongs to, found by the thread of its slot or by the context of
//! its task.

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::observe::span::Traced;

/// A running call.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) call: u64,
    /// `None` if the call has neither a span nor a correlation id.
    pub(crate) traced: Option<Arc<Traced>>,
}

thread_local! {
    static HERE: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// The context variable that holds a [`Mark`].
static VARIABLE: PyOnceLock<Variable> = PyOnceLock::new();

/// The context variable with the innermost span that Python code has opened.
static SPAN: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// A context variable's bound methods: looking them up at each call would cost more than calling
/// them.
struct Variable {
    get: Py<PyAny>,
    set: Py<PyAny>,
    reset: Py<PyAny>,
}

/// A running call in a context.
#[pyclass(frozen)]
#[derive(Debug)]
struct Mark(Running);

/// A guard: while it exists, this thread runs a call.
#[derive(Debug)]
#[must_use = "the call is over when this is dropped"]
pub(crate) struct Here(());

impl Here {
    pub(crate) fn enter(running: Running) -> Self {
        HERE.with_borrow_mut(|here| *here = Some(running));
        Self(())
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        HERE.with_borrow_mut(|here| *here = None);
    }
}

/// A guard: while it exists, the current context belongs to a call, and so do contexts that are
/// copied from it meanwhile.
#[derive(Debug)]
#[must_use = "the context is as before when this is dropped"]
pub(crate) struct InContext<'py> {
    reset: &'py Bound<'py, PyAny>,
    token: Bound<'py, PyAny>,
}

impl<'py> InContext<'py> {
    pub(crate) fn enter(py: Python<'py>, running: Running) -> PyResult<Self> {
        let variable = variable(py)?;
        let mark = Bound::new(py, Mark(running))?;
        let token = variable.set.bind(py).call1((mark,))?;
        let reset = variable.reset.bind(py);
        Ok(Self { reset, token })
    }
}

impl Drop for InContext<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.reset.call1((&self.token,)) {
            error.write_unraisable(self.reset.py(), None);
        }
    }
}

/// Returns the call that the running code belongs to. The context takes precedence over the thread:
/// a task that an earlier call left behind still belongs to that call.
pub(crate) fn running(py: Python<'_>) -> PyResult<Option<Running>> {
    if let Some(variable) = VARIABLE.get(py) {
        let mark = variable.get.bind(py).call0()?;
        if let Ok(mark) = mark.cast::<Mark>() {
            return Ok(Some(mark.get().0.clone()));
        }
    }
    Ok(HERE.with_borrow(Clone::clone))
}

/// Returns the span in which the running code calls the host: the innermost span of Python code,
/// else the worker's span of the call. Empty if there is none.
pub(crate) fn span(py: Python<'_>) -> PyResult<Vec<u8>> {
    let own = span_variable(py)?.call_method0("get")?;
    if let Ok(own) = own.extract::<Vec<u8>>() {
        return Ok(own);
    }
    let running = running(py)?;
    let traced = running.and_then(|running| running.traced);
    let context = traced.as_deref().and_then(Traced::context);
    Ok(context.map(|context| context.to_vec()).unwrap_or_default())
}

fn variable(py: Python<'_>) -> PyResult<&Variable> {
    VARIABLE.get_or_try_init(py, || {
        let variable = new_variable(py, "snakepit_call")?;
        let variable = variable.bind(py);
        let method = |name| variable.getattr(name).map(Bound::unbind);
        Ok(Variable {
            get: method("get")?,
            set: method("set")?,
            reset: method("reset")?,
        })
    })
}

/// Returns a `ContextVar` whose value is 25 bytes or `None`. Python code that opens a span stores
/// its trace context there.
pub(crate) fn span_variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    let made = SPAN.get_or_try_init(py, || new_variable(py, "snakepit_span"));
    made.map(|variable| variable.bind(py))
}

fn new_variable(py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
    let class = py.import("_contextvars")?.getattr("ContextVar")?;
    let options = pyo3::types::PyDict::new(py);
    options.set_item("default", py.None())?;
    class.call((name,), Some(&options)).map(Bound::unbind)
}
