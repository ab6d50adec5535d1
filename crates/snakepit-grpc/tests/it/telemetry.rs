//! Records of workers: their frames on the control connection, and the records that are read from
//! them.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use serde_json::json;
use snakepit_core::events::TraceContext;
use snakepit_core::events::record::{Attribute, SpanKind};
use snakepit_core::id::CallId;
use snakepit_core::value::Payload;
use snakepit_core::worker::TelemetryControl;
use snakepit_grpc::frame::{Kind, MAX_TELEMETRY};
use snakepit_grpc::link::{ControlClient, LinkEnd};
use snakepit_grpc::pb;
use snakepit_grpc::records::{Malformed, Record, Records, count};
use tokio::net::UnixStream;

use crate::peer::{Peer, frame};

fn reader() -> Records<impl FnMut(CallId) -> Option<CallId>> {
    Records::new("pool".into(), "pool-1".into(), |call| {
        (call.0 == 7).then_some(call)
    })
}

fn read(kind: u32, record: impl Into<Bytes>) -> Result<Option<Record>, Malformed> {
    let record = record.into();
    reader().read(&pb::TelemetryRecord { kind, record })
}

fn read_json(kind: u32, record: &serde_json::Value) -> Result<Option<Record>, Malformed> {
    read(kind, Payload::encode(record).unwrap().bytes)
}

/// Encodes a map of texts to values that are MessagePack already.
fn map(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![0x80 | entries.len() as u8];
    for (key, value) in entries {
        out.push(0xa0 | key.len() as u8);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(value);
    }
    out
}

fn bin(bytes: &[u8]) -> Vec<u8> {
    [&[0xc4, bytes.len() as u8], bytes].concat()
}

#[tokio::test]
async fn frames_are_handed_on_and_signs_of_life_go_between_them() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (sender, heads) = channel();
    let control =
        ControlClient::with_telemetry(host, Arc::new(move |head| sender.send(head).unwrap()));
    let mut peer = Peer(worker);
    let head = vec![7; MAX_TELEMETRY];
    let answer = async {
        let (ping, ..) = peer.receive().await.unwrap();
        peer.send(&frame(Kind::Telemetry, 0, 0, &head, b"")).await;
        peer.send(&frame(Kind::Pong, ping.call, 0, b"", b"")).await;
        peer
    };
    let (pulse, mut peer) = tokio::join!(control.ping(Duration::from_secs(60)), answer);
    assert!(pulse.is_some());
    assert_eq!(heads.recv().unwrap(), head);
    peer.send(&frame(Kind::Telemetry, 0, 0, &[7; MAX_TELEMETRY + 1], b""))
        .await;
    let LinkEnd::ProtocolBroken(reason) = control.ended().await else {
        panic!("the protocol is broken");
    };
    assert!(
        reason.contains("impossible length, 65537 bytes"),
        "{reason}"
    );
}

#[tokio::test]
async fn settings_are_told_when_they_change() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut peer) = (ControlClient::new(host), Peer(worker));
    let mut settings = TelemetryControl::new();
    settings.levels.insert("a.b".to_owned(), 30);
    control.set_telemetry(&settings);
    control.set_telemetry(&settings);
    control.set_telemetry(&TelemetryControl::off());
    let mut told = Vec::new();
    for _ in 0..2 {
        let (header, head, _) = peer.receive().await.unwrap();
        assert_eq!(header.kind, Kind::TelemetryControl);
        told.push(pb::TelemetrySettings::decode(&head[..]).unwrap());
    }
    assert!(told[0].enabled && !told[1].enabled);
    assert_eq!((told[0].sampling, told[0].levels["a.b"]), (1.0, 30));
}

#[test]
fn events_are_the_workers_own_whatever_they_are_called() {
    let names = [
        ("python.gc", "python.gc"),
        ("snakepit.python.gc", "python.gc"),
        ("tool.x", "tool.x"),
        ("worker.crashed", "tool.worker.crashed"),
        ("snakepit.worker.crashed", "tool.worker.crashed"),
    ];
    for (name, expected) in names {
        let record = json!({ "name": name, "metadata": { "a": "b" }, "measurements": { "n": 1, "x": 0.5 }, "call": 7 });
        let Ok(Some(Record::Event(event))) = read_json(1, &record) else {
            panic!("{name}");
        };
        assert_eq!(&*event.name, expected);
        assert_eq!((event.call, event.measurements.len()), (Some(CallId(7)), 2));
    }
    let Ok(Some(Record::Event(other))) = read_json(1, &json!({ "name": "x", "call": 8 })) else {
        panic!();
    };
    assert_eq!(other.call, None);
}

#[test]
fn budgets_leave_out_what_is_too_much() {
    let many: serde_json::Map<_, _> = (0..500).map(|n| (format!("a{n}"), json!(n))).collect();
    let mut log = json!({ "at_ns": 5, "level": 30, "logger": "x".repeat(500), "message": "ä".repeat(5000), "attributes": many });
    let Ok(Some(Record::Log(read))) = read_json(3, &log) else {
        panic!();
    };
    assert_eq!(
        (read.attributes.len(), read.logger.len()),
        (64, 256 + "…".len())
    );
    assert_eq!(
        (read.message.len(), read.level),
        (8192 + "…".len(), tracing::Level::WARN)
    );
    log["message"] = json!("x".repeat(16 << 10));
    assert_eq!(read_json(3, &log).unwrap_err(), Malformed);
    log["message"] = json!("m");
    log["attributes"] = json!({ "\u{1b}[2J": "hidden", "shown": true });
    let Ok(Some(Record::Log(read))) = read_json(3, &log) else {
        panic!();
    };
    assert_eq!(read.attributes, [("shown".into(), Attribute::Bool(true))]);
}

#[test]
fn spans_have_ids_and_are_sampled() {
    let context = TraceContext::start(true).to_bytes();
    let span = |trace: &[u8], parent: &[u8]| {
        let (trace, parent) = (bin(trace), bin(parent));
        let entries: [(&str, &[u8]); 6] = [
            ("name", b"\xa1s"),
            ("trace", &trace),
            ("parent", &parent),
            ("start_ns", b"\x09"),
            ("end_ns", b"\x05"),
            ("kind", b"\x01"),
        ];
        read(2, map(&entries))
    };
    let Ok(Some(Record::Span(good))) = span(&context, &[1; 8]) else {
        panic!();
    };
    assert_eq!(good.context.to_bytes(), context);
    assert_eq!((good.parent, good.kind), (Some([1; 8]), SpanKind::Server));
    assert_eq!(good.start, good.end, "it does not end before it starts");
    let mut unsampled = context;
    unsampled[24] = 0;
    assert!(matches!(span(&unsampled, &[1; 8]), Ok(None)));
    for (trace, parent) in [
        (&[0; 25][..], &[1; 8][..]),
        (&context[..24], &[1; 8]),
        (&context, &[0; 8]),
        (&context, &[1; 9]),
        (&[], &[1; 8]),
    ] {
        assert_eq!(span(trace, parent).unwrap_err(), Malformed);
    }
}

#[test]
fn where_a_record_comes_from_is_for_the_host_to_say() {
    let trace = bin(&TraceContext::start(true).to_bytes());
    let forged = json!({ "snakepit.pool": "other", "snakepit.worker": "other-1", "snakepit.call.id": 1, "mine": 2 });
    let attributes = Payload::encode(&forged).unwrap().bytes;
    let moment = map(&[
        ("name", b"\xa1m"),
        ("at_ns", b"\x01"),
        ("attributes", &attributes),
    ]);
    let entries: [(&str, &[u8]); 6] = [
        ("name", b"\xa1s"),
        ("trace", &trace),
        ("start_ns", b"\x01"),
        ("end_ns", b"\x02"),
        ("attributes", &attributes),
        ("events", &[&[0x91][..], &moment].concat()),
    ];
    let Ok(Some(Record::Span(span))) = read(2, map(&entries)) else {
        panic!();
    };
    let names: Vec<_> = span.attributes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["mine", "snakepit.pool", "snakepit.worker"]);
    let pool = Attribute::Text("pool".into());
    assert_eq!(span.attributes[1].1, pool);
    assert_eq!(span.events[0].attributes.len(), 1);
    let log =
        json!({ "at_ns": 5, "level": 30, "logger": "l", "message": "m", "attributes": forged });
    let Ok(Some(Record::Log(log))) = read_json(3, &log) else {
        panic!();
    };
    assert_eq!(log.attributes.len(), 1);
    let measurement = json!({ "name": "n", "instrument": 0, "value": 1, "attributes": forged });
    let Ok(Some(Record::Measurement(measurement))) = read_json(4, &measurement) else {
        panic!();
    };
    assert_eq!(measurement.attributes.len(), 1);
}

#[test]
fn what_is_no_record_is_malformed() {
    let measurement =
        |value: serde_json::Value| json!({ "name": "n", "instrument": 0, "value": value });
    assert!(matches!(
        read_json(4, &measurement(json!(2))),
        Ok(Some(Record::Measurement(_)))
    ));
    for (kind, record) in [
        (0, json!({ "name": "x" })),
        (5, json!({ "name": "x" })),
        (1, json!({})),
        (1, json!([])),
        (1, json!(null)),
        (1, json!({ "name": "" })),
        (1, json!({ "name": "\u{1b}" })),
        (1, json!({ "name": "x".repeat(257) })),
        (1, json!({ "name": "x", "measurements": { "a": "b" } })),
        (1, json!({ "name": "x", "metadata": { "a": 1 } })),
        (
            3,
            json!({ "at_ns": -1, "level": 1, "logger": "l", "message": "m" }),
        ),
        (
            3,
            json!({ "at_ns": 1, "level": "1", "logger": "l", "message": "m" }),
        ),
        (4, measurement(json!(-1))),
        (4, measurement(json!("1"))),
        (4, json!({ "name": "n", "instrument": 3, "value": 1 })),
    ] {
        assert_eq!(
            read_json(kind, &record).unwrap_err(),
            Malformed,
            "{kind} {record}"
        );
    }
    // A float that is not a number, and a map that claims more entries than it has.
    let nan = [&[0xcb], &f64::NAN.to_be_bytes()[..]].concat();
    let entries: [(&str, &[u8]); 3] =
        [("name", b"\xa1n"), ("instrument", b"\x01"), ("value", &nan)];
    assert_eq!(read(4, map(&entries)).unwrap_err(), Malformed);
    assert_eq!(
        read(1, &b"\xdf\xff\xff\xff\xff"[..]).unwrap_err(),
        Malformed
    );
    assert_eq!(
        read(1, [&[0x81, 0xa1, b'u'], &[0x91; 9000][..]].concat()).unwrap_err(),
        Malformed
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(kind in 0..6u32, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(kind, bytes.clone());
        let _ = count(&Bytes::from(bytes.clone()));
        reader().read_frame(bytes.into(), drop);
    }

    #[test]
    fn a_frame_is_counted_as_it_is_read(sizes in prop::collection::vec(0..300usize, 1..50), dropped: u64, too_large: u64) {
        let records: Vec<_> = sizes.iter().map(|size| {
            let record = Bytes::from(vec![0xc0; *size]);
            pb::TelemetryRecord { kind: 1, record }
        }).collect();
        let message = pb::Telemetry { records, dropped, too_large };
        let head = Bytes::from(message.encode_to_vec());
        let (counted, before) = count(&head);
        prop_assert_eq!(counted, sizes.len() as u64);
        prop_assert_eq!(before.too_large, too_large.min(dropped));
        prop_assert_eq!(before.queue_full, dropped - before.too_large);
        let told = reader().read_frame(head, |_| panic!("they are malformed"));
        prop_assert_eq!(told.malformed, sizes.len() as u64);
        prop_assert_eq!((told.queue_full, told.too_large), (before.queue_full, before.too_large));
    }
}
