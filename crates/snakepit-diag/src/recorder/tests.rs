//! Recordings of real calls to scripted workers, and arbitrary files.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use proptest::prelude::*;
use snakepit_core::call::CallOptions;
use snakepit_core::pool::{Pool, PoolConfig};
use snakepit_core::testing::ScriptedProfile;
use snakepit_registry::{Registry, RegistryConfig};
use tokio::time::Instant;

use super::check::sum;
use super::layout::{
    DEATHS, FIRST_RECORD, HEADER, HEADER_SUM, MAGIC, NAMES, RECORD, RECORDS, WORDS,
};
use super::ring::Record;
use super::{Recorder, Recording};
use crate::Death;

/// A pool whose calls are recorded.
struct Recorded {
    pool: Pool,
    profile: ScriptedProfile,
    recorder: Arc<Recorder>,
    registry: Registry,
    _dir: tempfile::TempDir,
    data: std::path::PathBuf,
}

impl Recorded {
    async fn start(workers: usize) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("pit");
        let registry = Registry::open(RegistryConfig::new(&data)).expect("a run");
        let words = registry
            .share_words("flight-0", Recorder::WORDS)
            .expect("room");
        let mut config = PoolConfig::new("main");
        config.workers = workers;
        let recorder = Arc::new(Recorder::new(words, config.name.as_str()));
        let profile = ScriptedProfile::new(1);
        let pool = Pool::start(config, Arc::new(profile.clone())).expect("it starts");
        assert!(pool.observe(recorder.clone()));
        assert!(!pool.observe(recorder.clone()), "one is enough");
        pool.await_all_ready(Duration::from_secs(60))
            .await
            .expect("workers");
        Self {
            pool,
            profile,
            recorder,
            registry,
            _dir: dir,
            data,
        }
    }

    async fn call(&self, tool: &str, options: &CallOptions) {
        let args = snakepit_core::value::Payload::encode(&"0123456789").expect("a text");
        drop(self.pool.execute(tool, args, options).await);
    }

    /// Reads the file as another process does.
    fn recording(&self) -> Recording {
        Recording::read(&self.bytes()).expect("it is a recording")
    }

    fn bytes(&self) -> Vec<u8> {
        let (runs, problems) = Registry::host_runs(&self.data).expect("a data directory");
        assert!(problems.is_empty() && runs.len() == 1 && runs[0].alive);
        assert_eq!(runs[0].run_id, self.registry.run_id());
        let bytes = runs[0]
            .read("flight-0", Recording::BYTES)
            .expect("it is ours");
        bytes.expect("it is there")
    }
}

#[tokio::test]
async fn each_call_is_in_the_file_with_its_times_worker_outcome_and_bytes() {
    let host = Recorded::start(1).await;
    let options = CallOptions::new();
    host.call("echo", &options).await;
    host.call("fail", &options).await;
    let mut short = options.clone();
    short.timeout = Some(Duration::from_millis(1));
    host.call("hang", &short).await;
    let recording = host.recording();
    assert_eq!(recording.pool, "main");
    assert_eq!(recording.host_pid, u64::from(std::process::id()));
    let facts: Vec<_> = recording
        .calls
        .iter()
        .map(|call| (&*call.tool, call.outcome, call.code.as_deref()))
        .collect();
    let expected = [
        ("echo", "ok", None),
        ("fail", "error", Some("SP3001")),
        ("hang", "call_timeout", Some("SP4003")),
    ];
    assert_eq!(facts, expected);
    for call in &recording.calls {
        assert_eq!(
            (&*call.worker, call.slot, call.attempts, call.items),
            ("main-1", 0, 1, 1)
        );
        assert_eq!(call.bytes_in, 11, "MessagePack of ten characters");
        assert!(
            call.duration_us
                .is_some_and(|all| all >= u64::from(call.sent_us)),
            "{call:?}"
        );
    }
    assert_eq!(
        (recording.calls[0].bytes_out, recording.calls[1].bytes_out),
        (11, 0)
    );
    assert!(recording.calls[0].at >= recording.began);
}

#[tokio::test]
async fn calls_that_run_are_told_with_their_worker_and_what_is_left_of_their_time() {
    let host = Recorded::start(1).await;
    let mut options = CallOptions::new();
    options.timeout = Some(Duration::from_secs(3600));
    let running = host.call("gate", &options);
    let mut running = std::pin::pin!(running);
    let sent = async {
        while host.recorder.running(Instant::now()).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = &mut running => panic!("the gate is closed"),
        () = sent => {}
    }
    let calls = host.recorder.running(Instant::now());
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (&*calls[0].tool, &*calls[0].worker, calls[0].attempts),
        ("gate", "main-1", 1)
    );
    let left = calls[0].left_seconds.expect("it has a deadline");
    assert!((3000.0..=3600.0).contains(&left), "{left}");
    let recorded = &host.recording().calls[0];
    assert_eq!((recorded.outcome, recorded.duration_us), ("running", None));
    host.profile.allow(1);
    running.await;
    assert!(host.recorder.running(Instant::now()).is_empty());
    assert_eq!(host.recording().calls[0].outcome, "ok");
}

#[tokio::test]
async fn calls_that_no_worker_had_are_recorded_too() {
    let host = Recorded::start(1).await;
    let options = CallOptions::new();
    let mut busy = std::pin::pin!(host.call("gate", &options));
    assert!(busy.as_mut().now_or_never().is_none());
    let mut impatient = options.clone();
    impatient.queue_timeout = Some(Duration::from_millis(1));
    host.call("late", &impatient).await;
    host.profile.allow(1);
    busy.await;
    let recording = host.recording();
    let late = recording
        .calls
        .iter()
        .find(|call| call.tool == "late")
        .expect("it is there");
    let facts = (
        late.outcome,
        late.code.as_deref(),
        &*late.worker,
        late.attempts,
    );
    assert_eq!(facts, ("queue_timeout", Some("SP4002"), "", 0));
    assert!(late.queued_us >= 1000, "{late:?}");
}

#[tokio::test]
async fn the_ring_keeps_the_last_calls_and_those_that_run() {
    let host = Recorded::start(2).await;
    let options = CallOptions::new();
    let mut long = std::pin::pin!(host.call("gate", &options));
    assert!(long.as_mut().now_or_never().is_none());
    for n in 0..RECORDS + 10 {
        let tool = if n == 0 { "first" } else { "echo" };
        host.call(tool, &options).await;
    }
    let recording = host.recording();
    assert_eq!(recording.calls.len(), RECORDS);
    let has = |tool: &str| recording.calls.iter().any(|call| call.tool == tool);
    assert!(has("gate") && has("echo") && !has("first"));
    host.profile.allow(1);
    long.await;
    let recording = host.recording();
    let gate = recording.calls.iter().find(|call| call.tool == "gate");
    assert_eq!(gate.map(|call| call.outcome), Some("ok"));
}

#[tokio::test]
async fn more_tools_than_there_are_places_lose_their_names_and_nothing_else() {
    let host = Recorded::start(1).await;
    let long = "ü".repeat(100);
    host.call(&long, &CallOptions::new()).await;
    for n in 0..600 {
        host.call(&format!("tool-{n}"), &CallOptions::new()).await;
    }
    let recording = host.recording();
    assert_eq!(recording.calls.len(), 601);
    assert_eq!(recording.calls[600].tool, "tool-599");
    assert!(recording.calls.iter().all(|call| call.outcome == "ok"));
}

#[tokio::test]
async fn the_last_deaths_are_kept_with_their_last_words() {
    let host = Recorded::start(1).await;
    for n in 1..=40 {
        let death = Death {
            worker: format!("main-{n}"),
            at: 1.5,
            exit: "killed by signal 11 (SIGSEGV)".to_owned(),
            cause: "signal".to_owned(),
            calls: n,
        };
        host.recorder.died(&death, &"x".repeat(2000));
    }
    let deaths = host.recording().deaths;
    assert_eq!((deaths.len(), &*deaths[0].death.worker), (32, "main-9"));
    let last = &deaths[31];
    assert_eq!(
        (last.death.calls, last.death.at, &*last.death.cause),
        (40, 1.5, "signal")
    );
    assert_eq!(last.output.len(), 632);
}

/// The bytes of a recording without any event.
fn empty() -> Vec<u8> {
    let mut bytes = vec![0; WORDS * 8];
    let mut put =
        |at: usize, word: u64| bytes[at * 8..at * 8 + 8].copy_from_slice(&word.to_ne_bytes());
    put(0, MAGIC);
    put(HEADER_SUM, sum([0, 0]).into());
    bytes
}

/// Returns the offset of a text in the bytes.
fn place(bytes: &[u8], text: &str) -> usize {
    let mut windows = bytes.windows(text.len());
    windows
        .position(|window| window == text.as_bytes())
        .expect("it is there")
}

#[tokio::test]
async fn damaged_entries_are_left_out_and_counted() {
    let host = Recorded::start(1).await;
    for tool in ["first", "second", "third"] {
        host.call(tool, &CallOptions::new()).await;
    }
    for worker in ["main-7", "main-8"] {
        let death = Death {
            worker: worker.to_owned(),
            at: 1.5,
            exit: String::new(),
            cause: String::new(),
            calls: 1,
        };
        host.recorder.died(&death, "last words");
    }
    let whole = host.bytes();
    let read = |bytes: &[u8]| Recording::read(bytes).expect("its header is whole");
    assert_eq!(read(&whole).damaged, 0);
    // A timestamp of the second call.
    let mut bytes = whole.clone();
    bytes[(FIRST_RECORD + RECORD + 3) * 8 + 2] ^= 4;
    let recording = read(&bytes);
    let tools: Vec<_> = recording.calls.iter().map(|call| &*call.tool).collect();
    assert_eq!((&*tools, recording.damaged), (&["first", "third"][..], 1));
    // The name of a tool, and the first death.
    let mut bytes = whole.clone();
    bytes[place(&whole, "third")] ^= 0x80;
    bytes[place(&whole, "last words")] ^= 1;
    let recording = read(&bytes);
    assert_eq!(
        (&*recording.calls[2].tool, recording.damaged),
        ("(damaged)", 2)
    );
    assert_eq!(
        (recording.deaths.len(), &*recording.deaths[0].death.worker),
        (1, "main-8")
    );
    // The end, from the middle of the third call on.
    let cut = &whole[..(FIRST_RECORD + 2 * RECORD) * 8 + 13];
    let recording = read(cut);
    assert_eq!((recording.calls.len(), recording.damaged), (2, 1));
    assert_eq!(recording.missing_bytes, (whole.len() - cut.len()) as u64);
    assert_eq!(&*read(&whole[..HEADER * 8]).pool, "main");
    // The header.
    let mut bytes = whole.clone();
    bytes[2 * 8] ^= 1;
    let short = &whole[..HEADER * 8 - 1];
    assert_eq!(
        (Recording::read(&bytes), Recording::read(short)),
        (None, None)
    );
    // An entry that was being written is not damaged.
    let mut before = whole.clone();
    before[(FIRST_RECORD + RECORD + 3) * 8 + 2] ^= 4;
    let mut after = before.clone();
    after[(FIRST_RECORD + RECORD + 3) * 8 + 2] ^= 8;
    let recording = Recording::read_written(&before, &after).expect("its header is whole");
    assert_eq!((recording.calls.len(), recording.damaged), (2, 0));
    let recording = Recording::read_written(&before, &before).expect("its header is whole");
    assert_eq!((recording.calls.len(), recording.damaged), (2, 1));
}

fn any_record() -> impl Strategy<Value = Record> {
    any::<([u64; 3], [u32; 6], [u16; 5], [u8; 2])>().prop_map(|(long, half, short, byte)| Record {
        call: (long[0] >> 16).max(1),
        caller: short[4],
        attempt: long[1] >> 16,
        ended: long[2] >> 16,
        begun: long[2] >> 16,
        sent: half[0],
        queued: half[1],
        bytes_in: half[2],
        bytes_out: half[3],
        deadline: half[4],
        items: half[5],
        slot: short[0],
        tool: short[1],
        worker: short[2],
        code: short[3],
        outcome: byte[0],
        attempts: byte[1],
    })
}

proptest! {
    // Each case has a file of some 370 kB.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_record_is_what_was_packed(record in any_record()) {
        prop_assert_eq!(Record::unpack(&record.pack()), record);
        prop_assert_eq!(Record::read(&record.pack()), Some(record));
    }

    #[test]
    fn any_file_is_read_without_a_panic(seed in any::<u64>(), length in 0..2 * WORDS * 8) {
        let mut random = seed;
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&(random >> 8).to_ne_bytes());
        }
        bytes.truncate(length);
        prop_assert_eq!(Recording::read(&bytes), None);
        bytes.resize(WORDS * 8, 0xff);
        bytes[..HEADER * 8].copy_from_slice(&empty()[..HEADER * 8]);
        let recording = Recording::read(&bytes).expect("it has the size and the header of one");
        prop_assert_eq!((recording.calls.len(), recording.deaths.len()), (0, 0));
        prop_assert_eq!(recording.damaged, 2 * NAMES + DEATHS + RECORDS);
        prop_assert!(serde_json::to_string(&recording).is_ok());
    }

    #[test]
    fn a_changed_bit_of_a_record_costs_that_record_alone(
        records in prop::collection::vec(any_record(), 2..5), bit in 0..RECORD * 64,
    ) {
        let mut bytes = empty();
        for (index, record) in records.iter().enumerate() {
            let packed = record.pack();
            let first = (FIRST_RECORD + index * RECORD) * 8;
            for (word, place) in packed.iter().zip(bytes[first..].chunks_exact_mut(8)) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
        }
        bytes[FIRST_RECORD * 8 + bit / 8] ^= 1 << (bit % 8);
        let recording = Recording::read(&bytes).expect("its header is whole");
        prop_assert_eq!(recording.calls.len(), records.len() - 1);
        // If the flipped bit makes the number 0, the entry counts as empty.
        let gone = records[0].call.is_power_of_two() && recording.damaged == 0;
        prop_assert!(gone || recording.damaged == 1, "{}", recording.damaged);
    }

    #[test]
    fn a_single_bit_of_a_recording_may_be_anything(bit in HEADER * 64..WORDS * 64) {
        let mut bytes = empty();
        bytes[FIRST_RECORD * 8..(FIRST_RECORD + RECORD) * 8].fill(0x5a);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let recording = Recording::read(&bytes).expect("its header is whole");
        prop_assert!(recording.calls.is_empty() && (1..=2).contains(&recording.damaged));
    }
}
