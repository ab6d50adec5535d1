//! Calls that a scripted worker has ahead of their turn.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{MutexGuard, oneshot};

use super::ScriptedWorker;
use super::handle::lock;
use crate::call::Request;
use crate::id::{CallId, Slot};
use crate::value::Payload;
use crate::worker::CallError;

/// The calls of a worker that takes calls ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Calls that were given to it.
    pub(super) given: HashSet<CallId>,
    pub(super) begun: HashSet<CallId>,
    pub(super) taken_back: HashSet<CallId>,
    /// Recalls so far.
    pub(super) recalls: usize,
    /// Calls that were given to it behind another one.
    pub(super) behind: usize,
}

impl ScriptedWorker {
    /// Runs a call in its turn. The call continues if its future is dropped, as it would in a
    /// process.
    pub(super) async fn ahead(
        self: Arc<Self>,
        slot: Slot,
        request: Request,
    ) -> Result<Payload, CallError> {
        lock(&self.ahead).given.insert(request.call);
        let (sender, answer) = oneshot::channel();
        let worker = Arc::clone(&self);
        self.tasks.spawn(async move {
            let ended = match worker.turn(slot, request.call).await {
                Ok(_turn) => worker.guarded(request).await,
                Err(error) => Err(error),
            };
            // The caller may have left.
            sender.send(ended).ok();
        });
        match answer.await {
            Ok(ended) => ended,
            Err(_) => Err(self.gone(true).await),
        }
    }

    /// Waits for the turn of a call in its slot. Returns an error if it never comes.
    async fn turn(&self, slot: Slot, call: CallId) -> Result<MutexGuard<'_, ()>, CallError> {
        let turn = &self.turns[usize::from(slot.0)];
        let turn = match turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                lock(&self.ahead).behind += 1;
                let mut ended = self.ended.subscribe();
                tokio::select! {
                    biased;
                    error = self.gone(false) => return Err(error),
                    _ = ended.wait_for(|calls| calls.contains(&call)) => return Err(CallError::NotBegun),
                    turn = turn.lock() => turn,
                }
            }
        };
        let skipped = {
            let mut ahead = lock(&self.ahead);
            let skipped = ahead.taken_back.contains(&call);
            if !skipped {
                ahead.begun.insert(call);
            }
            skipped
        };
        if !skipped {
            return Ok(turn);
        }
        // The worker begins the next call and does not answer.
        drop(turn);
        let mut ended = self.ended.subscribe();
        tokio::select! {
            biased;
            error = self.gone(false) => Err(error),
            _ = ended.wait_for(|calls| calls.contains(&call)) => Err(CallError::NotBegun),
        }
    }

    /// Takes a call back. Returns `false` if it was begun.
    pub(super) fn withdraw(&self, call: CallId) -> bool {
        let mut ahead = lock(&self.ahead);
        if !self.is_alive() || ahead.begun.contains(&call) {
            return false;
        }
        ahead.taken_back.insert(call);
        true
    }

    /// Ends a call that was taken back. A call that has not arrived yet will be skipped.
    pub(super) fn end_recalled(&self, call: CallId) {
        let given = lock(&self.ahead).given.contains(&call);
        self.ended
            .send_if_modified(|calls| given && calls.insert(call));
    }

    /// Number of calls that were given to it while another one was in their slot.
    pub fn sent_ahead(&self) -> usize {
        lock(&self.ahead).behind
    }

    /// Number of recalls so far.
    pub fn recalls(&self) -> usize {
        lock(&self.ahead).recalls
    }
}
