//! Telemetry of Python code through `snakepit_bridge.telemetry`, `logging` and OpenTelemetry, as
//! the host receives it.

mod floods;

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;

use futures_util::StreamExt as _;
use snakepit::{CallOptions, PoolBuilder, PythonProfile, Snakepit, args};
use snakepit_core::events::record::{Attribute, Attributes, Instrument, Log, Measurement, Span};
use snakepit_core::events::{Number, TraceContext, TraceState};
use snakepit_core::worker::TelemetryControl;

use crate::support::{pool_of, root};
use crate::telemetry::recorded::{Got, Recorded, custom, recorded};

const PROFILES: [&str; 3] = ["process", "thread", "event loop"];

fn adapter(name: &str) -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    format!("{here}/tests/e2e/python_telemetry/{name}")
}

fn pool(profile: &str, name: &str) -> PoolBuilder {
    let pool = pool_of("main", &adapter(name));
    match profile {
        "process" => pool,
        "thread" => pool.profile(PythonProfile::Thread {
            threads_per_worker: 2,
        }),
        _ => pool.concurrency(8),
    }
}

async fn start(profile: &str) -> Snakepit {
    let pool = pool(profile, "tools.py");
    Snakepit::builder().pool(pool).start().await.unwrap()
}

fn traced() -> (CallOptions, TraceContext) {
    let caller = TraceContext::start(true);
    let mut options = CallOptions::new();
    (options.trace, options.correlation) = (Some(caller), Some("order 7".into()));
    (options, caller)
}

fn text<'a>(attributes: &'a Attributes, name: &str) -> Option<&'a str> {
    attributes.iter().find_map(|(key, value)| match value {
        Attribute::Text(text) if key == name => Some(&**text),
        _ => None,
    })
}

/// Returns the next spans of the worker by name; names are unique.
async fn spans(got: &mut Recorded, count: usize) -> HashMap<String, Span> {
    spans_and_logs(got, count, 0).await.0
}

/// Returns the next spans and log records of the worker. Spans may overtake records that were
/// written before the spans' end.
async fn spans_and_logs(
    got: &mut Recorded,
    count: usize,
    records: usize,
) -> (HashMap<String, Span>, Vec<Log>) {
    let (mut spans, mut logs) = (HashMap::new(), Vec::new());
    while spans.len() < count || logs.len() < records {
        match got.next().await {
            Got::Span(span) if !is_of_the_caller(&span) => {
                let former = spans.insert(span.name.clone().into_owned(), span);
                assert!(former.is_none(), "{former:?}");
            }
            Got::Log(log) => logs.push(log),
            _ => {}
        }
    }
    (spans, logs)
}

/// Returns whether a span belongs to the host's side of a call.
fn is_of_the_caller(span: &Span) -> bool {
    ["snakepit.call", "snakepit.queue"].contains(&&*span.name)
}

async fn log(got: &mut Recorded) -> Log {
    loop {
        if let Got::Log(log) = got.next().await {
            return log;
        }
    }
}

#[track_caller]
fn is_child(spans: &HashMap<String, Span>, inner: &str, outer: &str) {
    let (inner, outer) = (&spans[inner], &spans[outer]);
    assert_eq!(inner.context.trace_id(), outer.context.trace_id());
    assert_eq!(inner.parent, Some(outer.context.span_id()), "{inner:?}");
    assert!(outer.start <= inner.start && inner.start <= inner.end);
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_events_measurements_and_log_records_of_a_tool_belong_together() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let mut events = snakepit.default_pool().raw().events().subscribe(1024);
        let (options, caller) = traced();
        let id: String = snakepit.call("reports").options(&options).await.unwrap();
        assert_eq!(id, "order 7");
        let (mut all, mut logs, mut measured): (HashMap<_, _>, Vec<Log>, Vec<Measurement>) =
            Default::default();
        while all.len() < 3 || logs.is_empty() || measured.is_empty() {
            match got.next().await {
                Got::Span(span) if is_of_the_caller(&span) => {}
                Got::Span(span) => drop(all.insert(span.name.clone().into_owned(), span)),
                Got::Log(log) => logs.push(log),
                Got::Measurement(measurement) => measured.push(measurement),
            }
        }
        assert_eq!(all["snakepit.tool"].context.trace_id(), caller.trace_id());
        is_child(&all, "outer", "snakepit.tool");
        is_child(&all, "inner", "outer");
        let inner = &all["inner"];
        let outer = &all["outer"].attributes;
        assert_eq!(text(outer, "snakepit.correlation_id"), Some("order 7"));
        let call = logs[0].origin.call;
        assert!(call.is_some());

        let log = &logs[0];
        assert_eq!(
            (log.level, &*log.logger),
            (tracing::Level::ERROR, "app.loader")
        );
        assert_eq!(log.message, "cannot load a.bin");
        assert!(log.exception.as_ref().unwrap().contains("KeyError: 'gone'"));
        assert_eq!(log.trace, Some(inner.context));
        assert_eq!(text(&log.attributes, "user"), Some("ann"));
        assert_eq!(
            text(&log.attributes, "snakepit.correlation_id"),
            Some("order 7")
        );

        let rows = &measured[0];
        assert_eq!(
            (&*rows.name, &*rows.unit, rows.value),
            ("rows", "{row}", 5.0)
        );
        assert_eq!(rows.instrument, Instrument::Counter);
        assert_eq!((rows.origin.call, rows.trace), (call, Some(inner.context)));
        assert_eq!(text(&rows.attributes, "table"), Some("t"));

        let event = custom(&mut events, "tool.loaded").await;
        assert_eq!(event.call, call);
        assert_eq!(event.measurements["bytes"], Number::Integer(7));
        assert_eq!(event.metadata.get("kind").map(|it| &**it), Some("cold"));
        assert_eq!(
            event.metadata.get("correlation_id").map(|it| &**it),
            Some("order 7")
        );
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coroutines_streams_and_exceptions_have_their_spans() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let (options, _) = traced();
        let _: String = snakepit
            .call("reports_async")
            .options(&options)
            .await
            .unwrap();
        let all = spans(&mut got, 4).await;
        is_child(&all, "outer", "snakepit.tool");
        is_child(&all, "one", "outer");
        is_child(&all, "two", "outer");

        let (options, _) = traced();
        let chunks: Vec<_> = snakepit
            .default_pool()
            .call::<i64>("reports_stream")
            .args(args! { "n" => 2 })
            .options(&options)
            .stream()
            .await
            .unwrap()
            .map(Result::unwrap)
            .collect()
            .await;
        assert_eq!(chunks, [0, 1]);
        let (all, logs) = spans_and_logs(&mut got, 2, 1).await;
        let item = &logs[0];
        is_child(&all, "stream", "snakepit.tool");
        assert_eq!(
            (item.message.as_str(), item.trace),
            ("item 0", Some(all["stream"].context))
        );

        let (options, _) = traced();
        snakepit
            .call::<()>("fails")
            .options(&options)
            .await
            .unwrap_err();
        let all = spans(&mut got, 2).await;
        is_child(&all, "failing", "snakepit.tool");
        let error = all["failing"].error.as_deref();
        assert_eq!(error, Some("ValueError: password='<redacted>'"));
        assert_eq!(
            text(&all["failing"].attributes, "error.type"),
            Some("ValueError")
        );
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tracing_systems_have_written_reaches_python_and_its_children() {
    // A shell would execute a part of this.
    const STATE: &str = "congo=t61'$(exit 3)`b\"\\,rojo=1";
    let dir = tempfile::tempdir().unwrap();
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let file = dir.path().join(profile.replace(' ', "-"));
        let args = || args! { "path" => file.to_str().unwrap() };
        let (mut options, _) = traced();
        options.trace_state = TraceState::parse(STATE);
        let told: [Option<String>; 2] = snakepit
            .call("trace_state")
            .args(args())
            .options(&options)
            .await
            .unwrap();
        assert_eq!(told.map(Option::unwrap), [STATE; 2], "{profile}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim(), STATE);
        let all = spans(&mut got, 2).await;
        is_child(&all, "inner", "snakepit.tool");
        for span in all.values() {
            assert_eq!(span.state.as_str(), STATE, "{profile}: {span:?}");
        }
        // The next call inherits nothing of it.
        let (options, _) = traced();
        let told: [Option<String>; 2] = snakepit
            .call("trace_state")
            .args(args())
            .options(&options)
            .await
            .unwrap();
        assert_eq!(told, [None, Some(String::new())], "{profile}");
        assert!(spans(&mut got, 2).await["inner"].state.is_empty());
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_and_filters_of_the_host_hold_from_the_next_call_on() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let pool = snakepit.default_pool();
        let says = async |level: i64, text: &str| {
            let args = args! { "level" => level, "text" => text };
            snakepit.execute::<i64>("says", args).await.unwrap()
        };
        assert_eq!(says(10, "too low").await, 30);
        let mut control = TelemetryControl::new();
        control.levels = [("app".to_owned(), 10)].into();
        pool.raw().set_telemetry(control.clone()).unwrap();
        // The frame takes another connection than the calls.
        while says(5, "waits").await != 10 {}
        says(10, "fine").await;
        assert_eq!(log(&mut got).await.message, "fine");
        control.levels.clear();
        control.deny = vec!["app.*".to_owned()];
        pool.raw().set_telemetry(control.clone()).unwrap();
        while says(5, "waits").await != 30 {}
        says(50, "denied").await;
        control = TelemetryControl::new();
        control.levels = [("app".to_owned(), 40)].into();
        pool.raw().set_telemetry(control).unwrap();
        while says(50, "allowed").await != 40 {}
        assert_eq!(log(&mut got).await.message, "allowed");
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_a_tool_starts_know_their_place() {
    let snakepit = start("process").await;
    let mut got = recorded(&snakepit);
    let (options, _) = traced();
    let parent: String = snakepit
        .call("environment")
        .options(&options)
        .await
        .unwrap();
    let all = spans(&mut got, 2).await;
    assert_eq!(parent, all["starts"].context.to_string());
    snakepit.shutdown().await;
}

/// Returns an interpreter with OpenTelemetry: the host's own, or that of the Python tests. `None`
/// if neither has it.
fn instrumented() -> Option<PathBuf> {
    let own = std::env::var_os("SNAKEPIT_PYTHON").map(PathBuf::from);
    let found = [own, Some(root().join(".venv/bin/python"))];
    found.into_iter().flatten().find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import opentelemetry.sdk.trace"]);
        command.output().is_ok_and(|output| output.status.success())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_of_the_sdk_of_opentelemetry_join_the_trace() {
    let Some(python) = instrumented() else {
        let missing = "no interpreter has `opentelemetry-sdk`; `cargo xtask test python` makes one";
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
        return;
    };
    for profile in PROFILES {
        let pool = pool(profile, "instrumented.py").python(&python);
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        let mut got = recorded(&snakepit);
        let (options, caller) = traced();
        snakepit
            .call::<()>("fetch")
            .options(&options)
            .await
            .unwrap();
        let all = spans(&mut got, 4).await;
        assert_eq!(all["snakepit.tool"].parent, Some(caller.span_id()));
        is_child(&all, "own", "snakepit.tool");
        is_child(&all, "request", "own");
        is_child(&all, "connect", "request");

        let (options, _) = traced();
        snakepit
            .call::<()>("fetch_async")
            .options(&options)
            .await
            .unwrap();
        let all = spans(&mut got, 4).await;
        is_child(&all, "request", "snakepit.tool");
        is_child(&all, "connect", "request");
        is_child(&all, "resolve", "request");

        let (options, _) = traced();
        let chunks = snakepit
            .default_pool()
            .call::<i64>("fetch_stream")
            .args(args! { "n" => 3 })
            .options(&options)
            .stream()
            .await
            .unwrap();
        assert_eq!(chunks.count().await, 3);
        is_child(&spans(&mut got, 2).await, "request", "snakepit.tool");
        snakepit.shutdown().await;
    }
}
