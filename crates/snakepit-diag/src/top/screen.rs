//! What the view shows: the looks at the host, and what the person has chosen.

use std::fmt;

use crate::{CallReport, PoolReport, Watch, WorkerReport};

/// Lines that are shown of a text whose end matters.
const SHOWN: usize = 20;

/// Lines of a panel that are kept.
const LINES: usize = 10_000;

/// The state of the view.
#[derive(Debug, Default)]
pub struct Screen {
    /// Looks at the host.
    pub watch: Watch,
    /// Actions are allowed.
    pub allow_actions: bool,
    /// With colours.
    pub colour: bool,
    /// The looks come from a file.
    pub replay: bool,
    /// The file has no further look.
    pub ended: bool,
    /// Seconds since the host has answered. `None` while it answers.
    pub silent: Option<f64>,
    pub(super) paused: bool,
    pub(super) filter: String,
    /// The selected worker.
    pub(super) selected: Option<String>,
    pub(super) mode: Mode,
    /// The last thing that happened.
    pub(super) notice: Option<String>,
}

/// What keys mean.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Mode {
    /// They choose.
    #[default]
    Normal,
    /// They are the filter, which was this before.
    Filter(String),
    /// They answer whether to do this.
    Confirm(Action),
    /// They move in a text.
    Panel(Panel),
}

/// A text over the list of workers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    /// First line that is shown.
    pub(super) first: usize,
}

/// Something that changes the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Stops a call.
    Cancel {
        /// Number of the call.
        call: u64,
        /// Its tool.
        tool: String,
    },
    /// Replaces a worker once its replacement is ready.
    Recycle {
        /// The worker.
        worker: String,
    },
    /// Gives a worker no further calls and replaces it.
    Drain {
        /// The worker.
        worker: String,
    },
}

/// What a flame graph is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flamed {
    Worker(String),
    Pool(String),
}

impl fmt::Display for Flamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worker(worker) => f.write_str(worker),
            Self::Pool(pool) => write!(f, "pool {pool}"),
        }
    }
}

/// A worker with what else is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) pool: &'a PoolReport,
    pub(super) worker: &'a WorkerReport,
    /// The oldest of its calls.
    pub(super) call: Option<&'a CallReport>,
    /// Its calls in all.
    pub(super) calls: usize,
}

impl Row<'_> {
    fn matches(&self, filter: &str) -> bool {
        let tool = self.call.map_or("", |call| &call.tool);
        let texts = [
            &*self.worker.id,
            &self.pool.pool,
            tool,
            self.worker.status.word(),
        ];
        texts.iter().any(|text| text.contains(filter))
    }

    /// Workers with the oldest calls go first; seconds, so that short calls do not make rows jump.
    fn rank(&self) -> u64 {
        self.call.map_or(0, |call| call.age_seconds.max(0.0) as u64)
    }
}

impl Screen {
    /// A screen that stands still: of what a watch has seen of a host, or of a recording.
    pub fn of(watch: Watch, replay: bool) -> Self {
        Self {
            watch,
            replay,
            ended: replay,
            ..Self::default()
        }
    }

    /// The workers that the filter lets through, those with the oldest calls first.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let pools = self.watch.report().map_or(&[][..], |report| &report.pools);
        let mut rows = Vec::new();
        for pool in pools {
            // The oldest call of each worker, and how many it has.
            let mut calls = std::collections::HashMap::new();
            for call in &pool.calls {
                calls.entry(&*call.worker).or_insert((call, 0)).1 += 1;
            }
            rows.extend(pool.workers.iter().map(|worker| {
                let (call, calls) = calls.get(&*worker.id).copied().unzip();
                Row {
                    pool,
                    worker,
                    call,
                    calls: calls.unwrap_or(0),
                }
            }));
        }
        rows.retain(|row| row.matches(&self.filter));
        rows.sort_by_key(|row| std::cmp::Reverse(row.rank()));
        rows
    }

    /// The place of the selected worker among the rows; of the first one if none is.
    pub(super) fn selected(&self, rows: &[Row<'_>]) -> Option<usize> {
        let selected = self.selected.as_deref();
        let place = rows
            .iter()
            .position(|row| Some(&*row.worker.id) == selected);
        place.or_else(|| (!rows.is_empty()).then_some(0))
    }

    /// Moves the selection by some rows.
    pub(super) fn select(&mut self, by: isize) {
        let rows = self.rows();
        let Some(place) = self.selected(&rows) else {
            return;
        };
        let place = place.saturating_add_signed(by).min(rows.len() - 1);
        self.selected = Some(rows[place].worker.id.clone());
    }

    /// Shows a text.
    pub(super) fn show(&mut self, title: String, mut lines: Vec<String>, at_end: bool) {
        lines.truncate(LINES);
        let first = if at_end {
            lines.len().saturating_sub(SHOWN)
        } else {
            0
        };
        self.mode = Mode::Panel(Panel {
            title,
            lines,
            first,
        });
    }

    /// Says what happened, in the last line.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(text.into());
    }
}

impl Action {
    /// The action as a question.
    pub(super) fn question(&self) -> String {
        match self {
            Self::Cancel { call, tool } => format!("cancel call {call} ({tool})?"),
            Self::Recycle { worker } => format!("recycle {worker}?"),
            Self::Drain { worker } => format!("drain {worker}?"),
        }
    }
}
