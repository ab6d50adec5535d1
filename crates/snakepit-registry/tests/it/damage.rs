//! Damaged files of dead runs: typed errors, quarantine, and no surviving orphan.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use snakepit_registry::{
    Change, Cookie, Error, Outcome, ProcessState, Record, Registry, RunId, RunState, Store,
    StoreSize, read_records,
};

use crate::host::Host;
use crate::support::{LONG, alive, data_dir, none_left};

/// Creates a dead run with a living process. Returns its host and the path of its database.
fn dead_run(data: &Path) -> (Host, PathBuf) {
    let mut host = Host::start("escapee", data);
    host.kill_but_escapee();
    let file = data
        .join("runs")
        .join(host.run.to_string())
        .join("db/data.mdb");
    (host, file)
}

/// Asserts that the sweep quarantines the database and kills by cookie.
fn quarantined(data: &Path, host: &Host, what: &str) {
    let seen = Registry::inspect(data).expect("inspect");
    assert_eq!(seen[0].state, RunState::Damaged, "{what}");
    let report = Registry::sweep_data_dir(data, LONG).expect("sweep");
    let run = &report.runs[0];
    assert_eq!(run.outcome, Outcome::Swept, "{what}: {run:?}");
    assert!(run.problem.is_some(), "{what}");
    let kept = run.quarantined.as_ref().expect("the database is kept");
    assert!(kept.join("data.mdb").exists(), "{what}");
    assert!(
        run.killed.iter().any(|killed| killed.pid == host.pids[0]),
        "{what}"
    );
    none_left(host.run, Duration::from_millis(500));
}

#[test]
fn row_31_truncated_databases() {
    for size in [1, 4095, 4096, 8191] {
        let (_dir, data) = data_dir();
        let (host, file) = dead_run(&data);
        OpenOptions::new()
            .write(true)
            .open(&file)
            .and_then(|f| f.set_len(size))
            .expect("truncate");
        quarantined(&data, &host, &format!("{size} bytes"));
    }
    // An empty file is a database without rows, a missing one too; cookies still count.
    for missing in [false, true] {
        let (_dir, data) = data_dir();
        let (host, file) = dead_run(&data);
        if missing {
            std::fs::remove_file(&file).expect("remove");
        } else {
            std::fs::write(&file, b"").expect("truncate");
        }
        let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
        assert_eq!(report.runs[0].outcome, Outcome::Swept);
        assert_eq!(report.runs[0].killed.len(), 1);
        none_left(host.run, Duration::from_millis(500));
    }
}

#[test]
fn row_33_other_formats() {
    // The version of LMDB's format, then garbage instead of its magic number.
    for (at, bytes) in [(20, 999_u32), (16, 0x6262_6262)] {
        let (_dir, data) = data_dir();
        let (host, file) = dead_run(&data);
        let open = OpenOptions::new().write(true).open(&file).expect("open");
        for page in [0, 4096] {
            open.write_all_at(&bytes.to_ne_bytes(), page + at)
                .expect("write");
        }
        let error = read_records(file.parent().expect("a parent")).expect_err("it is refused");
        match at {
            20 => assert!(
                matches!(error, Error::Version { found: 999, .. }),
                "{error}"
            ),
            _ => assert!(matches!(error, Error::Corrupt { .. }), "{error}"),
        }
        quarantined(&data, &host, &format!("{error}"));
    }
}

#[test]
fn damaged_words_of_the_host() {
    for text in ["", "{", "[]", "{\"run_id\": 5}"] {
        let (_dir, data) = data_dir();
        let (host, file) = dead_run(&data);
        let meta = file
            .ancestors()
            .nth(2)
            .expect("the run directory")
            .join("meta.json");
        std::fs::write(meta, text).expect("write");
        quarantined(&data, &host, text);
    }
}

/// Replaces a field of the host's metadata, such as the boot or the namespace.
fn rewrite(file: &Path, pattern: &str, with: &str) {
    let meta = file
        .ancestors()
        .nth(2)
        .expect("the run directory")
        .join("meta.json");
    let text = std::fs::read_to_string(&meta).expect("read");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("json");
    value["scene"][pattern] = serde_json::from_str(with).expect("json");
    std::fs::write(meta, value.to_string()).expect("write");
}

#[test]
fn row_21_and_39_a_run_of_an_earlier_boot_is_removed_unopened_and_nobody_is_signalled() {
    let (_dir, data) = data_dir();
    let (host, file) = dead_run(&data);
    rewrite(&file, "boot_id", "\"00000000-0000-0000-0000-000000000000\"");
    // After a power failure the file may contain anything.
    std::fs::write(&file, vec![0xA5; 9000]).expect("write");
    assert_eq!(
        Registry::inspect(&data).expect("inspect")[0].state,
        RunState::EarlierBoot
    );
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    assert_eq!(report.runs[0].outcome, Outcome::EarlierBoot);
    assert!(report.runs[0].killed.is_empty());
    assert!(alive(host.pids[0]), "it was not signalled");
    crate::support::signal(host.pids[0], libc::SIGKILL);
    none_left(host.run, Duration::from_millis(500));
    assert!(Registry::inspect(&data).expect("inspect").is_empty());
}

#[test]
fn row_22_process_ids_of_another_namespace_are_not_used() {
    let (_dir, data) = data_dir();
    let (host, file) = dead_run(&data);
    rewrite(&file, "pid_ns", "1");
    assert_eq!(
        Registry::inspect(&data).expect("inspect")[0].state,
        RunState::OtherNamespace
    );
    let report = Registry::sweep_data_dir(&data, LONG).expect("sweep");
    assert_eq!(report.runs[0].gone, 1, "the recorded id counts for nothing");
    assert_eq!(
        report.runs[0].killed[0].pid, host.pids[0],
        "its cookie does"
    );
    none_left(host.run, Duration::from_millis(500));
}

fn sample() -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(dir.path(), StoreSize::default()).expect("open");
    let run = RunId::random().expect("randomness");
    let put = |at: u64| {
        Change::Put(Box::new(Record {
            worker_id: format!("worker-{at}"),
            generation: at,
            state: ProcessState::Ready,
            cookie: Cookie::random(run, true).expect("randomness"),
            armed: true,
            identity: None,
            shim: None,
            cgroup: None,
        }))
    };
    store
        .apply(&(0..300).map(put).collect::<Vec<_>>())
        .expect("apply");
    std::fs::read(dir.path().join("data.mdb")).expect("read")
}

#[test]
fn row_32_flipped_bytes_never_crash_and_never_invent_a_record() {
    let good = sample();
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("data.mdb");
    std::fs::write(&file, &good).expect("write");
    let records = read_records(dir.path()).expect("it is good");
    assert_eq!(records.len(), 300);
    proptest!(ProptestConfig::with_cases(400), |(
        flips in proptest::collection::vec((0..good.len(), 1..=255_u8), 1..6),
        header in any::<bool>(),
        cut in proptest::option::weighted(0.1, 0..good.len()),
    )| {
        let mut bad = good.clone();
        for (at, bits) in flips {
            // Half of the cases change the headers, where damage has the most effect.
            let at = if header { at / 4096 * 4096 + at % 160 } else { at };
            bad[at.min(good.len() - 1)] ^= bits;
        }
        bad.truncate(cut.unwrap_or(bad.len()));
        std::fs::write(&file, &bad).expect("write");
        match read_records(dir.path()) {
            Ok(found) => prop_assert!(found.iter().all(|one| records.contains(one))),
            Err(Error::Corrupt { .. } | Error::Version { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    });
}
