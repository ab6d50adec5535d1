//! A circuit breaker: rejects calls while workers fail, and then tries a counted number of calls.

use std::collections::VecDeque;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{ConfigError, duration, range};
use crate::error::{Death, Error};

/// The policy by which calls are rejected because calls before them failed.
///
/// Only failures of workers count: a worker died with a call, or no worker can be started. An
/// exception of a tool, a timeout, a full queue and a caller that goes away do not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct BreakerPolicy {
    /// Failures within `window` that open the circuit, 1 to 1000; 5 by default.
    pub failures: u32,
    /// The window for `failures`; 30 s by default.
    pub window: Duration,
    /// Time for which calls are rejected, after which trial calls are accepted; 10 s by default.
    pub cool_down: Duration,
    /// Trial calls, 1 to 1000: if all of them are answered, the circuit closes; if one fails, it
    /// opens again. 1 by default.
    pub probes: u32,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self {
            failures: 5,
            window: Duration::from_secs(30),
            cool_down: Duration::from_secs(10),
            probes: 1,
        }
    }
}

impl BreakerPolicy {
    pub(crate) fn validate(&self, name: &str) -> Result<(), ConfigError> {
        let key = |key: &str| format!("{name}.{key}");
        range(&key("failures"), self.failures as usize, 1, 1000)?;
        range(&key("probes"), self.probes as usize, 1, 1000)?;
        duration(&key("window"), self.window, false)?;
        duration(&key("cool_down"), self.cool_down, false)
    }
}

/// The evidence of one call about the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallEvidence {
    /// A worker answered.
    Answered,
    /// A worker failed.
    Failed,
    /// Neither.
    Nothing,
}

impl CallEvidence {
    /// Returns the evidence of a call's result.
    pub(crate) fn of(result: Result<(), &Error>) -> Self {
        match result {
            Ok(()) | Err(Error::Tool(_)) => Self::Answered,
            Err(Error::WorkerDied { cause, .. }) if *cause != Death::Stopped => Self::Failed,
            Err(Error::Start { .. }) => Self::Failed,
            Err(_) => Self::Nothing,
        }
    }
}

/// A permit for one call. It has to be given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permit {
    /// The circuit is closed.
    Call,
    /// The circuit is half open, in the period with this number.
    Probe(u64),
}

/// The change of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    /// Trial calls are accepted from now on.
    HalfOpened,
    Closed,
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls are accepted.
    Closed,
    /// Calls are rejected.
    Open,
    /// Trial calls are accepted, as many as the decision to close the circuit needs.
    HalfOpen,
}

#[derive(Debug)]
enum Circuit {
    Closed {
        /// Moments of failures within the window, oldest first; too few to open the circuit.
        failures: VecDeque<Instant>,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        /// Number of the period, which distinguishes its trial calls from those of others.
        number: u64,
        under_way: u32,
        answered: u32,
    },
}

/// One circuit. The pool's lock makes its decisions exact.
#[derive(Debug)]
pub(crate) struct Breaker {
    policy: BreakerPolicy,
    state: Circuit,
}

impl Breaker {
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        let failures = VecDeque::new();
        Self {
            policy,
            state: Circuit::Closed { failures },
        }
    }

    /// Returns true if the next call makes the circuit half open.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, Circuit::Open { until } if now >= until)
    }

    /// Accepts a call, or returns the time after which to retry. Each half-open period gets the
    /// next `number`.
    pub(crate) fn admit(&mut self, now: Instant, number: &mut u64) -> Result<Permit, Duration> {
        if let Circuit::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            *number += 1;
            self.state = Circuit::HalfOpen {
                number: *number,
                under_way: 0,
                answered: 0,
            };
        }
        match &mut self.state {
            Circuit::HalfOpen {
                number,
                under_way,
                answered,
            } => {
                if *under_way + *answered >= self.policy.probes {
                    return Err(self.policy.cool_down);
                }
                *under_way += 1;
                Ok(Permit::Probe(*number))
            }
            _ => Ok(Permit::Call),
        }
    }

    /// Ends an accepted call. Returns the change of the circuit.
    pub(crate) fn end(
        &mut self,
        permit: Permit,
        evidence: CallEvidence,
        now: Instant,
    ) -> Option<Change> {
        match (&mut self.state, permit) {
            (Circuit::Closed { failures }, Permit::Call) if evidence == CallEvidence::Failed => {
                expire(failures, self.policy.window, now);
                failures.push_back(now);
                (failures.len() >= self.policy.failures as usize).then(|| self.open(now))
            }
            (
                Circuit::HalfOpen {
                    number,
                    under_way,
                    answered,
                },
                Permit::Probe(own),
            ) if *number == own => {
                *under_way -= 1;
                match evidence {
                    CallEvidence::Failed => return Some(self.open(now)),
                    CallEvidence::Nothing => return None,
                    CallEvidence::Answered => *answered += 1,
                }
                let closes = *answered == self.policy.probes;
                closes.then(|| {
                    let failures = VecDeque::new();
                    self.state = Circuit::Closed { failures };
                    Change::Closed
                })
            }
            // Calls of an earlier period are outdated evidence.
            _ => None,
        }
    }

    fn open(&mut self, now: Instant) -> Change {
        let until = now + self.policy.cool_down;
        self.state = Circuit::Open { until };
        Change::Opened
    }

    /// Returns the state of the circuit.
    pub(crate) fn state(&self, now: Instant) -> CircuitState {
        match self.state {
            Circuit::Closed { .. } => CircuitState::Closed,
            Circuit::Open { until } if now < until => CircuitState::Open,
            Circuit::Open { .. } | Circuit::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    /// Returns true if the circuit does not differ from a new one.
    pub(crate) fn is_new(&mut self, now: Instant) -> bool {
        match &mut self.state {
            Circuit::Closed { failures } => {
                expire(failures, self.policy.window, now);
                failures.is_empty()
            }
            _ => false,
        }
    }
}

fn expire(failures: &mut VecDeque<Instant>, window: Duration, now: Instant) {
    while failures
        .front()
        .is_some_and(|at| now.duration_since(*at) >= window)
    {
        failures.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Wait(u32),
        Admit,
        /// Ends the n-th of the running calls.
        End(usize, u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u32..8).prop_map(Step::Wait),
            Just(Step::Admit),
            Just(Step::Admit),
            (0_usize..6, 0_u8..4).prop_map(|(index, evidence)| Step::End(index, evidence)),
        ]
    }

    proptest! {
        /// Compares with a model that keeps and counts the whole history.
        #[test]
        fn lets_through_what_the_model_does(
            steps in prop::collection::vec(step(), 1..200),
            failures in 1_u32..4,
            probes in 1_u32..4,
        ) {
            let second = Duration::from_secs(1);
            let policy = BreakerPolicy { failures, window: 10 * second, cool_down: 5 * second, probes };
            let mut breaker = Breaker::new(policy);
            let (mut now, mut number) = (Instant::now(), 0);
            let mut calls: Vec<(Permit, u64)> = Vec::new();
            // The model: eras that begin with each change, and the evidence of the era's calls.
            let (mut era, mut opened) = (0_u64, None::<Instant>);
            let mut failed: Vec<Instant> = Vec::new();
            let (mut running, mut good) = (0_u32, 0_u32);
            for step in steps {
                match step {
                    Step::Wait(seconds) => now += seconds * second,
                    Step::Admit => {
                        let expected = match opened {
                            None => true,
                            Some(at) => now >= at + 5 * second && running + good < probes,
                        };
                        let admitted = breaker.admit(now, &mut number);
                        prop_assert_eq!(admitted.is_ok(), expected);
                        if let Ok(permit) = admitted {
                            running += 1;
                            prop_assert!(opened.is_none() || running + good <= probes);
                            calls.push((permit, era));
                        }
                    }
                    Step::End(index, evidence) => {
                        if index >= calls.len() {
                            continue;
                        }
                        let (permit, of) = calls.swap_remove(index);
                        let evidence = [CallEvidence::Answered, CallEvidence::Failed, CallEvidence::Failed, CallEvidence::Nothing][usize::from(evidence)];
                        let change = breaker.end(permit, evidence, now);
                        let mut expected = None;
                        // A call of an earlier closed period still counts once the circuit is
                        // closed again.
                        if opened.is_none() && permit == Permit::Call {
                            if evidence == CallEvidence::Failed {
                                failed.push(now);
                                let recent = failed.iter().filter(|at| now - **at < 10 * second).count();
                                if recent >= failures as usize {
                                    expected = Some(Change::Opened);
                                }
                            }
                        } else if opened.is_some() && of == era {
                            running -= 1;
                            match evidence {
                                CallEvidence::Failed => expected = Some(Change::Opened),
                                CallEvidence::Answered => {
                                    good += 1;
                                    if good == probes {
                                        expected = Some(Change::Closed);
                                    }
                                }
                                CallEvidence::Nothing => {}
                            }
                        }
                        prop_assert_eq!(change, expected);
                        if let Some(change) = change {
                            era += 1;
                            opened = (change == Change::Opened).then_some(now);
                            failed.clear();
                            (running, good) = (0, 0);
                        }
                    }
                }
            }
        }
    }
}
