//! Bytes that a gRPC library would not send.

use std::time::Duration;

use prost::Message as _;
use snakepit_core::host_tools::HostStateConfig;
use snakepit_core::value::Value;
use snakepit_grpc::pb;
use snakepit_grpc::service::{Address, ServeOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tonic::Code;

use super::client::{connect, json, served, served_with, tool_call};
use super::serve::{ping, tcp};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Longest time that a test waits on a paused clock, which advances when no task can run.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// Longest time that a test waits on a running clock.
const PATIENCE: Duration = Duration::from_secs(120);
/// Types of frames, and their flags.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[tokio::test]
async fn a_client_may_ping_as_often_as_it_likes() {
    let host = served().await;
    let Address::Unix(path) = host.serving.address() else {
        panic!("it is a Unix socket")
    };
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream
        .write_all(&[PREFACE, SETTINGS].concat())
        .await
        .unwrap();
    for n in 0..1000_u64 {
        let ping = [&[0, 0, 8, PING, 0, 0, 0, 0, 0][..], &n.to_be_bytes()].concat();
        stream.write_all(&ping).await.unwrap();
        loop {
            let (kind, flags, body) = next_frame(&mut stream, PATIENCE).await;
            assert_ne!(kind, GO_AWAY, "ping {n}");
            if (kind, flags & ACK) == (PING, ACK) {
                assert_eq!(body, n.to_be_bytes());
                break;
            }
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_http_harm_nobody() {
    let (serving, token) = tcp(&ServeOptions::new()).await;
    let Address::Tcp(address) = *serving.address() else {
        panic!("it is a TCP port")
    };
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff",
        b"",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        read_to_end(&mut stream, PATIENCE).await;
    }
    let mut client = connect(serving.address(), Some(&token)).await;
    client.ping(ping()).await.unwrap();
    let mut request = tool_call("", "echo", &[]);
    request.parameters.insert("x".into(), json("1"));
    assert!(
        client
            .execute_tool(request)
            .await
            .unwrap()
            .into_inner()
            .success
    );
}

/// Reads one frame: its type, its flags and its payload.
async fn next_frame(stream: &mut UnixStream, longest: Duration) -> (u8, u8, Vec<u8>) {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let [a, b, c, kind, flags, ..] = head;
        let mut body = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut body).await.unwrap();
        (kind, flags, body)
    };
    timeout(longest, read).await.expect("a frame comes")
}

/// Reads to the end of a connection, which may be an error.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin), longest: Duration) {
    let mut rest = Vec::new();
    let read = timeout(longest, stream.read_to_end(&mut rest)).await;
    drop(read.expect("the connection is closed"));
}

/// Encodes the headers of a request.
fn headers(method: &str) -> Vec<u8> {
    let literal = |name: &[u8], value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [name, &[length], value.as_bytes()].concat()
    };
    [
        vec![0x83, 0x86],
        literal(&[0x04], &format!("/snakepit.bridge.BridgeService/{method}")),
        literal(&[0x01], "localhost"),
        literal(&[0x0f, 0x10], "application/grpc"),
        literal(&[0x00, 2, b't', b'e'], "trailers"),
    ]
    .concat()
}

/// Encodes a frame of the first stream.
fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], body].concat()
}

/// Requests a global program on a connection of its own with HTTP/2's initial window, and reads
/// nothing beyond that.
async fn ask_for_program(address: &Address, name: &str) -> (UnixStream, bool) {
    let Address::Unix(path) = address else {
        panic!("it is a Unix socket")
    };
    let request = pb::GetProgramRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    let request = request.encode_to_vec();
    let message = [&[0, 0, 0, 0, request.len() as u8][..], &request].concat();
    let mut stream = UnixStream::connect(path).await.unwrap();
    let (headers, data) = (
        frame(HEADERS, END_HEADERS, &headers("GetProgram")),
        frame(DATA, END_STREAM, &message),
    );
    let bytes = [PREFACE, SETTINGS, &headers, &data].concat();
    stream.write_all(&bytes).await.unwrap();
    loop {
        let (kind, flags, _) = next_frame(&mut stream, LONG).await;
        if kind == HEADERS {
            return (stream, flags & END_STREAM == 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn clients_that_take_nothing_are_bounded_together_and_then_closed() {
    const MIB: usize = 1 << 20;
    let mut options = ServeOptions::new();
    (options.max_unsent, options.max_unsent_connection) = (4 * MIB, 2 * MIB);
    let host = served_with(HostStateConfig::new(), &options).await;
    let mut client = connect(host.serving.address(), None).await;
    for (name, size) in [("large", MIB), ("small", 1000)] {
        let program = Value::from("x".repeat(size));
        host.state.sessions().put_program(name, program).unwrap();
    }
    let ask = |name: &str| pb::GetProgramRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    let mut slow = Vec::new();
    for _ in 0..10 {
        slow.push(ask_for_program(host.serving.address(), "large").await);
    }
    let served = slow.iter().filter(|(_, served)| *served).count();
    assert!((1..=4).contains(&served), "{served} answers wait");
    // Other clients continue with small answers.
    client.get_program(ask("small")).await.unwrap();
    let status = client.get_program(ask("large")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    // The clients that read nothing are closed until there is room.
    let (first, _) = slow.iter_mut().find(|(_, served)| *served).unwrap();
    read_to_end(first, LONG).await;
    let mut tries = 0;
    while client.get_program(ask("large")).await.is_err() {
        tries += 1;
        assert!(tries < 1000, "there is no room again");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

/// Begins a request on a connection of its own with a message of which only the length is sent.
async fn announce(address: &Address, length: u32) -> UnixStream {
    let Address::Unix(path) = address else {
        panic!("it is a Unix socket")
    };
    let mut stream = UnixStream::connect(path).await.unwrap();
    let prefix = [&[0][..], &length.to_be_bytes()].concat();
    let bytes = [
        PREFACE,
        SETTINGS,
        &frame(HEADERS, END_HEADERS, &headers("GetProgram")),
        &frame(DATA, 0, &prefix),
    ];
    stream.write_all(&bytes.concat()).await.unwrap();
    stream
}

#[tokio::test(start_paused = true)]
async fn what_clients_only_announce_is_bounded_together_and_ends() {
    const MIB: usize = 1 << 20;
    let mut options = ServeOptions::new();
    (options.max_received, options.max_received_connection) = (16 * MIB, 8 * MIB);
    let host = served_with(HostStateConfig::new(), &options).await;
    let mut client = connect(host.serving.address(), None).await;
    let large = format!("\"{}\"", "x".repeat(4 * MIB));
    let put = || pb::PutProgramRequest {
        name: "large".to_owned(),
        value: super::variables::json(&large),
        ..Default::default()
    };
    client.put_program(put()).await.unwrap();
    let mut silent = Vec::new();
    let mut refused = None;
    for _ in 0..10 {
        silent.push(announce(host.serving.address(), 5 << 20).await);
        // Requests are sent one after the other; the last ones are rejected as ours is.
        refused = refused.or(client.put_program(put()).await.err());
    }
    assert_eq!(refused.unwrap().code(), Code::ResourceExhausted);
    // Other clients continue with small messages.
    client.ping(ping()).await.unwrap();
    // The clients that send no more bytes are closed, and there is room again.
    read_to_end(&mut silent[0], LONG).await;
    let mut tries = 0;
    while client.put_program(put()).await.is_err() {
        tries += 1;
        assert!(tries < 1000, "there is no room again");
        tokio::time::advance(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_answered_with_its_end() {
    let mut options = ServeOptions::new();
    options.max_requests = 1;
    let host = served_with(HostStateConfig::new(), &options).await;
    let mut client = connect(host.serving.address(), None).await;
    let Address::Unix(path) = host.serving.address() else {
        panic!("it is a Unix socket")
    };
    // No message, half of its length, and half of the message.
    for part in [&[][..], &[0, 0], &[0, 0, 0, 0, 9, 1, 2]] {
        let mut stream = UnixStream::connect(path).await.unwrap();
        let bytes = [
            PREFACE,
            SETTINGS,
            &frame(HEADERS, END_HEADERS, &headers("GetProgram")),
            &frame(DATA, 0, part),
        ];
        stream.write_all(&bytes.concat()).await.unwrap();
        loop {
            let (kind, flags, _) = next_frame(&mut stream, LONG).await;
            if kind == HEADERS {
                assert_eq!(flags & END_STREAM, END_STREAM, "it is a status alone");
                break;
            }
        }
        client.ping(ping()).await.unwrap();
    }
}
