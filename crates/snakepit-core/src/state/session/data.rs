//! The contents of one session: metadata, variables, programs and the log of changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::state::Variable;
use crate::state::change::log::Log;
use crate::state::variable::spec::Spec;
use crate::value::{Metadata, Value, value_bytes};

/// The contents of one session.
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) metadata: Metadata,
    pub(super) variables: BTreeMap<Arc<str>, Held>,
    pub(super) programs: BTreeMap<Arc<str>, Program>,
    pub(super) log: Log,
}

/// A variable of a session.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) spec: Arc<Spec>,
    pub(super) value: Arc<Value>,
    pub(super) version: u64,
}

impl Held {
    /// Bytes counted against the quotas.
    pub(super) fn bytes(&self) -> usize {
        self.spec.bytes() + value_bytes(&self.value)
    }

    pub(super) fn to_variable(&self) -> Variable {
        Variable {
            name: Arc::clone(&self.spec.name),
            kind: self.spec.kind,
            value: Arc::clone(&self.value),
            version: self.version,
            constraints: Arc::clone(&self.spec.constraints),
            metadata: Arc::clone(&self.spec.metadata),
        }
    }
}

/// A program of a session.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) value: Arc<Value>,
    pub(super) bytes: usize,
}
