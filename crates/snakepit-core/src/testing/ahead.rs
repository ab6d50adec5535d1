//! Calls that a scripted worker has ahead of their turn.

use std::collections::HashSet;

use super::ScriptedWorker;
use super::handle::lock;
use crate::CallId;

/// What became of calls of a worker that takes calls ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    pub(super) begun: HashSet<CallId>,
    pub(super) taken_back: HashSet<CallId>,
    /// Questions for calls so far.
    pub(super) recalls: usize,
    /// Calls that were given to it behind another one.
    pub(super) behind: usize,
}

impl ScriptedWorker {
    /// Calls that were given to it while another one was in their slot.
    pub fn sent_ahead(&self) -> usize {
        lock(&self.ahead).behind
    }

    /// How often it was asked for a call.
    pub fn recalls(&self) -> usize {
        lock(&self.ahead).recalls
    }
}
