//! The workers' spans of calls: the context that is sent, the reports that come back, and their
//! limits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use prost::Message as _;
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::events::record::{Attribute, Begun, Log, Measurement, Recorder, Span};
use snakepit_core::events::{Events, TraceContext};
use snakepit_core::id::{CallId, WorkerId};
use snakepit_core::value::Payload;
use snakepit_grpc::frame::{FLAG_LAST, Kind};
use snakepit_grpc::link::{HostRequest, HostRequests, LinkClient, Source};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, Peer, frame, request};

#[derive(Debug)]
struct Spans(Sender<Span>);

impl Recorder for Spans {
    fn begin(&self, _: Option<TraceContext>) -> Option<Begun> {
        None
    }

    fn span(&self, span: Span) {
        self.0.send(span).unwrap();
    }

    fn log(&self, _: &Log) {}
    fn measurement(&self, _: &Measurement) {}
}

fn source() -> (Source, Receiver<Span>) {
    let (sender, spans) = channel();
    let events = Events::new();
    events.set_recorder(Some(Box::new(Spans(sender))));
    (Source::new("pool".into(), "pool-1".into(), events), spans)
}

fn pair() -> (LinkClient, Peer, Receiver<Span>) {
    let (host, worker) = UnixStream::pair().unwrap();
    let (source, spans) = source();
    (LinkClient::new(host, LIMIT).of(source), Peer(worker), spans)
}

fn traced(sampled: bool) -> (Request, TraceContext) {
    let caller = TraceContext::start(sampled);
    let mut call = request(*b"\xc0");
    call.trace = Some(caller);
    (call, caller)
}

/// Receives the next call. Returns its number and the worker's span of it.
async fn called(peer: &mut Peer) -> (u64, Option<TraceContext>) {
    let (header, head, _) = peer.receive().await.unwrap();
    let head = pb::ExecuteToolRequest::decode(&head[..]).unwrap();
    let trace = (!head.trace.is_empty()).then(|| TraceContext::from_bytes(&head.trace).unwrap());
    (header.call, trace)
}

/// Returns the report on a span that has just begun.
fn took(duration_ns: u64) -> pb::WorkerSpan {
    let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    pb::WorkerSpan {
        start_ns: start.unwrap().as_nanos() as u64,
        duration_ns,
        ..Default::default()
    }
}

fn attribute<'a>(span: &'a Span, name: &str) -> Option<&'a Attribute> {
    let mut attributes = span.attributes.iter();
    attributes
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn a_sampled_call_has_the_span_that_its_worker_measures() {
    let (client, mut peer, spans) = pair();
    let (call, caller) = traced(true);
    let worker = async {
        let (number, own) = called(&mut peer).await;
        let own = own.unwrap();
        assert_eq!(
            (own.trace_id(), own.is_sampled()),
            (caller.trace_id(), true)
        );
        assert_ne!(own.span_id(), caller.span_id());
        let head = took(1).encode_to_vec();
        peer.send(&frame(Kind::Reply, number, 0, &head, b"\xc0"))
            .await;
        own
    };
    let (result, own) = tokio::join!(client.call(&call), worker);
    result.unwrap();
    let span = spans.try_recv().unwrap();
    assert_eq!((span.context, span.parent), (own, Some(caller.span_id())));
    assert_eq!(
        span.end.duration_since(span.start).unwrap(),
        Duration::from_nanos(1)
    );
    assert_eq!((&*span.name, span.error), ("snakepit.tool", None));
}

#[tokio::test]
async fn other_calls_have_none_and_nothing_more_on_the_wire() {
    let (client, mut peer, spans) = pair();
    let plain = request(*b"\xc0");
    let (unsampled, caller) = traced(false);
    for call in [&plain, &unsampled] {
        let worker = async {
            let (number, own) = called(&mut peer).await;
            assert_eq!(
                own.map(|own| own.trace_id()),
                call.trace.map(|_| caller.trace_id())
            );
            assert!(own.is_none_or(|own| !own.is_sampled()));
            // A report that was not requested is ignored.
            let head = took(1).encode_to_vec();
            peer.send(&frame(Kind::Reply, number, 0, &head, b"\xc0"))
                .await;
        };
        let (result, ()) = tokio::join!(client.call(call), worker);
        result.unwrap();
    }
    drop(client);
    assert!(spans.try_recv().is_err());
}

#[tokio::test]
async fn a_worker_is_believed_within_what_can_be() {
    let (client, mut peer, spans) = pair();
    let far = pb::WorkerSpan {
        start_ns: u64::MAX,
        duration_ns: u64::MAX,
        items: u64::MAX,
        stopped: u32::MAX,
    };
    let heads = [far.encode_to_vec(), vec![0xff; 1000], vec![], vec![0x0a, 0]];
    for head in heads {
        let (call, caller) = traced(true);
        let before = SystemTime::now();
        let worker = async {
            let (number, own) = called(&mut peer).await;
            peer.send(&frame(Kind::Reply, number, 0, &head, b"\xc0"))
                .await;
            own
        };
        let (result, own) = tokio::join!(client.call(&call), worker);
        result.unwrap();
        let span = spans.try_recv().unwrap();
        assert_eq!(
            (Some(span.context), span.parent),
            (own, Some(caller.span_id()))
        );
        assert!(before <= span.start && span.start <= span.end);
        assert!(span.end <= SystemTime::now());
    }
}

#[tokio::test]
async fn errors_streams_and_batches_have_spans() {
    let (client, mut peer, spans) = pair();
    let (call, _) = traced(true);
    let worker = async {
        let (number, _) = called(&mut peer).await;
        let error = pb::ToolError {
            code: "SP5001".into(),
            r#type: "ValueError".into(),
            span: Some(pb::WorkerSpan {
                stopped: 2,
                ..took(7)
            }),
            ..Default::default()
        };
        peer.send(&frame(Kind::Error, number, 0, &error.encode_to_vec(), b""))
            .await;
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    result.unwrap_err();
    let span = spans.try_recv().unwrap();
    assert_eq!(
        span.error.as_deref(),
        Some("SP3001: ValueError"),
        "the codes of the host are its own"
    );
    let step = attribute(&span, "snakepit.cancel.step");
    assert_eq!(step, Some(&Attribute::Text("task".into())));

    let (call, _) = traced(true);
    let stream = client.stream(&call).unwrap();
    let (number, _) = called(&mut peer).await;
    peer.send(&frame(Kind::Chunk, number, 0, b"", b"\xc0"))
        .await;
    let head = pb::WorkerSpan {
        items: 1,
        ..took(7)
    };
    peer.send(&frame(Kind::End, number, 0, &head.encode_to_vec(), b""))
        .await;
    assert_eq!(stream.count().await, 1);
    let span = spans.try_recv().unwrap();
    let chunks = attribute(&span, "snakepit.stream.chunks");
    assert_eq!(chunks, Some(&Attribute::Integer(1)));

    let (call, _) = traced(true);
    let worker = async {
        let (number, _) = called(&mut peer).await;
        let item = b"\x00\x01\x00\x00\x00\xc0";
        peer.send(&frame(Kind::ManyReply, number, 0, b"", item))
            .await;
        let head = head.encode_to_vec();
        peer.send(&frame(Kind::ManyReply, number, FLAG_LAST, &head, b""))
            .await;
    };
    let items = [Payload::from_msgpack(vec![0xc0])];
    let (results, ()) = tokio::join!(client.call_many(&call, &items), worker);
    assert!(results[0].is_ok());
    let span = spans.try_recv().unwrap();
    assert!(attribute(&span, "snakepit.batch.items").is_some());
}

#[tokio::test]
async fn a_call_whose_worker_is_gone_has_the_span_that_the_host_knows_of() {
    let (client, mut peer, spans) = pair();
    let (call, caller) = traced(true);
    let worker = async {
        let (_, own) = called(&mut peer).await;
        client.cancel(call.call);
        drop(peer);
        own
    };
    let (result, own) = tokio::join!(client.call(&call), worker);
    result.unwrap_err();
    client.lose("killed by signal 9 (SIGKILL)");
    let span = spans.try_recv().unwrap();
    assert_eq!(
        (Some(span.context), span.parent),
        (own, Some(caller.span_id()))
    );
    let error = span.error.as_deref();
    assert_eq!(
        error,
        Some("SP5001: the worker is gone: killed by signal 9 (SIGKILL)")
    );
    let step = attribute(&span, "snakepit.cancel.step");
    assert_eq!(step, Some(&Attribute::Text("kill".into())));
    client.lose("once more");
    drop(client);
    assert!(spans.try_recv().is_err(), "there is one");
}

#[tokio::test]
async fn a_call_that_was_never_begun_has_no_span() {
    let (client, mut peer, spans) = pair();
    let (call, _) = traced(true);
    let worker = async {
        called(&mut peer).await;
        client.end_recalled(call.call);
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    result.unwrap_err();
    client.lose("gone");
    assert!(spans.try_recv().is_err());
    assert_eq!(client.number_of(call.call), Some(call.number));
    assert_eq!(client.number_of(CallId(u64::MAX)), None);
}

/// A handler that answers with the span of each request.
struct Asked;

#[async_trait]
impl HostRequests for Asked {
    async fn handle(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>> {
        let trace = request.caller.trace;
        let none = || Box::new(ToolError::new(ErrorCode::InvalidRequest, "no trace"));
        trace
            .map(|trace| Bytes::copy_from_slice(&trace.to_bytes()))
            .ok_or_else(none)
    }

    fn call_ended(&self, _: &WorkerId, _: CallId) {}
}

#[tokio::test]
async fn a_tool_asks_in_its_own_span_or_in_one_of_the_same_trace() {
    let (host, worker) = UnixStream::pair().unwrap();
    let client = LinkClient::with_host(host, LIMIT, "pool-1".into(), Arc::new(Asked));
    let mut peer = Peer(worker);
    let (call, caller) = traced(true);
    let worker = async {
        let (number, own) = called(&mut peer).await;
        let own = own.unwrap();
        let inner = own.child();
        let unsampled = TraceContext::new(own.trace_id(), inner.span_id(), false).unwrap();
        let foreign = TraceContext::start(true).to_bytes();
        let named: [(&[u8], TraceContext); 6] = [
            (b"", own),
            (&own.to_bytes(), own),
            (&inner.to_bytes(), inner),
            (&unsampled.to_bytes(), inner),
            (&foreign, own),
            (&[0; 25], own),
        ];
        for (at, (trace, expected)) in named.into_iter().enumerate() {
            let request = pb::HostRequest {
                call_id: number,
                op: 2,
                trace: Bytes::copy_from_slice(trace),
                ..Default::default()
            };
            let number = at as u64 + 1;
            let head = request.encode_to_vec();
            peer.send(&frame(Kind::HostCall, number, 0, &head, b""))
                .await;
            let (_, _, body) = peer.receive().await.unwrap();
            assert_eq!(body, expected.to_bytes(), "{trace:?}");
        }
        assert_eq!(own.trace_id(), caller.trace_id());
        peer.reply(number, b"\xc0").await;
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    result.unwrap();
}
