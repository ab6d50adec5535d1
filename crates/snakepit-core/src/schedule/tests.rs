//! The scheduler in single situations.

use super::{Acquire, Grant, Rules, Scheduler, SlotRequest};
use crate::id::SessionId;
use crate::schedule::Affinity;

pub(super) fn granted(answer: Acquire) -> Grant {
    match answer {
        Acquire::Granted(grant) => grant,
        other => panic!("no slot: {other:?}"),
    }
}

fn strict(session: &SessionId) -> SlotRequest<'_> {
    SlotRequest {
        affinity: Affinity::StrictQueue,
        ..SlotRequest::new(Some(session))
    }
}

fn nested(ancestors: &[Grant]) -> SlotRequest<'_> {
    SlotRequest {
        ancestors,
        ..SlotRequest::new(None)
    }
}

#[test]
fn a_session_goes_back_to_its_worker() {
    let mut scheduler = Scheduler::<()>::new(0);
    scheduler.add(1);
    scheduler.add(1);
    let session = "s".into();
    let first = granted(scheduler.acquire(Some(&session), || ()));
    assert!(scheduler.release(first, None).wake.is_none());
    for _ in 0..5 {
        let grant = granted(scheduler.acquire(Some(&session), || ()));
        assert_eq!((grant.worker, grant.slot), (first.worker, first.slot));
        assert!(scheduler.release(grant, None).wake.is_none());
    }
}

#[test]
fn idle_workers_take_turns() {
    let mut scheduler = Scheduler::<()>::new(0);
    let keys: Vec<_> = (0..3).map(|_| scheduler.add(2).0).collect();
    for round in 0..6 {
        let grant = granted(scheduler.acquire(None, || ()));
        assert_eq!(grant.worker, keys[round % 3]);
        assert!(scheduler.release(grant, None).wake.is_none());
    }
}

#[test]
fn a_burst_of_first_strict_calls_lands_on_one_worker() {
    let mut scheduler = Scheduler::<u32>::new(100);
    let session = "s".into();
    for n in 0..5 {
        assert!(matches!(
            scheduler.request(&strict(&session), || n),
            Acquire::Queued(_)
        ));
    }
    let (bound, first) = scheduler.add(2);
    let (other, none) = scheduler.add(2);
    assert_eq!((first.len(), none.len()), (2, 0));
    let mut held: Vec<_> = first;
    let mut order = Vec::new();
    while let Some((n, grant)) = held.pop() {
        assert_eq!(grant.worker, bound);
        order.push(n);
        held.extend(scheduler.release(grant, None).wake);
    }
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2, 3, 4]);
    assert_eq!(scheduler.in_use_of(other), Some(0));
}

#[test]
fn strict_calls_do_not_hold_others_up_and_keep_their_turn() {
    let mut scheduler = Scheduler::<&str>::new(100);
    let (a, b) = (scheduler.add(1).0, scheduler.add(1).0);
    let session = "s".into();
    let on_a = granted(scheduler.request(&strict(&session), || ""));
    let on_b = granted(scheduler.acquire(None, || ""));
    assert_eq!((on_a.worker, on_b.worker), (a, b));
    assert!(matches!(
        scheduler.request(&strict(&session), || "strict"),
        Acquire::Queued(_)
    ));
    assert!(matches!(
        scheduler.acquire(None, || "first"),
        Acquire::Queued(_)
    ));
    assert!(matches!(
        scheduler.acquire(None, || "second"),
        Acquire::Queued(_)
    ));
    // The strict call is older, but this is not its worker.
    assert_eq!(scheduler.release(on_b, None).wake.unwrap().0, "first");
    // On its own worker it precedes the younger one.
    assert_eq!(scheduler.release(on_a, None).wake.unwrap().0, "strict");
}

#[test]
fn a_loss_is_reported_once() {
    let mut scheduler = Scheduler::<()>::new(100);
    let first = scheduler.add_named(1, "w-1".into()).key;
    scheduler.add(1);
    let session = "s".into();
    let grant = granted(scheduler.request(&strict(&session), || ()));
    assert_eq!(grant.worker, first);
    assert!(scheduler.remove(first).is_empty());
    let Acquire::Lost(lost) = scheduler.request(&strict(&session), || ()) else {
        panic!("the worker is gone")
    };
    assert_eq!((lost.worker.as_str(), lost.generation), ("w-1", 1));
    granted(scheduler.request(&strict(&session), || ()));
}

#[test]
fn sessions_beyond_the_limit_are_refused_until_one_is_forgotten() {
    let mut scheduler = Scheduler::<()>::with_rules(Rules {
        bindings: 1,
        ..Rules::new(100)
    });
    scheduler.add(4);
    let (a, b) = ("a".into(), "b".into());
    granted(scheduler.request(&strict(&a), || ()));
    assert_eq!(
        scheduler.request(&strict(&b), || ()),
        Acquire::TooManyBindings
    );
    granted(scheduler.request(&strict(&a), || ()));
    assert!(scheduler.forget(&a));
    granted(scheduler.request(&strict(&b), || ()));
}

#[test]
fn calls_that_wait_for_each_other_are_found() {
    let mut scheduler = Scheduler::<()>::new(100);
    scheduler.add(1);
    scheduler.add(1);
    let (a, b) = (
        granted(scheduler.acquire(None, || ())),
        granted(scheduler.acquire(None, || ())),
    );
    let Acquire::Queued(ticket) = scheduler.request(&nested(&[a]), || ()) else {
        panic!("`b` may still end")
    };
    assert_eq!(scheduler.request(&nested(&[b]), || ()), Acquire::Deadlock);
    // Without the first one it may wait.
    assert!(scheduler.cancel(ticket));
    assert!(matches!(
        scheduler.request(&nested(&[b]), || ()),
        Acquire::Queued(_)
    ));
}

#[test]
fn a_slot_that_somebody_else_has_now_is_no_ancestor() {
    let mut scheduler = Scheduler::<()>::new(100);
    scheduler.add(1);
    let old = granted(scheduler.acquire(None, || ()));
    assert!(scheduler.release(old, None).wake.is_none());
    granted(scheduler.acquire(None, || ()));
    assert!(matches!(
        scheduler.request(&nested(&[old]), || ()),
        Acquire::Queued(_)
    ));
}

/// Counts the entries visited to fill a queue of this length, to remove every other call from its
/// middle and to grant the rest.
fn looks_of_queue(length: usize) -> u64 {
    let mut scheduler = Scheduler::new(length);
    let (key, _) = scheduler.add(1);
    let mut grant = granted(scheduler.acquire(None, || 0));
    let tickets: Vec<_> = (1..=length)
        .map(|number| match scheduler.acquire(None, || number) {
            Acquire::Queued(ticket) => ticket,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(matches!(scheduler.acquire(None, || 0), Acquire::Full(_)));
    for ticket in tickets.into_iter().skip(1).step_by(2) {
        assert!(scheduler.cancel(ticket));
    }
    for expected in (1..=length).step_by(2) {
        let (number, next) = scheduler.release(grant, None).wake.unwrap();
        assert_eq!((number, next.worker), (expected, key));
        grant = next;
    }
    assert!(scheduler.release(grant, None).wake.is_none());
    scheduler.queue.looks()
}

#[test]
fn defect_10_a_call_costs_the_same_in_a_long_queue() {
    let (short, long) = (looks_of_queue(200), looks_of_queue(3_200));
    // 16 times as many calls; the ends of the queue cost less than its middle.
    assert!(short > 200 && long <= 16 * short + 100, "{short}, {long}");
}
