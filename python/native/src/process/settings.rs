//! Settings that the host gives to a worker through its environment.

use prost::Message as _;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use snakepit_grpc::pb;
use snakepit_grpc::preamble::{MAX_WORKER_ID, Token};
use snakepit_grpc::worker_env;

use crate::process::title::blot_out;

/// Settings of a worker, read once from its environment.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Path of the host's socket.
    pub(crate) link: String,
    /// Secret that authenticates the worker.
    pub(crate) token: Token,
    /// Worker id.
    pub(crate) worker_id: String,
    /// Reference of the adapter to load.
    pub(crate) adapter: String,
    /// Limit of one payload in bytes, both directions.
    pub(crate) max_payload: usize,
    /// Number of slots: calls that may run at the same time, each on its own thread and connection.
    pub(crate) slots: u16,
    /// Number of calls that one event loop runs at once; 0 without such a loop. With it, the slots
    /// are threads for tools that are not asynchronous.
    pub(crate) concurrency: u16,
    /// The process ends with its host.
    pub(crate) dependent: bool,
    /// The host reads the levels of lines that come from Python's `logging`.
    pub(crate) log_levels: bool,
    /// First telemetry settings; `None` if the host takes no records.
    pub(crate) telemetry: Option<pb::TelemetrySettings>,
    /// Mode of the loader's thread safety checks: `off`, `warn` or `strict`.
    pub(crate) thread_safety_checks: String,
    /// Rejects adapters with type hints that are not checked; `None` leaves it to the user's
    /// environment.
    pub(crate) strict_hints: Option<bool>,
    /// Kind of event loop that the loader installs.
    pub(crate) event_loop: String,
}

/// Largest number of slots of one worker.
const MAX_SLOTS: u16 = 256;

/// Limit of a payload in bytes if the host does not state one.
const MAX_PAYLOAD: usize = 128 << 20;

impl Settings {
    /// Reads the settings from `os.environ` and removes the token from it and from `/proc`, so that
    /// neither user code nor its children nor other processes see the token.
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
        let token = get(worker_env::TOKEN)?;
        blot_out(worker_env::TOKEN);
        environ.call_method1("pop", (worker_env::TOKEN, py.None()))?;
        let token = Token::from_hex(&token).ok_or_else(|| {
            bad(format!(
                "{} is not 64 hexadecimal digits",
                worker_env::TOKEN
            ))
        })?;
        let worker_id = get(worker_env::ID)?;
        if !(1..=MAX_WORKER_ID).contains(&worker_id.len()) {
            return Err(bad(format!(
                "{} must have 1 to {MAX_WORKER_ID} bytes",
                worker_env::ID
            )));
        }
        let text = |name: &str, default: &str| -> PyResult<String> {
            environ.call_method1("get", (name, default))?.extract()
        };
        let wrong = |name: &str, what: String| bad(format!("{name} is not {what}"));
        let max_payload = text(worker_env::MAX_PAYLOAD, &MAX_PAYLOAD.to_string())?
            .parse()
            .map_err(|_| wrong(worker_env::MAX_PAYLOAD, "a number of bytes".to_owned()))?;
        let slots = text(worker_env::SLOTS, "1")?.parse().ok();
        let slots = slots
            .filter(|slots| (1..=MAX_SLOTS).contains(slots))
            .ok_or_else(|| wrong(worker_env::SLOTS, format!("1 to {MAX_SLOTS}")))?;
        let concurrency = text(worker_env::CONCURRENCY, "0")?
            .parse()
            .map_err(|_| wrong(worker_env::CONCURRENCY, "a number of calls".to_owned()))?;
        let telemetry = text(worker_env::TELEMETRY, "-")?;
        let telemetry = match &*telemetry {
            "-" => None,
            digits => Some(telemetry_settings(digits).ok_or_else(|| {
                wrong(
                    worker_env::TELEMETRY,
                    "a message in hexadecimal digits".to_owned(),
                )
            })?),
        };
        Ok(Self {
            telemetry,
            log_levels: text(worker_env::LOG_LEVELS, "0")? == "1",
            thread_safety_checks: text(worker_env::THREAD_SAFETY_CHECKS, "warn")?,
            strict_hints: match &*text(worker_env::STRICT_HINTS, "")? {
                "" => None,
                value => Some(value == "1"),
            },
            event_loop: text(worker_env::EVENT_LOOP, "auto")?,
            dependent: text(worker_env::DEPENDENT, "1")? != "0",
            link: get(worker_env::LINK)?,
            token,
            worker_id,
            adapter: get(worker_env::ADAPTER)?,
            max_payload,
            slots,
            concurrency,
        })
    }
}

fn telemetry_settings(digits: &str) -> Option<pb::TelemetrySettings> {
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let bytes = bytes.collect::<Option<Vec<u8>>>()?;
    pb::TelemetrySettings::decode(&bytes[..]).ok()
}

fn bad(message: impl Into<String>) -> PyErr {
    PyRuntimeError::new_err(message.into())
}
