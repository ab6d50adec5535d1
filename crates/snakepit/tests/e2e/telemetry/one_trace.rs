//! One trace from a caller in Rust through Python and a host tool to Python in another pool.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use snakepit::{CallOptions, Error, HostTool, Snakepit, ToolContext, WeakSnakepit, args};
use snakepit_core::events::record::{Span, SpanKind};
use snakepit_core::events::{Event, TraceContext, TraceState};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::recorded::{Recorded, recorded_children};
use super::{ADAPTER, number, text};
use crate::support::{LONG, file, pool_of};

/// Largest difference between the clocks of two processes.
const SKEW: Duration = Duration::from_millis(5);

/// Trace state that the caller's tracing system attaches to its span.
const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";

/// A tool of the second pool, and the outcome of its call.
struct Case {
    tool: &'static str,
    /// Error code of the inner call.
    code: Option<&'static str>,
    /// Steps, one of which stops the tool.
    steps: &'static [&'static str],
}

const CASES: [Case; 5] = [
    Case {
        tool: "answers",
        code: None,
        steps: &[],
    },
    Case {
        tool: "counts",
        code: None,
        steps: &[],
    },
    Case {
        tool: "raises",
        code: Some("SP3001"),
        steps: &[],
    },
    Case {
        tool: "sleeps",
        code: Some("SP4003"),
        steps: &["exception", "interrupt"],
    },
    Case {
        tool: "is_killed",
        code: Some("SP5001"),
        steps: &[],
    },
];

#[derive(Deserialize, schemars::JsonSchema)]
struct Relay {
    tool: String,
    path: String,
}

/// Returns a host tool that calls a tool of the second pool.
fn relay(host: &Arc<OnceCell<WeakSnakepit>>) -> HostTool {
    let host = Arc::clone(host);
    HostTool::asynchronous(
        "relay",
        move |context: ToolContext, Relay { tool, path }| {
            let host = host.get().and_then(WeakSnakepit::upgrade);
            async move {
                let pool = host.expect("the host lives").pool("second")?;
                let (mut options, args) = (context.options(), args! { "path" => path });
                if tool == "sleeps" {
                    options.timeout = Some(Duration::from_secs(1));
                }
                if tool != "counts" {
                    let answer = pool
                        .call::<Option<i64>>(&*tool)
                        .args(args)
                        .options(&options);
                    return Ok(answer.await?.unwrap_or_default());
                }
                let mut chunks = pool
                    .call::<i64>(&*tool)
                    .args(args)
                    .options(&options)
                    .stream()
                    .await?;
                let mut sum = 0;
                while let Some(chunk) = chunks.next().await {
                    sum += chunk?;
                }
                Ok(sum)
            }
        },
    )
    .exposed()
}

async fn start() -> Snakepit {
    let host = Arc::new(OnceCell::new());
    let second = pool_of("second", ADAPTER).configure(|config| {
        config.cancel_grace = LONG;
    });
    let builder = Snakepit::builder()
        .pool(pool_of("first", ADAPTER))
        .pool(second);
    let snakepit = builder.host_tool(relay(&host)).start().await.unwrap();
    host.set(snakepit.downgrade()).unwrap();
    snakepit
}

/// Makes a call that has to wait for the only slot of the first pool.
async fn call(
    snakepit: &Snakepit,
    case: &Case,
    caller: TraceContext,
    dir: &Path,
) -> Result<i64, Error> {
    let held = dir.join("held");
    let first = snakepit.pool("first").unwrap();
    let mut queued = snakepit.events();
    let (path, there) = (held.to_str().unwrap(), dir.join("there"));
    let holds = first.execute::<()>("holds", args! { "path" => path });
    let waits = async {
        file(&held).await;
        let mut options = CallOptions::new();
        options.trace = Some(caller);
        options.trace_state = TraceState::parse(STATE);
        let args = args! { "tool" => case.tool, "path" => there.to_str().unwrap() };
        let pool = snakepit.pool("first").unwrap();
        pool.call::<i64>("relays")
            .args(args)
            .options(&options)
            .await
    };
    let release = async {
        while !matches!(
            &timeout(LONG, queued.next()).await.unwrap().unwrap().event,
            Event::CallQueued { tool, .. } if &**tool == "relays"
        ) {}
        std::fs::write(dir.join("held.go"), "go").unwrap();
    };
    let (held, answer, ()) = tokio::join!(holds, waits, release);
    held.unwrap();
    answer
}

/// Receives spans until the span of the whole call and all its descendants are there.
async fn take(got: &mut Recorded, spans: usize) -> Vec<Span> {
    let mut found = Vec::new();
    while found.len() < spans {
        found.push(got.any_span().await);
    }
    found
}

#[track_caller]
fn one<'a>(spans: &'a [Span], name: &str, tool: Option<&str>) -> &'a Span {
    let mut named = spans.iter().filter(|span| {
        span.name == name && tool.is_none_or(|tool| text(span, "snakepit.tool") == Some(tool))
    });
    let span = named
        .next()
        .unwrap_or_else(|| panic!("no {name} of {tool:?}: {spans:#?}"));
    assert!(named.next().is_none(), "{name} twice: {spans:#?}");
    span
}

/// Checks that a span is a child of another one, and lies within its time.
#[track_caller]
fn within(child: &Span, parent: &Span, outlives: bool) {
    assert_eq!(child.context.trace_id(), parent.context.trace_id());
    assert_eq!(
        child.parent,
        Some(parent.context.span_id()),
        "{child:#?} {parent:#?}"
    );
    assert!(child.start <= child.end);
    assert!(child.start + SKEW >= parent.start, "{child:#?} {parent:#?}");
    assert!(
        outlives || child.end <= parent.end + SKEW,
        "{child:#?} {parent:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_leads_from_rust_through_two_pools_and_a_host_tool() {
    for case in &CASES {
        let dir = tempfile::tempdir().unwrap();
        let snakepit = start().await;
        let mut got = recorded_children(&snakepit);
        let caller = TraceContext::start(true);
        let answer = call(&snakepit, case, caller, dir.path()).await;
        match case.code {
            None => assert_eq!(answer.unwrap(), if case.tool == "answers" { 7 } else { 10 }),
            Some(_) => assert_eq!(answer.unwrap_err().code().as_str(), "SP3001"),
        }
        let spans = take(&mut got, 6).await;
        let ids: std::collections::BTreeSet<_> =
            spans.iter().map(|span| span.context.span_id()).collect();
        assert_eq!(ids.len(), 6, "{spans:#?}");
        for span in &spans {
            assert_eq!(span.state.as_str(), STATE, "{span:#?}");
        }

        let outer = one(&spans, "snakepit.call", Some("relays"));
        assert_eq!(outer.parent, Some(caller.span_id()));
        assert_eq!(outer.context.trace_id(), caller.trace_id());
        assert_eq!(outer.kind, SpanKind::Client);
        assert_eq!(text(outer, "snakepit.pool"), Some("first"));
        assert_eq!(number(outer, "snakepit.attempts"), Some(1));

        let queue = one(&spans, "snakepit.queue", None);
        within(queue, outer, false);
        assert!(queue.end > queue.start);
        let relays = one(&spans, "snakepit.tool", Some("relays"));
        within(relays, outer, false);
        assert!(relays.start + SKEW >= queue.end);

        let host_tool = one(&spans, "snakepit.host_tool", Some("relay"));
        within(host_tool, relays, false);
        assert_eq!(host_tool.kind, SpanKind::Server);

        let inner = one(&spans, "snakepit.call", Some(case.tool));
        within(inner, host_tool, false);
        assert_eq!(text(inner, "snakepit.pool"), Some("second"));
        assert_eq!(text(inner, "error.type"), case.code);
        let tool = one(&spans, "snakepit.tool", Some(case.tool));
        within(tool, inner, case.code == Some("SP4003"));
        assert_eq!(tool.kind, SpanKind::Server);
        assert_eq!(tool.error.is_some(), case.code.is_some(), "{tool:#?}");
        let step = text(tool, "snakepit.cancel.step");
        assert_eq!(step.is_some(), !case.steps.is_empty());
        assert!(
            step.is_none_or(|step| case.steps.contains(&step)),
            "{step:?}"
        );
        if case.tool == "counts" {
            assert_eq!(number(inner, "snakepit.stream.chunks"), Some(5));
        }
        snakepit.shutdown().await;
    }
}
