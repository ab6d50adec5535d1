//! Properties of fair turns, checked from outside.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::time::Duration;

use proptest::prelude::*;

use super::{Fair, IDLE_LIMIT};
use crate::id::SessionId;
use crate::schedule::{Acquire, Grant, Rules, Scheduler, SlotRequest};

const MS: Duration = Duration::from_millis(1);

/// A scheduler with one worker whose waiting calls are named by their sessions.
fn scheduler(slots: u16) -> Scheduler<usize> {
    let mut scheduler = Scheduler::with_rules(Rules {
        fair: true,
        ..Rules::new(1_000_000)
    });
    scheduler.add(slots);
    scheduler
}

fn ask(scheduler: &mut Scheduler<usize>, session: usize, weight: u16) -> Option<Grant> {
    let name = SessionId::from(format!("s{session}"));
    let request = SlotRequest {
        weight,
        ..SlotRequest::new(Some(&name))
    };
    match scheduler.request(&request, || session) {
        Acquire::Granted(grant) => Some(grant),
        Acquire::Queued(_) => None,
        other => panic!("{other:?}"),
    }
}

/// Returns the next `n` calls in the order in which they get the slots of the `taken` ones. Each
/// call holds its slot for a time.
fn order(
    scheduler: &mut Scheduler<usize>,
    mut taken: VecDeque<(usize, Grant)>,
    n: usize,
    held: impl Fn(usize) -> Duration,
) -> Vec<usize> {
    let mut order = Vec::new();
    while order.len() < n
        && let Some((session, grant)) = taken.pop_front()
    {
        let released = scheduler.release(grant, Some(held(session)));
        if let Some((session, grant)) = released.wake {
            order.push(session);
            taken.push_back((session, grant));
        }
    }
    order
}

#[test]
fn one_call_behind_a_thousand_of_another_session_is_soon_served() {
    for slots in [1, 4] {
        let mut scheduler = scheduler(slots);
        let mut taken = VecDeque::new();
        for _ in 0..1000 {
            taken.extend(ask(&mut scheduler, 0, 1).map(|grant| (0, grant)));
        }
        assert!(ask(&mut scheduler, 1, 1).is_none());
        let order = order(&mut scheduler, taken, 10, |_| MS);
        let place = order.iter().position(|session| *session == 1);
        assert!(place.is_some_and(|place| place < 2), "{order:?}");
    }
}

#[test]
fn weights_share_the_turns() {
    let mut scheduler = scheduler(1);
    let first = ask(&mut scheduler, 9, 1).expect("the slot is free");
    for _ in 0..400 {
        ask(&mut scheduler, 0, 1);
        ask(&mut scheduler, 1, 3);
    }
    let order = order(&mut scheduler, [(9, first)].into(), 400, |_| MS);
    let heavy = order.iter().filter(|session| **session == 1).count();
    assert!((297..=303).contains(&heavy), "{heavy}");
}

#[test]
fn a_session_that_was_idle_has_saved_nothing() {
    let mut scheduler = scheduler(1);
    let mut taken = VecDeque::from([(0, ask(&mut scheduler, 0, 1).expect("the slot is free"))]);
    ask(&mut scheduler, 1, 1);
    for _ in 0..500 {
        ask(&mut scheduler, 0, 1);
    }
    // The other session has had its call, and then has none for a long time.
    let mut served = 0;
    while let Some((session, grant)) = taken.pop_front() {
        let wake = scheduler.release(grant, Some(MS)).wake;
        served += 1;
        if served == 200 {
            for _ in 0..100 {
                ask(&mut scheduler, 1, 1);
            }
            taken.extend(wake);
            let order = order(&mut scheduler, taken, 20, |_| MS);
            let other = order.iter().filter(|session| **session == 1).count();
            assert!((9..=11).contains(&other), "{order:?}");
            return;
        }
        assert!(session == 0 || served < 4);
        taken.extend(wake);
    }
    panic!("the calls are used up");
}

#[test]
fn idle_sessions_are_forgotten() {
    let mut scheduler = scheduler(1);
    let keep = scheduler.queue.fair().map(|fair: &mut Fair| fair.known());
    assert_eq!(keep, Some(0));
    for session in 0..10 * IDLE_LIMIT {
        let grant = ask(&mut scheduler, session, 1).expect("the slot is free");
        assert!(scheduler.release(grant, Some(MS)).wake.is_none());
    }
    let known = scheduler.queue.fair().map(|fair| fair.known());
    assert!(
        known.is_some_and(|known| known <= IDLE_LIMIT + 1),
        "{known:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Sessions that always have a waiting call get time in proportion to their weights, for all
    /// durations of calls.
    #[test]
    fn time_is_shared(
        sessions in prop::collection::vec((1_u32..30, 1_u16..4), 2..6),
        slots in 1_u16..4,
    ) {
        let mut scheduler = scheduler(slots);
        let mut taken = VecDeque::new();
        for (session, (_, weight)) in sessions.iter().enumerate() {
            for _ in 0..3000 {
                taken.extend(ask(&mut scheduler, session, *weight).map(|grant| (session, grant)));
            }
        }
        let held = |session: usize| sessions[session].0 * MS;
        // Long enough for the costs of calls to be known.
        let order = order(&mut scheduler, taken, 1500, held);
        let share = |session: usize| {
            let calls = order[300..].iter().filter(|one| **one == session).count();
            let weight = NonZeroU16::new(sessions[session].1).expect("at least 1");
            calls as f64 * f64::from(sessions[session].0) / f64::from(weight.get())
        };
        let shares: Vec<_> = (0..sessions.len()).map(share).collect();
        let least = shares.iter().copied().fold(f64::MAX, f64::min);
        let most = shares.iter().copied().fold(0.0, f64::max);
        prop_assert!(most <= 1.25 * least + 120.0, "{shares:?} of {sessions:?}");
    }
}
