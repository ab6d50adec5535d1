//! Plans the sweep of one dead run. Reads facts about processes; sends no signals.

use std::io;

use serde::Serialize;

use crate::cookie::Cookie;
use crate::identity::{Ownership, ProcessIdentity};
use crate::pidfd::Scope;
use crate::record::Record;
use crate::run_id::RunId;
use crate::stamp::Stamp;
use crate::table::{Held, ProcessTable, Tagged};

/// The evidence that a process belongs to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The recorded identity matches.
    Identity,
    /// The environment cannot be read; everything else matches.
    ReducedIdentity,
    /// The process carries a cookie of the run.
    Cookie,
    /// The process carries a stamp of the run and no cookie: its environment was cleared.
    Stamp,
    /// The process is in a control group of the run.
    Cgroup,
}

/// The reason a process is not signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The process was started to outlive its host.
    Independent,
    /// The process may or may not be the recorded one.
    Unknown,
    /// The process is this one or the first one of the system.
    Untouchable,
    /// The system refuses the signal.
    NotPermitted,
}

/// A process that a sweep does not signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// The reason.
    pub reason: Reason,
}

/// A process that a sweep kills.
#[derive(Debug)]
pub struct Target {
    /// The process.
    pub held: Box<dyn Held>,
    /// The process alone, or the group that it leads.
    pub scope: Scope,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// The evidence that it belongs to the run.
    pub evidence: Evidence,
    /// The facts that are verified again before the signal.
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Recorded(ProcessIdentity, Cookie),
    Run(RunId),
    /// The process was started to outlive its host, or by a process that was.
    LivesFor(LivesFor),
}

/// The extent of a sweep regarding processes that were started to outlive their host, and their
/// descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Independent processes and their descendants are left alone.
    #[default]
    Dependent,
    /// Descendants of an independent process that has ended are killed.
    Leftovers,
    /// All independent processes and their descendants are killed.
    Independent,
}

impl Target {
    /// Returns `true` if the process still matches its proof; `false` if it is gone.
    ///
    /// # Errors
    /// The process cannot be examined.
    pub fn verify(&self) -> io::Result<bool> {
        let Some(seen) = self.held.observe()? else {
            return Ok(false);
        };
        Ok(match &self.proof {
            Proof::Recorded(identity, cookie) => matches!(
                identity.judge(*cookie, &seen),
                Ownership::Ours | Ownership::OursByReducedRule
            ),
            Proof::Run(run) => {
                let cookies = seen.cookies.as_deref().unwrap_or_default();
                belongs(cookies, seen.stamp, *run) == Some(true)
            }
            Proof::LivesFor(LivesFor::Cookie(cookie)) => seen.is_of(*cookie),
            Proof::LivesFor(LivesFor::Stamp(stamp)) => seen.stamp == Some(*stamp),
        })
    }
}

/// The plan for a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// Processes to kill.
    pub targets: Vec<Target>,
    /// Processes that are left alone.
    pub left: Vec<LeftAlone>,
    /// Number of records whose process is gone.
    pub gone: usize,
}

/// Returns `None` if a process does not belong to the run, `Some(true)` if it dies with the run's
/// host, and `Some(false)` if it was started to outlive the host, or by a process that was.
fn belongs(cookies: &[Cookie], stamp: Option<Stamp>, run: RunId) -> Option<bool> {
    match cookies.iter().position(|cookie| cookie.run() == run) {
        Some(from) => Some(cookies[from..].iter().all(|one| one.dependent())),
        None => Some(stamp.filter(|stamp| stamp.is_of(run))?.dependent()),
    }
}

fn untouchable(pid: i32) -> bool {
    pid <= 1 || u32::try_from(pid) == Ok(std::process::id())
}

/// The independent process on whose behalf a process lives: itself, or an ancestor.
#[derive(Clone, Copy, Debug)]
enum LivesFor {
    Cookie(Cookie),
    Stamp(Stamp),
}

impl LivesFor {
    fn of(process: &Tagged, run: RunId) -> Option<Self> {
        let cookies = &process.cookies;
        match cookies.iter().position(|cookie| cookie.run() == run) {
            Some(from) => {
                let mut inner = cookies[from..].iter().copied();
                inner.find(|one| !one.dependent()).map(Self::Cookie)
            }
            None => {
                let stamp = process.stamp.filter(|stamp| stamp.is_of(run));
                stamp.filter(|one| !one.dependent()).map(Self::Stamp)
            }
        }
    }

    fn is(self, cookie: Cookie) -> bool {
        match self {
            Self::Cookie(one) => one == cookie,
            Self::Stamp(stamp) => stamp == Stamp::of(cookie),
        }
    }
}

/// Plans the sweep of a run. Processes that were started to outlive their host are left alone.
/// `comparable` is `true` if the recorded process ids can be compared with ours (same boot and
/// namespaces); otherwise only cookies and stamps count. A run of an earlier boot needs no plan:
/// none of its processes lives.
///
/// # Errors
/// The table cannot be read.
pub fn plan(
    run: RunId,
    records: &[Record],
    comparable: bool,
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> io::Result<Plan> {
    plan_as_far(run, records, (comparable, Reach::Dependent), tagged, table)
}

/// Plans as [`plan`] does, with an extent that the caller chooses.
pub(crate) fn plan_as_far(
    run: RunId,
    records: &[Record],
    (comparable, reach): (bool, Reach),
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> io::Result<Plan> {
    let mut plan = Plan::default();
    let mut ended = Vec::new();
    // A record of another run is in a copied directory: that run has its own.
    for record in records.iter().filter(|record| record.cookie.run() == run) {
        match &record.identity {
            Some(identity)
                if comparable && by_identity(&mut plan, record, identity, reach, table)? => {}
            _ => {
                plan.gone += 1;
                ended.push(record.cookie);
            }
        }
        if let Some(shim) = record.shim.as_ref().filter(|_| comparable) {
            by_identity(&mut plan, record, shim, reach, table)?;
        }
    }
    // Without comparable ids it is unknown which independent processes have ended.
    let reached = |process: LivesFor| match reach {
        Reach::Dependent => false,
        Reach::Leftovers => comparable && ended.iter().any(|&cookie| process.is(cookie)),
        Reach::Independent => true,
    };
    for process in tagged {
        if plan.knows(process.pid) {
            continue;
        }
        let Some(dependent) = belongs(&process.cookies, process.stamp, run) else {
            continue;
        };
        let record = records.iter().find(|record| process.is_of(record.cookie));
        let worker_id = record.map(|record| record.worker_id.clone());
        let lives_for = LivesFor::of(process, run);
        if untouchable(process.pid) || !(dependent || lives_for.is_some_and(reached)) {
            let reason = if dependent {
                Reason::Untouchable
            } else {
                Reason::Independent
            };
            plan.left.push(LeftAlone {
                pid: process.pid,
                worker_id,
                reason,
            });
        } else if let Some(held) = table.hold(process.pid)? {
            let leads = held
                .observe()?
                .is_some_and(|seen| seen.identity.pgid == process.pid);
            plan.targets.push(Target {
                held,
                scope: if leads { Scope::Group } else { Scope::Process },
                worker_id,
                evidence: if process.cookies.iter().any(|cookie| cookie.run() == run) {
                    Evidence::Cookie
                } else {
                    Evidence::Stamp
                },
                proof: lives_for.map_or(Proof::Run(run), Proof::LivesFor),
            });
        }
    }
    Ok(plan)
}

impl Plan {
    fn knows(&self, pid: i32) -> bool {
        self.targets.iter().any(|target| target.held.pid() == pid)
            || self.left.iter().any(|left| left.pid == pid)
    }
}

/// Adds a recorded process to the plan. Returns `false` if the process is gone.
fn by_identity(
    plan: &mut Plan,
    record: &Record,
    identity: &ProcessIdentity,
    reach: Reach,
    table: &dyn ProcessTable,
) -> io::Result<bool> {
    let pid = identity.pid;
    let worker_id = Some(record.worker_id.clone());
    let held = if untouchable(pid) {
        None
    } else {
        table.hold(pid)?
    };
    let Some(held) = held else {
        return Ok(false);
    };
    let Some(seen) = held.observe()? else {
        return Ok(false);
    };
    let evidence = match identity.judge(record.cookie, &seen) {
        Ownership::Stranger => return Ok(false),
        Ownership::Unknown => {
            plan.left.push(LeftAlone {
                pid,
                worker_id,
                reason: Reason::Unknown,
            });
            return Ok(true);
        }
        Ownership::Ours => Evidence::Identity,
        Ownership::OursByReducedRule => Evidence::ReducedIdentity,
    };
    if !record.cookie.dependent() && reach != Reach::Independent {
        plan.left.push(LeftAlone {
            pid,
            worker_id,
            reason: Reason::Independent,
        });
        return Ok(true);
    }
    plan.targets.push(Target {
        held,
        scope: if seen.identity.pgid == pid {
            Scope::Group
        } else {
            Scope::Process
        },
        worker_id,
        evidence,
        proof: Proof::Recorded(identity.clone(), record.cookie),
    });
    Ok(true)
}
