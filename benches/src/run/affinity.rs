//! A session's state and its worker: what do finding both cost on top of the slot?

use std::hint::black_box;

use snakepit_core::id::SessionId;
use snakepit_core::pool::Affinity;
use snakepit_core::state::{SessionConfig, SessionOptions, Sessions};
use snakepit_core::testing::{Acquire, Scheduler, SlotRequest};

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::row::{Row, Target};
use crate::run::rows;
use crate::work::nanoseconds;

const SESSIONS: usize = 10_000;

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    let sessions = Sessions::new(SessionConfig::new())?;
    let ids: Vec<SessionId> = (0..SESSIONS).map(|n| format!("s-{n:05}").into()).collect();
    for id in &ids {
        sessions.create(id.clone(), SessionOptions::new())?;
    }
    let (mut bound, mut plain) = (scheduler(), scheduler());
    let time = plan.turn / 10;
    let mut next = (0..SESSIONS).cycle();
    let ours = || {
        let pair = nanoseconds(time, || {
            let id = &ids[next.next().unwrap_or_default()];
            drop(black_box(sessions.get(id)));
            turn(&mut bound, Some(id));
        });
        Ok(Figures::from([("pair", pair)]))
    };
    let floor = || {
        let pair = nanoseconds(time, || turn(&mut plain, None));
        Ok(Figures::from([("pair", pair)]))
    };
    let series = alternate(
        plan.rounds,
        &mut [Entrant::ours(ours), Entrant::floor(floor)],
    )?;
    let target = [("pair", Target::FloorAtMost(1.0, 200.0))];
    let case = "session by id and a slot of its worker, beside a slot alone";
    Ok(rows(
        ("affinity", case),
        &[("pair", "ns")],
        &series,
        &target,
    ))
}

fn scheduler() -> Scheduler<()> {
    let mut scheduler = Scheduler::new(0);
    for _ in 0..64 {
        scheduler.add(2);
    }
    scheduler
}

/// Takes a slot and gives it back.
fn turn(scheduler: &mut Scheduler<()>, session: Option<&SessionId>) {
    let mut request = SlotRequest::new(session);
    request.affinity = Affinity::StrictQueue;
    if let Acquire::Granted(grant) = scheduler.request(&request, || ()) {
        drop(black_box(scheduler.release(grant, None)));
    }
}
