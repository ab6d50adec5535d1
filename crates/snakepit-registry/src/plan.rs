//! What to do about one dead run. Pure but for looking at processes; sends nothing.

use std::io;

use serde::Serialize;

use crate::cookie::Cookie;
use crate::identity::{ProcessIdentity, Verdict};
use crate::pidfd::Scope;
use crate::record::Record;
use crate::run_id::RunId;
use crate::stamp::Stamp;
use crate::table::{Held, ProcessTable, Tagged};

/// How sure it is that a process belongs to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Its recorded identity fits.
    Identity,
    /// Its environment cannot be read, everything else fits.
    ReducedIdentity,
    /// It carries a cookie of the run.
    Cookie,
    /// It carries a stamp of the run, and no cookie: somebody has cleared its environment.
    Stamp,
    /// It is in a control group of the run.
    Cgroup,
}

/// Why a process is not signalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It was started to outlive its host.
    Independent,
    /// It cannot be told whether it is the recorded one.
    Unknown,
    /// It is this process or the first one of the system.
    Untouchable,
    /// The system refuses.
    NotPermitted,
}

/// A process that a sweep does not signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftAlone {
    /// Process id.
    pub pid: i32,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// A process that a sweep kills.
#[derive(Debug)]
pub struct Target {
    /// The process.
    pub held: Box<dyn Held>,
    /// It alone, or with the group that it leads.
    pub scope: Scope,
    /// The worker's id, if it has a row.
    pub worker_id: Option<String>,
    /// How sure it is.
    pub evidence: Evidence,
    /// What it is checked against again before the signal.
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    Recorded(ProcessIdentity, Cookie),
    Run(RunId),
    /// It was started to outlive its host, or by something that was.
    LivesFor(LivesFor),
}

/// How far a sweep goes with processes that were started to outlive their host, and with what
/// those have started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// They are left alone.
    #[default]
    Dependent,
    /// What is left of one that has ended itself is killed.
    Leftovers,
    /// All are killed.
    Independent,
}

impl Target {
    /// Whether the process still is what it was taken for; `false` when it is gone.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn verify(&self) -> io::Result<bool> {
        let Some(seen) = self.held.observe()? else {
            return Ok(false);
        };
        Ok(match &self.proof {
            Proof::Recorded(identity, cookie) => matches!(
                identity.judge(*cookie, &seen),
                Verdict::Ours | Verdict::OursByReducedRule
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

/// What a sweep does about a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// To be killed.
    pub targets: Vec<Target>,
    /// Not to be touched.
    pub left: Vec<LeftAlone>,
    /// Records whose process is gone.
    pub gone: usize,
}

/// Whether a process belongs to a run: `Some(true)` when it dies with it, `Some(false)` when
/// it was started to outlive it, or by something that was.
fn belongs(cookies: &[Cookie], stamp: Option<Stamp>, run: RunId) -> Option<bool> {
    match cookies.iter().position(|cookie| cookie.run() == run) {
        Some(from) => Some(cookies[from..].iter().all(|one| one.dependent())),
        None => Some(stamp.filter(|stamp| stamp.is_of(run))?.dependent()),
    }
}

fn untouchable(pid: i32) -> bool {
    pid <= 1 || u32::try_from(pid) == Ok(std::process::id())
}

/// The independent process that a process lives for: itself, or one that it descends from.
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

/// Plans the sweep of a run; processes that were started to outlive their host are left alone.
/// `comparable` says whether process ids recorded by it can be compared
/// with ours (the same boot and namespaces); otherwise only cookies count. A run of an earlier
/// boot needs no plan: nothing of it lives.
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

/// The same, as far as it is wanted.
pub(crate) fn plan_as_far(
    run: RunId,
    records: &[Record],
    (comparable, reach): (bool, Reach),
    tagged: &[Tagged],
    table: &dyn ProcessTable,
) -> io::Result<Plan> {
    let mut plan = Plan::default();
    let mut ended = Vec::new();
    for record in records {
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
    // Without comparable ids it is not known which of them have ended.
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

/// Plans for a process that was recorded. `false` when it is gone.
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
        Verdict::Stranger => return Ok(false),
        Verdict::Unknown => {
            plan.left.push(LeftAlone {
                pid,
                worker_id,
                reason: Reason::Unknown,
            });
            return Ok(true);
        }
        Verdict::Ours => Evidence::Identity,
        Verdict::OursByReducedRule => Evidence::ReducedIdentity,
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
