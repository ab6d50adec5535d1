//! The workers' reports on cancelled calls, kept until they are requested.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snakepit_core::id::CallId;
use snakepit_core::worker::{CancelStep, Stopped};
use tokio::sync::Notify;

use crate::pb;

/// Number of reports that are kept. A report that is never requested stays until newer ones
/// displace it.
const KEPT: usize = 256;

#[derive(Debug, Default)]
pub(super) struct CancelReports {
    reports: Mutex<VecDeque<(CallId, Stopped)>>,
    came: Notify,
}

impl CancelReports {
    pub(super) fn put(&self, call: CallId, message: pb::Stopped) {
        let stopped = Stopped {
            step: step(message.step),
            after: Duration::from_micros(message.after_us),
        };
        let mut reports = self.lock();
        if reports.len() == KEPT {
            reports.pop_front();
        }
        reports.push_back((call, stopped));
        drop(reports);
        self.came.notify_waiters();
    }

    /// Waits for the report on a call.
    pub(super) async fn take(&self, call: CallId) -> Stopped {
        loop {
            // Created before the check, so that a report that arrives in between wakes it.
            let came = self.came.notified();
            if let Some(stopped) = self.find(call) {
                return stopped;
            }
            came.await;
        }
    }

    fn find(&self, call: CallId) -> Option<Stopped> {
        let mut reports = self.lock();
        let index = reports.iter().position(|(id, _)| *id == call)?;
        reports.remove(index).map(|(_, stopped)| stopped)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(CallId, Stopped)>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Converts the number of a cancellation step. An unknown step counts as the gentlest, because only
/// the end of the tool is certain.
pub(super) const fn step(number: u32) -> CancelStep {
    match number {
        2 => CancelStep::Task,
        3 => CancelStep::Exception,
        4 => CancelStep::Interrupt,
        5 => CancelStep::Again,
        _ => CancelStep::Flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_call_gets_its_own_report() {
        let stops = CancelReports::default();
        let put = |call, step| stops.put(CallId(call), pb::Stopped { step, after_us: 7 });
        put(1, 3);
        let (first, second, ()) =
            tokio::join!(stops.take(CallId(1)), stops.take(CallId(2)), async {
                put(2, 99);
            });
        assert_eq!(first.step, CancelStep::Exception);
        assert_eq!(second.step, CancelStep::Flag);
        assert_eq!(second.after, Duration::from_micros(7));
    }

    #[test]
    fn reports_that_nobody_takes_are_bounded() {
        let stops = CancelReports::default();
        for call in 0..1000 {
            stops.put(CallId(call), pb::Stopped::default());
        }
        assert_eq!(stops.lock().len(), KEPT);
        assert!(stops.find(CallId(0)).is_none() && stops.find(CallId(999)).is_some());
    }
}
