//! Telemetry from code in workers, and its settings.

use std::collections::BTreeMap;
use std::time::Duration;

use snakepit::{Snakepit, Value, args};
use snakepit_core::events::Event;
use snakepit_core::events::record::SpanKind;
use snakepit_core::worker::TelemetryControl;
use tokio::time::timeout;

use super::recorded::{self, Got, recorded};
use super::{ADAPTER, PROFILES, number, pool, start, text, traced};
use crate::support::{LONG, file, pool_of};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_call_reach_the_host_as_what_they_are() {
    for profile in PROFILES {
        let snakepit = start(profile).await;
        let mut got = recorded(&snakepit);
        let mut events = snakepit.default_pool().raw().events().subscribe(1024);
        let (options, caller) = traced(true);
        snakepit
            .call::<()>("reports")
            .args(args! { "name" => "mine" })
            .options(&options)
            .await
            .unwrap();
        let (mut worker, mut own, mut log, mut measured) = (None, None, None, None);
        while worker.is_none() || own.is_none() || log.is_none() || measured.is_none() {
            match got.next().await {
                Got::Span(span) if span.name == "snakepit.tool" => worker = Some(span),
                Got::Span(span) if span.name == "mine" => own = Some(span),
                Got::Span(_) => {}
                Got::Log(it) => log = Some(it),
                Got::Measurement(it) => measured = Some(it),
            }
        }
        let (worker, own) = (worker.unwrap(), own.unwrap());
        let call = number(&worker, "snakepit.call.id");
        assert_eq!(own.parent, Some(worker.context.span_id()));
        assert_eq!(own.context.trace_id(), caller.trace_id());
        assert_eq!(own.context.span_id(), [1; 8]);
        assert_eq!(number(&own, "snakepit.call.id"), call);
        assert_eq!(
            (number(&own, "n"), text(&own, "t")),
            (Some(1), Some("text"))
        );
        assert_eq!(own.kind, SpanKind::Client);
        let log = log.unwrap();
        assert_eq!((log.level, &*log.logger), (tracing::Level::WARN, "a.b"));
        assert!(log.message.starts_with("mine ") && !log.message.contains("hunter22"));
        assert_eq!(log.trace, Some(worker.context));
        let origin = log.origin.call.map(|call| call.0.cast_signed());
        assert_eq!(origin, call);
        let measured = measured.unwrap();
        assert_eq!((&*measured.name, measured.value), ("mine", 3.0));
        let event = recorded::custom(&mut events, "python.mine").await;
        assert_eq!(event.call.map(|call| call.0.cast_signed()), call);
        assert_eq!(event.metadata.get("detail").map(|it| &**it), Some("text"));
        let other = recorded::custom(&mut events, "tool.other call").await;
        assert_eq!(other.call, None, "no worker speaks for the calls of others");
        snakepit.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_sent_while_the_gil_is_held_and_when_the_worker_ends() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().join("here");
    let pool = pool("process").configure(|config| config.cancel_grace = Duration::from_millis(200));
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let mut events = snakepit.default_pool().raw().events().subscribe(4096);
    {
        let args = args! { "path" => here.to_str().unwrap() };
        let mut held = std::pin::pin!(snakepit.execute::<()>("hangs", args));
        let came = async {
            file(&here).await;
            recorded::custom(&mut events, "tool.held").await
        };
        let event = tokio::select! {
            ended = &mut held => panic!("{ended:?}"),
            event = came => event,
        };
        assert!(event.call.is_some() && event.pool.is_some());
    }
    snakepit.shutdown().await;
    let ending = pool_of("main", &format!("{ADAPTER}:Ending"));
    let snakepit = Snakepit::builder().pool(ending).start().await.unwrap();
    let mut events = snakepit.default_pool().raw().events().subscribe(4096);
    snakepit.shutdown().await;
    let event = recorded::custom(&mut events, "tool.cleaned").await;
    assert_eq!(event.call, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_is_counted() {
    // A worker that has to be killed reports nothing further.
    let pool = pool("process").configure(|config| config.stop_grace = LONG);
    let snakepit = Snakepit::builder().pool(pool).start().await.unwrap();
    let mut events = snakepit.default_pool().raw().events().subscribe(65536);
    let count = 50_000;
    let refused: i64 = snakepit
        .execute("floods", args! { "count" => count })
        .await
        .unwrap();
    snakepit.shutdown().await;
    let (mut came, mut dropped) = (0, 0);
    while came + dropped < count {
        match timeout(LONG, events.next()).await.unwrap().unwrap().event {
            Event::Custom(ref event) if &*event.name == "tool.flood" => came += 1,
            ref event => dropped += recorded::dropped(event),
        }
    }
    assert_eq!(came + dropped, count);
    assert!(dropped >= refused, "{dropped} dropped, {refused} refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forked_copy_speaks_for_nobody() {
    let snakepit = start("process").await;
    assert_eq!(snakepit.execute::<i64>("forks", ()).await.unwrap(), 0);
    snakepit.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_workers_that_run_and_those_that_start() {
    let snakepit = start("process").await;
    let mut events = snakepit.default_pool().raw().events().subscribe(4096);
    let pool = snakepit.default_pool();
    let (version, first) = settings(&snakepit).await;
    assert!(version > 0);
    assert_eq!(first["enabled"], Value::Bool(true));
    let mut control = TelemetryControl::new();
    control.sampling = 0.25;
    control.deny = vec!["urllib3.*".into()];
    control.levels = [("a".to_owned(), 40)].into();
    pool.raw().set_telemetry(control.clone()).unwrap();
    assert_eq!(pool.raw().telemetry(), control);
    let changed = |settings: &BTreeMap<String, Value>| settings["sampling"] == Value::Float(0.25);
    // The frame takes another connection than the calls.
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let until = async {
        loop {
            let (_, settings) = settings(&snakepit).await;
            if changed(&settings) {
                return settings;
            }
            tick.tick().await;
        }
    };
    let seen = timeout(LONG, until).await.unwrap();
    assert_eq!(seen["deny"], Value::List(vec![Value::from("urllib3.*")]));
    assert_eq!(
        seen["levels"],
        Value::Map(vec![("a".into(), Value::from(40))])
    );
    // A worker that starts later has them when it loads its adapter.
    let old = snakepit.workers()[0].id.clone();
    let replaced = pool.raw().recycle(&old).await.unwrap();
    let (_, of_new) = settings(&snakepit).await;
    assert!(changed(&of_new), "{of_new:?}");
    let off = pool
        .raw()
        .set_worker_telemetry(&replaced, &TelemetryControl::off());
    assert!(off.unwrap());
    assert!(
        !pool
            .raw()
            .set_worker_telemetry(&"main-99".into(), &TelemetryControl::off())
            .unwrap()
    );
    let quiet = async {
        while settings(&snakepit).await.1["enabled"] != Value::Bool(false) {
            tick.tick().await;
        }
    };
    timeout(LONG, quiet).await.unwrap();
    // Nothing is reported any more, once Python's copy of the settings has followed.
    let refused = async {
        while snakepit
            .execute::<i64>("floods", args! { "count" => 10 })
            .await
            .unwrap()
            < 10
        {
            tick.tick().await;
        }
    };
    timeout(LONG, refused).await.unwrap();
    pool.raw().set_telemetry(TelemetryControl::new()).unwrap();
    let heard = async {
        while snakepit
            .execute::<i64>("floods", args! { "count" => 1 })
            .await
            .unwrap()
            > 0
        {
            tick.tick().await;
        }
    };
    timeout(LONG, heard).await.unwrap();
    recorded::custom(&mut events, "tool.flood").await;
    let mut wrong = TelemetryControl::new();
    wrong.sampling = 2.0;
    let error = pool.raw().set_telemetry(wrong).unwrap_err();
    assert_eq!(error.key, "telemetry.sampling");
    snakepit.shutdown().await;
}

async fn settings(snakepit: &Snakepit) -> (u64, BTreeMap<String, Value>) {
    snakepit.execute("settings", ()).await.unwrap()
}
