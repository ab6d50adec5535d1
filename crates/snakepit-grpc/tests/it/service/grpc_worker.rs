//! Calls of a worker on gRPC that behaves in odd ways, a server of HTTP/2 frames here.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use h2::Reason;
use h2::server::SendResponse;
use prost::Message;
use snakepit_core::call::Request;
use snakepit_core::events::Events;
use snakepit_core::value::{Payload, Value};
use snakepit_core::worker::CallError;
use snakepit_grpc::link::Source;
use snakepit_grpc::pb;
use snakepit_grpc::service::{Address, GrpcWorker};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

const LIMIT: usize = 1 << 20;

/// A worker with these capabilities.
struct Worker {
    capabilities: &'static [&'static str],
    /// Calls that it refuses before it answers one.
    refused: AtomicUsize,
    /// Answers to a batch, whatever its number of items.
    answers: usize,
    /// Calls that have reached it and were not refused.
    calls: AtomicUsize,
}

impl Worker {
    fn new(capabilities: &'static [&'static str]) -> Self {
        Self {
            capabilities,
            refused: AtomicUsize::new(0),
            answers: 0,
            calls: AtomicUsize::new(0),
        }
    }

    fn refuses(self, calls: usize) -> Self {
        self.refused.store(calls, Ordering::SeqCst);
        self
    }

    /// Answers one request.
    async fn answer(&self, request: http::Request<h2::RecvStream>, mut to: SendResponse<Bytes>) {
        let rpc = request.uri().path().rsplit('/').next().unwrap().to_owned();
        let (mut body, mut sent) = (request.into_body(), BytesMut::new());
        while let Some(Ok(data)) = body.data().await {
            let _ = body.flow_control().release_capacity(data.len());
            sent.extend_from_slice(&data);
        }
        let refuse = |left: usize| left.checked_sub(1);
        let (seq, order) = (Ordering::SeqCst, &self.refused);
        if rpc == "ExecuteTool" && order.fetch_update(seq, seq, refuse).is_ok() {
            return to.send_reset(Reason::REFUSED_STREAM);
        }
        let answers = match &*rpc {
            "Ping" => vec![pb::PingResponse::default().encode_to_vec()],
            "Describe" => {
                let described = pb::DescribeResponse {
                    protocol_version: 1,
                    slots: 4,
                    capabilities: self.capabilities.iter().map(|it| (*it).into()).collect(),
                    ..pb::DescribeResponse::default()
                };
                vec![described.encode_to_vec()]
            }
            "ExecuteTool" => {
                self.calls.fetch_add(1, seq);
                vec![echo(&sent)]
            }
            "ExecuteToolMany" => vec![echo(&sent); self.answers],
            other => panic!("{other}"),
        };
        let head = http::Response::builder().header("content-type", "application/grpc");
        let mut stream = to.send_response(head.body(()).unwrap(), false).unwrap();
        for answer in answers {
            let mut framed = vec![0];
            framed.extend(u32::try_from(answer.len()).unwrap().to_be_bytes());
            framed.extend(answer);
            stream.send_data(framed.into(), false).unwrap();
        }
        let mut end = http::HeaderMap::new();
        end.insert("grpc-status", "0".parse().unwrap());
        stream.send_trailers(end).unwrap();
    }
}

/// Returns the answer that repeats the arguments of the first call.
fn echo(sent: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(sent[1..5].try_into().unwrap());
    let request = pb::ExecuteToolRequest::decode(&sent[5..5 + length as usize]).unwrap();
    let answer = pb::ExecuteToolResponse {
        success: true,
        payload: request.payload.clone(),
        encoding: request.encoding,
        ..pb::ExecuteToolResponse::default()
    };
    answer.encode_to_vec()
}

async fn serve(listener: UnixListener, worker: Arc<Worker>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let worker = Arc::clone(&worker);
        connections.spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut requests = JoinSet::new();
            while let Some(Ok((request, to))) = connection.accept().await {
                let worker = Arc::clone(&worker);
                requests.spawn(async move { worker.answer(request, to).await });
            }
        });
    }
}

/// Serves a worker, and connects to it.
async fn connected(worker: Worker, dir: &Path) -> (Arc<GrpcWorker>, Arc<Worker>, JoinSet<()>) {
    let path = dir.join("w");
    let worker = Arc::new(worker);
    let mut serving = JoinSet::new();
    serving.spawn(serve(
        UnixListener::bind(&path).unwrap(),
        Arc::clone(&worker),
    ));
    let source = Source::new("main".into(), "main-1".into(), Events::new());
    let any = Arc::new(|_| Ok(()));
    let link = GrpcWorker::connect(Address::Unix(path), any, source, "w".into(), LIMIT).await;
    (Arc::new(link.unwrap()), worker, serving)
}

fn request(args: &Payload) -> Request {
    Request::new("echo", args.clone())
}

#[tokio::test]
async fn a_refused_call_has_not_begun_until_the_worker_refuses_too_often() {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::new(&["msgpack"]).refuses(3);
    let (link, worker, _serving) = connected(worker, dir.path()).await;
    let args = Payload::encode(&1).unwrap();
    for _ in 0..3 {
        let refused = Arc::clone(&link).call(request(&args)).await;
        assert!(matches!(refused, Err(CallError::NotBegun)), "{refused:?}");
        assert!(!link.is_broken());
    }
    assert_eq!(Arc::clone(&link).call(request(&args)).await.unwrap(), args);
    assert_eq!(worker.calls.load(Ordering::SeqCst), 1);
    // The answer has ended the row of refusals.
    worker.refused.store(5, Ordering::SeqCst);
    for last in 1..=5 {
        let refused = Arc::clone(&link).call(request(&args)).await;
        assert!(matches!(refused, Err(CallError::NotBegun)), "{refused:?}");
        assert_eq!(link.is_broken(), last == 5);
    }
    let reason = link.broken().await;
    assert!(
        reason.contains("REFUSED_STREAM") && reason.contains("4 slots"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_batch_with_a_wrong_number_of_answers_costs_the_worker() {
    for (answers, relation) in [(0, "fewer"), (2, "fewer"), (4, "more")] {
        let dir = tempfile::tempdir().unwrap();
        let mut worker = Worker::new(&["msgpack", "many"]);
        worker.answers = answers;
        let (link, _, _serving) = connected(worker, dir.path()).await;
        let args = Payload::encode(&1).unwrap();
        let items: Arc<[Payload]> = vec![args.clone(); 3].into();
        let results = Arc::clone(&link).call_many(request(&args), items).await;
        assert_eq!(results.len(), 3);
        for (index, result) in results.into_iter().enumerate() {
            match result {
                // Answers that arrived before the end are those of their items.
                Ok(same) => assert!(same == args && index < answers),
                Err(CallError::Died { exit, ambiguous }) => {
                    assert!(ambiguous && exit.reason.contains(relation), "{exit:?}");
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(link.is_broken());
    }
}

#[tokio::test]
async fn arguments_for_a_worker_that_reads_messagepack_are_sent_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let (link, _, _serving) = connected(Worker::new(&["msgpack", "json"]), dir.path()).await;
    let value = Value::Map(vec![
        ("whole".into(), Value::Int(i64::MAX)),
        ("data".into(), Value::Bytes(vec![0, 255].into())),
        ("nan".into(), Value::Float(f64::INFINITY)),
    ]);
    let positional = Value::List(vec![1.into(), 2.into()]);
    for value in [value, positional] {
        let args = Payload::encode(&value).unwrap();
        let same = Arc::clone(&link).call(request(&args)).await.unwrap();
        assert_eq!(same, args);
    }
}
