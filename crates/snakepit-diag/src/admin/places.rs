//! The places of workers: how many workers each had before, and the last death in it.

use std::collections::{HashMap, VecDeque};

use snakepit_core::events::Event;
use snakepit_core::id::WorkerId;

use crate::{Death, WorkerReport};

/// Maximum number of places remembered for one pool.
const REMEMBERED: usize = 16_384;

/// The places of the workers of one pool, derived from its events.
#[derive(Debug, Default)]
pub(super) struct Places {
    of: HashMap<WorkerId, Place>,
    /// Places of workers that died.
    vacant: VecDeque<Place>,
    /// Places whose workers leave before their replacements start.
    in_place: VecDeque<Place>,
    /// The last death, kept until the event that its worker is gone.
    death: Option<Death>,
}

/// The past of a place.
#[derive(Clone, Debug, Default)]
struct Place {
    generation: u32,
    last_death: Option<Death>,
}

impl Places {
    /// Records the death of a worker. The event that the worker is gone follows.
    pub(super) fn died(&mut self, death: &Death) {
        self.death = Some(death.clone());
    }

    /// Applies an event of the pool.
    pub(super) fn take(&mut self, event: &Event) {
        match event {
            Event::WorkerTerminated {
                worker, planned, ..
            } => {
                let death = self.death.take();
                if *planned {
                    self.of.remove(worker);
                } else {
                    let mut place = self.left(worker);
                    place.last_death = death.or(place.last_death);
                    queue(&mut self.vacant, place);
                }
            }
            Event::WorkerRecycled {
                worker,
                replacement: Some(replacement),
                ..
            } => {
                let place = self.left(worker);
                self.fill(replacement, place);
            }
            Event::WorkerRecycled { worker, reason, .. } if *reason != "worker_died" => {
                let place = self.left(worker);
                queue(&mut self.in_place, place);
            }
            Event::WorkerRestarted { worker, .. } | Event::PoolSpareUsed { worker, .. } => {
                if let Some(place) = self.vacant.pop_front() {
                    self.fill(worker, place);
                }
            }
            Event::WorkerSpawned { worker, .. } if !self.of.contains_key(worker) => {
                if let Some(place) = self.in_place.pop_front() {
                    self.fill(worker, place);
                }
            }
            _ => {}
        }
    }

    /// Removes a worker from its place and returns the place, ready for the next worker.
    fn left(&mut self, worker: &WorkerId) -> Place {
        let mut place = self.of.remove(worker).unwrap_or_default();
        place.generation = place.generation.saturating_add(1);
        place
    }

    fn fill(&mut self, worker: &WorkerId, place: Place) {
        if self.of.len() < REMEMBERED {
            self.of.insert(worker.clone(), place);
        }
    }

    /// Fills in the generation and the last death of the worker's place.
    pub(super) fn show(&self, worker: &mut WorkerReport) {
        if let Some(place) = self.of.get(&WorkerId::new(worker.id.as_str())) {
            worker.generation = place.generation;
            worker.last_death.clone_from(&place.last_death);
        }
    }
}

fn queue(places: &mut VecDeque<Place>, place: Place) {
    if places.len() < REMEMBERED {
        places.push_back(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recycled(worker: &str, replacement: Option<&str>) -> Event {
        Event::WorkerRecycled {
            pool: "main".into(),
            worker: worker.into(),
            reason: "age",
            replacement: replacement.map(WorkerId::from),
            uptime_seconds: 1.0,
            request_count: 1,
            memory_bytes: None,
        }
    }

    fn gone(worker: &str, planned: bool) -> Event {
        Event::WorkerTerminated {
            pool: "main".into(),
            worker: worker.into(),
            reason: String::new(),
            planned,
            lifetime: 1.0,
            total_calls: 1,
        }
    }

    fn restarted(worker: &str) -> Event {
        Event::WorkerRestarted {
            pool: "main".into(),
            worker: worker.into(),
        }
    }

    fn spawned(worker: &str) -> Event {
        Event::WorkerSpawned {
            pool: "main".into(),
            worker: worker.into(),
        }
    }

    fn seen(places: &Places, worker: &str) -> (u32, Option<String>) {
        let mut report = WorkerReport {
            id: worker.to_owned(),
            ..WorkerReport::default()
        };
        places.show(&mut report);
        let death = report.last_death.map(|death| death.worker);
        (report.generation, death)
    }

    #[test]
    fn a_place_counts_its_workers_and_keeps_its_last_death() {
        let mut places = Places::default();
        assert_eq!(seen(&places, "main-1"), (0, None));
        let death = Death {
            worker: "main-1".to_owned(),
            ..Death::default()
        };
        places.died(&death);
        places.take(&gone("main-1", false));
        places.take(&restarted("main-3"));
        places.take(&spawned("main-3"));
        assert_eq!(seen(&places, "main-3"), (1, Some("main-1".to_owned())));
        places.take(&spawned("main-4"));
        places.take(&recycled("main-3", Some("main-4")));
        places.take(&gone("main-3", true));
        assert_eq!(seen(&places, "main-4"), (2, Some("main-1".to_owned())));
        places.take(&recycled("main-4", None));
        places.take(&gone("main-4", true));
        places.take(&spawned("main-5"));
        assert_eq!(seen(&places, "main-5"), (3, Some("main-1".to_owned())));
        assert_eq!(seen(&places, "main-2"), (0, None));
        assert_eq!((places.of.len(), places.vacant.len()), (1, 0));
    }
}
