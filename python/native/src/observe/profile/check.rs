//! The self-check: compares, once, a stack read from memory with what the interpreter reports,
//! while this thread has the GIL.
#![expect(
    unsafe_code,
    reason = "the numbers of this thread and its state have no form in PyO3"
)]

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple};
use snakepit_walker::{Codes, Layout, Outcome, Python as Target, StackReader, threads};

use super::own::{OwnMemory, Walker};
use super::symbols::address;

/// Offset, from `pthread_t`, at which glibc keeps the thread id of the system.
const TASK_AT: u64 = 720;

/// Least number of frames in the compared stack.
const LEAST_FRAMES: usize = 5;

/// Code whose stack has a generator, a lambda and calls that span several lines.
const STACK: &std::ffi::CStr = c"
def outer():
    return (lambda: middle(
        1,
    ))()


def middle(count):
    total = 0
    for part in steps(count):
        total += part
    return total


def steps(count):
    yield from (
        inner(number)
        for number in range(count)
    )


def inner(number):
    check(
    )
    return number


outer()
";

/// Returns the walker that reads stacks of this process.
///
/// # Errors
/// The reason why stacks cannot be read, or cannot be trusted.
pub(crate) fn walker(py: Python<'_>) -> Result<Arc<Walker>, String> {
    let hidden = |what: &str| format!("the interpreter does not export `{what}`");
    let symbol =
        |name: &std::ffi::CStr| address(name).ok_or_else(|| hidden(&name.to_string_lossy()));
    let runtime = symbol(c"_PyRuntime")?;
    let memory = OwnMemory::open().map_err(|error| format!("memory cannot be read: {error}"))?;
    let minor = py.version_info().minor;
    let layout = Layout::find(&memory, runtime, minor).map_err(|error| error.to_string())?;
    let python = Target {
        runtime,
        code_type: symbol(c"PyCode_Type")?,
        str_type: symbol(c"PyUnicode_Type")?,
        bytes_type: symbol(c"PyBytes_Type")?,
        layout,
    };
    let mut walker = Walker {
        memory,
        python,
        task_at: Some(TASK_AT),
    };
    own_thread(&mut walker)?;
    let walker = Arc::new(walker);
    own_stack(py, &walker)?;
    Ok(walker)
}

/// Finds this thread in the list of all threads and compares its numbers.
fn own_thread(walker: &mut Walker) -> Result<(), String> {
    // SAFETY: this thread is attached to the interpreter; the calls take nothing.
    let (state, interpreter, ident, task) = unsafe {
        (
            ffi::PyThreadState_Get() as u64,
            ffi::PyInterpreterState_Get() as u64,
            libc::pthread_self() as u64,
            libc::gettid().cast_unsigned(),
        )
    };
    let mut list = Vec::new();
    threads(&walker.memory, &walker.python, &mut list);
    let own = list.iter().find(|thread| thread.address == state);
    let own = own.ok_or("the list of threads lacks this one")?;
    if own.interpreter != interpreter || own.ident != ident {
        return Err("the state of this thread has other numbers than this thread".to_owned());
    }
    if own.native_id != 0 && own.native_id != task {
        return Err("the state of this thread has another number in the system".to_owned());
    }
    if !own.holds_gil {
        return Err(
            "this thread has the GIL, and the interpreter's state does not show it".to_owned(),
        );
    }
    if walker.task(own) != task {
        walker.task_at = None;
    }
    Ok(())
}

/// Runs known code and compares its stack.
fn own_stack(py: Python<'_>, walker: &Arc<Walker>) -> Result<(), String> {
    let outcome = Arc::new(Mutex::new(Err("no stack was compared".to_owned())));
    let (told, reads) = (Arc::clone(&outcome), Arc::clone(walker));
    let check = move |args: &Bound<'_, PyTuple>, _: Option<&Bound<'_, PyDict>>| {
        let compared = compare(args.py(), &reads).map_err(|error| error.to_string());
        *told.lock().unwrap_or_else(PoisonError::into_inner) = compared;
        Ok::<_, PyErr>(())
    };
    let run = || -> PyResult<()> {
        let names = PyDict::new(py);
        let check = PyCFunction::new_closure(py, Some(c"check"), None, check)?;
        names.set_item("check", check)?;
        let done = py.run(STACK, Some(&names), None);
        // Breaks the cycle: the functions hold the names, and the names hold the functions.
        names.clear();
        done
    };
    run().map_err(|error| error.to_string())?;
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.clone()
}

fn compare(py: Python<'_>, walker: &Walker) -> PyResult<()> {
    let (memory, python) = (&walker.memory, &walker.python);
    let differs = |what: String| Err(PyRuntimeError::new_err(what));
    let mut list = Vec::new();
    threads(memory, python, &mut list);
    // SAFETY: this thread is attached to the interpreter.
    let state = unsafe { ffi::PyThreadState_Get() } as u64;
    let Some(own) = list.iter().find(|thread| thread.address == state) else {
        return differs("the list of threads lacks this one".to_owned());
    };
    let mut reader = StackReader::default();
    let outcome = reader.read(memory, python, own);
    if outcome == Outcome::Unsteady || outcome == Outcome::Gone {
        return differs(format!("the own stack cannot be read: {outcome:?}"));
    }
    let mut codes = Codes::new(1024);
    let qualified = python.layout.minor() >= 11;
    let name_of = if qualified { "co_qualname" } else { "co_name" };
    let mut frame = py.import("sys")?.call_method0("_getframe")?;
    for (index, read) in reader.frames().iter().enumerate() {
        if frame.is_none() {
            return differs(format!("{index} frames are there, and more were read"));
        }
        let code = frame.getattr("f_code")?;
        let text = |name: &str| code.getattr(name)?.extract::<String>();
        let expected = (
            text(name_of)?,
            text("co_filename")?,
            frame.getattr("f_lineno")?.extract::<Option<u32>>()?,
        );
        let Some((number, offset)) = codes.find(memory, python, read) else {
            return differs(format!("the code of `{}` cannot be read", expected.0));
        };
        let Some(found) = codes.get(number) else {
            return differs("a function has no number".to_owned());
        };
        let line = found.line(offset);
        let same = read.code() == code.as_ptr() as u64
            && found.function == expected.0
            && found.file == expected.1
            && line == expected.2.unwrap_or(0);
        if !same {
            return differs(format!(
                "`{}` in line {} of {} was read, and {expected:?} runs",
                found.function, line, found.file
            ));
        }
        frame = frame.getattr("f_back")?;
    }
    if outcome == Outcome::Whole && !frame.is_none() {
        return differs("frames are missing".to_owned());
    }
    if reader.frames().len() < LEAST_FRAMES {
        return differs(format!("{} frames are too few", reader.frames().len()));
    }
    Ok(())
}
