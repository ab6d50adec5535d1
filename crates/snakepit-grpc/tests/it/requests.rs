//! Requests of a scripted worker to the host.

use std::time::Duration;

use prost::Message as _;
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use snakepit_grpc::frame::{FLAG_LAST, FLAG_PART, Header, Kind};
use snakepit_grpc::link::HostOp;
use snakepit_grpc::pb;
use tokio::time::Instant;

use crate::hosting::{Event, ask, during, head, pair};
use crate::peer::{LIMIT, frame, request};

#[tokio::test]
async fn a_request_is_answered_while_its_call_runs() {
    let (client, mut peer, mut seen) = pair();
    let mut call = request("arguments");
    call.session = Some("s-1".into());
    call.deadline = Some(Instant::now() + Duration::from_secs(600));
    during(&client, &call, async {
        let id = peer.called().await;
        for (number, name) in [(7, "echo"), (8, "soon")] {
            peer.send(&ask(number, id, name, b"body")).await;
            assert_eq!(peer.answer(number).await, b"body");
        }
        peer.reply(id, b"").await;
    })
    .await;
    let Some(Event::Asked(asked)) = seen.recv().await else {
        panic!("nothing was asked")
    };
    assert_eq!(
        (asked.worker.as_str(), asked.caller.call),
        ("pool-1", call.call)
    );
    assert_eq!(
        (&asked.caller.session, asked.deadline),
        (&call.session, call.deadline)
    );
    assert_eq!((asked.op, asked.name.as_str()), (HostOp::ToolCall, "echo"));
    assert_eq!(
        (&asked.body[..], &asked.caller.args),
        (&b"body"[..], &Payload::default())
    );
    assert!(matches!(seen.recv().await, Some(Event::Asked(_))));
    let Some(Event::Ended(worker, ended)) = seen.recv().await else {
        panic!("the end of the call was not told")
    };
    assert_eq!((worker.as_str(), ended), ("pool-1", call.call));
}

#[tokio::test]
async fn a_request_may_come_in_parts() {
    let (client, mut peer, _seen) = pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        peer.send(&frame(Kind::HostCall, 7, FLAG_PART, b"", b"bo"))
            .await;
        // A whole frame of another request may come in between.
        peer.send(&ask(8, id, "echo", b"small")).await;
        assert_eq!(peer.answer(8).await, b"small");
        peer.send(&ask(7, id, "echo", b"dy")).await;
        assert_eq!(peer.answer(7).await, b"body");
        peer.reply(id, b"").await;
    })
    .await;
}

#[tokio::test]
async fn a_call_without_requests_ends_silently() {
    let (client, mut peer, mut seen) = pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        peer.reply(id, b"").await;
    })
    .await;
    drop(client);
    assert!(seen.recv().await.is_none());
}

#[tokio::test]
async fn many_requests_wait_at_once_but_not_without_limit() {
    let (client, mut peer, mut seen) = pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        for number in 1..=70 {
            peer.send(&ask(number, id, "never", b"")).await;
        }
        for number in 65..=70 {
            assert_eq!(peer.code(number).await, "SP8011");
        }
        // The end of one request makes room for another.
        peer.send(&frame(Kind::HostCancel, 5, 0, b"", b"")).await;
        assert_eq!(peer.code(5).await, "SP3002");
        peer.send(&ask(71, id, "soon", b"room")).await;
        assert_eq!(peer.answer(71).await, b"room");
        peer.reply(id, b"").await;
    })
    .await;
    // All waiting requests are dropped before the end of the call is reported.
    let (mut asked, mut dropped) = (0, 0);
    loop {
        match seen.recv().await.unwrap() {
            Event::Asked(_) => asked += 1,
            Event::Dropped => dropped += 1,
            Event::Ended(..) => break,
        }
    }
    assert_eq!((asked, dropped), (65, 64));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_answered() {
    let (client, mut peer, _seen) = pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        peer.send(&ask(1, id + 1000, "echo", b"")).await;
        let refusal = peer.refusal(1).await;
        assert_eq!(refusal.code, "SP8009");
        assert!(
            refusal.message.contains("is not running"),
            "{}",
            refusal.message
        );

        let mut unknown = head(id, HostOp::Ping, "");
        unknown.op = 77;
        peer.send(&frame(Kind::HostCall, 2, 0, &unknown.encode_to_vec(), b""))
            .await;
        assert!(peer.refusal(2).await.message.contains("operation 77"));

        peer.send(&ask(3, id, "echo", &vec![0; LIMIT + 1])).await;
        assert_eq!(peer.code(3).await, "SP2005");
        peer.send(&ask(4, id, "large", b"")).await;
        assert_eq!(peer.code(4).await, "SP2005");

        peer.send(&ask(5, id, "never", b"")).await;
        peer.send(&ask(5, id, "echo", b"")).await;
        assert_eq!(peer.code(5).await, "SP8010");

        for (number, name) in [(6, "panic"), (7, "panic later")] {
            peer.send(&ask(number, id, name, b"")).await;
            assert_eq!(peer.code(number).await, "SP8006");
        }
        peer.send(&ask(8, id, "no such thing", b"")).await;
        let refusal = peer.refusal(8).await;
        assert_eq!(
            (refusal.code.as_str(), refusal.help.as_str()),
            ("SP2001", "ask for something else")
        );
        assert!(refusal.message.len() < 100_000);

        // A cancellation that is too late or that names no request.
        peer.send(&frame(Kind::HostCancel, 8, 0, b"", b"")).await;
        peer.send(&ask(9, id, "echo", b"fine")).await;
        assert_eq!(peer.answer(9).await, b"fine");
        peer.reply(id, b"").await;
    })
    .await;
}

#[tokio::test]
async fn a_host_without_a_handler_refuses() {
    let (client, mut peer) = crate::peer::pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        peer.send(&ask(1, id, "echo", b"")).await;
        assert_eq!(peer.code(1).await, "SP8010");
        peer.reply(id, b"").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn time_runs_out() {
    let (client, mut peer, _seen) = pair();
    let mut call = request("");
    call.deadline = Some(Instant::now() + Duration::from_secs(10));
    let start = Instant::now();
    during(&client, &call, async {
        let id = peer.called().await;
        let mut own = head(id, HostOp::ToolCall, "never");
        own.timeout_us = 2_000_000;
        peer.send(&frame(Kind::HostCall, 1, 0, &own.encode_to_vec(), b""))
            .await;
        assert_eq!(peer.code(1).await, "SP4003");
        assert_eq!(start.elapsed().as_secs(), 2);

        own.timeout_us = u64::MAX;
        peer.send(&frame(Kind::HostCall, 2, 0, &own.encode_to_vec(), b""))
            .await;
        assert_eq!(peer.code(2).await, "SP4003");
        assert_eq!(start.elapsed().as_secs(), 10);
        peer.reply(id, b"").await;
    })
    .await;
}

#[tokio::test]
async fn requests_after_the_end_of_their_call_are_refused() {
    let (client, mut peer, mut seen) = pair();
    let call = request("");
    let mut id = 0;
    during(&client, &call, async {
        id = peer.called().await;
        peer.send(&ask(1, id, "echo", b"")).await;
        peer.answer(1).await;
        peer.reply(id, b"").await;
    })
    .await;
    peer.send(&ask(2, id, "echo", b"")).await;
    assert_eq!(peer.code(2).await, "SP8009");
    assert!(matches!(seen.recv().await, Some(Event::Asked(_))));
    assert!(matches!(seen.recv().await, Some(Event::Ended(..))));
}

#[tokio::test]
async fn every_way_to_end_a_call_ends_its_requests() {
    let error = pb::ToolError::default().encode_to_vec();
    let too_large = vec![0; LIMIT + 1];
    let ends = [
        (Kind::Reply, 0, &b""[..], &b"x"[..]),
        (Kind::Error, 0, &error[..], b""),
        (Kind::Reply, 0, b"", &too_large[..]),
        (Kind::End, 0, b"", b""),
        (Kind::Error, 0, &error[..], b""),
        (Kind::ManyReply, FLAG_LAST, b"", b"\0\0\0\0\0"),
    ];
    for (index, (kind, flags, head, body)) in ends.into_iter().enumerate() {
        let (client, mut peer, mut seen) = pair();
        let call = request("");
        let worker = async {
            let id = peer.called().await;
            peer.send(&ask(1, id, "never", b"")).await;
            peer.send(&frame(kind, id, flags, head, body)).await;
        };
        let host = async {
            match index {
                0..=2 => drop(client.call(&call).await),
                3 | 4 => {
                    use futures_util::StreamExt as _;
                    let chunks = client.stream(&call).unwrap();
                    drop(chunks.collect::<Vec<_>>().await);
                }
                _ => drop(client.call_many(&call, &[Payload::default()]).await),
            }
        };
        tokio::join!(host, worker);
        assert!(
            matches!(seen.recv().await, Some(Event::Asked(_))),
            "{index}"
        );
        assert!(matches!(seen.recv().await, Some(Event::Dropped)), "{index}");
        assert!(
            matches!(seen.recv().await, Some(Event::Ended(..))),
            "{index}"
        );
        // The connection stays usable.
        let again = request("");
        during(&client, &again, async {
            let id = peer.called().await;
            peer.send(&ask(1, id, "echo", b"")).await;
            peer.answer(1).await;
            peer.reply(id, b"").await;
        })
        .await;
    }
}

#[tokio::test]
async fn the_end_of_the_connection_ends_the_requests() {
    for cut in [true, false] {
        let (client, mut peer, mut seen) = pair();
        let call = request("");
        let worker = async {
            let id = peer.called().await;
            peer.send(&ask(1, id, "never", b"")).await;
            assert!(matches!(seen.recv().await, Some(Event::Asked(_))));
        };
        tokio::select! {
            biased;
            _ = client.call(&call) => panic!("nobody answers"),
            () = worker => {}
        }
        if cut {
            drop(peer);
            client.ended().await;
        } else {
            // When the host drops the connection, the worker sees its end.
            drop(client);
            assert!(peer.receive().await.is_none());
        }
        assert!(matches!(seen.recv().await, Some(Event::Dropped)));
        assert!(matches!(seen.recv().await, Some(Event::Ended(..))));
    }
}

/// Builds the bytes that break a call of this number.
type Break = fn(u64) -> Vec<u8>;

#[tokio::test]
async fn whatever_breaks_the_protocol_ends_the_connection() {
    let cases: [(&str, Break); 3] = [
        ("malformed frame of kind HostCall", |call| {
            ask(0, call, "echo", b"")
        }),
        ("malformed frame of kind HostCall", |_| {
            frame(Kind::HostCall, 1, 0, b"\xff\xff", b"")
        }),
        ("an answer to call 1", |_| {
            frame(Kind::HostReply, 1, 0, b"", b"")
        }),
    ];
    for (expected, bytes) in cases {
        let (client, mut peer, _seen) = pair();
        let call = request("");
        let worker = async {
            let id = peer.called().await;
            peer.send(&bytes(id)).await;
        };
        let (result, ()) = tokio::join!(client.call(&call), worker);
        let Err(CallError::Died { exit, .. }) = result else {
            panic!("{result:?}")
        };
        assert!(exit.reason.contains(expected), "{}", exit.reason);
    }
}

#[tokio::test]
async fn a_worker_that_asks_without_reading_is_cut_off() {
    use tokio::io::AsyncWriteExt as _;
    let (client, mut peer, _seen) = pair();
    let call = request("");
    let worker = async {
        let id = peer.called().await;
        let flood = ask(1, id, "echo", &[0; 1000]);
        // The client reports the end but leaves the socket open: in a real host the worker's
        // process is ended.
        tokio::select! {
            _ = client.ended() => {}
            () = async { while peer.0.write_all(&flood).await.is_ok() {} } => {}
        }
    };
    let (result, ()) = tokio::join!(client.call(&call), worker);
    let Err(CallError::Died { exit, .. }) = result else {
        panic!("{result:?}")
    };
    assert!(exit.reason.contains("without reading"), "{}", exit.reason);
}

#[tokio::test]
async fn a_header_is_enough_to_refuse_a_large_request() {
    let (client, mut peer, _seen) = pair();
    let call = request("");
    during(&client, &call, async {
        let id = peer.called().await;
        let header = Header {
            body_len: LIMIT as u64 + 1,
            ..Header::new(Kind::HostCall, 3)
        };
        peer.send(&header.encode()).await;
        assert_eq!(peer.code(3).await, "SP2005");
        peer.send(&vec![0; LIMIT + 1]).await;
        peer.send(&ask(4, id, "echo", b"on")).await;
        assert_eq!(peer.answer(4).await, b"on");
        peer.reply(id, b"").await;
    })
    .await;
}
