//! Takes the same steps with the scheduler and with its model, and compares the results.

use std::sync::Arc;
use std::time::Duration;

use super::{Flow, Model, ModelWorker, Step, Waiting, turns};
use crate::id::SessionId;
use crate::schedule::{
    Acquire, Affinity, Claim, Grant, Lost, Rules, Scheduler, SlotRequest, WorkerKey,
};

/// Compares losses in any order: all of them are reported at once.
fn same_losses(actual: Vec<(u32, Lost)>, expected: &[(u32, u8, u64)]) {
    let mut actual: Vec<_> = actual
        .into_iter()
        .map(|(id, lost)| (id, lost.session, lost.generation))
        .collect();
    let mut expected: Vec<_> = expected
        .iter()
        .map(|(id, session, generation)| (*id, name(*session), *generation))
        .collect();
    actual.sort_by_key(|lost| lost.0);
    expected.sort_by_key(|lost| lost.0);
    assert_eq!(actual, expected);
}

fn name(session: u8) -> SessionId {
    format!("s{session}").into()
}

pub(super) fn run(steps: Vec<Step>, limit: usize, fair: bool) {
    let mut scheduler = Scheduler::with_rules(Rules {
        fair,
        ..Rules::new(limit)
    });
    let mut model = Model {
        turns: fair.then(turns::Turns::default),
        ..Model::default()
    };
    for (id, step) in (0_u32..).zip(steps) {
        match step {
            Step::SlotRequest {
                session,
                affinity,
                parent,
                growing,
                fair_key,
                weight,
                ahead,
            } => {
                let parent = parent.filter(|_| !model.held.is_empty());
                let ancestors = parent.map_or(Vec::new(), |n| {
                    let held = &model.held[n % model.held.len()];
                    [&held.ancestors[..], &[held.grant]].concat()
                });
                let id_of = session.map(name);
                let key: Option<Arc<str>> = fair_key.map(|key| format!("k{key}").into());
                let request = SlotRequest {
                    affinity,
                    ancestors: &ancestors,
                    growing,
                    fair_key: key.as_ref(),
                    weight,
                    ahead,
                    ..SlotRequest::new(id_of.as_ref())
                };
                let answer = scheduler.request(&request, || id);
                let flow = (fair_key, session.filter(|_| fair_key.is_none()));
                if let Some(turns) = &mut model.turns {
                    match answer {
                        Acquire::Granted(grant) => turns.charge_now(flow, weight, grant),
                        Acquire::Queued(_) => turns.meet(flow, weight),
                        _ => {}
                    }
                }
                let asking = Asking {
                    id,
                    session,
                    affinity,
                    ancestors,
                    growing,
                    limit,
                    flow,
                    weight,
                    ahead,
                };
                asked(&mut model, asking, answer);
                model.strands();
            }
            Step::Cancel(n) if !model.waiting.is_empty() => {
                let waiting = model.remove(n % model.waiting.len());
                assert!(scheduler.cancel(waiting.ticket));
                assert!(!scheduler.cancel(waiting.ticket), "a ticket is good once");
            }
            Step::Release(n, held) if !model.held.is_empty() => {
                let one = model.held.swap_remove(n % model.held.len());
                let grant = one.grant;
                let held = held.filter(|_| !one.claimed).map(Duration::from_micros);
                model.ahead.held(held);
                let released = scheduler.release(grant, held);
                if let Some(turns) = &mut model.turns {
                    turns.settle(grant, held);
                }
                if model.passed_on(grant, &released) {
                    model.check(&scheduler);
                    continue;
                }
                let idle = !model.is_active(grant.worker) && model.load(grant.worker) == 0;
                assert_eq!(released.idle.is_some(), idle);
                if let Some(claimed) = model.claimed(grant.worker) {
                    let (waiter, granted) = released.wake.expect("it was claimed");
                    assert_eq!((waiter, granted.worker), (claimed, grant.worker));
                    model.granted_claim(granted);
                    model.check(&scheduler);
                    continue;
                }
                let (lost, next) = model.next(grant.worker);
                same_losses(released.lost, &lost);
                assert_eq!(
                    released.wake.map(|wake| wake.0),
                    next.as_ref().map(|next| next.id)
                );
                if let (Some((_, granted)), Some(next)) = (released.wake, next) {
                    assert_eq!(granted.worker, grant.worker);
                    model.woken(next, granted);
                }
            }
            Step::Sent(n) => model.sent(&mut scheduler, n),
            Step::Back(n) => model.back(&mut scheduler, n),
            Step::ReleaseAhead(n, held) => model.over(&mut scheduler, n, held),
            Step::Add(capacity, ahead) => {
                let added = scheduler.add_named(capacity, "w".into());
                if ahead {
                    scheduler.let_ahead(added.key);
                }
                model.workers.push(ModelWorker {
                    key: added.key,
                    capacity,
                    retiring: false,
                    paused: false,
                    ahead,
                    claim: None,
                });
                filled(&mut model, added.key, added.wakes, added.lost);
            }
            Step::Pause(n) if !model.workers.is_empty() => {
                let index = n % model.workers.len();
                model.workers[index].paused = true;
                scheduler.pause(model.workers[index].key);
            }
            Step::Resume(n) if !model.workers.is_empty() => {
                let index = n % model.workers.len();
                model.workers[index].paused = false;
                let key = model.workers[index].key;
                let resumed = scheduler.resume(key);
                filled(&mut model, key, resumed.wakes, resumed.lost);
            }
            Step::Claim(n) if !model.workers.is_empty() => {
                let key = model.workers[n % model.workers.len()].key;
                match scheduler.claim(key, || id) {
                    Claim::Granted(grant) => {
                        assert_eq!(grant.worker, key);
                        model.granted_claim(grant);
                    }
                    Claim::Waits => {
                        assert!(model.is_active(key) && !model.is_free(key));
                        assert_eq!(model.worker(key).claim.replace(id), None);
                    }
                    Claim::Refused => {
                        assert!(!model.is_active(key) || model.worker(key).claim.is_some());
                    }
                }
            }
            Step::Retire(n) if !model.workers.is_empty() => {
                let index = n % model.workers.len();
                model.workers[index].retiring = true;
                model.workers[index].claim = None;
                let key = model.workers[index].key;
                let retired = scheduler.retire(key);
                assert_eq!(retired.idle.is_some(), model.load(key) == 0);
                same_losses(retired.lost, &model.lose_line(key));
            }
            Step::Remove(n) if !model.workers.is_empty() => {
                let key = model.workers.swap_remove(n % model.workers.len()).key;
                if let Some(turns) = &mut model.turns {
                    turns.gone(key);
                }
                same_losses(scheduler.remove(key), &model.lose_line(key));
                assert!(scheduler.remove(key).is_empty(), "a worker is removed once");
                // Grants on a removed worker are void: giving them back changes nothing.
                let held = std::mem::take(&mut model.held);
                let (void, held): (Vec<_>, Vec<_>) =
                    held.into_iter().partition(|held| held.grant.worker == key);
                model.held = held;
                let void = void.into_iter().map(|held| held.grant);
                for grant in void.chain(model.ahead.gone(key)) {
                    let released = scheduler.release(grant, None);
                    assert!(released.wake.is_none() && released.idle.is_none());
                }
            }
            _ => {}
        }
        model.check(&scheduler);
    }
}

/// Checks that calls get the free slots of a worker, its claimant first.
fn filled(model: &mut Model, key: WorkerKey, wakes: Vec<(u32, Grant)>, actual: Vec<(u32, Lost)>) {
    let (mut lost, mut wakes) = (Vec::new(), wakes.into_iter());
    if let Some(claimed) = model.claimed(key) {
        let (waiter, grant) = wakes.next().expect("one of them is claimed");
        assert_eq!((waiter, grant.worker), (claimed, key));
        model.granted_claim(grant);
    }
    loop {
        let (more, next) = model.next(key);
        lost.extend(more);
        let Some(next) = next else { break };
        let (waiter, grant) = wakes.next().expect("one more call gets a slot");
        assert_eq!(waiter, next.id);
        model.woken(next, grant);
    }
    assert!(wakes.next().is_none());
    same_losses(actual, &lost);
}

/// One call's request to the scheduler.
struct Asking {
    id: u32,
    session: Option<u8>,
    affinity: Affinity,
    ancestors: Vec<Grant>,
    growing: bool,
    limit: usize,
    flow: Flow,
    weight: u16,
    ahead: bool,
}

fn asked(model: &mut Model, asking: Asking, answer: Acquire) {
    let Asking {
        id,
        session,
        affinity,
        ancestors,
        growing,
        limit,
        flow,
        weight,
        ahead,
    } = asking;
    let strict = affinity.is_strict() && session.is_some();
    let bound = model.bound(session);
    let line = bound.filter(|_| strict);
    match (answer, session) {
        (Acquire::Lost(lost), Some(session)) => {
            assert!(strict && !model.is_active(bound.expect("it had a worker")));
            assert_eq!(
                (lost.session, lost.generation),
                (name(session), model.lose(session))
            );
        }
        (Acquire::Busy(key), Some(_)) => {
            assert_eq!((affinity, bound), (Affinity::StrictFailFast, Some(key)));
            assert!(model.is_active(key) && !model.is_free(key));
        }
        (Acquire::Granted(grant), _) => {
            if let Some(key) = bound.filter(|key| strict || model.is_free(*key)) {
                assert_eq!(grant.worker, key, "the session's worker comes first");
            }
            model.granted(grant, ancestors, session.is_none());
            if let Some(session) = session.filter(|_| strict && bound.is_none()) {
                model.bind(session, grant.worker);
            }
        }
        (answer, _) => {
            match line {
                Some(key) => assert!(
                    affinity == Affinity::StrictQueue
                        && model.is_active(key)
                        && !model.is_free(key)
                ),
                None => assert!(model.free().next().is_none()),
            }
            let deadlock = model.deadlock(&ancestors, line, growing);
            let full = model.waiting.len() + model.ahead.list.len() >= limit;
            match answer {
                Acquire::Deadlock => assert!(deadlock),
                Acquire::Full(_) => assert!(full && !deadlock),
                Acquire::Queued(ticket) => {
                    assert!(!deadlock && !full);
                    model.waiting.push(Waiting {
                        id,
                        ticket,
                        session,
                        strict,
                        ancestors,
                        line,
                        flow,
                        weight,
                        ahead,
                    });
                }
                other => panic!("unexpected answer {other:?}"),
            }
        }
    }
}
