//! Bytes that a gRPC library would not send.

use snakepit_grpc::service::{Address, ServeOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::client::{connect, json, served, tool_call};
use super::serve::{ping, tcp};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Types of frames, and the flag of an acknowledgement.
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const ACK: u8 = 1;

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
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let [a, b, c, kind, flags, ..] = head;
            let mut body = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            stream.read_exact(&mut body).await.unwrap();
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
        let _ = stream.read_to_end(&mut Vec::new()).await;
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
