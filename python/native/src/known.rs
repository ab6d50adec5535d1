//! Values that are known to be secret: values of the worker's environment, and values that its code
//! names. The host masks the latter, too.

mod copies;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prost::Message as _;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;
use snakepit_redact::{Known, Refused};

use crate::link::reports::Reports;
use crate::process::fork;

/// Longest wait for an answer of the host.
const PATIENCE: Duration = Duration::from_secs(5);

/// Marks the number of a question that a forked copy has asked.
const OF_A_COPY: u64 = 1 << 63;

/// The known values; in a worker, those of its environment from the start.
static KNOWN: OnceLock<Known> = OnceLock::new();

/// The connection to the host. Unset outside of a worker.
static HOST: OnceLock<Host> = OnceLock::new();

struct Host {
    reports: Arc<Reports>,
    questions: Mutex<Questions>,
    answered: Condvar,
}

#[derive(Default)]
struct Questions {
    last: u64,
    /// The answers for which a caller waits, by number of the question; `None` until the answer
    /// arrives.
    open: HashMap<u64, Option<bool>>,
}

/// Sets the connection to the host, and reads the environment.
pub(crate) fn open(reports: &Arc<Reports>) -> io::Result<()> {
    KNOWN.get_or_init(|| {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let variables = variables.iter().map(|(name, value)| (&**name, &**value));
        Known::over(Arc::new(Known::of_variables(variables)), None)
    });
    HOST.get_or_init(|| Host {
        reports: Arc::clone(reports),
        questions: Mutex::default(),
        answered: Condvar::new(),
    });
    copies::open()
}

/// Returns the text with these values masked, and everything else that looks like a secret.
pub(crate) fn redact(text: &str) -> Cow<'_, str> {
    known().redact(text)
}

fn known() -> &'static Known {
    KNOWN.get_or_init(Known::default)
}

/// Delivers an answer of the host to its waiting caller.
pub(crate) fn answered(number: u64, hidden: bool) {
    if number & OF_A_COPY != 0 {
        copies::answer(number & !OF_A_COPY, hidden);
        return;
    }
    let Some(host) = HOST.get() else { return };
    if let Some(answer) = host.lock().open.get_mut(&number) {
        *answer = Some(hidden);
        host.answered.notify_all();
    }
}

/// Passes on what forked copies of the worker have named.
pub(crate) fn relay(reports: &Reports) {
    copies::each(|number, value| match known().add(value) {
        Ok(()) => reports.send(&frame(number | OF_A_COPY, value)),
        Err(_) => copies::answer(number, false),
    });
}

/// Encodes the question whether the host masks a value.
fn frame(number: u64, value: &str) -> Vec<u8> {
    let head = pb::Secret {
        value: value.to_owned(),
    };
    let head = head.encode_to_vec();
    let mut header = Header::new(Kind::Secret, number);
    header.head_len = u32::try_from(head.len()).expect("known values are short");
    [&header.encode()[..], &head].concat()
}

impl Host {
    /// Sends a value and waits for the host's answer: `true` if it masks the value. `None` if it
    /// does not answer.
    fn hides(&self, value: &str) -> Option<bool> {
        let number = {
            let mut questions = self.lock();
            questions.last += 1;
            let number = questions.last;
            questions.open.insert(number, None);
            number
        };
        self.reports.send(&frame(number, value));
        let waiting = |questions: &mut Questions| questions.open.get(&number) == Some(&None);
        let (mut questions, _) = self
            .answered
            .wait_timeout_while(self.lock(), PATIENCE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        questions.open.remove(&number).flatten()
    }

    fn lock(&self) -> MutexGuard<'_, Questions> {
        self.questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Mask a value from now on wherever it occurs, also in its escaped forms. Return true if the host
/// also masks it in the output of the worker.
#[pyfunction]
pub(crate) fn mask_secret(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = value.py();
    let refused = |refused: Refused| PyValueError::new_err(refused.to_string());
    let text = text_of(value)?;
    let host = HOST.get();
    let hidden = if fork::in_child() {
        // The worker adds it. Another thread may hold the lock of the copy's own set for ever.
        Known::default().add(&text).map_err(refused)?;
        let Some(host) = host else { return Ok(false) };
        py.detach(|| copies::ask(&text, PATIENCE, || host.reports.notify()))
    } else {
        known().add(&text).map_err(refused)?;
        host.and_then(|host| py.detach(|| host.hides(&text)))
    };
    match hidden {
        Some(false) => Err(refused(Refused::Full)),
        hidden => Ok(hidden.is_some()),
    }
}

/// Returns the text of a `str`, or of bytes that are UTF-8.
fn text_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    let not_utf8 = |_| {
        PyValueError::new_err(
            "bytes that are not UTF-8 cannot be masked: name the text in which they are printed, such as their `hex()`",
        )
    };
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Cow::Borrowed(text.to_str()?));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        let text = std::str::from_utf8(bytes.as_bytes()).map_err(not_utf8)?;
        return Ok(Cow::Borrowed(text));
    }
    if let Ok(bytes) = value.cast::<PyByteArray>() {
        let text = String::from_utf8(bytes.to_vec());
        return Ok(Cow::Owned(
            text.map_err(|error| not_utf8(error.utf8_error()))?,
        ));
    }
    let kind = value.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "`mask_secret` takes a str or bytes, not {kind}: pass the text itself"
    )))
}
