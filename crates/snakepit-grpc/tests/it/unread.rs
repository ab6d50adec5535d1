//! The answers that a worker requests and does not read are limited by their bytes.

use std::time::Duration;

use snakepit_core::worker::CallError;
use tokio::time::{sleep, timeout};

use crate::hosting::{Event, ask, during, pair_with};
use crate::peer::{frame, request};
use snakepit_grpc::frame::Kind;

const MIB: usize = 1 << 20;

/// Longer than every time limit. The clock is paused.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// Longer than an answer takes.
const LONG: Duration = Duration::from_secs(60);

/// Number of requests whose answers block the next one.
const TOO_MANY: u64 = 60;

#[tokio::test]
async fn a_worker_that_reads_gets_all_answers_however_large_they_are_together() {
    for name in ["megabytes", "megabytes later"] {
        let (client, mut peer, _seen) = pair_with(2 * MIB);
        let call = request("");
        during(&client, &call, async {
            let id = peer.called().await;
            for number in 1..=TOO_MANY {
                peer.send(&ask(number, id, name, b"")).await;
            }
            for _ in 1..=TOO_MANY {
                let (header, _, body) = peer.receive().await.unwrap();
                assert_eq!(
                    (header.kind, header.flags, body.len()),
                    (Kind::HostReply, 0, MIB)
                );
            }
            peer.reply(id, b"").await;
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_read_is_not_answered_without_end() {
    let (client, mut peer, mut seen) = pair_with(2 * MIB);
    let call = request("");
    let worker = async {
        let id = peer.called().await;
        for number in 1..=TOO_MANY {
            peer.send(&ask(number, id, "megabytes", b"")).await;
        }
        // The worker stays connected and reads nothing.
        sleep(FOR_EVER).await;
    };
    let error = tokio::select! {
        result = client.call(&call) => result.unwrap_err(),
        () = worker => panic!("it keeps its connection"),
    };
    let CallError::Died { exit, .. } = error else {
        panic!("{error:?}")
    };
    assert!(
        exit.reason.contains("without reading the answers"),
        "{}",
        exit.reason
    );
    let mut asked = 0;
    while let Ok(event) = seen.try_recv() {
        asked += u64::from(matches!(event, Event::Asked(_)));
    }
    // 16 MiB, the bytes in the socket, and one more answer.
    assert!((16..=20).contains(&asked), "{asked} answers were made");
}

#[tokio::test(start_paused = true)]
async fn answers_that_come_later_are_bounded_too() {
    let (client, mut peer, _seen) = pair_with(2 * MIB);
    let call = request("");
    let worker = async {
        let id = peer.called().await;
        for number in 1..=TOO_MANY {
            peer.send(&ask(number, id, "megabytes later", b"")).await;
        }
        sleep(FOR_EVER).await;
    };
    let error = tokio::select! {
        result = client.call(&call) => result.unwrap_err(),
        () = worker => panic!("it keeps its connection"),
    };
    assert!(matches!(error, CallError::Died { .. }), "{error:?}");
}

#[tokio::test]
async fn arguments_of_open_requests_are_bounded() {
    let (client, mut peer, _seen) = pair_with(8 * MIB);
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        let body = vec![0; 8 * MIB];
        for number in 1..=3 {
            peer.send(&ask(number, id, "never", &body)).await;
        }
        peer.send(&ask(4, id, "never", &body)).await;
        let refused = timeout(LONG, peer.code(4)).await;
        assert_eq!(refused.expect("it is refused at once"), "SP8011");
        // The end of one request makes room for another.
        peer.send(&frame(Kind::HostCancel, 2, 0, b"", b"")).await;
        assert_eq!(peer.code(2).await, "SP3002");
        peer.send(&ask(5, id, "echo", &body)).await;
        assert_eq!(peer.answer(5).await.len(), body.len());
        peer.reply(id, b"").await;
    })
    .await;
}
