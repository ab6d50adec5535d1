//! Events that are not in the catalogue: those of worker code (`python.*`, `tool.*`) and of the
//! program.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{FieldValue, TARGET};
use crate::id::{CallId, PoolName, WorkerId};

/// An event that is not in the catalogue, with the measurements and metadata of its author.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CustomEvent {
    /// Name without the prefix, for example `python.memory.sampled`.
    pub name: Arc<str>,
    /// Pool of the worker that reported it. `None` if the program itself did.
    pub pool: Option<PoolName>,
    /// Worker that reported it.
    pub worker: Option<WorkerId>,
    /// Call that reported it. `None` outside of calls.
    pub call: Option<CallId>,
    /// Numbers.
    pub measurements: BTreeMap<Arc<str>, Number>,
    /// Text.
    pub metadata: BTreeMap<Arc<str>, Arc<str>>,
}

/// A number that an event measured.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Number {
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
}

impl CustomEvent {
    /// Creates an event without measurements and metadata.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            pool: None,
            worker: None,
            call: None,
            measurements: BTreeMap::new(),
            metadata: BTreeMap::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn visit<'a>(&'a self, visit: &mut dyn FnMut(&'a str, FieldValue<'a>)) {
        let text = |text: &'a str| FieldValue::Text(Cow::Borrowed(text));
        if let Some(pool) = &self.pool {
            visit("pool", text(pool.as_str()));
        }
        if let Some(worker) = &self.worker {
            visit("worker", text(worker.as_str()));
        }
        if let Some(call) = self.call {
            visit("call", FieldValue::Integer(call.0.into()));
        }
        for (name, number) in &self.measurements {
            let value = match *number {
                Number::Integer(value) => FieldValue::Integer(value.into()),
                Number::Float(value) => FieldValue::Float(value),
            };
            visit(name, value);
        }
        for (name, value) in &self.metadata {
            visit(name, text(value));
        }
    }

    pub(super) fn trace(&self) {
        tracing::debug!(
            target: TARGET,
            event = &*self.name,
            pool = self.pool.as_ref().map(PoolName::as_str),
            worker = self.worker.as_ref().map(WorkerId::as_str),
            call = self.call.map(|call| call.0),
            measurements = ?self.measurements,
            metadata = ?self.metadata,
        );
    }
}
