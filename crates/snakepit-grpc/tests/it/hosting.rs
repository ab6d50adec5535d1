//! A host that answers a scripted worker.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use snakepit_core::call::Request;
use snakepit_core::error::{ErrorCode, ToolError};
use snakepit_core::id::{CallId, WorkerId};
use snakepit_grpc::frame::{FLAG_ERROR, Kind};
use snakepit_grpc::link::{HostOp, HostRequest, HostRequests, LinkClient};
use snakepit_grpc::pb;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::peer::{LIMIT, Peer, frame};

/// An event that the host observed.
#[derive(Debug)]
pub(crate) enum Event {
    Asked(Box<HostRequest>),
    /// A request was dropped before it was answered.
    Dropped,
    Ended(WorkerId, CallId),
}

/// A handler whose answer depends on the name of the request.
struct Host {
    events: mpsc::UnboundedSender<Event>,
    open: Mutex<usize>,
}

/// Reports the drop of a handler.
struct Waiting<'a>(&'a Host);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        *self.0.open.lock().unwrap() -= 1;
        let _ = self.0.events.send(Event::Dropped);
    }
}

#[async_trait]
impl HostRequests for Host {
    async fn handle(&self, request: HostRequest) -> Result<Bytes, Box<ToolError>> {
        let (name, body) = (request.name.clone(), request.body.clone());
        let _ = self.events.send(Event::Asked(Box::new(request)));
        match name.as_str() {
            "echo" => Ok(body),
            "soon" => {
                tokio::task::yield_now().await;
                Ok(body)
            }
            "never" => {
                *self.open.lock().unwrap() += 1;
                let _waiting = Waiting(self);
                std::future::pending().await
            }
            "panic" => panic!("the handler panics on purpose"),
            "panic later" => {
                tokio::task::yield_now().await;
                panic!("the handler panics on purpose")
            }
            "megabytes" => Ok(Bytes::from(vec![0; 1 << 20])),
            "megabytes later" => {
                tokio::task::yield_now().await;
                Ok(Bytes::from(vec![0; 1 << 20]))
            }
            "large" => Ok(Bytes::from(vec![0; LIMIT + 1])),
            _ => {
                let mut error = ToolError::new(ErrorCode::UnknownTool, "x".repeat(2 << 20));
                error.help = "ask for something else".to_owned();
                Err(Box::new(error))
            }
        }
    }

    fn call_ended(&self, worker: &WorkerId, call: CallId) {
        assert_eq!(*self.open.lock().unwrap(), 0, "a request is still open");
        let _ = self.events.send(Event::Ended(worker.clone(), call));
    }
}

pub(crate) fn pair() -> (LinkClient, Peer, mpsc::UnboundedReceiver<Event>) {
    pair_with(LIMIT)
}

/// Works like [`pair`], with another payload limit.
pub(crate) fn pair_with(limit: usize) -> (LinkClient, Peer, mpsc::UnboundedReceiver<Event>) {
    let (host, worker) = UnixStream::pair().unwrap();
    let (events, seen) = mpsc::unbounded_channel();
    let handler = Arc::new(Host {
        events,
        open: Mutex::default(),
    });
    let client = LinkClient::with_host(host, limit, "pool-1".into(), handler);
    (client, Peer(worker), seen)
}

pub(crate) fn head(call: u64, op: HostOp, name: &str) -> pb::HostRequest {
    pb::HostRequest {
        trace: Bytes::new(),
        call_id: call,
        op: op.number(),
        name: name.to_owned(),
        timeout_us: 0,
    }
}

pub(crate) fn ask(number: u64, call: u64, name: &str, body: &[u8]) -> Vec<u8> {
    let head = head(call, HostOp::ToolCall, name).encode_to_vec();
    frame(Kind::HostCall, number, 0, &head, body)
}

impl Peer {
    pub(crate) async fn answer(&mut self, number: u64) -> Vec<u8> {
        let (header, _, body) = self.receive().await.unwrap();
        assert_eq!(
            (header.kind, header.call, header.flags),
            (Kind::HostReply, number, 0)
        );
        body
    }

    pub(crate) async fn refusal(&mut self, number: u64) -> pb::ToolError {
        let (header, head, _) = self.receive().await.unwrap();
        assert_eq!(
            (header.kind, header.call, header.flags),
            (Kind::HostReply, number, FLAG_ERROR)
        );
        pb::ToolError::decode(&head[..]).unwrap()
    }

    pub(crate) async fn code(&mut self, number: u64) -> String {
        self.refusal(number).await.code
    }

    pub(crate) async fn called(&mut self) -> u64 {
        let (header, ..) = self.receive().await.unwrap();
        header.call
    }
}

/// Runs a call while `worker` acts as its worker, which replies at the end.
pub(crate) async fn during(client: &LinkClient, call: &Request, worker: impl Future<Output = ()>) {
    let (result, ()) = tokio::join!(client.call(call), worker);
    result.unwrap();
}
