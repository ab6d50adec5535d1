//! Secrets in the errors of a worker: masked where the link decodes them.

use std::sync::Arc;

use prost::Message as _;
use snakepit_core::events::Events;
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::{FLAG_LAST, Kind};
use snakepit_grpc::link::{LinkClient, Mask, Source};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, Peer, frame, request};

#[derive(Debug)]
struct Hush;

impl Mask for Hush {
    fn text(&self, text: &mut String) {
        *text = text.replace("hush", "***");
    }

    fn name(&self, name: &mut String) {
        *name = name.replace("hush", "_");
    }
}

fn pair() -> (LinkClient, Peer) {
    let (host, worker) = UnixStream::pair().unwrap();
    let source = Source::new("pool".into(), "pool-1".into(), Events::new());
    let client = LinkClient::new(host, LIMIT).of(source.masked(Arc::new(Hush)));
    (client, Peer(worker))
}

/// Encodes an error whose texts all have a secret, with a cause.
fn error() -> Vec<u8> {
    let text = || "a hush".to_owned();
    let error = pb::ToolError {
        code: "SP3001".to_owned(),
        r#type: text(),
        module: text(),
        message: text(),
        traceback: text(),
        notes: vec![text(), text()],
        file: text(),
        source: text(),
        help: text(),
        path: text(),
        ..Default::default()
    };
    let cause = Some(Box::new(error.clone()));
    pb::ToolError { cause, ..error }.encode_to_vec()
}

#[track_caller]
fn is_masked(error: &CallError) {
    let CallError::Tool(error) = error else {
        panic!("{error:?}");
    };
    assert_eq!((&*error.type_name, &*error.message), ("a _", "a ***"));
    let shown = format!("{error:?}");
    assert!(!shown.contains("hush"), "{shown}");
    assert_eq!(shown.matches("***").count(), 16, "{shown}");
}

#[tokio::test]
async fn an_error_has_no_secrets_in_its_texts_and_causes() {
    let (client, mut peer) = pair();
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        peer.send(&frame(Kind::Error, header.call, 0, &error(), b""))
            .await;
    };
    let call = request(*b"\xc0");
    let (result, ()) = tokio::join!(client.call(&call), worker);
    is_masked(&result.unwrap_err());
}

#[tokio::test]
async fn an_error_of_one_item_has_no_secrets() {
    let (client, mut peer) = pair();
    let worker = async {
        let (header, ..) = peer.receive().await.unwrap();
        let (error, mut body) = (error(), vec![1]);
        body.extend((error.len() as u32).to_le_bytes());
        body.extend(error);
        peer.send(&frame(Kind::ManyReply, header.call, FLAG_LAST, b"", &body))
            .await;
    };
    let (call, items) = (request(""), [Payload::from_msgpack(vec![1])]);
    let (results, ()) = tokio::join!(client.call_many(&call, &items), worker);
    is_masked(results[0].as_ref().unwrap_err());
}
