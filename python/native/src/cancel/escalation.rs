//! The escalation: the step of a cancelled call, and the time of its next step. It has no clock and
//! sends no signals; the caller does both.

use std::time::{Duration, Instant};

/// A means of stopping a tool; the numbers are those of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CancelStep {
    /// The tool saw its flag, or ended by itself.
    Flag = 1,
    /// The tool's asyncio task was cancelled.
    Task = 2,
    /// An exception was raised in the tool while it ran.
    Exception = 3,
    /// An exception was raised in the tool while it waited in a system call, which was interrupted.
    Interrupt = 4,
    /// A second exception was raised, since the tool did not end after the first step that reached
    /// it.
    Again = 5,
}

impl CancelStep {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Task => "task",
            Self::Exception => "exception",
            Self::Interrupt => "interrupt",
            Self::Again => "again",
        }
    }
}

/// A request to the interpreter, which it carries out when it next checks for signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterpreterRequest {
    CancelTask,
    Raise,
}

/// Means that reach the tool before an exception is raised in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Means {
    /// The tool can see its flag.
    pub(crate) flag: bool,
    /// The tool is a coroutine.
    pub(crate) task: bool,
}

/// The state of one cancelled call.
#[derive(Debug)]
pub(crate) struct CancelEscalation {
    began: Instant,
    grace: Duration,
    means: Means,
    step: CancelStep,
    ask: Option<InterpreterRequest>,
    /// The last step that reached the tool.
    arrived: Option<CancelStep>,
    due: Option<Instant>,
}

impl CancelEscalation {
    /// Creates the escalation of a call that has `grace` to end before its worker is killed.
    pub(crate) fn new(now: Instant, grace: Duration, means: Means) -> Self {
        let patience = if means.flag {
            bound(grace)
        } else {
            Duration::ZERO
        };
        Self {
            began: now,
            grace,
            means,
            step: CancelStep::Flag,
            ask: None,
            arrived: None,
            due: Some(now + patience),
        }
    }

    /// Returns the time at which [`Self::escalate`] has something to do.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Advances to the step that is due. Returns whether the tool's thread needs a signal to check
    /// for requests. `waits` reports whether that thread waits in a system call.
    pub(crate) fn escalate(&mut self, now: Instant, waits: impl FnOnce() -> bool) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        let resend = now + resend(self.grace);
        // A step that has reached the tool is given time: the tool cleans up.
        if self.arrived.is_some() && self.step < CancelStep::Again {
            let half = self.began + self.grace / 2;
            if now < half {
                self.due = Some(half);
                return false;
            }
            return self.enter(CancelStep::Again, InterpreterRequest::Raise, resend);
        }
        match self.step {
            CancelStep::Flag if self.means.task => self.enter(
                CancelStep::Task,
                InterpreterRequest::CancelTask,
                now + bound(self.grace),
            ),
            // A signal between the interpreter's check and the system call is lost; it is sent
            // again until it arrives.
            CancelStep::Flag | CancelStep::Task | CancelStep::Exception | CancelStep::Interrupt => {
                let step = if waits() {
                    CancelStep::Interrupt
                } else {
                    CancelStep::Exception
                };
                self.enter(step, InterpreterRequest::Raise, resend)
            }
            CancelStep::Again if self.ask.is_some() => {
                self.enter(CancelStep::Again, InterpreterRequest::Raise, resend)
            }
            CancelStep::Again => {
                self.due = None;
                false
            }
        }
    }

    fn enter(&mut self, step: CancelStep, ask: InterpreterRequest, due: Instant) -> bool {
        (self.step, self.ask, self.due) = (step, Some(ask), Some(due));
        true
    }

    /// Takes the request when the interpreter checks for it, once. An exception counts as arrived
    /// then.
    pub(crate) fn take(&mut self) -> Option<InterpreterRequest> {
        let ask = self.ask.take();
        if ask == Some(InterpreterRequest::Raise) {
            self.arrived = Some(self.step);
        }
        ask
    }

    /// Returns the open request to the interpreter.
    pub(crate) const fn asks(&self) -> Option<InterpreterRequest> {
        self.ask
    }

    pub(crate) const fn step(&self) -> CancelStep {
        self.step
    }

    /// Takes the request on behalf of another thread. An exception is then on its way, and has not
    /// arrived.
    pub(crate) const fn fetch(&mut self) -> Option<InterpreterRequest> {
        self.ask.take()
    }

    /// Records that the exception which was on its way has arrived.
    pub(crate) const fn arrive(&mut self) {
        self.arrived = Some(self.step);
    }

    /// Returns whether an exception is to be raised in the tool.
    pub(crate) fn wants_exception(&self) -> bool {
        self.ask == Some(InterpreterRequest::Raise)
    }

    /// Takes the request for a tool that waits on the event loop. Returns whether its task is to be
    /// cancelled now.
    pub(crate) fn take_for_task(&mut self) -> bool {
        if self.ask.take().is_none() {
            return false;
        }
        if self.step == CancelStep::Again {
            self.arrived = Some(CancelStep::Again);
        } else {
            self.task_told();
        }
        true
    }

    /// Records that the asyncio task was cancelled.
    pub(crate) const fn task_told(&mut self) {
        if self.arrived.is_none() {
            self.arrived = Some(CancelStep::Task);
        }
    }

    /// Records that the tool's own code has ended and that clean-up begins, which no exception
    /// interrupts before half of the grace is over.
    pub(crate) const fn closing(&mut self) {
        if self.arrived.is_none() {
            self.arrived = Some(CancelStep::Flag);
            self.ask = None;
        }
    }

    /// Returns the step that stopped the call, and the time since the cancellation.
    pub(crate) fn end(&self, now: Instant) -> (CancelStep, Duration) {
        let step = self.arrived.unwrap_or(CancelStep::Flag);
        (step, now.saturating_duration_since(self.began))
    }
}

/// Time for a step that needs the tool's cooperation.
fn bound(grace: Duration) -> Duration {
    (grace / 10).min(Duration::from_millis(500))
}

/// Time for a step that needs no cooperation, and between two signals.
fn resend(grace: Duration) -> Duration {
    (grace / 50).clamp(Duration::from_millis(1), Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::clock;

    const GRACE: Duration = Duration::from_secs(5);

    /// Escalates to the end and returns the times in milliseconds at which steps begin. The tool
    /// takes only the first `looks` requests.
    fn way(means: Means, waits: bool, mut looks: usize) -> Vec<(u128, CancelStep)> {
        let start = clock::now();
        let mut escalation = CancelEscalation::new(start, GRACE, means);
        let mut seen = Vec::new();
        while let Some(due) = escalation.due().filter(|due| *due - start <= GRACE) {
            if !escalation.escalate(due, || waits) {
                continue;
            }
            if seen.last().is_none_or(|(_, step)| *step != escalation.step) {
                seen.push(((due - start).as_millis(), escalation.step));
            }
            if looks > 0 {
                looks -= 1;
                if escalation.take() == Some(InterpreterRequest::CancelTask) {
                    escalation.task_told();
                }
            }
        }
        seen
    }

    const COROUTINE: Means = Means {
        flag: false,
        task: true,
    };

    #[test]
    fn a_tool_that_cannot_see_the_flag_gets_its_exception_at_once() {
        assert_eq!(
            way(Means::default(), false, 0),
            [(0, CancelStep::Exception)]
        );
        assert_eq!(way(Means::default(), true, 0), [(0, CancelStep::Interrupt)]);
    }

    #[test]
    fn each_step_has_its_time() {
        let means = Means {
            flag: true,
            task: true,
        };
        let steps = [(500, CancelStep::Task), (1000, CancelStep::Exception)];
        assert_eq!(way(means, false, 0), steps);
    }

    #[test]
    fn what_arrived_is_left_alone_until_half_of_the_time_is_over() {
        let steps = [(0, CancelStep::Exception), (2500, CancelStep::Again)];
        assert_eq!(way(Means::default(), false, 1), steps);
        let steps = [(0, CancelStep::Task), (2500, CancelStep::Again)];
        assert_eq!(way(COROUTINE, false, 1), steps);
    }

    #[test]
    fn a_signal_that_nobody_saw_is_sent_again() {
        let start = clock::now();
        let mut escalation = CancelEscalation::new(start, GRACE, Means::default());
        let mut signals = 0;
        while let Some(due) = escalation.due().filter(|due| *due - start <= GRACE) {
            signals += u32::from(escalation.escalate(due, || true));
        }
        assert_eq!(signals, 51);
    }

    #[test]
    fn an_exception_is_raised_once() {
        let start = clock::now();
        let mut escalation = CancelEscalation::new(start, GRACE, Means::default());
        assert_eq!(escalation.take(), None);
        assert!(escalation.escalate(start, || false));
        assert_eq!(escalation.take(), Some(InterpreterRequest::Raise));
        assert_eq!(escalation.take(), None);
        assert_eq!(
            escalation.end(start + GRACE),
            (CancelStep::Exception, GRACE)
        );
    }

    #[test]
    fn a_clean_up_is_not_disturbed_early() {
        let start = clock::now();
        let mut escalation = CancelEscalation::new(start, GRACE, Means::default());
        escalation.escalate(start, || false);
        escalation.closing();
        assert_eq!(escalation.take(), None);
        assert!(!escalation.escalate(start + GRACE / 4, || false));
        assert!(escalation.escalate(start + GRACE / 2, || false));
        assert_eq!(escalation.take(), Some(InterpreterRequest::Raise));
        assert_eq!(escalation.end(start).0, CancelStep::Again);
    }
}
