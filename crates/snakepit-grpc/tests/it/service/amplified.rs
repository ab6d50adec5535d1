//! Requests whose few bytes become many in memory.

use std::fs;

use bytes::{Buf as _, BufMut as _};
use snakepit_core::host_tools::HostStateConfig;
use snakepit_grpc::service::ServeOptions;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::client::{channel, details, json, served, served_with, tool_call};
use super::serve::ping;

/// Messages as they are on the wire.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(bytes.to_vec()))
    }
}

async fn send(channel: &Channel, method: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone());
    client
        .ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    let path = format!("/snakepit.bridge.BridgeService/{method}");
    let path = PathAndQuery::from_maybe_shared(path).unwrap();
    let messages = futures_util::stream::iter([bytes]);
    let answer = client.client_streaming(Request::new(messages), path, Raw);
    answer.await.map(tonic::Response::into_inner)
}

/// Returns the largest size of this process so far, in MiB.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    peak.parse::<usize>().unwrap() >> 10
}

#[tokio::test]
async fn requests_of_nothing_but_elements_are_refused_before_they_take_memory() {
    const BYTES: usize = 6 << 20;
    let mut host = served().await;
    let channel = channel(host.serving.address()).await;
    let entries = |key: &[u8], element: &dyn Fn(u32) -> Vec<u8>| {
        let mut bytes = Vec::with_capacity(BYTES + 64);
        let mut number = 0;
        while bytes.len() < BYTES {
            let element = element(number);
            bytes.extend_from_slice(key);
            bytes.push(u8::try_from(element.len()).unwrap());
            bytes.extend_from_slice(&element);
            number += 1;
        }
        bytes
    };
    let empty = |_: u32| Vec::new();
    let parameters = |_: u32| [0x1a, 0].repeat(60);
    let keyed = |number: u32| {
        [
            &[0x0a, 4][..],
            &number.to_be_bytes().map(|byte| byte & 0x7f),
        ]
        .concat()
    };
    let before = peak();
    for (method, bytes) in [
        ("RegisterTools", entries(&[0x12], &empty)),
        ("RegisterTools", entries(&[0x12], &parameters)),
        ("SetVariables", entries(&[0x12], &empty)),
        ("GetVariables", entries(&[0x12], &empty)),
        ("ExecuteTool", entries(&[0xb2, 0x06], &empty)),
        ("ExecuteTool", entries(&[0x1a], &keyed)),
        ("ExecuteStreamingTool", entries(&[0xb2, 0x06], &empty)),
        ("ExecuteToolMany", entries(&[0xb2, 0x06], &empty)),
        ("ExecuteElixirTool", entries(&[0x1a], &keyed)),
        ("StreamElixirTool", entries(&[0x22], &keyed)),
        ("InitializeSession", entries(&[0x12], &keyed)),
        ("RegisterVariable", entries(&[0x32], &keyed)),
        ("WatchVariables", entries(&[0x12], &empty)),
    ] {
        let status = send(&channel, method, bytes).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{method}: {status}");
        let error = details(&status);
        assert_eq!(error.code, "SP2005", "{method}: {status}");
        assert!(!error.help.is_empty(), "{method}");
    }
    let grown = peak() - before;
    assert!(grown < 300, "{grown} MiB");
    host.client.ping(ping()).await.unwrap();
}

#[tokio::test]
async fn elements_of_several_requests_are_bounded_together_and_forgotten() {
    let mut options = ServeOptions::new();
    options.max_received_connection = 4 << 20;
    let mut host = served_with(HostStateConfig::new(), &options).await;
    let channel = channel(host.serving.address()).await;
    // 3 MiB in memory, and one more of them.
    let bytes = [0x12, 0].repeat(10_000);
    for _ in 0..20 {
        let status = send(&channel, "GetVariables", bytes.clone()).await;
        let status = status.unwrap_err();
        assert_ne!(status.code(), Code::ResourceExhausted, "{status}");
    }
    let mut request = tool_call("", "echo", &[]);
    for number in 0..900 {
        request.parameters.insert(format!("x{number}"), json("1"));
    }
    host.client.execute_tool(request).await.unwrap();
}

#[tokio::test]
async fn a_malformed_request_is_the_clients_error() {
    let host = served().await;
    let channel = channel(host.serving.address()).await;
    for bytes in [
        &[0x12, 0xff, 0xff, 0x7f][..],
        &[0x13],
        &[0xff; 11],
        &[0x12, 2, 0x1a, 3, 0],
    ] {
        let status = send(&channel, "RegisterTools", bytes.to_vec()).await;
        let status = status.unwrap_err();
        assert!(
            matches!(status.code(), Code::InvalidArgument | Code::Internal),
            "{bytes:?}: {status}"
        );
    }
}
