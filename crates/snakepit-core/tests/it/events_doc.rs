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

A host emits typed events. Other systems see their names with the prefix `snakepit.`; patterns match with and without it. This page is generated from the catalogue in `crates/snakepit-core/src/events/catalogue.rs`
(`UPDATE_DOCS=1 cargo nextest run -p snakepit-core -E 'test(events_doc)'`).

```rust
// A handler runs on the thread that emits the event: it must return quickly.
let recycled = snakepit.on_event(\"worker.*\", |emitted| {
    if let Event::WorkerRecycled { worker, reason, .. } = &emitted.event {
        println!(\"{worker}: {reason}\");
    }
})?;
recycled.detach();

// A stream is bounded; `lost()` counts events that did not fit.
let mut events = snakepit.events();
while let Some(emitted) = events.next().await {
    println!(\"{}\", emitted.event.name());
}
```

- **Subscribing.** `Snakepit::on_event` and `Snakepit::events` cover the whole host; `Pool::events` and `HostState::events` return its hub. A
  handler may attach and detach subscribers and query the status of a pool, at any event. A handler that panics is detached, and the log reports it.
- **`tracing`.** Each event also goes to the target `snakepit::events`, at its level, with its name in the field `event`.
- **Cost.** Without a subscriber, and with `tracing` off at its level, an event costs a load and a branch; its fields are not built.
- **Calls.** A call has one number from before its admission to its end, in all its attempts: `call.queued` (if it waits), `call.dispatched` for each
  attempt, and exactly one `call.completed`, however it ends. On the wire each further attempt has a number of its own, because a worker
  remembers the calls that it returned (`Request::call`); events, spans and log records use the number of the call
  (`Request::number`). A batch of `execute_many` is one call with `items` items, of which `failed` did not succeed.
- **Subscribing late.** A subscriber that attaches during a call receives the remaining events of the call.
- **Custom events.** Worker code emits `python.*` and `tool.*` (`Event::Custom`) with its own measurements and metadata; the program may
  publish further events.

## Catalogue
";

const OTHERS: &str = "
## Names of the original library and of its early versions

Names of the original are lists with the prefix `snakepit`. These events have another name here:

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
| `heartbeat.heartbeat_timeout` | `heartbeat.missed`; `worker.unresponsive` if the worker is replaced |
| `circuit_breaker.opened`, `.half_open`, `.closed` | `circuit.opened`, `circuit.half_open`, `circuit.closed` |
| `circuit_breaker.call.*` | `call.refused`, `call.completed` |
| `retry.backoff` | `retry.attempt` with `wait_ms` |
| `bridge.session.pruned`, `bridge.session.accumulation_warning` | `session.pruned`, `session.accumulation_warning` |
| `session.destroyed`, `session_store.*` | `session.deleted`, `session.expired`, `session.*` |
| `application_cleanup.cleanup_success` | `cleanup.success` |
| `application_cleanup.orphaned_processes_found` | `orphans.found` |
| `application_cleanup.emergency_cleanup` | `orphans.killed` |
| `python.call.*`, `python.memory.sampled`, `python.error.occurred`, `tool.execution.*`, `tool.result_size` | the same names if worker code emits them; for calls `call.*` |

These events do not exist here:

| name | reason |
|---|---|
| `worker.tainted` | workers are not tainted: a worker that a call has killed is replaced, and the call is quarantined (`call.quarantined`) |
| `heartbeat.monitor_failure` | the monitor cannot fail without the pool: it is a task of the pool |
| `pool.status` | a query, not an event: `Pool::status` returns it |
| `session.affinity.*` | the worker of each call is in `call.dispatched` |
| `grpc.call.*`, `grpc.stream.*`, `grpc.connection.*` | calls use frames, not gRPC; a lost connection is `worker.crashed` |
| `python.exception.mapped`, `python.exception.unmapped` | exceptions are not mapped to classes of another language: they cross as they are, with a code |
| `error.shape_mismatch`, `error.dtype_mismatch`, `error.dimension_error`, `error.python_exception`, `error.device`, `error.oom` | errors of a tool are in `call.completed` (`code`) and in the error itself; a worker that was killed because memory ran out is `worker.crashed` with the cause `out_of_memory` |
| `hardware.detect.*`, `hardware.select.*`, `hardware.cache.*` | the library does not detect hardware |
| `gpu.memory.sampled`, `gpu.utilization.sampled`, `gpu.temperature.sampled`, `gpu.power.sampled` | the library samples no devices; a tool can emit `tool.gpu.*` |
| `zero_copy.export`, `zero_copy.import`, `zero_copy.fallback` | no memory is shared with tools of the host |
| `deprecated.module_used` | no module is deprecated yet |
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
