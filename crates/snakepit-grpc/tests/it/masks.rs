//! Secrets in the errors and requests of a worker: masked where the link decodes them.

use std::sync::Arc;

use prost::Message as _;
use snakepit_core::events::{Event, Events};
use snakepit_core::host_tools::{HostState, HostStateConfig, HostTool};
use snakepit_core::value::{Payload, Value};
use snakepit_core::worker::CallError;
use snakepit_grpc::bridge::HostBridge;
use snakepit_grpc::frame::{FLAG_LAST, Kind};
use snakepit_grpc::link::{HostOp, LinkClient, Mask, Source};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::hosting::{during, head};
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

#[tokio::test]
async fn the_name_of_an_unknown_host_tool_has_no_secrets_in_events() {
    let state = HostState::new(HostStateConfig::new()).unwrap();
    let own = HostTool::dynamic("hush", |_, _| Ok(Value::from(1))).exposed();
    state.tools().register_all(vec![own]).unwrap();
    let mut events = state.events().subscribe(16);
    let (host, worker) = UnixStream::pair().unwrap();
    let bridge = Arc::new(HostBridge::new(state));
    let source = Source::new("pool".into(), "pool-1".into(), Events::new());
    let client = LinkClient::with_host(host, LIMIT, "pool-1".into(), bridge);
    let (client, mut peer) = (client.of(source.masked(Arc::new(Hush))), Peer(worker));
    let call = request(*b"\xc0");
    during(&client, &call, async {
        let call = peer.called().await;
        let asked = [
            (HostOp::ToolCall, "hush"),
            (HostOp::ToolCall, "a hush"),
            (HostOp::ToolOpen, "a hush"),
        ];
        for (number, (op, name)) in (1..).zip(asked) {
            let head = head(call, op, name).encode_to_vec();
            peer.send(&frame(Kind::HostCall, number, 0, &head, b"\x80"))
                .await;
            peer.receive().await.unwrap();
        }
        peer.reply(call, b"\xc0").await;
    })
    .await;
    let mut names = Vec::new();
    while let Some(event) = events.try_next() {
        if let Event::HostToolStarted { tool, .. } | Event::HostToolCompleted { tool, .. } =
            &event.event
        {
            names.push(tool.to_string());
        }
    }
    let [own, asked] = ["hush", "a ***"].map(String::from);
    let expected = [&own, &own, &asked, &asked, &asked, &asked];
    assert_eq!(names.iter().collect::<Vec<_>>(), expected);
}
