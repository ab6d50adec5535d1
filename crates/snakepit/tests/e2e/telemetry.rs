//! Traces that extend into Python: the workers' spans of calls.

mod one_trace;
pub(crate) mod recorded;
mod reports;

use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use snakepit::{CallOptions, PoolBuilder, PythonProfile, Snakepit, args};
use snakepit_core::events::TraceContext;
use snakepit_core::events::record::{Attribute, Span, SpanKind};

use self::recorded::recorded;
use crate::support::{file, pool_of};

/// The context that a tool sees: the worker's span, the call, the correlation id.
pub(crate) type Place = (Option<String>, u64, Option<String>);

pub(crate) const ADAPTER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/telemetry_tools.py");

const PROFILES: [&str; 3] = ["process", "thread", "event loop"];

fn pool(profile: &str) -> PoolBuilder {
    let pool = pool_of("main", ADAPTER);
    match profile {
        "process" => pool,
        "thread" => pool.profile(PythonProfile::Thread {
            threads_per_worker: 2,
        }),
        _ => pool.concurrency(8),
    }
}

async fn start(profile: &str) -> Snakepit {
    Snakepit::builder()
        .pool(pool(profile))
        .start()
        .await
        .unwrap()
}

fn traced(sampled: bool) -> (CallOptions, TraceContext) {
    let caller = TraceContext::start(sampled);
    let mut options = CallOptions::new();
    (options.trace, options.correlation) = (Some(caller), Some("order 7".into()));
    (options, caller)
}

fn text<'a>(span: &'a Span, name: &str) -> Option<&'a str> {
    span.attributes.iter().find_map(|(key, value)| match value {
        Attribute::Text(text) if key == name => Some(&**text),
        _ => None,
    })
}

fn number(span: &Span, name: &str) -> Option<i64> {
    span.attributes.iter().find_map(|(key, value)| match value {
        Attribute::Integer(number) if key == name => Some(*number),
        _ => None,
    })
}

/// Checks that a span is the worker's span of a call of `tool` that `caller` has made since
/// `began`.
#[track_caller]
fn check(span: &Span, tool: &str, caller: TraceContext, began: SystemTime) {
    assert_eq!(span.name, "snakepit.tool");
    assert_eq!(span.kind, SpanKind::Server);
    assert_eq!(span.context.trace_id(), caller.trace_id());
    assert_eq!(span.parent, Some(caller.span_id()));
    assert_ne!(span.context.span_id(), caller.span_id());
    assert!(began <= span.start && span.start <= span.end, "{span:?}");
    assert!(span.end <= SystemTime::now());
    assert_eq!(text(span, "snakepit.tool"), Some(tool));
    assert_eq!(text(span, "snakepit.pool"), Some("main"));
    assert!(text(span, "snakepit.worker").unwrap().starts_with("main-"));
    assert!(number(span, "snakepit.call.id").unwrap() > 0);
}

fn hex(context: TraceContext) -> String {
    context
        .to_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_traced_call_has_a_span_in_the_worker_whatever_its_kind() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        for tool in ["where", "where_async"] {
            let (options, caller) = traced(true);
            let began = SystemTime::now();
            let place: Place = snakepit.call(tool).options(&options).await.unwrap();
            let span = got.span("snakepit.tool").await;
            check(&span, tool, caller, began);
            assert_eq!(span.error, None);
            let call = number(&span, "snakepit.call.id").unwrap().unsigned_abs();
            let here = (Some(hex(span.context)), call, Some("order 7".to_owned()));
            assert_eq!(place, here, "{profile}: {tool}");
        }
        for tool in ["where_stream", "where_async_stream"] {
            let (options, caller) = traced(true);
            let (began, pool) = (SystemTime::now(), snakepit.default_pool());
            let places: Vec<Place> = pool
                .call(tool)
                .args(args! { "count" => 5 })
                .options(&options)
                .stream()
                .await
                .unwrap()
                .map(Result::unwrap)
                .collect()
                .await;
            let span = got.span("snakepit.tool").await;
            check(&span, tool, caller, began);
            assert_eq!(number(&span, "snakepit.stream.chunks"), Some(5));
            assert!(
                places
                    .iter()
                    .all(|place| place.0 == Some(hex(span.context)))
            );
            assert_eq!(places.len(), 5, "{profile}: {tool}");
        }
        for tool in ["where", "where_async"] {
            let (options, caller) = traced(true);
            let began = SystemTime::now();
            let args = snakepit_core::value::Payload::encode(&()).unwrap();
            let items = vec![args; 3];
            let pool = snakepit.default_pool();
            let mut results = pool.raw().execute_many(tool, items, &options);
            let mut items = 0;
            while let Some(result) = results.next().await {
                let place: Place = result.unwrap().decode().unwrap();
                assert!(place.0.is_some(), "{profile}: {tool}");
                items += 1;
            }
            assert_eq!(items, 3);
            let mut told = 0;
            while told < 3 {
                let span = got.span("snakepit.tool").await;
                check(&span, tool, caller, began);
                told += number(&span, "snakepit.batch.items").unwrap();
            }
            assert_eq!(told, 3, "{profile}: {tool}");
        }
        let (options, caller) = traced(true);
        let began = SystemTime::now();
        let failed = snakepit.call::<()>("fails").options(&options).await;
        failed.unwrap_err();
        let span = got.span("snakepit.tool").await;
        check(&span, "fails", caller, began);
        assert_eq!(span.error.as_deref(), Some("SP3001: ValueError"));
        assert_eq!(text(&span, "error.type"), Some("SP3001"));
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_not_sampled_has_its_place_and_no_span() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let (options, caller) = traced(false);
        let place: Place = snakepit.call("where").options(&options).await.unwrap();
        let trace = place.0.unwrap();
        assert!(trace.starts_with(&hex(caller)[..32]) && trace.ends_with("00"));
        // Without a trace the tool sees the call, and nothing of an earlier trace.
        for tool in ["where", "where_async"] {
            let place: Place = snakepit.execute(tool, ()).await.unwrap();
            assert!(place.0.is_none() && place.1 > 0 && place.2.is_none());
        }
        // The next span belongs to the next sampled call.
        let (options, caller) = traced(true);
        let began = SystemTime::now();
        let _: Place = snakepit.call("where").options(&options).await.unwrap();
        check(&got.span("snakepit.tool").await, "where", caller, began);
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_followed_and_threads_are_not() {
    let snakepit = start("process").await;
    let (options, _) = traced(true);
    let [bare, copied]: [Place; 2] = snakepit
        .call("where_thread")
        .options(&options)
        .await
        .unwrap();
    assert_eq!(bare, (None, 0, None));
    assert!(copied.0.is_some() && copied.1 > 0);
    let (options, _) = traced(true);
    let first: Place = snakepit
        .call("leaves_a_task")
        .options(&options)
        .await
        .unwrap();
    let (options, _) = traced(true);
    let [left, own]: [Place; 2] = snakepit
        .call("what_the_task_saw")
        .options(&options)
        .await
        .unwrap();
    assert_eq!(left, first, "a task stays in the call that has started it");
    assert_ne!(own.1, first.1);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_leaves_the_span_of_its_call() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let mut events = snakepit.default_pool().raw().events().subscribe(1024);
        let (options, caller) = traced(true);
        let began = SystemTime::now();
        let died = snakepit.call::<()>("dies").options(&options).await;
        assert_eq!(died.unwrap_err().code().as_str(), "SP5001");
        let span = got.span("snakepit.tool").await;
        check(&span, "dies", caller, began);
        let error = span.error.as_deref().unwrap();
        assert!(
            error.starts_with("SP5001: ") && error.contains("SIGKILL"),
            "{error}"
        );
        assert_eq!(text(&span, "snakepit.cancel.step"), None);
        let custom = recorded::custom(&mut events, "tool.last words").await;
        let call = number(&span, "snakepit.call.id").unwrap().unsigned_abs();
        assert_eq!(custom.call.map(|call| call.0), Some(call));
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_span_of_a_call_that_times_out_says_what_has_stopped_it() {
    let dir = tempfile::tempdir().unwrap();
    let cases = [
        ("process", "sleeps", &["exception", "interrupt"][..]),
        ("thread", "sleeps", &["exception", "interrupt"]),
        ("event loop", "sleeps", &["exception", "interrupt"]),
        ("process", "awaits", &["task"]),
        ("event loop", "awaits", &["task"]),
        ("process", "hangs", &["kill"]),
    ];
    for (index, (profile, tool, steps)) in cases.into_iter().enumerate() {
        let pool = pool(profile).configure(|config| config.cancel_grace = Duration::from_secs(3));
        let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
        let mut got = recorded(&snakepit);
        let here = dir.path().join(index.to_string());
        let (mut options, caller) = traced(true);
        options.timeout = Some(Duration::from_secs(2));
        let began = SystemTime::now();
        let args = args! { "path" => here.to_str().unwrap() };
        let late = snakepit.call::<()>(tool).args(args).options(&options).await;
        assert_eq!(late.unwrap_err().code().as_str(), "SP4003");
        file(&here).await;
        let span = got.span("snakepit.tool").await;
        check(&span, tool, caller, began);
        let step = text(&span, "snakepit.cancel.step");
        assert!(
            steps.contains(&step.unwrap()),
            "{profile}: {tool}: {step:?}"
        );
        assert!(span.error.is_some());
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_leaves_a_span_too() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("here");
    let snakepit = start("process").await;
    let mut got = recorded(&snakepit);
    let pid = snakepit.workers()[0].pid.unwrap();
    let (options, caller) = traced(true);
    let began = SystemTime::now();
    let args = args! { "path" => here.to_str().unwrap() };
    let killed = async {
        file(&here).await;
        kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    };
    let (died, ()) = tokio::join!(
        snakepit
            .call::<()>("sleeps")
            .args(args)
            .options(&options)
            .into_future(),
        killed
    );
    died.unwrap_err();
    check(&got.span("snakepit.tool").await, "sleeps", caller, began);
    snakepit.shutdown().await;
}
