//! Values that are known to be secret: values of the worker's environment, and values that its code
//! names. The host masks the latter, too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prost::Message as _;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;
use snakepit_redact::Known;

use crate::fork;
use crate::reports::Reports;

/// Longest wait for an answer of the host.
const PATIENCE: Duration = Duration::from_secs(5);

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
pub(crate) fn open(reports: &Arc<Reports>) {
    KNOWN.get_or_init(|| {
        let variables: Vec<(String, String)> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Known::of_variables(variables.iter().map(|(name, value)| (&**name, &**value)))
    });
    HOST.get_or_init(|| Host {
        reports: Arc::clone(reports),
        questions: Mutex::default(),
        answered: Condvar::new(),
    });
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
    let Some(host) = HOST.get() else { return };
    if let Some(answer) = host.lock().open.get_mut(&number) {
        *answer = Some(hidden);
        host.answered.notify_all();
    }
}

impl Host {
    /// Sends a value and waits for the host's answer. Returns `true` if the host masks the value.
    fn hides(&self, value: &str) -> bool {
        let number = {
            let mut questions = self.lock();
            questions.last += 1;
            let number = questions.last;
            questions.open.insert(number, None);
            number
        };
        let head = pb::Secret {
            value: value.to_owned(),
        };
        let head = head.encode_to_vec();
        let mut header = Header::new(Kind::Secret, number);
        header.head_len = u32::try_from(head.len()).expect("known values are short");
        self.reports.send(&[&header.encode()[..], &head].concat());
        let waiting = |questions: &mut Questions| questions.open.get(&number) == Some(&None);
        let (mut questions, _) = self
            .answered
            .wait_timeout_while(self.lock(), PATIENCE, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        questions.open.remove(&number).flatten().unwrap_or(false)
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
pub(crate) fn mask_secret(py: Python<'_>, value: &str) -> PyResult<bool> {
    known()
        .add(value)
        .map_err(|refused| PyValueError::new_err(refused.to_string()))?;
    match HOST.get() {
        Some(host) if !fork::in_child() => Ok(py.detach(|| host.hides(value))),
        _ => Ok(false),
    }
}
