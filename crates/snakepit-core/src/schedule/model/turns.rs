//! Fair turns, found by searching everything each time.

use std::collections::HashMap;
use std::time::Duration;

use super::{Flow, Waiting};
use crate::schedule::estimator::{Estimator, toward};
use crate::schedule::fair::{TURN, UNIT_PART, cost};
use crate::schedule::wheel::SPAN;
use crate::schedule::{Grant, WorkerKey};

const FARTHEST: u64 = (SPAN - 1) * TURN;

struct Known {
    weight: u64,
    used: u64,
    cost: u64,
}

/// Calls of one flow in one line.
struct Strand {
    line: Option<WorkerKey>,
    flow: Flow,
    round: u64,
    /// Order within the round.
    number: u64,
}

#[derive(Default)]
pub(super) struct Turns {
    flows: HashMap<Flow, Known>,
    strands: Vec<Strand>,
    charges: Vec<(Grant, Flow, u64)>,
    estimator: Estimator,
    unit: Option<u64>,
    clock: u64,
    numbers: u64,
}

impl Turns {
    /// Admits a call of the flow.
    pub(super) fn meet(&mut self, flow: Flow, weight: u16) {
        let active = self.charges.iter().any(|charge| charge.1 == flow)
            || self.strands.iter().any(|strand| strand.flow == flow);
        let known = self.flows.entry(flow).or_insert(Known {
            weight: 1,
            used: 0,
            cost: TURN,
        });
        known.weight = weight.into();
        if !active && known.used <= self.clock {
            known.cost = TURN;
        }
    }

    /// Gives strands to exactly the flows that wait.
    pub(super) fn strands(&mut self, waiting: &[Waiting]) {
        let of = |one: &Waiting| (one.line, one.flow);
        self.strands.retain(|strand| {
            waiting
                .iter()
                .any(|one| of(one) == (strand.line, strand.flow))
        });
        for one in waiting {
            let mut strands = self.strands.iter();
            if !strands.any(|strand| of(one) == (strand.line, strand.flow)) {
                let due = self.flows[&one.flow].used.max(self.clock) / TURN;
                self.insert(one.line, one.flow, due);
            }
        }
    }

    fn insert(&mut self, line: Option<WorkerKey>, flow: Flow, due: u64) {
        let others = self.strands.iter().filter(|strand| strand.line == line);
        let first = others.map(|strand| strand.round).min();
        let round = first.map_or(due, |first| due.min(first.min(due) + SPAN - 1));
        self.numbers += 1;
        let number = self.numbers;
        self.strands.push(Strand {
            line,
            flow,
            round,
            number,
        });
    }

    /// Returns round and flow of the next turn in a line.
    fn front(&mut self, line: Option<WorkerKey>) -> Option<(u64, Flow)> {
        loop {
            let own = self.strands.iter().enumerate();
            let own = own.filter(|(_, strand)| strand.line == line);
            let (n, front) = own.min_by_key(|(_, strand)| (strand.round, strand.number))?;
            let due = self.flows[&front.flow].used / TURN;
            if due <= front.round {
                return Some((front.round, front.flow));
            }
            let flow = self.strands.remove(n).flow;
            self.insert(line, flow, due);
        }
    }

    /// Returns the next call for a worker.
    pub(super) fn pick(&mut self, waiting: &[Waiting], key: WorkerKey) -> Option<usize> {
        let lines = [Some(key), None].into_iter().filter_map(|line| {
            let (round, flow) = self.front(line)?;
            let own = waiting
                .iter()
                .position(|one| (one.line, one.flow) == (line, flow));
            Some((round, own.expect("a flow with a turn waits")))
        });
        lines.min().map(|(_, n)| n)
    }

    /// Returns the next call in a line.
    pub(super) fn first(&mut self, waiting: &[Waiting], line: Option<WorkerKey>) -> Option<usize> {
        let (_, flow) = self.front(line)?;
        let mut own = waiting.iter();
        own.position(|one| (one.line, one.flow) == (line, flow))
    }

    pub(super) fn charge_turn(&mut self, flow: Flow, line: Option<WorkerKey>, grant: Grant) {
        let mut strands = self.strands.iter();
        let own = strands.find(|strand| (strand.line, strand.flow) == (line, flow));
        let from = own.expect("a flow that gets a slot had a turn").round * TURN;
        self.charge(flow, from, grant);
    }

    pub(super) fn charge_now(&mut self, flow: Flow, weight: u16, grant: Grant) {
        self.meet(flow, weight);
        self.charge(flow, self.flows[&flow].used, grant);
    }

    fn charge(&mut self, flow: Flow, from: u64, grant: Grant) {
        self.clock = self.clock.max(from);
        let known = self.flows.get_mut(&flow).expect("it was met");
        let expected = (known.cost / known.weight).max(1);
        known.used = (known.used.max(self.clock) + expected).min(self.clock + FARTHEST);
        self.charges.push((grant, flow, expected));
    }

    pub(super) fn settle(&mut self, grant: Grant, held: Option<Duration>) {
        if let Some(held) = held {
            self.estimator.held(held);
        }
        let mut charges = self.charges.iter();
        // A claimed slot uses no turn.
        let Some(own) = charges.position(|charge| charge.0 == grant) else {
            return;
        };
        let (_, flow, expected) = self.charges.swap_remove(own);
        let known = self.flows.get_mut(&flow).expect("it was met");
        let actual = match (held, self.estimator.mean()) {
            (Some(held), Some(mean)) => {
                let unit = toward(self.unit.unwrap_or(mean), mean, UNIT_PART);
                self.unit = Some(unit);
                let cost = cost(held, unit);
                known.cost = (3 * known.cost + cost) / 4;
                (cost / known.weight).max(1)
            }
            _ => 0,
        };
        let used = (known.used + actual).saturating_sub(expected);
        known.used = used.min(self.clock + FARTHEST);
    }

    pub(super) fn gone(&mut self, worker: WorkerKey) {
        self.charges.retain(|charge| charge.0.worker != worker);
    }
}
