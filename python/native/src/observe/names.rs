//! Names of threads and places where tasks wait: known only to the interpreter, which may not
//! answer.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// A thread's name and id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Id in the operating system; 0 if unknown.
    pub(crate) id: u64,
}

/// File, line and function of each awaitable in a chain of awaits.
pub(crate) type Frames = Vec<(String, u32, String)>;

/// A task that waits, and the place where it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Task {
    /// The call of the task; 0 for a coroutine on a thread that runs one at a time.
    pub(crate) call: u64,
    /// Python's identifier of that thread; 0 for the task of a call.
    pub(crate) ident: u64,
    /// The task's name, if the call waits for the task.
    pub(crate) name: String,
    /// The frames, from the innermost on.
    pub(crate) frames: Frames,
}

/// Names of threads by Python's identifier, as of the interpreter's last answer.
#[derive(Debug, Default)]
pub(crate) struct Names {
    state: Mutex<NameState>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct NameState {
    known: HashMap<u64, Named>,
    /// Tasks of the last answer, until they are taken.
    tasks: Vec<Task>,
    /// A thread waits for the interpreter's answer.
    asking: bool,
    answers: u64,
}

impl Names {
    /// Requests the names of threads and waits for them for at most `patience`. Without an answer,
    /// returns the names of the last one.
    pub(crate) fn look(self: &Arc<Self>, patience: Duration) -> HashMap<u64, Named> {
        self.look_at_tasks(patience).0
    }

    /// Requests the names of threads and the tasks, as [`Self::look`] does. Returns no tasks if the
    /// interpreter does not answer in time.
    pub(crate) fn look_at_tasks(
        self: &Arc<Self>,
        patience: Duration,
    ) -> (HashMap<u64, Named>, Vec<Task>) {
        let mut state = self.lock();
        let before = state.answers;
        if !state.asking {
            let this = Arc::clone(self);
            let asker = std::thread::Builder::new()
                .name("snakepit-names".to_owned())
                .stack_size(256 << 10);
            // The thread may wait for as long as a tool keeps the GIL; there is at most one.
            state.asking = asker.spawn(move || this.ask()).is_ok();
        }
        let (mut state, _) = self
            .came
            .wait_timeout_while(state, patience, |state| {
                state.asking && state.answers == before
            })
            .unwrap_or_else(PoisonError::into_inner);
        let tasks = if state.answers == before {
            Vec::new()
        } else {
            std::mem::take(&mut state.tasks)
        };
        (state.known.clone(), tasks)
    }

    fn ask(&self) {
        // An interpreter that is shutting down gives no answer.
        let told = Python::try_attach(|py| (read(py).ok(), tasks(py).unwrap_or_default()));
        let (names, tasks) = told.unwrap_or_default();
        let mut state = self.lock();
        state.asking = false;
        state.answers += 1;
        state.tasks = tasks;
        if let Some(names) = names {
            state.known = names;
        }
        drop(state);
        self.came.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, NameState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the threads of `threading`, if that module is imported; this does not import it.
fn read(py: Python<'_>) -> PyResult<HashMap<u64, Named>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let threading = modules.call_method1("get", ("threading",))?;
    let mut names = HashMap::new();
    if threading.is_none() {
        return Ok(names);
    }
    let active = threading.getattr("_active")?.cast_into::<PyDict>()?;
    for (ident, thread) in active.copy()?.iter() {
        let text = |name: &str| thread.getattr(name)?.extract::<String>();
        let Ok(name) = text("_name") else { continue };
        let id = thread.getattr("_native_id").and_then(|id| id.extract());
        let id = id.unwrap_or(0);
        names.insert(ident.extract()?, Named { name, id });
    }
    Ok(names)
}

/// Reads where tasks wait, if there was ever an event loop. No code of a tool runs for that.
fn tasks(py: Python<'_>) -> PyResult<Vec<Task>> {
    let modules = py.import("sys")?.getattr("modules")?;
    let module = modules.call_method1("get", ("snakepit_bridge._serve.task_stacks",))?;
    if module.is_none() {
        return Ok(Vec::new());
    }
    let looked: Vec<(u64, u64, String, Frames)> = module.call_method0("look")?.extract()?;
    let task = |(call, ident, name, frames)| Task {
        call,
        ident,
        name,
        frames,
    };
    Ok(looked.into_iter().map(task).collect())
}
