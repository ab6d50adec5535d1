//! The slots of a worker as other threads see them: the control thread, and the main thread if it
//! is not a slot itself.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::cancel::cancelled::Cancels;
use crate::cancel::signal::Target;
use crate::link::Link;
use crate::link::wake::Wake;
use crate::serve::multiplexed::table::Table;

/// One slot: a thread and a connection.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) link: Arc<Link>,
    /// Thread of the slot; set once it runs.
    pub(crate) thread: OnceLock<Target>,
}

/// The progress of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The call has not arrived, or is forgotten.
    Unknown,
    /// The thread with this id in the system runs the call.
    Runs(u32),
    /// The call is over, or about to begin.
    Over,
}

/// All slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) list: Box<[Slot]>,
    /// Wakes the main thread, if it is not the only slot.
    wake: Option<Arc<Wake>>,
    /// Calls and thread of the event loop, if there is one.
    many: Option<(Arc<Table>, Target)>,
}

impl Slots {
    pub(crate) fn new(list: Box<[Slot]>, wake: Option<Arc<Wake>>) -> Self {
        Self {
            list,
            wake,
            many: None,
        }
    }

    /// Creates the slots beside an event loop on `thread`, which runs the calls of `table` and
    /// watches `wake`. The slots are for tools that would block the loop.
    pub(crate) fn beside_loop(
        list: Box<[Slot]>,
        wake: Arc<Wake>,
        table: Arc<Table>,
        thread: Target,
    ) -> Self {
        Self {
            list,
            wake: Some(wake),
            many: Some((table, thread)),
        }
    }

    /// Cancels a call for the host. The call may be running, on its way, or over.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) {
        let runs = |slot: &&Slot| slot.cancels.cancel(call, grace);
        if let Some((table, _)) = &self.many {
            self.cancel_many(table, call, grace);
            return;
        }
        // The slot of a call is known only once its frame arrives; the other slots forget the
        // cancellation in time.
        let comes = |slot: &&Slot| slot.cancels.cancel_or_remember(call, grace);
        let mut slots = self.list.iter();
        if let Some(slot) = slots.find(runs).or_else(|| self.list.iter().find(comes)) {
            slot.link.cancel(call);
        }
    }

    /// Takes a call back for the host. Returns `false` if the call has begun. Beside an event loop
    /// that may be any call, otherwise one of this slot.
    pub(crate) fn recall(&self, slot: u32, call: u64) -> bool {
        if let Some((table, _)) = &self.many {
            let waits = |slot: &Slot| slot.cancels.take_waiting_back(call);
            return table.recall(call) || self.list.iter().any(waits);
        }
        let slot = usize::try_from(slot).ok();
        let slot = slot.and_then(|slot| self.list.get(slot));
        slot.is_some_and(|slot| slot.cancels.recall(call))
    }

    /// Returns the progress of a call.
    pub(crate) fn progress(&self, call: u64) -> Progress {
        let slots = || self.list.iter();
        if let Some(slot) = slots().find(|slot| slot.cancels.runs(call)) {
            let thread = slot.thread.get();
            return thread.map_or(Progress::Unknown, |thread| Progress::Runs(thread.task()));
        }
        let over = match &self.many {
            Some((table, thread)) if table.runs(call) => return Progress::Runs(thread.task()),
            Some((table, _)) => table.was_answered(call),
            None => slots().any(|slot| slot.cancels.has_begun(call)),
        };
        if over {
            Progress::Over
        } else {
            Progress::Unknown
        }
    }

    fn cancel_many(&self, table: &Table, call: u64, grace: Duration) {
        let reached = || {
            let slot = self
                .list
                .iter()
                .find(|slot| slot.cancels.cancel(call, grace));
            slot.inspect(|slot| slot.link.cancel(call)).is_some()
        };
        let runs = reached();
        table.cancel(call, grace);
        // A slot may have begun the call in between; one that begins it later sees that it is
        // cancelled.
        if !runs {
            reached();
        }
        if let Some(wake) = &self.wake {
            wake.notify();
        }
    }

    /// Returns when the control thread must look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.list.iter().filter_map(|slot| slot.cancels.due());
        let many = self.many.as_ref().and_then(|(table, _)| table.due());
        due.chain(many).min()
    }

    /// Escalates as far as the time allows.
    pub(crate) fn escalate(&self) {
        if let (Some((table, thread)), Some(wake)) = (&self.many, &self.wake) {
            let escalated = table.escalate(|| thread.waits());
            if escalated.wake {
                wake.notify();
            }
            if escalated.signal {
                thread.interrupt();
            }
        }
        for slot in &self.list {
            // A slot without a thread has no call.
            let Some(thread) = slot.thread.get() else {
                continue;
            };
            if slot.cancels.escalate(|| thread.waits()) {
                match &self.wake {
                    Some(wake) => wake.notify(),
                    None => thread.interrupt(),
                }
            }
        }
    }
}
