//! The lanes of a pool: one for each slot of a worker.

use std::collections::BTreeMap;

use super::{RecordedCall, RecordedDeath};

/// The lanes of one pool, by worker and slot.
#[derive(Debug, Default)]
pub(super) struct Lanes<'a> {
    of: BTreeMap<(Order<'a>, u16), Lane>,
}

/// One lane.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) tid: u64,
    /// Time in microseconds at which its last slice ends.
    pub(super) free: u64,
}

/// A worker's name, ordered by the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Order<'a> {
    number: u64,
    name: &'a str,
}

impl<'a> From<&'a str> for Order<'a> {
    fn from(name: &'a str) -> Self {
        let number = name
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse().ok());
        Self {
            number: number.unwrap_or(u64::MAX),
            name,
        }
    }
}

impl<'a> Lanes<'a> {
    /// Creates the lanes that these calls and deaths need.
    pub(super) fn of(calls: &'a [RecordedCall], deaths: &'a [RecordedDeath]) -> Self {
        let mut lanes = Self::default();
        for call in calls.iter().filter(|call| !call.worker.is_empty()) {
            lanes
                .of
                .entry((call.worker.as_str().into(), call.slot))
                .or_default();
        }
        for death in deaths {
            let order = Order::from(death.death.worker.as_str());
            if lanes
                .of
                .range((order, 0)..=(order, u16::MAX))
                .next()
                .is_none()
            {
                lanes.of.entry((order, 0)).or_default();
            }
        }
        for (index, lane) in lanes.of.values_mut().enumerate() {
            lane.tid = index as u64 + 1;
        }
        lanes
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Returns the name of each lane: the worker's, followed by the slot's number if the worker has
    /// several.
    pub(super) fn names(&self) -> Vec<(u64, String)> {
        let slots = |order: &Order<'_>| self.of.keys().filter(|(one, _)| one == order).count();
        let name = |((order, slot), lane): (&(Order<'_>, u16), &Lane)| {
            let name = match slots(order) {
                1 => order.name.to_owned(),
                _ => format!("{} slot {slot}", order.name),
            };
            (lane.tid, name)
        };
        self.of.iter().map(name).collect()
    }

    /// Returns the lane of a call that was sent to a worker.
    pub(super) fn of_call(&mut self, call: &'a RecordedCall) -> &mut Lane {
        self.of
            .entry((call.worker.as_str().into(), call.slot))
            .or_default()
    }

    /// Returns the thread of the first lane of a worker that died.
    pub(super) fn of_death(&self, death: &RecordedDeath) -> u64 {
        let order = Order::from(death.death.worker.as_str());
        let mut lanes = self.of.range((order, 0)..=(order, u16::MAX));
        lanes.next().map_or(0, |(_, lane)| lane.tid)
    }
}
