//! Fair turns: deficit round robin over flows, with the time that calls held their slots as cost.
//!
//! After M. Shreedhar and G. Varghese, "Efficient Fair Queueing using Deficit Round Robin", SIGCOMM
//! 1995. In each round every waiting flow may use one turn, which is the mean cost of a call times
//! the flow's weight. A flow that has used more takes its next turn as many rounds later. The
//! original visits such flows in each round until they have saved enough; here they are put into
//! the round that they would reach ([`Wheel`]), so that the next call is found in O(1). Costs are
//! known only when calls end: a call is charged the recent cost of its flow's calls, and the
//! difference when it gives its slot back. Turns that a flow did not use while it was idle are
//! lost.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::estimator::toward;
use super::wheel::{SPAN, Spoke, Turning, Wheel};
use super::{Grant, SlotRequest, WorkerKey};
use crate::id::SessionId;

/// The cost of an average call.
pub(crate) const TURN: u64 = 1 << 16;
/// The highest cost of a call, so that one slow call does not block its flow for long.
const DEAREST: u64 = 32 * TURN;
/// The lowest cost of a call.
const CHEAPEST: u64 = TURN / 64;
/// The greatest distance of a flow ahead of the others.
const FARTHEST: u64 = (SPAN - 1) * TURN;
/// Inverse of the weight with which each call moves the unit towards the mean.
pub(crate) const UNIT_PART: u64 = 64;
/// Idle flows whose use is remembered; the one idle for longest is forgotten first.
pub(crate) const IDLE_LIMIT: usize = 1024;

/// The key of those calls that share turns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum FlowKey {
    /// All calls without session and key.
    Nobody,
    Session(SessionId),
    Key(Arc<str>),
}

impl FlowKey {
    pub(crate) fn of(request: &SlotRequest<'_>) -> Self {
        match (request.fair_key, request.session) {
            (Some(key), _) => Self::Key(Arc::clone(key)),
            (None, Some(session)) => Self::Session(session.clone()),
            (None, None) => Self::Nobody,
        }
    }
}

#[derive(Debug)]
struct Flow {
    key: FlowKey,
    weight: u64,
    /// Turns used, on the scale of the clock.
    used: u64,
    /// Recent cost of its calls.
    cost: u64,
    waiting: u32,
    running: u32,
    /// Moment at which it became idle; 0 if it is not idle.
    idle: u64,
}

/// The calls of one flow that wait in one line.
#[derive(Debug)]
struct Strand {
    line: usize,
    flow: u32,
    spoke: Spoke,
}

impl Turning for Strand {
    fn spoke(&mut self) -> &mut Spoke {
        &mut self.spoke
    }
}

/// The amount that a running call was charged.
#[derive(Debug)]
struct Charge {
    flow: u32,
    expected: u64,
}

/// Flows, their turns, and the charges of their running calls.
#[derive(Debug, Default)]
pub(crate) struct Fair {
    flows: Vec<Flow>,
    vacant_flows: Vec<u32>,
    index: HashMap<FlowKey, u32>,
    /// Idle flows with the moment, oldest first; includes those that have become active again.
    idle: VecDeque<(u64, u32)>,
    moments: u64,
    strands: Vec<Strand>,
    vacant_strands: Vec<u32>,
    strand_index: HashMap<(usize, u32), u32>,
    wheels: Vec<Wheel>,
    running: HashMap<Grant, Charge>,
    /// The duration of [`TURN`] in nanoseconds: the mean time of calls, followed slowly. If every
    /// expensive call moved the mean, expensive calls and the cheap ones after them would look
    /// cheaper.
    unit: Option<u64>,
    /// Position of the last served flow's turn.
    clock: u64,
}

impl Fair {
    /// Returns the flow of a call, created if necessary. The caller must use it at once, with
    /// [`wait`](Self::wait) or [`charge`](Self::charge).
    pub(crate) fn flow(&mut self, request: &SlotRequest<'_>) -> u32 {
        let (key, weight) = (FlowKey::of(request), u64::from(request.weight.max(1)));
        if let Some(&flow) = self.index.get(&key) {
            let one = &mut self.flows[flow as usize];
            one.weight = weight;
            // The clock has passed its use, so it could have been forgotten by now.
            if one.idle > 0 && one.used <= self.clock {
                one.cost = TURN;
            }
            return flow;
        }
        let flow = Flow {
            key: key.clone(),
            weight,
            used: 0,
            cost: TURN,
            waiting: 0,
            running: 0,
            idle: 0,
        };
        let index = place(&mut self.flows, &mut self.vacant_flows, flow);
        self.index.insert(key, index);
        index
    }

    /// Adds a waiting call of the flow to a line. Returns the strand that it belongs to.
    pub(crate) fn wait(&mut self, flow: u32, line: usize) -> u32 {
        let one = &mut self.flows[flow as usize];
        one.waiting += 1;
        one.idle = 0;
        self.strand(flow, line)
    }

    /// Returns the strand of a flow in a line, with its turn.
    pub(crate) fn strand(&mut self, flow: u32, line: usize) -> u32 {
        if let Some(&strand) = self.strand_index.get(&(line, flow)) {
            return strand;
        }
        let spoke = Spoke::default();
        let strand = Strand { line, flow, spoke };
        let index = place(&mut self.strands, &mut self.vacant_strands, strand);
        self.strand_index.insert((line, flow), index);
        if line >= self.wheels.len() {
            self.wheels.resize(line + 1, Wheel::new());
        }
        let round = self.due(flow);
        self.wheels[line].insert(&mut self.strands, index, round);
        index
    }

    /// Returns the flow of a strand.
    pub(crate) fn flow_of(&self, strand: u32) -> u32 {
        self.strands[strand as usize].flow
    }

    /// Removes a strand in which no call waits any more.
    pub(crate) fn close(&mut self, strand: u32) {
        let Strand { line, flow, .. } = self.strands[strand as usize];
        self.wheels[line].remove(&mut self.strands, strand);
        self.strand_index.remove(&(line, flow));
        self.vacant_strands.push(strand);
    }

    /// Discounts a call of the flow that no longer waits.
    pub(crate) fn leave(&mut self, flow: u32) {
        self.flows[flow as usize].waiting -= 1;
        self.rest(flow);
    }

    /// Returns the round in which a flow has its next turn.
    fn due(&self, flow: u32) -> u64 {
        self.flows[flow as usize].used.max(self.clock) / TURN
    }

    /// Finds the strand with the next turn in a line. Returns its round, and the strand.
    pub(crate) fn turn(&mut self, line: usize) -> Option<(u64, u32)> {
        let wheel = self.wheels.get_mut(line)?;
        loop {
            let front = wheel.front()?;
            let Strand { flow, spoke, .. } = &self.strands[front as usize];
            let (round, used) = (spoke.round, self.flows[*flow as usize].used);
            // The flow has used its turn since it was put here.
            let due = used / TURN;
            if due <= round {
                return Some((round, front));
            }
            wheel.remove(&mut self.strands, front);
            wheel.insert(&mut self.strands, front, due);
        }
    }

    /// Returns the strand with the next turn in a line, as found by [`turn`](Self::turn).
    pub(crate) fn front(&self, line: usize) -> Option<u32> {
        self.wheels.get(line)?.front()
    }

    /// Charges a waiting call of this strand that gets a slot.
    pub(crate) fn charge_turn(&mut self, strand: u32, grant: Grant) {
        let Strand { flow, spoke, .. } = self.strands[strand as usize];
        self.charge(flow, spoke.round * TURN, grant);
    }

    /// Charges a call of this flow that gets a slot without waiting.
    pub(crate) fn charge_now(&mut self, flow: u32, grant: Grant) {
        self.charge(flow, self.flows[flow as usize].used, grant);
    }

    fn charge(&mut self, flow: u32, from: u64, grant: Grant) {
        self.clock = self.clock.max(from);
        let one = &mut self.flows[flow as usize];
        let expected = (one.cost / one.weight).max(1);
        one.used = (one.used.max(self.clock) + expected).min(self.clock + FARTHEST);
        one.running += 1;
        one.idle = 0;
        self.running.insert(grant, Charge { flow, expected });
    }

    /// Settles the charge of a call that gives its slot back. `held` is the time for which it held
    /// the slot, `None` if it did not use it; `mean` is the mean time in nanoseconds.
    pub(crate) fn settle(&mut self, grant: Grant, held: Option<Duration>, mean: Option<u64>) {
        let Some(Charge { flow, expected }) = self.running.remove(&grant) else {
            return;
        };
        let unit = held
            .and(mean)
            .map(|mean| toward(*self.unit.get_or_insert(mean), mean, UNIT_PART));
        self.unit = unit.or(self.unit);
        let one = &mut self.flows[flow as usize];
        let actual = match (held, unit) {
            (Some(held), Some(unit)) => {
                let cost = cost(held, unit);
                one.cost = (3 * one.cost + cost) / 4;
                (cost / one.weight).max(1)
            }
            (Some(_), None) => expected,
            (None, _) => 0,
        };
        let used = (one.used + actual).saturating_sub(expected);
        one.used = used.min(self.clock + FARTHEST);
        one.running -= 1;
        self.rest(flow);
    }

    /// Drops the charges of the calls on a worker that is gone.
    pub(crate) fn gone(&mut self, worker: WorkerKey) {
        let gone: Vec<_> = self
            .running
            .extract_if(|grant, _| grant.worker == worker)
            .map(|(_, charge)| charge.flow)
            .collect();
        for flow in gone {
            self.flows[flow as usize].running -= 1;
            self.rest(flow);
        }
    }

    /// Returns the number of calls, out of `queued`, that would have their turn before a new one:
    /// in each round until its own turn, one of each flow.
    pub(crate) fn ahead(&self, request: &SlotRequest<'_>, queued: usize) -> usize {
        let own = self.index.get(&FlowKey::of(request));
        let own = own.map_or(0, |flow| self.flows[*flow as usize].waiting as usize);
        let rounds = own / usize::from(request.weight.max(1)) + 1;
        queued.min(rounds.saturating_mul(self.strand_index.len()))
    }

    /// Remembers an idle flow for as long as its use matters.
    fn rest(&mut self, flow: u32) {
        let one = &mut self.flows[flow as usize];
        if one.waiting > 0 || one.running > 0 {
            return;
        }
        self.moments += 1;
        one.idle = self.moments;
        self.idle.push_back((self.moments, flow));
        while let Some(&(moment, oldest)) = self.idle.front() {
            let one = &self.flows[oldest as usize];
            let idle = one.idle == moment;
            if idle && one.used > self.clock && self.idle.len() <= IDLE_LIMIT {
                return;
            }
            self.idle.pop_front();
            if idle {
                self.flows[oldest as usize].idle = 0;
                self.index.remove(&self.flows[oldest as usize].key);
                self.vacant_flows.push(oldest);
            }
        }
    }

    /// Number of remembered flows.
    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.index.len()
    }
}

/// Returns the cost of a call that held its slot for this time, with a mean in nanoseconds.
pub(crate) fn cost(held: Duration, mean: u64) -> u64 {
    let cost = held.as_nanos() * u128::from(TURN) / u128::from(mean.max(1));
    u64::try_from(cost)
        .unwrap_or(DEAREST)
        .clamp(CHEAPEST, DEAREST)
}

/// Puts a value into a vacant place or a new one.
fn place<T>(values: &mut Vec<T>, vacant: &mut Vec<u32>, value: T) -> u32 {
    if let Some(index) = vacant.pop() {
        values[index as usize] = value;
        return index;
    }
    values.push(value);
    u32::try_from(values.len() - 1).expect("fewer than 2^32 waiting calls")
}
