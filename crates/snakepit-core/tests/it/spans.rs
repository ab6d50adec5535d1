//! The spans of calls and host tools, as a recorder receives them.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use schemars::JsonSchema;
use serde::Deserialize;
use snakepit_core::call::CallOptions;
use snakepit_core::error::ErrorCode;
use snakepit_core::events::record::{Attribute, Begun, Log, Measurement, Recorder, Span, SpanKind};
use snakepit_core::events::{TraceContext, TraceState};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool, ToolCall, ToolContext};
use snakepit_core::id::WorkerId;
use snakepit_core::policy::RetryPolicy;
use snakepit_core::pool::Pool;
use snakepit_core::testing::ScriptedProfile;

use crate::support::{LONG, begin, begin_with, config, payload, ready, start, until};

/// Keeps the spans. With `None` in `sampled` it begins none.
#[derive(Clone, Debug)]
struct Kept {
    spans: Arc<Mutex<Vec<Span>>>,
    sampled: Option<bool>,
}

impl Recorder for Kept {
    fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        let sampled = self.sampled?;
        Some(Begun {
            context: parent.map_or_else(|| TraceContext::start(sampled), TraceContext::child),
            parent: parent.map(|parent| parent.span_id()),
            state: TraceState::default(),
        })
    }

    fn span(&self, span: Span) {
        self.spans.lock().unwrap().push(span);
    }

    fn log(&self, _: &Log) {}

    fn measurement(&self, _: &Measurement) {}
}

impl Kept {
    fn new() -> Self {
        Self {
            spans: Arc::default(),
            sampled: Some(true),
        }
    }

    /// Attaches a recorder to this pool.
    fn attach(pool: &Pool) -> Self {
        let this = Self::new();
        pool.events().set_recorder(Some(Box::new(this.clone())));
        this
    }

    fn count(&self) -> usize {
        self.spans.lock().unwrap().len()
    }

    /// Takes the spans so far, in order of their start; each lies within its parent.
    fn take(&self) -> Vec<Span> {
        let mut spans = std::mem::take(&mut *self.spans.lock().unwrap());
        spans.sort_by_key(|span| span.start);
        let by_id: BTreeMap<_, _> = spans
            .iter()
            .map(|span| (span.context.span_id(), (span.start, span.end)))
            .collect();
        assert_eq!(by_id.len(), spans.len(), "ids are unique");
        for span in &spans {
            assert!(span.start <= span.end, "{span:?}");
            for event in &span.events {
                assert!(span.start <= event.at && event.at <= span.end, "{span:?}");
            }
            if let Some((start, end)) = span.parent.and_then(|parent| by_id.get(&parent)) {
                assert!(*start <= span.start && span.end <= *end, "{span:?}");
            }
        }
        spans
    }
}

fn get(span: &Span, name: &str) -> String {
    let mut found = span.attributes.iter().filter(|(own, _)| own == name);
    let value = found.next().map(|(_, value)| match value {
        Attribute::Text(text) => text.to_string(),
        Attribute::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    });
    assert!(found.next().is_none(), "{name} occurs twice");
    value.unwrap_or_default()
}

fn moments(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_span_under_that_of_its_caller() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let kept = Kept::attach(&pool);
    let mut options = CallOptions::new();
    let caller = TraceContext::start(true);
    options.trace = Some(caller);
    pool.execute("nap", payload(1), &options).await.unwrap();
    let spans = kept.take();
    assert_eq!(names(&spans), ["snakepit.call"]);
    let span = &spans[0];
    assert_eq!(span.context.trace_id(), caller.trace_id());
    assert_eq!(span.parent, Some(caller.span_id()));
    assert_eq!((span.kind, &span.error), (SpanKind::Client, &None));
    assert_eq!(span.end.duration_since(span.start).unwrap().as_millis(), 10);
    assert_eq!(moments(span), ["snakepit.dispatched"]);
    for (name, value) in [
        ("snakepit.pool", "test"),
        ("snakepit.tool", "nap"),
        ("snakepit.worker", "test-1"),
        ("snakepit.outcome", "ok"),
        ("snakepit.attempts", "1"),
        ("snakepit.queue.duration_us", "0"),
        ("error.type", ""),
    ] {
        assert_eq!(get(span, name), value, "{name}");
    }
    assert!(!get(span, "snakepit.call.id").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sampled_or_not_recorded_has_no_span() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    for sampled in [None, Some(false)] {
        let kept = Kept {
            spans: Arc::default(),
            sampled,
        };
        pool.events().set_recorder(Some(Box::new(kept.clone())));
        begin(&pool, "nap").await.await.unwrap().unwrap();
        assert_eq!(kept.count(), 0);
    }
    let kept = Kept::attach(&pool);
    // A call that has begun keeps its recorder.
    let call = begin(&pool, "hang").await;
    pool.events().set_recorder(None);
    begin_with(&pool, "echo", CallOptions::new()).await.abort();
    call.abort();
    until(|| kept.count() == 1).await;
    assert_eq!(get(&kept.take()[0], "snakepit.tool"), "hang");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_a_child_span() {
    let profile = ScriptedProfile::new(1);
    let pool = ready(config(1), &profile).await;
    let kept = Kept::attach(&pool);
    let first = begin(&pool, "gate").await;
    let second = begin(&pool, "echo").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    profile.allow(1);
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    let waits = CallOptions::new().queue_timeout(Duration::from_millis(5));
    let gate = begin(&pool, "gate").await;
    pool.execute("late", payload(1), &waits).await.unwrap_err();
    profile.allow(1);
    gate.await.unwrap().unwrap();
    let spans = kept.take();
    let of = |tool: &str| {
        let mut calls = spans
            .iter()
            .filter(|span| get(span, "snakepit.tool") == tool);
        calls.next().unwrap()
    };
    for (tool, millis, error) in [("echo", 30, None), ("late", 5, Some("SP4002"))] {
        let call = of(tool);
        let parent = Some(call.context.span_id());
        let queue: Vec<_> = spans.iter().filter(|span| span.parent == parent).collect();
        assert_eq!(queue.len(), 1, "{spans:?}");
        assert_eq!(
            (&*queue[0].name, queue[0].kind),
            ("snakepit.queue", SpanKind::Internal)
        );
        assert_eq!(queue[0].error.as_deref(), error);
        let took = queue[0].end.duration_since(queue[0].start).unwrap();
        assert_eq!(took.as_millis(), millis);
        assert_eq!(
            get(call, "snakepit.queue.duration_us"),
            (millis * 1000).to_string()
        );
        assert_eq!(call.error.as_deref(), error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_a_moment_of_the_same_span() {
    let mut config = config(2);
    config.restart.max_restarts = 1000;
    config.restart.initial_backoff = Duration::ZERO;
    config.retry = Some(RetryPolicy::default());
    let profile = ScriptedProfile::new(1);
    let pool = ready(config, &profile).await;
    let kept = Kept::attach(&pool);
    let call = begin_with(&pool, "gate", CallOptions::new().idempotent()).await;
    let mut workers = profile.workers().into_iter();
    let busy = workers.find(|worker| worker.running() == 1).unwrap();
    busy.die("killed", false);
    until(|| pool.status().errors == 1).await;
    profile.allow(1);
    call.await.unwrap().unwrap();
    let spans = kept.take();
    let call = spans
        .iter()
        .find(|span| span.name == "snakepit.call")
        .unwrap();
    assert_eq!(
        moments(call),
        [
            "snakepit.dispatched",
            "snakepit.retry",
            "snakepit.dispatched"
        ]
    );
    assert_eq!(get(call, "snakepit.attempts"), "2");
    assert_eq!(
        (get(call, "snakepit.outcome").as_str(), &call.error),
        ("ok", &None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_tells_the_step_that_stopped_its_tool() {
    for (tool, dropped, step) in [
        ("hang", false, "flag"),
        ("hang", true, "flag"),
        ("stuck", false, "kill"),
        ("stuck", true, "kill"),
    ] {
        let pool = ready(config(1), &ScriptedProfile::new(1)).await;
        let kept = Kept::attach(&pool);
        let time = Duration::from_millis(20);
        let options = CallOptions::new().timeout(if dropped { LONG } else { time });
        let call = pool.execute(tool, payload(1), &options);
        let (outcome, code) = if dropped {
            tokio::time::timeout(time, call).await.unwrap_err();
            ("cancelled", "SP3002")
        } else {
            call.await.unwrap_err();
            ("call_timeout", "SP4003")
        };
        let deadline = tokio::time::Instant::now() + LONG;
        while kept.count() == 0 {
            tokio::time::sleep(time).await;
            assert!(tokio::time::Instant::now() < deadline);
        }
        let spans = kept.take();
        assert_eq!(names(&spans), ["snakepit.call"]);
        assert_eq!(
            get(&spans[0], "snakepit.cancel.step"),
            step,
            "{tool} {dropped}"
        );
        assert_eq!(get(&spans[0], "snakepit.outcome"), outcome);
        assert_eq!(spans[0].error.as_deref(), Some(code));
        // The time of the caller, not that of the tool.
        let took = spans[0].end.duration_since(spans[0].start).unwrap();
        assert_eq!(took, time, "{tool} {dropped}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_a_batch_have_one_span_each() {
    let pool = ready(config(1), &ScriptedProfile::new(1)).await;
    let kept = Kept::attach(&pool);
    let options = CallOptions::new();
    let stream = pool.execute_stream("count", payload(1), &options);
    let chunks: Vec<_> = stream.await.unwrap().take(3).collect().await;
    assert_eq!(chunks.len(), 3);
    until(|| kept.count() == 1).await;
    let span = &kept.take()[0];
    assert_eq!(get(span, "snakepit.stream.chunks"), "3");
    assert_eq!(get(span, "snakepit.stream.first_chunk_us"), "0");
    assert_eq!(get(span, "snakepit.cancel.step"), "flag");
    let items = [payload(1), payload(2)];
    let results: Vec<_> = pool.execute_many("fail", items, &options).collect().await;
    assert_eq!(results.len(), 2);
    let spans = kept.take();
    let calls = spans.iter().filter(|span| span.name == "snakepit.call");
    assert!(calls.clone().count() >= 1);
    for call in calls {
        assert_eq!(get(call, "snakepit.outcome"), "error");
        assert_eq!(call.error.as_deref(), Some("SP3001"));
    }
}

#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// Rust caller, worker, host tool, worker in another pool: parents, times and one trace. The
/// worker's own span belongs to the link.
#[tokio::test]
async fn a_nested_call_joins_the_trace() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let profile = ScriptedProfile::new(1).with_state(state.clone());
    let pool = start(config(1), &profile);
    pool.await_all_ready(LONG).await.unwrap();
    let kept = Kept::attach(&pool);
    let inner = pool.clone();
    let nested = HostTool::asynchronous("nested", move |context: ToolContext, _: Nothing| {
        let pool = inner.clone();
        async move {
            assert_eq!(context.correlation().map(|text| &**text), Some("order-7"));
            let reply = pool.execute("nap", payload(1), &context.options()).await;
            Ok(reply.is_ok())
        }
    });
    let fails = HostTool::sync("fails", |_, _: Nothing| -> Result<(), _> {
        Err(snakepit_core::host_tools::ToolFailure::new("no"))
    });
    state.tools().register(nested.exposed()).unwrap();
    state.tools().register(fails.exposed()).unwrap();
    let worker = TraceContext::start(true);
    let mut call = ToolCall::new();
    call.worker = Some(WorkerId::new("other-1"));
    call.trace = Some(worker);
    call.correlation = Some("order-7".into());
    let args = snakepit_core::value::Payload::encode(&BTreeMap::<String, u64>::new()).unwrap();
    let tools = state.tools();
    tools
        .call(call.clone(), "nested", args.clone())
        .await
        .unwrap();
    let spans = kept.take();
    assert_eq!(names(&spans), ["snakepit.host_tool", "snakepit.call"]);
    let (tool, nap) = (&spans[0], &spans[1]);
    assert_eq!(tool.parent, Some(worker.span_id()));
    assert_eq!(nap.parent, Some(tool.context.span_id()));
    assert_eq!(nap.context.trace_id(), worker.trace_id());
    assert_eq!((tool.kind, nap.kind), (SpanKind::Server, SpanKind::Client));
    assert_eq!(get(tool, "snakepit.tool"), "nested");
    assert_eq!(get(tool, "snakepit.outcome"), "ok");

    for (name, code) in [
        ("fails", ErrorCode::HostToolFailed),
        ("unknown", ErrorCode::UnknownHostTool),
    ] {
        let error = tools.call(call.clone(), name, args.clone()).await;
        assert_eq!(error.unwrap_err().code, code);
        let spans = kept.take();
        assert_eq!(names(&spans), ["snakepit.host_tool"]);
        assert_eq!(spans[0].error.as_deref(), Some(code.as_str()));
    }
    // If a worker's call is not traced, neither are the calls nested in it.
    call.trace = None;
    tools.call(call, "nested", args).await.unwrap();
    let spans = kept.take();
    assert!(!names(&spans).contains(&"snakepit.host_tool"));
}
