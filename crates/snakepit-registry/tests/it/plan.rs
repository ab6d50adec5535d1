//! The decisions of a sweep, on a made-up process table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use snakepit_registry::{
    Cookie, Evidence, Held, Observation, ProcessIdentity, ProcessState, ProcessTable, Reason,
    Record, RunId, Scope, Stamp, Tagged, plan,
};

type Signals = Rc<RefCell<Vec<(i32, Scope)>>>;

#[derive(Debug, Default)]
struct Fake {
    processes: BTreeMap<i32, Observation>,
    signals: Signals,
}

#[derive(Debug)]
struct FakeHeld(i32, Option<Observation>, Signals);

impl Held for FakeHeld {
    fn pid(&self) -> i32 {
        self.0
    }

    fn observe(&self) -> io::Result<Option<Observation>> {
        Ok(self.1.clone())
    }

    fn kill(&self, scope: Scope) -> io::Result<()> {
        self.2.borrow_mut().push((self.0, scope));
        Ok(())
    }

    fn wait(&self, _timeout: Duration) -> bool {
        true
    }
}

impl ProcessTable for Fake {
    fn tagged(&self) -> io::Result<Vec<Tagged>> {
        let tagged = |(&pid, seen): (&i32, &Observation)| {
            let (cookies, stamp) = (seen.cookies.clone().unwrap_or_default(), seen.stamp);
            (!cookies.is_empty() || stamp.is_some()).then_some(Tagged {
                pid,
                cookies,
                stamp,
            })
        };
        Ok(self.processes.iter().filter_map(tagged).collect())
    }

    fn hold(&self, pid: i32) -> io::Result<Option<Box<dyn Held>>> {
        let Some(seen) = self.processes.get(&pid) else {
            return Ok(None);
        };
        Ok(Some(Box::new(FakeHeld(
            pid,
            Some(seen.clone()),
            Rc::clone(&self.signals),
        ))))
    }
}

const WORKER: i32 = 4_000_001;
const STRANGER: i32 = 4_000_002;
const DAEMON: i32 = 4_000_003;

fn identity(pid: i32, inode: u64) -> ProcessIdentity {
    ProcessIdentity {
        pid,
        pgid: pid,
        start_ticks: 9,
        pidfs_inode: Some(inode),
        uid: 1000,
        exe: None,
    }
}

fn record(id: &str, cookie: Cookie, identity: Option<ProcessIdentity>) -> Record {
    let state = ProcessState::Ready;
    Record {
        worker_id: id.to_owned(),
        generation: 1,
        state,
        cookie,
        armed: true,
        identity,
        shim: None,
        cgroup: None,
    }
}

struct World {
    run: RunId,
    cookie: Cookie,
    table: Fake,
}

/// A worker of the run, a stranger, and a daemon that left the worker's group.
fn world() -> World {
    let run = RunId::random().expect("randomness");
    let cookie = Cookie::random(run, true).expect("randomness");
    let other = Cookie::random(RunId::random().expect("randomness"), true).expect("randomness");
    let mut table = Fake::default();
    let mut add = |pid, inode, cookies: Vec<Cookie>| {
        let seen = Observation {
            identity: identity(pid, inode),
            cookies: Some(cookies),
            stamp: None,
        };
        table.processes.insert(pid, seen);
    };
    add(WORKER, 1, vec![cookie]);
    add(STRANGER, 2, vec![other]);
    add(DAEMON, 3, vec![other, cookie]);
    World { run, cookie, table }
}

#[test]
fn workers_and_daemons_are_killed_strangers_are_not() {
    let World { run, cookie, table } = world();
    let records = [
        record("worker", cookie, Some(identity(WORKER, 1))),
        record("gone", cookie, Some(identity(4_000_009, 1))),
        record("recycled", cookie, Some(identity(STRANGER, 99))),
        record("reserved", cookie, None),
    ];
    let tagged = table.tagged().expect("fake");
    let plan = plan(run, &records, true, &tagged, &table).expect("fake");
    let targets: Vec<_> = plan
        .targets
        .iter()
        .map(|target| (target.held.pid(), target.scope, target.evidence))
        .collect();
    assert_eq!(
        targets,
        [
            (WORKER, Scope::Group, Evidence::Identity),
            (DAEMON, Scope::Group, Evidence::Cookie)
        ]
    );
    assert_eq!(plan.gone, 3);
    assert!(plan.left.is_empty());
    assert!(table.signals.borrow().is_empty(), "planning signals nobody");
    assert!(
        plan.targets
            .iter()
            .all(|target| target.verify().expect("fake"))
    );
}

#[test]
fn records_of_another_run_count_for_nothing() {
    let World { cookie, table, .. } = world();
    let copy = RunId::random().expect("randomness");
    let records = [record("worker", cookie, Some(identity(WORKER, 1)))];
    let tagged = table.tagged().expect("fake");
    let plan = plan(copy, &records, true, &tagged, &table).expect("fake");
    assert!(plan.targets.is_empty() && plan.left.is_empty(), "{plan:?}");
}

#[test]
fn records_of_another_namespace_count_for_nothing_but_cookies_do() {
    let World {
        run,
        cookie,
        mut table,
    } = world();
    let stolen = Observation {
        identity: identity(4_000_007, 7),
        cookies: Some(vec![]),
        stamp: None,
    };
    table.processes.insert(4_000_007, stolen);
    let records = [record("worker", cookie, Some(identity(4_000_007, 7)))];
    let tagged = table.tagged().expect("fake");
    let plan = plan(run, &records, false, &tagged, &table).expect("fake");
    let pids: Vec<_> = plan
        .targets
        .iter()
        .map(|target| target.held.pid())
        .collect();
    assert_eq!(pids, [WORKER, DAEMON]);
    assert!(
        plan.targets
            .iter()
            .all(|target| target.evidence == Evidence::Cookie)
    );
}

#[test]
fn what_cannot_be_recognised_is_left_alone_and_reported() {
    let World {
        run,
        cookie,
        mut table,
    } = world();
    table.processes.clear();
    let old = |exe| ProcessIdentity {
        pidfs_inode: None,
        exe,
        ..identity(WORKER, 0)
    };
    let hidden = |exe| Observation {
        identity: old(exe),
        cookies: None,
        stamp: None,
    };
    let records = [record("worker", cookie, Some(old(Some((1, 1)))))];
    table.processes.insert(WORKER, hidden(Some((1, 2))));
    let result = plan(run, &records, true, &[], &table).expect("fake");
    assert!(result.targets.is_empty());
    assert_eq!(result.left[0].reason, Reason::Unknown);
    table.processes.insert(WORKER, hidden(Some((1, 1))));
    let result = plan(run, &records, true, &[], &table).expect("fake");
    assert_eq!(result.targets[0].evidence, Evidence::ReducedIdentity);
}

#[test]
fn independent_ones_and_this_very_process_are_left_alone() {
    let World {
        run,
        cookie,
        mut table,
    } = world();
    table.processes.clear();
    let free = Cookie::random(run, false).expect("randomness");
    let me = i32::try_from(std::process::id()).expect("a pid");
    let mut add = |pid, cookies| {
        let seen = Observation {
            identity: identity(pid, 1),
            cookies: Some(cookies),
            stamp: None,
        };
        table.processes.insert(pid, seen);
    };
    add(WORKER, vec![free]);
    // A dependent child of an independent process lives as long as that process.
    add(DAEMON, vec![free, cookie]);
    add(me, vec![cookie]);
    add(1, vec![cookie]);
    let records = [
        record("free", free, Some(identity(WORKER, 1))),
        record("me", cookie, Some(identity(me, 1))),
    ];
    let tagged = table.tagged().expect("fake");
    let plan = plan(run, &records, true, &tagged, &table).expect("fake");
    assert!(plan.targets.is_empty(), "{:?}", plan.targets);
    let reasons: BTreeMap<i32, Reason> = plan
        .left
        .iter()
        .map(|left| (left.pid, left.reason))
        .collect();
    assert_eq!(
        reasons,
        BTreeMap::from([
            (1, Reason::Untouchable),
            (me, Reason::Untouchable),
            (WORKER, Reason::Independent),
            (DAEMON, Reason::Independent),
        ])
    );
}

#[test]
fn a_stamp_is_as_good_as_a_cookie_and_only_for_its_run() {
    let World {
        run,
        cookie,
        mut table,
    } = world();
    table.processes.clear();
    let other = RunId::random().expect("randomness");
    let others = Cookie::random(other, true).expect("randomness");
    let free = Cookie::random(run, false).expect("randomness");
    let mut add = |pid, cookies, of| {
        let seen = Observation {
            identity: identity(pid, 1),
            cookies,
            stamp: Some(Stamp::of(of)),
        };
        table.processes.insert(pid, seen);
    };
    add(WORKER, Some(vec![]), cookie);
    add(DAEMON, None, cookie);
    add(STRANGER, Some(vec![]), others);
    add(4_000_004, Some(vec![]), free);
    let records = [
        record("worker", cookie, Some(identity(WORKER, 1))),
        record("free", free, None),
    ];
    let tagged = table.tagged().expect("fake");
    let plan = plan(run, &records, true, &tagged, &table).expect("fake");
    let targets: Vec<_> = plan
        .targets
        .iter()
        .map(|target| {
            assert!(target.verify().expect("fake"));
            (
                target.held.pid(),
                target.evidence,
                target.worker_id.as_deref(),
            )
        })
        .collect();
    let worker = Some("worker");
    assert_eq!(
        targets,
        [
            (WORKER, Evidence::Identity, worker),
            (DAEMON, Evidence::Stamp, worker)
        ]
    );
    assert_eq!(plan.left.len(), 1, "{:?}", plan.left);
    assert_eq!(plan.left[0].pid, 4_000_004);
    assert_eq!(plan.left[0].reason, Reason::Independent);
    assert_eq!(plan.left[0].worker_id.as_deref(), Some("free"));
}
