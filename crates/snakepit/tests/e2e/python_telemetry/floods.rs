//! More records than fit in the host's queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use snakepit::args;
use snakepit_core::events::{Event, kind};

use super::{log, start};
use crate::telemetry::recorded::{Got, dropped, recorded, recorded_holding};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_records_is_dropped_and_counted() {
    let snakepit = start("process").await;
    let mut got = recorded(&snakepit);
    let mut events = snakepit.default_pool().raw().events().subscribe(65_536);
    let count = 30_000;
    snakepit
        .execute::<()>("floods", args! { "n" => count })
        .await
        .unwrap();
    snakepit.shutdown().await;
    let mut lost = 0;
    while let Some(emitted) = events.try_next() {
        lost += dropped(&emitted.event);
    }
    let mut came = 0;
    while let Some(record) = got.try_next() {
        came += i64::from(matches!(record, Got::Log(_)));
    }
    assert_eq!(came + lost, count, "{came} came, {lost} were dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn increments_of_counters_are_never_lost() {
    let snakepit = start("process").await;
    let (mut got, held) = recorded_holding(&snakepit);
    let no_room = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&no_room);
    let events = snakepit.default_pool().raw().events().clone();
    let _counting = events.on_kinds(&[kind::TelemetryDropped], move |event| {
        if let Event::TelemetryDropped {
            reason: "host_queue_full",
            records,
            ..
        } = event
        {
            counted.fetch_add(*records, Ordering::Relaxed);
        }
    });
    // Nothing reads the records from here on, so that most of them do not fit.
    let args = args! { "level" => 40, "text" => "hold" };
    snakepit.execute::<i64>("says", args).await.unwrap();
    assert_eq!(log(&mut got).await.message, "hold");
    let count = 20_000;
    snakepit
        .execute::<()>("counts", args! { "n" => count })
        .await
        .unwrap();
    drop(held);
    // The worker reports its dropped records at its end.
    snakepit.shutdown().await;
    let mut sum = 0.0;
    while sum < f64::from(count) {
        if let Got::Measurement(it) = got.next().await {
            sum += it.value;
        }
    }
    while let Some(record) = got.try_next() {
        assert!(!matches!(record, Got::Measurement(_)), "{record:?}");
    }
    assert_eq!(sum, f64::from(count));
    assert!(no_room.load(Ordering::Relaxed) > 0, "all had room");
}
