//! The slots of a worker, as the threads beside them see them: the control thread, and the main
//! thread where it is no slot itself.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::cancels::Cancels;
use crate::link::Link;
use crate::shared::table::Table;
use crate::signal::Target;
use crate::wake::Wake;

/// One slot: a thread and a connection.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) cancels: Arc<Cancels>,
    pub(crate) link: Arc<Link>,
    /// Its thread, once it runs.
    pub(crate) thread: OnceLock<Target>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It has not come, or is forgotten.
    Unknown,
    /// The thread with this number in the system runs it.
    Runs(u32),
    /// It is over, or about to begin.
    Over,
}

/// All slots of a worker.
#[derive(Debug)]
pub(crate) struct Slots {
    pub(crate) list: Box<[Slot]>,
    /// Calls the main thread, where it is not the only slot.
    bell: Option<Arc<Wake>>,
    /// The calls of the event loop on the main thread, where there is one.
    many: Option<(Arc<Table>, Target)>,
}

impl Slots {
    pub(crate) fn new(list: Box<[Slot]>, bell: Option<Arc<Wake>>) -> Self {
        Self {
            list,
            bell,
            many: None,
        }
    }

    /// Beside an event loop on `thread`, which runs the calls of `table` and hears `bell`; the
    /// slots are for tools that would block it.
    pub(crate) fn beside_loop(
        list: Box<[Slot]>,
        bell: Arc<Wake>,
        table: Arc<Table>,
        thread: Target,
    ) -> Self {
        Self {
            list,
            bell: Some(bell),
            many: Some((table, thread)),
        }
    }

    /// The host cancels a call. It may be one that runs, is on its way, or is over.
    pub(crate) fn cancel(&self, call: u64, grace: Duration) {
        let runs = |slot: &&Slot| slot.cancels.cancel(call, grace);
        if let Some((table, _)) = &self.many {
            self.cancel_many(table, call, grace);
            return;
        }
        // Which slot a call comes to is known only when it has come; the others forget it in time.
        let comes = |slot: &&Slot| slot.cancels.cancel_or_remember(call, grace);
        let mut slots = self.list.iter();
        if let Some(slot) = slots.find(runs).or_else(|| self.list.iter().find(comes)) {
            slot.link.cancel(call);
        }
    }

    /// The host takes a call back: `false` when it was begun. On an event loop that is any call,
    /// else one of this slot.
    pub(crate) fn take_back(&self, slot: u32, call: u64) -> bool {
        if let Some((table, _)) = &self.many {
            let waits = |slot: &Slot| slot.cancels.take_waiting_back(call);
            return table.take_back(call) || self.list.iter().any(waits);
        }
        let slot = usize::try_from(slot).ok();
        let slot = slot.and_then(|slot| self.list.get(slot));
        slot.is_some_and(|slot| slot.cancels.take_back(call))
    }

    /// How far a call is.
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
        // A slot may have begun with it in between; one that begins later sees that it is
        // cancelled.
        if !runs {
            reached();
        }
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }

    /// When the control thread has to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.list.iter().filter_map(|slot| slot.cancels.due());
        let many = self.many.as_ref().and_then(|(table, _)| table.due());
        due.chain(many).min()
    }

    /// Goes up the ladders, as far as it is time.
    pub(crate) fn climb(&self) {
        if let (Some((table, thread)), Some(bell)) = (&self.many, &self.bell) {
            let climbed = table.climb(|| thread.waits());
            if climbed.bell {
                bell.ring();
            }
            if climbed.signal {
                thread.interrupt();
            }
        }
        for slot in &self.list {
            // Without a thread there is no call.
            let Some(thread) = slot.thread.get() else {
                continue;
            };
            if slot.cancels.climb(|| thread.waits()) {
                match &self.bell {
                    Some(bell) => bell.ring(),
                    None => thread.interrupt(),
                }
            }
        }
    }
}
