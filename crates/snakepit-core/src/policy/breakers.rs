//! The circuits of one pool: its own, and one for each tool with failures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerPolicy, CallEvidence, Change, CircuitState, Permit};
use crate::error::Error;
use crate::id::PoolName;

/// Largest number of tools whose failures are remembered.
const TOOLS: usize = 1024;

/// A circuit that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Circuit {
    /// The tool. `None` for the circuit of the whole pool.
    pub tool: Option<String>,
    /// State of the circuit.
    pub state: CircuitState,
}

/// A permit for one call from both circuits. It has to be given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Permits {
    pool: Permit,
    tool: Permit,
}

/// The rejection of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The circuit of the tool rejected the call, not that of the pool.
    pub(crate) by_tool: bool,
    pub(crate) retry_after: Duration,
}

impl Refused {
    /// Returns the error of a rejected call of this tool.
    pub(crate) fn error(self, pool: &PoolName, tool: &str) -> Error {
        Error::CircuitOpen {
            pool: pool.clone(),
            tool: self.by_tool.then(|| tool.to_owned()),
            retry_after: self.retry_after,
        }
    }
}

/// The change of each circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) pool: Option<Change>,
    pub(crate) tool: Option<Change>,
}

#[derive(Debug)]
pub(crate) struct Breakers {
    pool: Option<Breaker>,
    policy: Option<BreakerPolicy>,
    /// Circuits of tools with failures.
    tools: BTreeMap<Arc<str>, Breaker>,
    number: u64,
}

impl Breakers {
    pub(crate) fn new(pool: Option<BreakerPolicy>, tool: Option<BreakerPolicy>) -> Self {
        Self {
            pool: pool.map(Breaker::new),
            policy: tool,
            tools: BTreeMap::new(),
            number: 0,
        }
    }

    /// Accepts or rejects a call. Either may make a circuit half open.
    pub(crate) fn admit(
        &mut self,
        tool: &str,
        now: Instant,
    ) -> (Result<Permits, Refused>, Changes) {
        let due = |breaker: Option<&Breaker>| breaker.is_some_and(|it| it.is_due(now));
        let before = (due(self.pool.as_ref()), due(self.tools.get(tool)));
        let admitted = self.try_admit(tool, now);
        let half_opened = |before: bool, breaker: Option<&Breaker>| {
            (before && !due(breaker)).then_some(Change::HalfOpened)
        };
        let changes = Changes {
            pool: half_opened(before.0, self.pool.as_ref()),
            tool: half_opened(before.1, self.tools.get(tool)),
        };
        (admitted, changes)
    }

    /// Like [`admit`](Self::admit), for callers that do not report changes.
    pub(crate) fn try_admit(&mut self, tool: &str, now: Instant) -> Result<Permits, Refused> {
        let refused = |by_tool| {
            move |retry_after| Refused {
                by_tool,
                retry_after,
            }
        };
        let pool = match &mut self.pool {
            Some(breaker) => breaker
                .admit(now, &mut self.number)
                .map_err(refused(false))?,
            None => Permit::Call,
        };
        let tool = match self.tools.get_mut(tool) {
            Some(breaker) => breaker.admit(now, &mut self.number),
            None => Ok(Permit::Call),
        };
        match tool {
            Ok(tool) => Ok(Permits { pool, tool }),
            Err(retry_after) => {
                if let Some(breaker) = &mut self.pool {
                    breaker.end(pool, CallEvidence::Nothing, now);
                }
                Err(refused(true)(retry_after))
            }
        }
    }

    /// Ends an accepted call.
    pub(crate) fn end(
        &mut self,
        permits: Permits,
        tool: &Arc<str>,
        evidence: CallEvidence,
        now: Instant,
    ) -> Changes {
        let pool = self.pool.as_mut();
        let pool = pool.and_then(|breaker| breaker.end(permits.pool, evidence, now));
        if evidence == CallEvidence::Failed && !self.tools.contains_key(tool) {
            self.remember(tool, now);
        }
        let breaker = self.tools.get_mut(tool);
        let tool = breaker.and_then(|breaker| breaker.end(permits.tool, evidence, now));
        Changes { pool, tool }
    }

    fn remember(&mut self, tool: &Arc<str>, now: Instant) {
        let Some(policy) = &self.policy else { return };
        if self.tools.len() >= TOOLS {
            self.tools.retain(|_, breaker| !breaker.is_new(now));
        }
        if self.tools.len() < TOOLS {
            let breaker = Breaker::new(policy.clone());
            self.tools.insert(Arc::clone(tool), breaker);
        }
    }

    /// Returns the circuits that are not closed.
    pub(crate) fn circuits(&self, now: Instant) -> Vec<Circuit> {
        let pool = self.pool.iter().map(|breaker| (None, breaker));
        let tools = self.tools.iter();
        pool.chain(tools.map(|(tool, breaker)| (Some(tool.to_string()), breaker)))
            .map(|(tool, breaker)| Circuit {
                tool,
                state: breaker.state(now),
            })
            .filter(|circuit| circuit.state != CircuitState::Closed)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> BreakerPolicy {
        BreakerPolicy {
            failures: 1,
            ..BreakerPolicy::default()
        }
    }

    #[test]
    fn a_tool_that_is_refused_takes_no_probe_of_the_pool() {
        let mut breakers = Breakers::new(Some(policy()), Some(policy()));
        let (bad, good) = (Arc::from("bad"), Arc::from("good"));
        let mut now = Instant::now();
        let permits = breakers.try_admit(&bad, now).unwrap();
        let changes = breakers.end(permits, &bad, CallEvidence::Failed, now);
        assert_eq!(
            (changes.pool, changes.tool),
            (Some(Change::Opened), Some(Change::Opened))
        );
        now += policy().cool_down;
        let probe = breakers.try_admit(&bad, now).unwrap();
        // The only trial call is running.
        assert!(!breakers.try_admit(&good, now).unwrap_err().by_tool);
        breakers.end(probe, &bad, CallEvidence::Failed, now);
        now += policy().cool_down;
        let probe = breakers.try_admit(&good, now).unwrap();
        let changes = breakers.end(probe, &good, CallEvidence::Answered, now);
        assert_eq!((changes.pool, changes.tool), (Some(Change::Closed), None));
        let probe = breakers.try_admit(&bad, now).unwrap();
        assert!(breakers.try_admit(&bad, now).unwrap_err().by_tool);
        breakers.end(probe, &bad, CallEvidence::Nothing, now);
        breakers.try_admit(&bad, now).unwrap();
    }

    #[test]
    fn only_tools_with_failures_are_remembered_and_not_too_many() {
        let mut breakers = Breakers::new(None, Some(BreakerPolicy::default()));
        let now = Instant::now();
        for n in 0..2 * TOOLS {
            let tool: Arc<str> = Arc::from(n.to_string());
            let permits = breakers.try_admit(&tool, now).unwrap();
            breakers.end(permits, &tool, CallEvidence::Answered, now);
        }
        assert_eq!(breakers.tools.len(), 0);
        for n in 0..2 * TOOLS {
            let tool: Arc<str> = Arc::from(n.to_string());
            let permits = breakers.try_admit(&tool, now).unwrap();
            breakers.end(permits, &tool, CallEvidence::Failed, now);
        }
        assert_eq!(breakers.tools.len(), TOOLS);
        let later = now + BreakerPolicy::default().window;
        let tool: Arc<str> = Arc::from("new");
        let permits = breakers.try_admit(&tool, later).unwrap();
        breakers.end(permits, &tool, CallEvidence::Failed, later);
        assert_eq!(breakers.tools.len(), 1);
    }
}
