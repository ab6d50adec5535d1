//! Totals of calls by pool, tool, outcome and code.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use snakepit_core::id::PoolName;

use crate::metrics::OVERFLOW;
use crate::metrics::histogram::{Example, Histogram, SECONDS};

/// The totals of the calls of one tool with the same outcome.
#[derive(Clone, Debug)]
pub(super) struct Series {
    pub(super) items: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) duration: Histogram,
    pub(super) queue: Histogram,
    pub(super) service: Histogram,
}

impl Series {
    fn new() -> Self {
        let empty = || Histogram::new(SECONDS);
        Self {
            items: 0,
            sent: 0,
            received: 0,
            duration: empty(),
            queue: empty(),
            service: empty(),
        }
    }
}

/// The end of one call.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) pool: PoolName,
    pub(super) tool: Arc<str>,
    pub(super) outcome: Outcome,
    pub(super) items: u64,
    pub(super) failed: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) queued_us: u64,
    pub(super) duration_us: u64,
    pub(super) on_worker: bool,
    pub(super) example: Option<Example>,
}

/// The places of the totals of the tools of one pool, by their few outcomes and codes.
pub(super) type Tools = HashMap<Arc<str>, Vec<(Outcome, usize)>>;

/// Outcome and code of a call.
pub(super) type Outcome = (&'static str, Option<&'static str>);

/// All totals.
#[derive(Debug, Default)]
pub(super) struct All {
    /// The pools, of which there are few.
    pub(super) pools: Vec<(PoolName, Tools)>,
    /// One for each set of labels.
    pub(super) series: Vec<Series>,
}

impl All {
    /// Returns the place of the totals of this pool, tool and outcome.
    fn find(&self, pool: &PoolName, tool: &str, outcome: Outcome) -> Option<usize> {
        let (_, tools) = self.pools.iter().find(|(name, _)| name == pool)?;
        let mut known = tools.get(tool)?.iter();
        known
            .find(|(of, _)| *of == outcome)
            .map(|(_, place)| *place)
    }

    /// Creates empty totals for at most `largest` combinations; further tools are counted as one.
    #[cold]
    fn create(
        &mut self,
        pool: &PoolName,
        tool: &Arc<str>,
        outcome: Outcome,
        largest: usize,
    ) -> usize {
        let place = self.series.len();
        let tool = match place >= largest {
            true => OVERFLOW.into(),
            false => Arc::clone(tool),
        };
        if let Some(known) = self.find(pool, &tool, outcome) {
            return known;
        }
        self.series.push(Series::new());
        let at = self.pools.iter().position(|(name, _)| name == pool);
        let at = at.unwrap_or_else(|| {
            self.pools.push((pool.clone(), Tools::new()));
            self.pools.len() - 1
        });
        let outcomes = self.pools[at].1.entry(tool).or_default();
        outcomes.push((outcome, place));
        place
    }

    /// Adds calls that have ended.
    pub(super) fn count(&mut self, ended: impl IntoIterator<Item = Ended>, largest: usize) {
        ended.into_iter().for_each(|one| self.add(&one, largest));
    }

    fn add(&mut self, ended: &Ended, largest: usize) {
        let succeeded = ended.items.saturating_sub(ended.failed);
        if ended.failed > 0 && succeeded > 0 {
            // The successful items of a batch.
            let series = self.series(ended, ("ok", None), largest);
            series.items += succeeded;
        }
        let seconds = |micros: u64| micros as f64 / 1e6;
        let (duration, queued) = (seconds(ended.duration_us), seconds(ended.queued_us));
        let series = self.series(ended, ended.outcome, largest);
        series.items += if ended.failed > 0 {
            ended.failed
        } else {
            ended.items
        };
        series.sent += ended.sent;
        series.received += ended.received;
        series.duration.observe(duration, ended.example);
        series.queue.observe(queued, ended.example);
        if ended.on_worker {
            let service = (duration - queued).max(0.0);
            series.service.observe(service, ended.example);
        }
    }

    /// Returns the totals of a call with this outcome.
    fn series(&mut self, ended: &Ended, outcome: Outcome, largest: usize) -> &mut Series {
        let Ended { pool, tool, .. } = ended;
        let known = self.find(pool, tool, outcome);
        let place = known.unwrap_or_else(|| self.create(pool, tool, outcome, largest));
        &mut self.series[place]
    }
}
