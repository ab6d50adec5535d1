//! Calls ahead of their turn, in single situations.

use super::super::tests::granted;
use super::super::{Acquire, Claim, Grant, Scheduler, SlotRequest, WorkerKey};
use super::{BUDGET, LARGEST, MOST, STREAK};
use crate::id::SessionId;
use crate::schedule::Affinity;

fn short(number: u32) -> (SlotRequest<'static>, u32) {
    let request = SlotRequest {
        ahead: true,
        ..SlotRequest::new(None)
    };
    (request, number)
}

fn wait(scheduler: &mut Scheduler<u32>, (request, number): (SlotRequest<'_>, u32)) {
    assert!(matches!(
        scheduler.request(&request, || number),
        Acquire::Queued(_)
    ));
}

/// One worker whose calls were short, a call in its first slot, and `waiting` waiting calls.
fn quick(slots: u16, waiting: u32) -> (Scheduler<u32>, WorkerKey, Grant) {
    let mut scheduler = Scheduler::new(100);
    let (key, _) = scheduler.add(slots);
    scheduler.let_ahead(key);
    for _ in 0..STREAK {
        let grant = granted(scheduler.acquire(None, || 0));
        assert!(scheduler.release(grant, Some(BUDGET / 100)).wake.is_none());
    }
    let front = granted(scheduler.acquire(None, || 0));
    for _ in 1..slots {
        granted(scheduler.acquire(None, || 0));
    }
    for number in 1..=waiting {
        wait(&mut scheduler, short(number));
    }
    (scheduler, key, front)
}

#[test]
fn they_follow_one_another_and_get_the_slot_in_turn() {
    let (mut scheduler, key, front) = quick(1, 10);
    let mut ahead = Vec::new();
    let mut last = front;
    while let Some((number, grant)) = scheduler.sent(last) {
        assert!(grant.worker == key && grant.slot == front.slot && !scheduler.has(grant));
        assert_eq!(number as usize, ahead.len() + 1);
        // Until it is sent, none follows.
        assert!(scheduler.sent(last).is_none());
        ahead.push(grant);
        last = grant;
    }
    assert_eq!(ahead.len(), MOST);
    assert_eq!((scheduler.in_use(), scheduler.queued()), (1, 10));
    let released = scheduler.release(front, Some(BUDGET / 100));
    assert!(released.passed_on && scheduler.has(ahead[0]));
    let (number, next) = released.wake.expect("there is room for one more");
    assert_eq!((number as usize, scheduler.queued()), (MOST + 1, 9));
    // One in the middle ends; the calls behind it move up.
    assert!(scheduler.release(ahead[2], None).wake.is_none());
    assert_eq!((scheduler.in_use(), scheduler.queued()), (1, 8));
    for (over, follower) in [(ahead[0], ahead[1]), (ahead[1], ahead[3]), (ahead[3], next)] {
        let released = scheduler.release(over, Some(BUDGET / 100));
        assert!(released.passed_on && scheduler.has(follower));
    }
}

#[test]
fn only_short_calls_have_others_behind_them() {
    let (mut scheduler, _, front) = quick(1, 10);
    let (_, ahead) = scheduler.sent(front).expect("all calls were short");
    assert!(scheduler.release(front, Some(2 * BUDGET)).passed_on);
    assert!(scheduler.sent(ahead).is_none(), "one was not");
    let (mut scheduler, _, front) = quick(1, 10);
    scheduler.slow();
    assert!(scheduler.sent(front).is_none(), "one that runs is not");
    // No more than fit.
    let mut scheduler = Scheduler::new(100);
    let (key, _) = scheduler.add(1);
    scheduler.let_ahead(key);
    for _ in 0..STREAK {
        let grant = granted(scheduler.acquire(None, || 0));
        assert!(scheduler.release(grant, Some(BUDGET / 2)).wake.is_none());
    }
    let mut last = granted(scheduler.acquire(None, || 0));
    (1..10).for_each(|number| wait(&mut scheduler, short(number)));
    let mut count = 0;
    while let Some((_, grant)) = scheduler.sent(last) {
        (last, count) = (grant, count + 1);
    }
    assert_eq!(count, 2);
}

#[test]
fn what_could_run_elsewhere_is_not_sent_ahead() {
    let (mut scheduler, _, front) = quick(3, 2);
    assert!(scheduler.sent(front).is_none());
    wait(&mut scheduler, short(3));
    assert_eq!(scheduler.sent(front).map(|next| next.0), Some(1));
}

#[test]
fn calls_of_another_kind_keep_their_turn() {
    let session = SessionId::new("s");
    let large = SlotRequest {
        bytes: LARGEST + 1,
        ..short(0).0
    };
    let strict = SlotRequest {
        affinity: Affinity::StrictQueue,
        session: Some(&session),
        ..short(0).0
    };
    for other in [SlotRequest::new(None), large, strict] {
        let (mut scheduler, _, front) = quick(1, 0);
        wait(&mut scheduler, (other, 1));
        wait(&mut scheduler, short(2));
        assert!(scheduler.sent(front).is_none());
        let (number, grant) = scheduler.release(front, None).wake.expect("one waits");
        assert_eq!(number, 1);
        assert_eq!(scheduler.release(grant, None).wake.expect("one waits").0, 2);
    }
    // A call that waits for this worker is not overtaken.
    let (mut scheduler, _, front) = quick(1, 0);
    let bound = granted({
        assert!(scheduler.release(front, None).wake.is_none());
        scheduler.request(&strict, || 0)
    });
    (1..5).for_each(|number| wait(&mut scheduler, short(number)));
    wait(&mut scheduler, (strict, 9));
    assert!(scheduler.sent(bound).is_none());
}

#[test]
fn claims_pauses_holds_and_the_end_of_a_worker_come_first() {
    type Change = fn(&mut Scheduler<u32>, WorkerKey);
    let changes: [Change; 4] = [
        |scheduler, key| assert_eq!(scheduler.claim(key, || 77), Claim::Waits),
        |scheduler, key| scheduler.pause(key),
        |scheduler, key| assert_eq!(scheduler.reserve(), Some(key)),
        |scheduler, key| assert!(scheduler.retire(key).idle.is_none()),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let (mut scheduler, key, front) = quick(1, 9);
        let (_, ahead) = scheduler.sent(front).expect("it is quick");
        change(&mut scheduler, key);
        assert!(scheduler.sent(ahead).is_none());
        // The call that was sent has its turn, and then the slot is free.
        let released = scheduler.release(front, None);
        assert!(released.passed_on && released.wake.is_none() && released.idle.is_none());
        let released = scheduler.release(ahead, None);
        assert_eq!(released.wake.map(|next| next.0), (n == 0).then_some(77));
        assert_eq!(released.idle.is_some(), n == 3);
    }
}

#[test]
fn one_that_comes_back_has_its_old_place() {
    let (mut scheduler, key, front) = quick(1, 5);
    let (_, one) = scheduler.sent(front).expect("it is quick");
    let (_, two) = scheduler.sent(one).expect("it is quick");
    for (grant, number) in [(two, 2), (one, 1)] {
        let place = scheduler.ahead(grant).map(|(place, _)| place);
        assert!(place.is_some());
        assert!(scheduler.release(grant, None).wake.is_none());
        let request = SlotRequest {
            place,
            bounded: false,
            ..short(number).0
        };
        wait(&mut scheduler, (request, number));
    }
    let mut grant = front;
    for number in 1..=5 {
        let (next, granted) = scheduler.release(grant, None).wake.expect("one waits");
        assert_eq!(next, number);
        grant = granted;
    }
    // Without its worker it waits no more.
    (6..9).for_each(|number| wait(&mut scheduler, short(number)));
    let (_, lost) = scheduler.sent(grant).expect("it is quick");
    assert!(scheduler.remove(key).is_empty());
    assert_eq!((scheduler.queued(), scheduler.ahead(lost)), (2, None));
    assert!(!scheduler.has(lost) && scheduler.release(lost, None).wake.is_none());
}

#[test]
fn what_is_recalled_stays_so_when_its_turn_comes_and_nothing_follows_a_cancelled_call() {
    let (mut scheduler, key, front) = quick(1, 9);
    let (_, one) = scheduler.sent(front).expect("it is quick");
    let (_, two) = scheduler.sent(one).expect("it is quick");
    let id = |scheduler: &Scheduler<u32>, grant| scheduler.ahead(grant).expect("it is ahead").1;
    let (first, second) = (id(&scheduler, one), id(&scheduler, two));
    assert_ne!(first, second);
    // Nothing is behind the second one yet, and nothing follows.
    assert!(scheduler.recall_behind(two).is_empty());
    assert!(scheduler.sent(two).is_none());
    assert!(!scheduler.is_recalled(one) && !scheduler.is_recalled(two));
    let behind = scheduler.recall_behind(front);
    assert_eq!(behind, [(front.slot, first), (front.slot, second)]);
    assert!(scheduler.is_recalled(one) && scheduler.is_recalled(two));
    assert!(!scheduler.is_recalled(front));
    let released = scheduler.release(front, None);
    assert!(released.passed_on && released.wake.is_none());
    assert!(scheduler.has(one) && scheduler.is_recalled(one));
    // The cancelled calls are gone: others may follow.
    assert!(scheduler.release(two, None).wake.is_none());
    let released = scheduler.release(one, Some(BUDGET / 100));
    let (_, next) = released.wake.expect("others wait");
    assert!(!scheduler.is_recalled(next));
    let (_, last) = scheduler.sent(next).expect("it is quick");
    assert_eq!(scheduler.recall(key).len(), 1);
    assert!(scheduler.recall(key).is_empty(), "once is enough");
    assert!(scheduler.is_recalled(last) && !scheduler.is_recalled(next));
    assert!(scheduler.recall_behind(front).is_empty(), "it is over");
}

#[test]
fn a_call_that_has_begun_before_the_pool_knows_cannot_wait_for_its_own_slot() {
    for slots in [1, 2] {
        let (mut scheduler, _, front) = quick(slots, 3);
        let (_, ahead) = scheduler.sent(front).expect("it is quick");
        let nested = |scheduler: &mut Scheduler<u32>, ancestors: &[Grant]| {
            let request = SlotRequest {
                ancestors,
                ..SlotRequest::new(None)
            };
            scheduler.request(&request, || 99)
        };
        // Both calls are in one slot, so the other slot may become free.
        let answers = [
            nested(&mut scheduler, &[front]),
            nested(&mut scheduler, &[ahead]),
        ];
        for answer in answers {
            match slots {
                1 => assert_eq!(answer, Acquire::Deadlock),
                _ => assert!(matches!(answer, Acquire::Queued(_)), "{answer:?}"),
            }
        }
    }
}
