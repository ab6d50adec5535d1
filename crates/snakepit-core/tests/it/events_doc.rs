//! Checks that `docs/events.md` agrees with the catalogue. `UPDATE_DOCS=1` writes it.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::fmt::Write as _;
use std::path::Path;

use snakepit_core::events::{Event, PREFIX};

const INTRODUCTION: &str = "\
# Events

A host emits one event for each thing that happens in it. Names in other systems have the prefix `snakepit.`; patterns match with and
without it. This page is generated from the catalogue in `crates/snakepit-core/src/events/catalogue.rs`
(`UPDATE_DOCS=1 cargo nextest run -p snakepit-core -E 'test(events_doc)'`).

```rust
// A handler runs where the event happens: it must return soon.
let recycled = snakepit.on_event(\"worker.*\", |emitted| {
    if let Event::WorkerRecycled { worker, reason, .. } = &emitted.event {
        println!(\"{worker}: {reason}\");
    }
})?;
recycled.detach();

// A stream is bounded; `lost()` counts what did not fit.
let mut events = snakepit.events();
while let Some(emitted) = events.next().await {
    println!(\"{}\", emitted.event.name());
}
```

- **Where.** `Snakepit::on_event` and `Snakepit::events` are about the whole host; `Pool::events` and `HostState::events` are its hub. A handler may
  attach and detach subscribers and ask for the status of a pool, at any event. One that panics is detached, and the log says so.
- **`tracing`.** Each event also goes to the target `snakepit::events`, at its level, with its name in the field `event`.
- **Cost.** Without a subscriber, and with `tracing` off at its level, an event costs a load and a branch; its fields are not made.
- **Calls.** A call has one number from before its admission to its end, in all its attempts: `call.queued` (if it waits), `call.dispatched` for each
  attempt, and exactly one `call.completed`, whatever becomes of it. On the wire each further attempt has a number of its own, since a worker
  remembers what it gave back (`Request::call`); events, spans and log records have that of the call (`Request::number`).
  A batch of `execute_many` is one call with `items`; of them `failed` did not succeed.
- **Subscribing late.** Who attaches in the middle of a call gets the rest of its events.
- **Custom events.** Worker code emits `python.*` and `tool.*` (`Event::Custom`) with measurements and metadata of its own; the program may
  publish others.

## Catalogue
";

const OTHERS: &str = "
## Names of the original library and of its early versions

Names of the original are lists with the prefix `snakepit`. An event that is here under another name:

| original | here |
|---|---|
| `request.executed` | `call.completed` |
| `pool.call.dispatched` | `call.dispatched` |
| `pool.worker_ready` | `worker.started` |
| `pool.worker.spawn_started` | `worker.spawned` |
| `pool.worker.spawned` | `worker.started` |
| `pool.worker.spawn_failed` | `worker.start_failed` |
| `pool.worker.terminated`, `pool.worker.restarted` | `worker.terminated`, `worker.restarted` |
| `pool.initialized` | `pool.init_complete` |
| `pool.queue.enqueued`, `pool.queue.dequeued`, `pool.queue.timeout` | `call.queued`, `call.dispatched` with `queued`, `call.completed` with the outcome `queue_timeout` |
| `grpc_worker.execute.start`, `.stop`, `.exception` and `grpc_worker.execute_session.*` | `call.dispatched` and `call.completed`, which has the session's worker and the code |
| `worker.crash` | `worker.crashed` |
| `heartbeat.heartbeat_timeout` | `heartbeat.missed`; `worker.suspect` when it has consequences |
| `circuit_breaker.opened`, `.half_open`, `.closed` | `circuit.opened`, `circuit.half_open`, `circuit.closed` |
| `circuit_breaker.call.*` | `call.refused`, `call.completed` |
| `retry.backoff` | `retry.attempt` with `wait_ms` |
| `bridge.session.pruned`, `bridge.session.accumulation_warning` | `session.pruned`, `session.accumulation_warning` |
| `session.destroyed`, `session_store.*` | `session.deleted`, `session.expired`, `session.*` |
| `application_cleanup.cleanup_success` | `cleanup.success` |
| `application_cleanup.orphaned_processes_found` | `orphans.found` |
| `application_cleanup.emergency_cleanup` | `orphans.killed` |
| `python.call.*`, `python.memory.sampled`, `python.error.occurred`, `tool.execution.*`, `tool.result_size` | the same names where worker code emits them; calls have `call.*` |

An event that does not exist here:

| name | reason |
|---|---|
| `worker.tainted` | nothing is tainted: a worker that a call has killed is replaced, and the call is quarantined (`call.quarantined`) |
| `heartbeat.monitor_failure` | the monitor cannot fail without the pool: it is a task of the pool |
| `pool.status` | a question, not an event: `Pool::status` answers it |
| `session.affinity.*` | the worker of each call is in `call.dispatched` |
| `grpc.call.*`, `grpc.stream.*`, `grpc.connection.*` | workers are called over frames; a lost connection is `worker.crashed` |
| `python.exception.mapped`, `python.exception.unmapped` | exceptions are not mapped to classes of another language: they cross as they are, with a code |
| `error.shape_mismatch`, `error.dtype_mismatch`, `error.dimension_error`, `error.python_exception`, `error.device`, `error.oom` | errors of a tool are in `call.completed` (`code`) and in the error itself; a lack of memory that ends a worker is `worker.crashed` with the cause `out_of_memory` |
| `hardware.detect.*`, `hardware.select.*`, `hardware.cache.*` | the library does not look for hardware |
| `gpu.memory.sampled`, `gpu.utilization.sampled`, `gpu.temperature.sampled`, `gpu.power.sampled` | the library samples no devices; a tool can emit `tool.gpu.*` |
| `zero_copy.export`, `zero_copy.import`, `zero_copy.fallback` | there is no memory shared with tools of the host |
| `deprecated.module_used` | nothing is deprecated yet |
";

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut group = "";
    for info in Event::CATALOGUE {
        let (own, _) = info.name.split_once('.').unwrap();
        if own != group {
            group = own;
            write!(page, "\n### `{group}.*`\n").unwrap();
        }
        let (name, level) = (info.name, info.level);
        let doc = info.doc.trim();
        write!(page, "\n**`{PREFIX}{name}`** ({level}). {doc}\n\n").unwrap();
        page.push_str("| field | meaning |\n|---|---|\n");
        for field in info.fields {
            writeln!(page, "| `{}` | {} |", field.name, field.doc).unwrap();
        }
    }
    page.push_str(OTHERS);
    page
}

#[test]
fn the_page_of_events_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/events.md is out of date: run this test with UPDATE_DOCS=1 and commit the page"
    );
}

/// Names on which operators rely, with the fields on which they rely.
#[test]
fn what_operators_rely_on_is_in_the_catalogue() {
    for (name, fields) in [
        ("worker.started", "startup_ms profile capacity"),
        ("worker.recycled", "reason uptime_seconds request_count"),
        ("worker.health_check_failed", "reason"),
        ("worker.crashed", "exit cause"),
        ("worker.restarted", ""),
        ("worker.terminated", "lifetime total_calls planned"),
        ("pool.init_started", "workers"),
        ("pool.init_complete", "duration_ms workers"),
        (
            "pool.saturated",
            "queue_size max_queue_size available_workers busy_workers",
        ),
        ("pool.capacity_reached", "capacity load rejected"),
        ("call.queued", ""),
        ("call.dispatched", "queued"),
        ("call.completed", "duration_us tool outcome code"),
        ("stream.started", ""),
        ("stream.ended", "chunks"),
        ("heartbeat.monitor_started", ""),
        ("heartbeat.monitor_stopped", ""),
        ("heartbeat.ping_sent", ""),
        ("heartbeat.pong_received", "latency_us"),
        ("heartbeat.missed", ""),
        ("session.created", "session"),
        ("session.accessed", "session"),
        ("session.expired", "session"),
        ("session.deleted", "session"),
        ("session.pruned", "removed"),
        ("session.accumulation_warning", "ratio"),
        ("variable.changed", "variable"),
        ("program.stored", "program"),
        ("program.retrieved", "program"),
        ("program.deleted", "program"),
        ("host_tool.started", "tool"),
        ("host_tool.completed", "tool outcome"),
        ("circuit.opened", ""),
        ("circuit.half_open", ""),
        ("circuit.closed", ""),
        ("retry.attempt", "attempt"),
        ("retry.success", "attempt"),
        ("retry.exhausted", "attempt"),
        ("cleanup.start", ""),
        ("cleanup.success", "count"),
        ("cleanup.timeout", ""),
        ("orphans.found", "count"),
        ("orphans.killed", "count"),
        ("script.shutdown.start", ""),
        ("script.shutdown.stop", ""),
        ("script.shutdown.cleanup", ""),
        ("script.shutdown.exit", "status"),
        ("serialization.marker", ""),
        ("telemetry.dropped", "records"),
    ] {
        let mut all = Event::CATALOGUE.iter();
        let info = all.find(|info| info.name == name).expect(name);
        for field in fields.split_whitespace() {
            let known = |info: &str| info == field;
            assert!(
                info.fields.iter().any(|field| known(field.name)),
                "{name} has no {field}"
            );
        }
    }
}
