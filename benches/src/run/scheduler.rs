//! Acquire and release of a slot: what is the cost of the decision, and is it constant in workers
//! and waiting calls?

use crate::Result;
use crate::cli::Plan;
use crate::contest::{Entrant, Figures, alternate};
use crate::row::{Row, Target};
use crate::run::rows;
use crate::work::{CROWDS, Crowd, nanoseconds};

pub(crate) fn run(plan: &Plan) -> Result<Vec<Row>> {
    // Every crowd takes its turn in every round, so that they can be compared with each other.
    let smallest = || {
        let mut crowd = Crowd::new(CROWDS[0].0, CROWDS[0].1);
        Figures::from([("pair", nanoseconds(plan.turn / 10, || crowd.turn()))])
    };
    let mut table = Vec::new();
    for (workers, waiting) in CROWDS {
        let mut crowd = Crowd::new(workers, waiting);
        let ours = || {
            Ok(Figures::from([(
                "pair",
                nanoseconds(plan.turn / 10, || crowd.turn()),
            )]))
        };
        let mut entrants = [
            Entrant::ours(ours),
            Entrant::new("1 worker, none waiting", || Ok(smallest())),
        ];
        let series = alternate(plan.rounds, &mut entrants)?;
        let case = format!("workers: {workers}, waiting: {waiting}");
        let target = [("pair", Target::AtMost(300.0))];
        table.extend(rows(
            ("scheduler", &case),
            &[("pair", "ns")],
            &series,
            &target,
        ));
    }
    Ok(table)
}
