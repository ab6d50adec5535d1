//! What the host tells a worker through its environment.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use snakepit_grpc::preamble::{MAX_WORKER_ID, Token};

/// The environment of a worker, read once.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Path of the host's socket.
    pub(crate) link: String,
    /// The worker's secret.
    pub(crate) token: Token,
    /// The worker's name.
    pub(crate) worker_id: String,
    /// The adapter to load.
    pub(crate) adapter: String,
    /// Limit of one payload in bytes, both directions.
    pub(crate) max_payload: usize,
    /// Calls that may run at the same time, each on a thread and a connection of its own.
    pub(crate) slots: u16,
    /// Calls that one event loop runs at once, 0 without such a loop; the slots are then threads for tools that are not asynchronous.
    pub(crate) concurrency: u16,
    /// The process ends with its host.
    pub(crate) dependent: bool,
}

/// The most slots of one worker.
const MAX_SLOTS: u16 = 256;

/// Limit of a payload when the host does not say.
const MAX_PAYLOAD: usize = 128 << 20;

impl Settings {
    /// Reads `os.environ` and takes the token out of it, so that user code and its children never see it.
    pub(crate) fn take(py: Python<'_>) -> PyResult<Self> {
        let environ = py.import("os")?.getattr("environ")?;
        let get = |name: &str| -> PyResult<String> {
            let value = environ.call_method1("get", (name,))?;
            if value.is_none() {
                return Err(bad(format!(
                    "{name} is not set: this module serves inside a worker process that a snakepit host has started"
                )));
            }
            value.extract()
        };
        let token = get("SNAKEPIT_TOKEN")?;
        environ.call_method1("pop", ("SNAKEPIT_TOKEN", py.None()))?;
        let token = Token::from_hex(&token)
            .ok_or_else(|| bad("SNAKEPIT_TOKEN is not 64 hexadecimal digits"))?;
        let worker_id = get("SNAKEPIT_WORKER_ID")?;
        if !(1..=MAX_WORKER_ID).contains(&worker_id.len()) {
            return Err(bad(format!(
                "SNAKEPIT_WORKER_ID must have 1 to {MAX_WORKER_ID} bytes"
            )));
        }
        let limit =
            environ.call_method1("get", ("SNAKEPIT_MAX_PAYLOAD", MAX_PAYLOAD.to_string()))?;
        let max_payload = limit
            .extract::<String>()?
            .parse()
            .map_err(|_| bad("SNAKEPIT_MAX_PAYLOAD is not a number of bytes"))?;
        let slots = environ.call_method1("get", ("SNAKEPIT_SLOTS", "1"))?;
        let slots = slots.extract::<String>()?.parse().ok();
        let slots = slots
            .filter(|slots| (1..=MAX_SLOTS).contains(slots))
            .ok_or_else(|| bad(format!("SNAKEPIT_SLOTS is not 1 to {MAX_SLOTS}")))?;
        let concurrency = environ.call_method1("get", ("SNAKEPIT_CONCURRENCY", "0"))?;
        let concurrency = concurrency
            .extract::<String>()?
            .parse()
            .map_err(|_| bad("SNAKEPIT_CONCURRENCY is not a number of calls"))?;
        let dependent = environ.call_method1("get", ("SNAKEPIT_DEPENDENT", "1"))?;
        Ok(Self {
            dependent: dependent.extract::<String>()? != "0",
            link: get("SNAKEPIT_LINK")?,
            token,
            worker_id,
            adapter: get("SNAKEPIT_ADAPTER")?,
            max_payload,
            slots,
            concurrency,
        })
    }
}

fn bad(message: impl Into<String>) -> PyErr {
    PyRuntimeError::new_err(message.into())
}
