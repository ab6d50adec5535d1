//! The database: codec, transactions, growth, group commit, limits.

use std::sync::Barrier;

use snakepit_registry::{
    Change, Cookie, Error, Limit, ProcessState, Record, RecordError, Registry, RegistryConfig,
    RunId, Store, StoreSize, read_records,
};

use crate::host::Host;
use crate::support::{LONG, close, data_dir, eventually, is_root, open, skip};

fn record(id: &str) -> Record {
    let run = RunId::random().expect("randomness");
    Record {
        worker_id: id.to_owned(),
        generation: 7,
        state: ProcessState::Reserved,
        cookie: Cookie::random(run, true).expect("randomness"),
        armed: false,
        identity: None,
        shim: None,
        cgroup: None,
    }
}

fn put(id: &str) -> Change {
    Change::Put(Box::new(record(id)))
}

#[test]
fn records_survive_encoding_and_every_changed_byte_is_noticed() {
    let record = record("worker ü");
    let row = record.encode();
    assert_eq!(Record::decode(&row), Ok(record));
    for at in 0..row.len() {
        let mut damaged = row.clone();
        damaged[at] ^= 0x10;
        assert!(Record::decode(&damaged).is_err(), "byte {at}");
    }
    for end in 0..row.len() {
        assert!(Record::decode(&row[..end]).is_err());
    }
    let mut newer = row;
    newer[3] = 9;
    assert_eq!(Record::decode(&newer), Err(RecordError::Version(9)));
}

#[test]
fn rows_are_read_without_lmdb_as_lmdb_reads_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(dir.path(), StoreSize::default()).expect("open");
    assert_eq!(read_records(dir.path()).expect("read"), []);
    // Enough for branch pages, then holes, then a row of more than one page.
    for part in 0..5 {
        let changes: Vec<_> = (0..200).map(|at| put(&format!("w{part}-{at}"))).collect();
        store.apply(&changes).expect("apply");
    }
    let deletes: Vec<_> = (0..200)
        .map(|at| Change::Delete(format!("w3-{at}#7")))
        .collect();
    store.apply(&deletes).expect("apply");
    let mut big = record("big");
    big.identity = None;
    big.worker_id = "b".repeat(120);
    store
        .apply(&[
            Change::Put(Box::new(big)),
            Change::Delete("nobody".to_owned()),
        ])
        .expect("apply");
    let (ours, theirs) = (store.records().expect("records"), read_records(dir.path()));
    assert_eq!(ours.len(), 801);
    assert_eq!(ours, theirs.expect("read"));
    assert_eq!(store.stats().expect("stats").records, 801);
    drop(store);
    let store = Store::open(dir.path(), StoreSize::default()).expect("open again");
    assert_eq!(store.records().expect("records"), ours);
}

#[test]
fn row_36_a_full_map_grows_or_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let size = StoreSize {
        initial: 64 << 10,
        max: 64 << 20,
    };
    let mut store = Store::open(dir.path(), size).expect("open");
    for part in 0..20 {
        let changes: Vec<_> = (0..500).map(|at| put(&format!("w{part}-{at}"))).collect();
        store.apply(&changes).expect("it grows");
    }
    assert_eq!(store.records().expect("records").len(), 10_000);
    assert_eq!(read_records(dir.path()).expect("read").len(), 10_000);

    let (_dir, data) = data_dir();
    let mut config = RegistryConfig::new(&data);
    config.store = StoreSize {
        initial: 64 << 10,
        max: 128 << 10,
    };
    let registry = Registry::open(config).expect("open");
    let mut kept = Vec::new();
    let error = loop {
        match registry.reserve(format!("w{}", kept.len())) {
            Ok(reservation) => kept.push(reservation),
            Err(e) => break e,
        }
    };
    assert!(
        matches!(
            error,
            Error::Full {
                limit: Limit::Map,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.code(), "SP6003");
    assert_eq!(registry.list().expect("list").len(), kept.len());
    kept.truncate(kept.len() / 2);
    let again = registry.reserve("again").expect("there is room again");
    drop((again, kept));
    close(&registry);
}

#[test]
fn row_34_a_full_disk_refuses_new_workers_and_serves_the_old_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let mount = |args: &[&str]| {
        let done = std::process::Command::new("mount")
            .args(args)
            .arg(dir.path())
            .status();
        done.is_ok_and(|status| status.success())
    };
    if !is_root() || !mount(&["-t", "tmpfs", "-o", "size=256k", "tmpfs"]) {
        skip("no file system can be mounted here");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let registry = open(&dir.path().join("d"));
        let (child, _) = crate::support::start(&registry, "old", &crate::support::sleeper());
        let ballast = dir.path().join("ballast");
        // Fills the file system to the last byte.
        std::fs::write(&ballast, vec![1; 1 << 20]).expect_err("it does not fit");
        let mut kept = Vec::new();
        let error = loop {
            match registry.reserve(format!("w{}", kept.len())) {
                Ok(reservation) => kept.push(reservation),
                Err(e) => break e,
            }
        };
        assert!(
            matches!(
                error,
                Error::Full {
                    limit: Limit::Disk,
                    ..
                }
            ),
            "{error}"
        );
        assert!(child.try_wait().is_none(), "the old worker lives");
        assert_eq!(registry.list().expect("list").len(), kept.len() + 1);
        std::fs::remove_file(&ballast).expect("remove");
        drop(registry.reserve("again").expect("there is room again"));
        drop(kept);
        child.release().expect("release");
        close(&registry);
    });
    let unmounted = std::process::Command::new("umount")
        .arg("-l")
        .arg(dir.path())
        .status();
    assert!(unmounted.expect("umount").success());
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn many_threads_reserve_at_once() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    let barrier = Barrier::new(32);
    std::thread::scope(|scope| {
        for thread in 0..32 {
            let (registry, barrier) = (&registry, &barrier);
            scope.spawn(move || {
                barrier.wait();
                let kept: Vec<_> = (0..20)
                    .map(|at| {
                        registry
                            .reserve(format!("t{thread}-{at}"))
                            .expect("reserve")
                    })
                    .collect();
                assert!(registry.list().expect("list").len() >= kept.len());
            });
        }
    });
    assert_eq!(
        registry.list().expect("list").len(),
        0,
        "dropped reservations are given back"
    );
    assert_eq!(registry.validate().expect("validate"), 0);
    close(&registry);
}

#[test]
fn worker_ids_are_checked() {
    let (_dir, data) = data_dir();
    let registry = open(&data);
    for bad in ["", "a\nb", "\0", &"x".repeat(129)] {
        let error = registry.reserve(bad).expect_err("it is not usable");
        assert_eq!(error.code(), "SP6008", "{error}");
    }
    // The same name twice: a restarted worker has a row beside the old one's.
    let (a, b) = (
        registry.reserve("w").expect("a"),
        registry.reserve("w").expect("b"),
    );
    assert_eq!(registry.list().expect("list").len(), 2);
    drop((a, b));
    close(&registry);
}

#[test]
fn row_30_killed_while_writing() {
    let (_dir, data) = data_dir();
    for turn in 0..10 {
        let mut host = Host::start("rows", &data);
        let db = data.join("runs").join(host.run.to_string()).join("db");
        // The pages may change during a read; the read is repeated then.
        let rows = || read_records(&db).map_or(0, |records| records.len());
        eventually(LONG, "it has written some", || rows() >= turn * 15);
        host.kill();
        // Every row is complete or absent, whether LMDB reads it or not.
        let records = read_records(&db).expect("read");
        let store = Store::open(&db, StoreSize::default()).expect("open");
        assert_eq!(store.records().expect("records"), records);
    }
}
