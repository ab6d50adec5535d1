//! Streams: order, ends, back-pressure.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::Kind;
use snakepit_grpc::link::LinkClient;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;

use crate::peer::{LIMIT, Peer, frame, pair, request};

#[tokio::test]
async fn chunks_come_in_order_and_then_the_end() {
    let (client, mut peer) = pair();
    let stream = client.stream(&request("")).unwrap();
    let (header, ..) = peer.receive().await.unwrap();
    assert_eq!(header.kind, Kind::Stream);
    let worker = async {
        for number in 0..20_000u32 {
            peer.send(&frame(
                Kind::Chunk,
                header.call,
                0,
                b"",
                &number.to_le_bytes(),
            ))
            .await;
        }
        peer.send(&frame(Kind::End, header.call, 0, b"", b"")).await;
        // The slot is free again.
        let (next, ..) = peer.receive().await.unwrap();
        peer.reply(next.call, b"ok").await;
    };
    let host = async {
        let chunks: Vec<_> = stream.collect().await;
        assert_eq!(chunks.len(), 20_000);
        for (number, chunk) in chunks.into_iter().enumerate() {
            assert_eq!(chunk.unwrap().bytes.as_ref(), (number as u32).to_le_bytes());
        }
        client.call(&request("")).await.unwrap();
    };
    tokio::join!(host, worker);
}

#[tokio::test]
async fn a_slow_consumer_holds_the_worker_back() {
    let (client, mut peer) = pair();
    let mut stream = client.stream(&request("")).unwrap();
    let (header, ..) = peer.receive().await.unwrap();
    let chunk = frame(Kind::Chunk, header.call, 0, b"", &[5; 1000]);
    // Writes until the worker would block forever, because no chunk is consumed.
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(300), peer.0.write_all(&chunk))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 20_000, "20 MB were taken without a consumer");
    }
    // A consumer unblocks it.
    let mut received = 0;
    while received < sent {
        assert_eq!(stream.next().await.unwrap().unwrap().bytes.len(), 1000);
        received += 1;
    }
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let (client, mut peer) = pair();
    let stream = client.stream(&request("")).unwrap();
    let (header, ..) = peer.receive().await.unwrap();
    peer.send(&frame(Kind::Chunk, header.call, 0, b"", b"1"))
        .await;
    peer.send(&frame(Kind::Error, header.call, 0, b"", b""))
        .await;
    let items: Vec<_> = stream.collect().await;
    assert!(items.len() == 2 && items[0].is_ok());
    assert!(matches!(items[1], Err(CallError::Tool(_))));
}

#[tokio::test]
async fn a_lost_connection_ends_the_stream_after_its_chunks() {
    for tail in [&b""[..], b"garbage that is no frame at all"] {
        let (client, mut peer) = pair();
        let stream = client.stream(&request("")).unwrap();
        let (header, ..) = peer.receive().await.unwrap();
        peer.send(&frame(Kind::Chunk, header.call, 0, b"", b"1"))
            .await;
        peer.send(tail).await;
        drop(peer);
        let items: Vec<_> = stream.collect().await;
        assert!(items.len() == 2 && items[0].is_ok());
        assert!(matches!(
            items[1],
            Err(CallError::Died {
                ambiguous: true,
                ..
            })
        ));
    }
}

#[tokio::test]
async fn an_oversized_chunk_fails_the_stream_at_its_end() {
    let (client, mut peer) = pair();
    let stream = client.stream(&request("")).unwrap();
    let (header, ..) = peer.receive().await.unwrap();
    let worker = async {
        peer.send(&frame(
            Kind::Chunk,
            header.call,
            0,
            b"",
            &vec![0; LIMIT + 1],
        ))
        .await;
        peer.send(&frame(Kind::Chunk, header.call, 0, b"", b"after"))
            .await;
        peer.send(&frame(Kind::End, header.call, 0, b"", b"")).await;
    };
    let (items, ()) = tokio::join!(stream.collect::<Vec<_>>(), worker);
    assert_eq!(items.len(), 1);
    assert!(matches!(items[0], Err(CallError::TooLarge { .. })));
}

#[tokio::test]
async fn a_dropped_stream_is_drained() {
    let (client, mut peer) = pair();
    drop(client.stream(&request("")).unwrap());
    let (header, ..) = peer.receive().await.unwrap();
    let worker = async {
        for _ in 0..5000 {
            peer.send(&frame(Kind::Chunk, header.call, 0, b"", &[0; 1000]))
                .await;
        }
        peer.send(&frame(Kind::End, header.call, 0, b"", b"")).await;
        let (next, ..) = peer.receive().await.unwrap();
        peer.reply(next.call, b"ok").await;
    };
    let call = request("");
    let (result, ()) = tokio::join!(client.call(&call), worker);
    result.unwrap();
}

#[tokio::test]
async fn large_chunks_wait_for_their_consumer_by_the_byte() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (client, mut peer) = (LinkClient::new(host, 4 << 20), Peer(worker));
    let mut stream = client.stream(&request("")).unwrap();
    let call = peer.receive().await.unwrap().0.call;
    let chunk = frame(Kind::Chunk, call, 0, b"", &vec![7; 4 << 20]);
    let sent = AtomicUsize::new(0);
    let mut worker = std::pin::pin!(async {
        for _ in 0..20 {
            peer.send(&chunk).await;
            sent.fetch_add(1, Ordering::Relaxed);
        }
        peer.send(&frame(Kind::End, call, 0, b"", b"")).await;
    });
    // Without a consumer the host keeps one chunk in its slot, one that waits, and a part of a
    // third.
    let stuck = tokio::time::timeout(Duration::from_secs(1), &mut worker);
    assert!(stuck.await.is_err(), "nothing held the worker back");
    let ahead = sent.load(Ordering::Relaxed);
    assert!(ahead <= 3, "{ahead} chunks were accepted");
    let consumer = async {
        let mut chunks = 0;
        while let Some(chunk) = stream.next().await {
            assert_eq!(chunk.unwrap().bytes.len(), 4 << 20);
            chunks += 1;
        }
        chunks
    };
    let (chunks, ()) = tokio::join!(consumer, worker);
    assert_eq!(chunks, 20);
}
