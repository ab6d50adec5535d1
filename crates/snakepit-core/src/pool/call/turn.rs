//! The wait of a call that was sent ahead, until its turn.
//!
//! Its time in the queue continues. The pool recalls the call if the call in front is slow, and
//! when its queue time is over. In the second case the worker's answer decides: a call that it has
//! begun has its turn.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep};

use super::in_flight::{AnswerFuture, InFlight};
use super::lease::Lease;
use super::limits::Limits;
use crate::error::{Error, Phase};
use crate::id::CallId;
use crate::pool::state::{Early, Outcome};
use crate::value::Payload;
use crate::worker::CallError;

/// Time after which a call in front counts as slow.
const SLOW: Duration = Duration::from_millis(2);

/// Time after which the recall of a call is repeated.
const AGAIN: Duration = Duration::from_secs(1);

/// Time for the answer to the recall of a call whose queue time is over.
const LATE: Duration = Duration::from_millis(250);

/// The outcome of the wait of a call that was sent ahead.
pub(super) enum Turn {
    /// The call is over.
    Over(Payload),
    /// The call has its slot.
    Own,
    /// The call was never started, and is no longer in the worker.
    Back(Early),
}

/// A recall in progress, and the time of the next check of the call.
struct Question {
    answer: Option<JoinHandle<bool>>,
    look: Instant,
    /// The queue time of the call is over: the answer decides.
    late: bool,
}

impl Question {
    fn new() -> Self {
        let (answer, look) = (None, Instant::now() + SLOW);
        Self {
            answer,
            look,
            late: false,
        }
    }

    fn recall(&mut self, lease: &Lease, call: CallId, again: Duration) {
        self.answer = Some(lease.recall(call));
        self.look = Instant::now() + again;
    }

    /// Polls for the answer: `true` if the call has come back.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let Some(answer) = &mut self.answer else {
            return Poll::Pending;
        };
        let back = ready!(Pin::new(answer).poll(context));
        self.answer = None;
        // Without a runtime the worker cannot answer.
        Poll::Ready(back.unwrap_or(false))
    }

    /// Checks the call: recalls it if its queue time is over, or the call in front is slow.
    fn step(&mut self, lease: &Lease, call: CallId, until: Instant) {
        let now = Instant::now();
        if now >= until {
            self.late = true;
            return self.recall(lease, call, LATE);
        }
        self.look = lease.slow_at();
        if self.look <= now {
            lease.shared().lock().slow();
            self.recall(lease, call, AGAIN);
        }
    }
}

impl InFlight<AnswerFuture<Payload>> {
    /// Waits until a call that was sent ahead is over, has its turn, or has come back. Until then
    /// its queue time continues. When that is over, its worker decides: a call that it has begun
    /// has its turn.
    pub(super) async fn turn(&mut self, limits: &Limits) -> Result<Turn, Error> {
        let shared = Arc::clone(self.lease().shared());
        let mut sleep = pin!(None::<Sleep>);
        let (until, after) = limits.queue;
        let mut question = Question::new();
        let turn = poll_fn(|context| {
            loop {
                if let Poll::Ready(over) = self.poll_early(context) {
                    return Poll::Ready(over);
                }
                let recalled = self.report_sent();
                if recalled {
                    let call = self.call;
                    // Recalled again: the first recall may have preceded the call.
                    question.recall(self.lease(), call, AGAIN);
                }
                match question.poll(context) {
                    Poll::Ready(true) => return Poll::Ready(Ok(self.take().come_back())),
                    Poll::Ready(false) if question.late => return Poll::Ready(Ok(self.own())),
                    Poll::Ready(false) => question.look = Instant::now() + SLOW,
                    Poll::Pending => {}
                }
                let look = Some(question.look).filter(|look| question.late || *look < until);
                if wake_at(&mut sleep, look.unwrap_or(until), context).is_pending() {
                    return Poll::Pending;
                }
                if self.lease().is_own() {
                    return Poll::Ready(Ok(self.own()));
                }
                if question.late {
                    // Without an answer it is unknown whether the call runs.
                    self.abandon(Outcome::CallTimeout);
                    return Poll::Ready(Err(shared.timeout(Phase::Call, after)));
                }
                let call = self.call;
                question.step(self.lease(), call, until);
            }
        })
        .await;
        match turn {
            Ok(Turn::Back(_)) if question.late => {
                shared.lock().record(Outcome::QueueTimeout, 1);
                Err(shared.timeout(Phase::Queue, after))
            }
            turn => turn,
        }
    }

    fn lease(&mut self) -> &mut Lease {
        self.lease.as_mut().expect("the call is not over")
    }

    /// Ends the wait of a call that the worker has begun, or is about to.
    fn own(&mut self) -> Turn {
        self.lease().own();
        Turn::Own
    }

    fn poll_early(&mut self, context: &mut Context<'_>) -> Poll<Result<Turn, Error>> {
        let answer = ready!(self.poll_answer(context));
        Poll::Ready(match answer {
            Ok(value) => {
                self.lease().own();
                Ok(Turn::Over(value))
            }
            Err(CallError::Died {
                ambiguous: false, ..
            }) => {
                let mut lease = self.take();
                lease.lose();
                Ok(lease.come_back())
            }
            Err(CallError::NotBegun) => Ok(self.take().come_back()),
            Err(error) => {
                let mut lease = self.take();
                lease.own();
                Err(lease.fail(error))
            }
        })
    }
}

/// Returns `Ready` at this time; until then the task will be woken at it.
fn wake_at(
    timer: &mut Pin<&mut Option<Sleep>>,
    at: Instant,
    context: &mut Context<'_>,
) -> Poll<()> {
    match timer.as_mut().as_pin_mut() {
        None => timer.set(Some(tokio::time::sleep_until(at))),
        Some(armed) if armed.deadline() != at => armed.reset(at),
        Some(_) => {}
    }
    let armed = timer.as_mut().as_pin_mut();
    armed.expect("it was just set").poll(context)
}

impl Lease {
    /// Gives up the place of a call that was sent ahead and is no longer in the worker.
    fn come_back(mut self) -> Turn {
        let early = self.early.take().expect("it was sent ahead");
        self.release_unused();
        Turn::Back(early)
    }

    /// Returns the time at which the call in front counts as slow, unless the slot is passed on
    /// before.
    fn slow_at(&self) -> Instant {
        let passed_on = self.shared().lock().passed_on(self.grant());
        let since = self.since().max(passed_on);
        since.unwrap_or_else(Instant::now) + SLOW
    }
}
