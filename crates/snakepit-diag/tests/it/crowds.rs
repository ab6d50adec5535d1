//! More connections than the admin socket has places: a client that makes requests is answered.

use std::path::Path;

use snakepit_core::error::ErrorCode;
use snakepit_diag::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::support::{Host, LONG};

/// Places of an admin socket.
const PLACES: usize = 64;

/// The beginning of a connection and of a request whose message never comes.
const HALF: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x41\x01\x04\0\0\0\x01\
    \x83\x86\x04\x1f/snakepit.admin.v1.Admin/Report\
    \x01\x09localhost\x0f\x10\x10application/grpc";

/// Connects, waiting for room in the queue of the socket.
async fn connected(socket: &Path, first: &[u8]) -> UnixStream {
    let mut stream = loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => break stream,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    // A place may have been taken away already.
    let _ = stream.write_all(first).await;
    stream
}

async fn is_closed(stream: &mut UnixStream) {
    let mut rest = Vec::new();
    let read = timeout(LONG, stream.read_to_end(&mut rest)).await;
    drop(read.expect("the connection is closed"));
}

#[tokio::test]
async fn no_number_of_silent_connections_keeps_a_client_out() {
    // Half a request counts as one, and its connection goes when it is the most silent.
    for (first, replaced) in [(&b""[..], true), (b"PRI * HT", true), (HALF, false)] {
        let host = Host::start(1).await;
        let socket = host.registry.socket_dir().join("admin");
        let crowd = async {
            let mut crowd = Vec::new();
            for _ in 0..300 {
                crowd.push(connected(&socket, first).await);
            }
            crowd
        };
        let mut crowd = timeout(LONG, crowd).await.expect("all are accepted");
        let asked = async {
            let mut client = host.client().await;
            client.report().await.unwrap();
            client
        };
        let mut client = timeout(LONG, asked).await.expect("a client is answered");
        if replaced {
            is_closed(&mut crowd[0]).await;
        }
        // The client keeps its place when others come.
        for _ in 0..2 * PLACES {
            crowd.push(connected(&socket, b"").await);
        }
        client.report().await.unwrap();
    }
}

#[tokio::test]
async fn of_the_clients_that_make_requests_the_most_silent_one_makes_room() {
    let host = Host::start(1).await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..PLACES {
        clients.push(host.client().await);
    }
    clients[0].report().await.unwrap();
    let mut late = timeout(LONG, host.client()).await.expect("there is room");
    late.report().await.unwrap();
    clients[0].report().await.unwrap();
    let error = clients[1].report().await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::HostGone, "{error}");
    clients[2].report().await.unwrap();
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_in_time() {
    let host = Host::start(1).await;
    let socket = host.registry.socket_dir().join("admin");
    let mut silent = connected(&socket, b"").await;
    let mut client = host.client().await;
    // Only connections that were accepted before have a time limit that runs.
    client.report().await.unwrap();
    tokio::time::pause();
    is_closed(&mut silent).await;
    tokio::time::resume();
    client.report().await.unwrap();
}
