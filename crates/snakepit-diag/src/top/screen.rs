//! The state of the view: reports of the host, and the user's choices.

use std::fmt;

use crate::{CallReport, PoolReport, Watch, WorkerReport};

/// Last lines that are shown of a text whose end matters.
const SHOWN: usize = 20;

/// Maximum number of lines of a panel.
const LINES: usize = 10_000;

/// The state of the view.
#[derive(Debug, Default)]
pub struct Screen {
    /// Reports of the host.
    pub watch: Watch,
    /// True if actions are allowed.
    pub allow_actions: bool,
    /// True if colours are used.
    pub colour: bool,
    /// True if the reports come from a file.
    pub replay: bool,
    /// True if the file has no further report.
    pub ended: bool,
    /// Seconds since the last answer of the host. `None` while it answers.
    pub silent: Option<f64>,
    pub(super) paused: bool,
    pub(super) filter: String,
    /// The selected worker. `None` if the first row is selected.
    pub(super) selected: Option<String>,
    pub(super) mode: Mode,
    /// The last message to the user.
    pub(super) notice: Option<String>,
}

/// The meaning of keys.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Mode {
    /// Keys select and command.
    #[default]
    Normal,
    /// Keys edit the filter; this is its former value.
    Filter(String),
    /// Keys confirm or reject this action.
    Confirm(Action),
    /// Keys scroll a text.
    Panel(Panel),
}

/// A text in place of the list of workers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    /// Index of the first line that is shown.
    pub(super) first: usize,
}

/// An action that changes the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Cancels a call.
    Cancel {
        /// Number of the call.
        call: u64,
        /// The tool.
        tool: String,
    },
    /// Replaces a worker once its replacement is ready.
    Recycle {
        /// The worker.
        worker: String,
    },
    /// Drains a worker: it receives no further calls and is replaced.
    Drain {
        /// The worker.
        worker: String,
    },
}

/// The subject of a flame graph.
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

/// A worker with its pool and its oldest call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) pool: &'a PoolReport,
    pub(super) worker: &'a WorkerReport,
    /// The oldest call.
    pub(super) call: Option<&'a CallReport>,
    /// Number of its calls.
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

    /// Sort key: workers with the oldest calls come first. In whole seconds, so that short calls do
    /// not make rows jump.
    fn rank(&self) -> u64 {
        self.call.map_or(0, |call| call.age_seconds.max(0.0) as u64)
    }
}

impl Screen {
    /// Creates a static screen from the reports of a host or of a recording.
    pub fn of(watch: Watch, replay: bool) -> Self {
        Self {
            watch,
            replay,
            ended: replay,
            ..Self::default()
        }
    }

    /// Returns the workers that match the filter, those with the oldest calls first.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let pools = self.watch.report().map_or(&[][..], |report| &report.pools);
        let mut rows = Vec::new();
        for pool in pools {
            // The oldest call of each worker, and the number of its calls.
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

    /// Returns the index of the selected worker's row, or of the first row. `None` if there are no
    /// rows.
    pub(super) fn selected(&self, rows: &[Row<'_>]) -> Option<usize> {
        let selected = self.selected.as_deref();
        let place = rows
            .iter()
            .position(|row| Some(&*row.worker.id) == selected);
        place.or_else(|| (!rows.is_empty()).then_some(0))
    }

    /// Moves the selection by a number of rows.
    pub(super) fn select(&mut self, by: isize) {
        let rows = self.rows();
        let Some(place) = self.selected(&rows) else {
            return;
        };
        let place = place.saturating_add_signed(by).min(rows.len() - 1);
        self.selected = Some(rows[place].worker.id.clone());
    }

    /// Shows a text in place of the list.
    pub(super) fn show(&mut self, title: String, mut lines: Vec<String>, at_end: bool) {
        lines.truncate(LINES);
        // The requested text has arrived.
        self.notice = None;
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

    /// Shows a message in the last line.
    pub(super) fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(text.into());
    }
}

impl Action {
    /// Returns the question that asks for confirmation.
    pub(super) fn question(&self) -> String {
        match self {
            Self::Cancel { call, tool } => format!("cancel call {call} ({tool})?"),
            Self::Recycle { worker } => format!("recycle {worker}?"),
            Self::Drain { worker } => format!("drain {worker}?"),
        }
    }
}
