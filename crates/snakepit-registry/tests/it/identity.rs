//! Identification: ids, cookies, `/proc` parsing and the rules of recognition.

use proptest::prelude::*;
use snakepit_registry::{
    CommandSpec, Cookie, Observation, Output, Ownership, PidFd, ProcessIdentity, RunId, Scene,
    Stamp, Stat,
};

use crate::support::{close, data_dir, open, sleeper, start};

fn identity() -> ProcessIdentity {
    ProcessIdentity {
        pid: 70,
        pgid: 70,
        start_ticks: 5000,
        pidfs_inode: Some(22273),
        uid: 1000,
        exe: Some((1, 2)),
    }
}

fn cookie() -> Cookie {
    Cookie::random(RunId::random().expect("randomness"), true).expect("randomness")
}

#[test]
fn run_ids_and_cookies_survive_printing() {
    for _ in 0..100 {
        let run = RunId::random().expect("randomness");
        let text = run.to_string();
        assert_eq!(text.len(), RunId::LEN);
        assert_eq!(text.parse::<RunId>(), Ok(run));
        for dependent in [true, false] {
            let cookie = Cookie::random(run, dependent).expect("randomness");
            assert_eq!(cookie.to_string().parse::<Cookie>(), Ok(cookie));
            assert_eq!((cookie.run(), cookie.dependent()), (run, dependent));
        }
    }
    for bad in [
        "",
        "x",
        "../../etc/passwd",
        "zzzzzzzzzzzzzzzzzzzzzzzzzz",
        "4h8vq04h8vq04h8vq04h8vq0i",
    ] {
        assert!(bad.parse::<RunId>().is_err(), "{bad}");
        assert!(bad.parse::<Cookie>().is_err(), "{bad}");
    }
}

#[test]
fn cookies_are_read_from_an_environment_block() {
    let (outer, inner) = (cookie(), cookie());
    let block = format!("PATH=/bin\0SNAKEPIT_WORKER_COOKIES={outer}:junk:{inner}\0HOME=/\0");
    assert_eq!(Cookie::parse_environ(block.as_bytes()), [outer, inner]);
    assert!(Cookie::parse_environ(b"").is_empty());
    assert!(Cookie::parse_environ(b"NOT_SNAKEPIT_WORKER_COOKIES=x\0\xff\xff=\0").is_empty());
    assert!(Cookie::parse_environ(b"SNAKEPIT_WORKER_COOKIES=\xff\0").is_empty());
}

#[test]
fn row_20_names_that_look_like_fields() {
    let text = b"12 (a) R 1 2) S 7 12 12 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 987654 1 2 3\n";
    let stat = Stat::parse(text).expect("it parses");
    assert_eq!(
        (stat.state, stat.ppid, stat.pgid, stat.start_ticks),
        ('S', 7, 12, 987_654)
    );

    let (dir, data) = data_dir();
    let program = dir.path().join("a) R 1 2");
    std::fs::copy("/bin/sleep", &program).expect("copy");
    let registry = open(&data);
    let mut spec = sleeper();
    spec.program = program;
    let (child, spawned) = start(&registry, "odd", &spec);
    let recorded = child.identity().expect("spawned");
    assert_eq!(u32::try_from(recorded.pgid), Ok(spawned.pid));
    assert!(recorded.start_ticks > 0);
    child.release().expect("release");
    close(&registry);
}

proptest! {
    #[test]
    fn nothing_in_proc_makes_parsing_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Stat::parse(&bytes);
        let _ = Cookie::parse_environ(&bytes);
        let _ = snakepit_registry::Record::decode(&bytes);
        let _ = String::from_utf8_lossy(&bytes).parse::<Cookie>();
    }
}

#[test]
fn recognition_follows_the_order_of_the_rules() {
    let (ours, theirs) = (cookie(), cookie());
    let seen = |identity: ProcessIdentity, cookies: Option<Vec<Cookie>>| Observation {
        identity,
        cookies,
        stamp: None,
    };
    let judge = |recorded: ProcessIdentity, seen: &Observation| recorded.judge(ours, seen);
    // Row 19: the same number and the same start tick, but another process.
    let successor = ProcessIdentity {
        pidfs_inode: Some(22994),
        ..identity()
    };
    assert_eq!(
        judge(identity(), &seen(successor.clone(), Some(vec![ours]))),
        Ownership::Stranger
    );
    assert_eq!(
        judge(identity(), &seen(identity(), Some(vec![theirs, ours]))),
        Ownership::Ours
    );
    // The environment is cleared; the stamp remains.
    let stamped = |of: Cookie| Observation {
        stamp: Some(Stamp::of(of)),
        ..seen(identity(), Some(vec![]))
    };
    assert_eq!(judge(identity(), &stamped(ours)), Ownership::Ours);
    assert_eq!(judge(identity(), &stamped(theirs)), Ownership::Unknown);
    // Matching numbers are no proof: an attacker can write them into a record.
    assert_eq!(
        judge(identity(), &seen(identity(), Some(vec![]))),
        Ownership::Unknown
    );
    assert_eq!(
        judge(identity(), &seen(identity(), Some(vec![theirs]))),
        Ownership::Stranger
    );
    let later = ProcessIdentity {
        start_ticks: 5001,
        ..identity()
    };
    assert_eq!(
        judge(identity(), &seen(later, Some(vec![ours]))),
        Ownership::Stranger
    );
    // Older kernels: only start time and cookie.
    let old = ProcessIdentity {
        pidfs_inode: None,
        ..identity()
    };
    let later = ProcessIdentity {
        start_ticks: 5001,
        ..old.clone()
    };
    assert_eq!(
        judge(old.clone(), &seen(old.clone(), Some(vec![theirs, ours]))),
        Ownership::Ours
    );
    assert_eq!(
        judge(old.clone(), &seen(later, Some(vec![ours]))),
        Ownership::Stranger
    );
    assert_eq!(
        judge(old.clone(), &seen(old.clone(), Some(vec![theirs]))),
        Ownership::Stranger
    );
    assert_eq!(
        judge(old.clone(), &seen(old.clone(), Some(vec![]))),
        Ownership::Unknown
    );
    // Row 26: an environment that cannot be read.
    assert_eq!(
        judge(old.clone(), &seen(old.clone(), None)),
        Ownership::OursByReducedRule
    );
    let moved = ProcessIdentity {
        exe: Some((1, 3)),
        ..old.clone()
    };
    assert_eq!(judge(old.clone(), &seen(moved, None)), Ownership::Unknown);
    let other_user = ProcessIdentity {
        uid: 0,
        ..old.clone()
    };
    assert_eq!(judge(old, &seen(other_user, None)), Ownership::Unknown);
    let elsewhere = ProcessIdentity {
        pid: 71,
        ..identity()
    };
    assert_eq!(
        judge(identity(), &seen(elsewhere, Some(vec![ours]))),
        Ownership::Stranger
    );
}

#[test]
fn a_held_process_is_seen_until_it_exits() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let (child, spawned) = start(&registry, "one", &sleeper());
    let pid = i32::try_from(spawned.pid).expect("a pid");
    let held = PidFd::open(pid).expect("pidfd").expect("it lives");
    let seen = Observation::of(&held).expect("/proc").expect("it lives");
    let recorded = child.identity().expect("spawned");
    assert_eq!(seen.identity, recorded);
    let cookie = registry.list().expect("list")[0].cookie;
    assert_eq!(recorded.judge(cookie, &seen), Ownership::Ours);
    child.release().expect("release");
    assert!(held.exited());
    assert!(Observation::of(&held).expect("/proc").is_none());
    assert!(PidFd::open(pid).expect("pidfd").is_none());
    assert!(
        PidFd::open(0)
            .expect("an impossible id names nobody")
            .is_none()
    );
    assert!(PidFd::open(i32::MAX).expect("pidfd").is_none());
    close(&registry);
}

#[test]
fn the_scene_is_known() {
    let here = Scene::here().expect("/proc");
    assert_eq!(here.boot_id.len(), 36);
    assert!(here.comparable(&here.clone()));
    assert!(!here.comparable(&Scene {
        pid_ns: 1,
        ..here.clone()
    }));
    assert!(!here.comparable(&Scene {
        boot_id: String::new(),
        ..here.clone()
    }));
}

#[test]
fn a_process_is_recognised_while_it_changes_its_program() {
    let (dir, data) = data_dir();
    let registry = open(&data);
    let script = dir.path().join("again");
    std::fs::write(&script, "exec /bin/sh \"$0\"").expect("write");
    let spec = CommandSpec::new("/bin/sh")
        .arg(&script)
        .output(Output::Null);
    let (child, spawned) = start(&registry, "again", &spec);
    let pid = i32::try_from(spawned.pid).expect("a pid");
    let held = PidFd::open(pid).expect("pidfd").expect("it lives");
    for turn in 0..20_000 {
        let seen = Observation::of(&held).expect("/proc").expect("it lives");
        assert_eq!(seen.cookies.map(|all| all.len()), Some(1), "in turn {turn}");
    }
    child.release().expect("release");
    close(&registry);
}
