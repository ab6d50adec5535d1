//! Quarantine of calls that kill workers.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::config::{ConfigError, duration, range};
use crate::schedule::WorkerKey;
use crate::value::Payload;

/// The blame for a death, if a single call is to blame.
const WHOLE: u64 = 1 << 32;
/// Largest number of blamed calls remembered; the one seen longest ago makes room.
const BLAMED: usize = 1024;
/// Largest number of deaths remembered until the calls of the worker have reported theirs.
const CROWDS: usize = 64;

/// The policy by which a call that kills workers is rejected for a while without reaching a worker.
///
/// Calls are the same if they have the same [`fingerprint`](crate::call::CallOptions::fingerprint)
/// or, without one, the same tool and arguments. Only calls that were executing in a worker that
/// died without the host's doing are blamed; k of them share the blame. A call that may run twice
/// ([`idempotent`](crate::call::CallOptions::idempotent)) is not convicted for a shared blame.
/// Instead it is isolated from then on: it gets a worker for itself, until it is answered there and
/// cleared, or has killed that worker too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QuarantinePolicy {
    /// Deaths for which a call has to be blamed, 1 to 1000; 2 by default.
    pub deaths: u32,
    /// Time without further blame after which blame is forgotten; one hour by default.
    pub window: Duration,
    /// Time for which a call is rejected; 10 minutes by default.
    pub duration: Duration,
}

impl Default for QuarantinePolicy {
    fn default() -> Self {
        Self {
            deaths: 2,
            window: Duration::from_secs(3600),
            duration: Duration::from_secs(600),
        }
    }
}

impl QuarantinePolicy {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        range("quarantine.deaths", self.deaths as usize, 1, 1000)?;
        duration("quarantine.window", self.window, false)?;
        duration("quarantine.duration", self.duration, false)
    }
}

/// Identity of a call; valid only with the [`Quarantine`] that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(u64);

#[derive(Clone, Copy, Debug)]
struct BlamedCall {
    blame: u64,
    /// Moment at which the blame, and with it the sentence, is forgotten.
    until: Instant,
    convicted: bool,
    /// The call shares a blame with others and can be isolated.
    shared: bool,
}

/// The standing of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Places no restriction on the call.
    Free,
    /// The call shares a blame with others; where possible, it should be isolated.
    Blamed,
    /// The call is rejected for this long.
    Convicted(Duration),
}

/// The blame of calls for the deaths of workers.
#[derive(Debug)]
pub(crate) struct Quarantine {
    policy: QuarantinePolicy,
    blamed: HashMap<Fingerprint, BlamedCall>,
    /// Number of calls in workers at the moment of their death, latest last.
    crowds: VecDeque<(WorkerKey, u16)>,
    hasher: RandomState,
}

impl Quarantine {
    pub(crate) fn new(policy: QuarantinePolicy) -> Self {
        Self {
            policy,
            blamed: HashMap::new(),
            crowds: VecDeque::new(),
            hasher: RandomState::new(),
        }
    }

    /// Returns true if no call is blamed, so that no lookup is needed.
    pub(crate) fn is_empty(&self) -> bool {
        self.blamed.is_empty()
    }

    pub(crate) fn fingerprint(&self, own: Option<&str>, tool: &str, args: &Payload) -> Fingerprint {
        Fingerprint(match own {
            Some(own) => self.hasher.hash_one((0_u8, own)),
            None => self.hasher.hash_one((1_u8, tool, &args.bytes[..])),
        })
    }

    /// Returns the standing of a call.
    pub(crate) fn check(&mut self, call: Fingerprint, now: Instant) -> Standing {
        match self.blamed.get(&call) {
            None => Standing::Free,
            Some(record) if record.until <= now => {
                self.blamed.remove(&call);
                Standing::Free
            }
            Some(record) if record.convicted => Standing::Convicted(record.until - now),
            Some(record) if record.shared => Standing::Blamed,
            Some(_) => Standing::Free,
        }
    }

    /// Clears a call that was answered with a worker for itself.
    pub(crate) fn acquit(&mut self, call: Fingerprint) {
        if self
            .blamed
            .get(&call)
            .is_some_and(|record| !record.convicted)
        {
            self.blamed.remove(&call);
        }
    }

    /// Notes that a worker with this many calls is gone.
    pub(crate) fn gone(&mut self, worker: WorkerKey, calls: u16) {
        if calls == 0 {
            return;
        }
        if self.crowds.len() == CROWDS {
            self.crowds.pop_front();
        }
        self.crowds.push_back((worker, calls));
    }

    /// Returns the number of calls in a worker when it died, or `most` if that is no longer known.
    pub(crate) fn crowd(&self, worker: WorkerKey, most: u16) -> u16 {
        let crowd = self.crowds.iter().rev().find(|crowd| crowd.0 == worker);
        crowd.map_or(most, |crowd| crowd.1).max(1)
    }

    /// Blames a call that was executing in a worker that died with so many calls. `harmless` calls
    /// can be isolated. Returns `true` if this convicts the call.
    pub(crate) fn blame(
        &mut self,
        call: Fingerprint,
        calls: u16,
        harmless: bool,
        now: Instant,
    ) -> bool {
        self.make_room(call, now);
        let fresh = BlamedCall {
            blame: 0,
            until: now,
            convicted: false,
            shared: false,
        };
        let record = self.blamed.entry(call).or_insert(fresh);
        if record.until <= now {
            *record = fresh;
        }
        if record.convicted {
            return false;
        }
        record.blame += WHOLE.div_ceil(u64::from(calls));
        let guilty = record.blame >= u64::from(self.policy.deaths) * WHOLE;
        record.shared |= harmless && calls > 1;
        record.convicted = guilty && !(harmless && calls > 1);
        record.until = now
            + if record.convicted {
                self.policy.duration
            } else {
                self.policy.window
            };
        record.convicted
    }

    fn make_room(&mut self, call: Fingerprint, now: Instant) {
        if self.blamed.len() < BLAMED || self.blamed.contains_key(&call) {
            return;
        }
        self.blamed.retain(|_, record| record.until > now);
        if self.blamed.len() < BLAMED {
            return;
        }
        let first = self
            .blamed
            .iter()
            .min_by_key(|(_, record)| (record.convicted, record.until))
            .map(|(call, _)| *call);
        if let Some(first) = first {
            self.blamed.remove(&first);
        }
    }

    /// Number of calls that are rejected now.
    pub(crate) fn convicted(&self, now: Instant) -> usize {
        let convicted = |record: &&BlamedCall| record.convicted && record.until > now;
        self.blamed.values().filter(convicted).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::Scheduler;

    const MINUTE: Duration = Duration::from_secs(60);

    fn policy() -> QuarantinePolicy {
        QuarantinePolicy {
            deaths: 2,
            window: 5 * MINUTE,
            duration: 3 * MINUTE,
        }
    }

    fn worker() -> WorkerKey {
        Scheduler::<()>::new(0).add(8).0
    }

    #[test]
    fn calls_are_told_apart_by_their_own_name_or_by_tool_and_arguments() {
        let quarantine = Quarantine::new(policy());
        let args = |n: u64| Payload::encode(&n).unwrap();
        let of = |own, tool, n| quarantine.fingerprint(own, tool, &args(n));
        assert_eq!(of(None, "a", 1), of(None, "a", 1));
        assert_ne!(of(None, "a", 1), of(None, "b", 1));
        assert_ne!(of(None, "a", 1), of(None, "a", 2));
        assert_eq!(of(Some("x"), "a", 1), of(Some("x"), "b", 2));
        assert_ne!(of(Some("x"), "a", 1), of(Some("y"), "a", 1));
    }

    #[test]
    fn blamed_calls_are_bounded_and_the_convicted_stay_longest() {
        let mut quarantine = Quarantine::new(policy());
        let now = Instant::now();
        quarantine.blame(Fingerprint(0), 1, false, now);
        assert!(quarantine.blame(Fingerprint(0), 1, false, now));
        for n in 1..=2 * BLAMED as u64 {
            quarantine.blame(Fingerprint(n), 1, false, now);
        }
        assert_eq!(quarantine.blamed.len(), BLAMED);
        let standing = quarantine.check(Fingerprint(0), now);
        assert_eq!(standing, Standing::Convicted(3 * MINUTE));
    }

    #[test]
    fn the_crowd_of_a_worker_is_remembered_for_a_while() {
        let mut quarantine = Quarantine::new(policy());
        let mut scheduler = Scheduler::<()>::new(0);
        let first = scheduler.add(8).0;
        quarantine.gone(first, 3);
        quarantine.gone(scheduler.add(8).0, 0);
        assert_eq!(quarantine.crowd(first, 8), 3);
        for _ in 0..CROWDS {
            quarantine.gone(scheduler.add(8).0, 5);
        }
        assert_eq!(quarantine.crowd(first, 8), 8, "nothing is known any more");
    }

    #[test]
    fn a_blame_that_is_shared_convicts_a_harmless_call_only_when_it_kills_alone() {
        let mut quarantine = Quarantine::new(policy());
        let (now, guilty, innocent) = (Instant::now(), Fingerprint(0), Fingerprint(1));
        for _ in 0..10 {
            assert!(!quarantine.blame(guilty, 2, true, now));
            assert!(!quarantine.blame(innocent, 2, true, now));
        }
        assert_eq!(quarantine.check(innocent, now), Standing::Blamed);
        quarantine.acquit(innocent);
        assert_eq!(quarantine.check(innocent, now), Standing::Free);
        assert!(quarantine.blame(guilty, 1, true, now));
        quarantine.acquit(guilty);
        let standing = quarantine.check(guilty, now);
        assert_eq!(standing, Standing::Convicted(3 * MINUTE));
    }

    proptest! {
        /// Compares with the list of all deaths, and rational numbers instead of fixed-point ones.
        #[test]
        fn convicts_as_the_list_of_deaths_does(
            steps in prop::collection::vec((0_u64..3, 1_u16..6, 0_u32..4, any::<bool>(), any::<bool>()), 1..80)
        ) {
            let mut quarantine = Quarantine::new(policy());
            let (worker, mut now) = (worker(), Instant::now());
            // For each call: blame in parts of 60, its end, and the conviction.
            let mut model: HashMap<u64, (u64, Instant, bool)> = HashMap::new();
            for (call, crowd, minutes, dies, harmless) in steps {
                now += minutes * MINUTE;
                model.retain(|_, record| record.1 > now);
                if dies {
                    quarantine.gone(worker, crowd);
                    prop_assert_eq!(quarantine.crowd(worker, 8), crowd);
                    let convicted = quarantine.blame(Fingerprint(call), crowd, harmless, now);
                    let record = model.entry(call).or_insert((0, now, false));
                    let before = record.2;
                    if !before {
                        record.0 += 60 / u64::from(crowd);
                        record.2 = record.0 >= 120 && (crowd == 1 || !harmless);
                        record.1 = now + if record.2 { 3 * MINUTE } else { 5 * MINUTE };
                    }
                    prop_assert_eq!(convicted, record.2 && !before);
                }
                let expected = model.get(&call).filter(|record| record.2).map(|record| record.1 - now);
                let standing = quarantine.check(Fingerprint(call), now);
                match expected {
                    Some(time) => prop_assert_eq!(standing, Standing::Convicted(time)),
                    None => prop_assert!(!matches!(standing, Standing::Convicted(_))),
                }
                prop_assert_eq!(quarantine.convicted(now), model.values().filter(|record| record.2).count());
            }
        }
    }
}
