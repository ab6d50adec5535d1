//! The control connection: cancellation, signs of life, broken peers.

use std::sync::Arc;
use std::sync::mpsc::channel;

use futures_util::FutureExt as _;
use prost::Message as _;
use snakepit_grpc::frame::{FLAG_ERROR, Kind, MAX_SECRET};
use snakepit_grpc::link::{ControlClient, LinkEnd};
use snakepit_grpc::pb;
use tokio::net::UnixStream;

use crate::peer::{Peer, frame};

#[tokio::test]
async fn control_cancels_and_tolerates_signs_of_life() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut peer) = (ControlClient::new(host), Peer(worker));
    peer.send(&frame(Kind::Pong, 0, 0, b"", b"")).await;
    let call = snakepit_core::id::CallId(77);
    control.cancel(call, std::time::Duration::from_millis(5));
    let (header, head, _) = peer.receive().await.unwrap();
    assert_eq!((header.kind, header.call), (Kind::Cancel, 77));
    let grace_us = pb::Cancel::decode(&head[..]).unwrap().grace_us;
    assert_eq!(grace_us, 5000);
    let report = pb::Stopped {
        step: 4,
        after_us: 9,
    };
    peer.send(&frame(Kind::Stopped, 77, 0, &report.encode_to_vec(), b""))
        .await;
    let stopped = control.stopped(call).await;
    assert_eq!(stopped.step, snakepit_core::worker::CancelStep::Interrupt);
    assert_eq!(stopped.after.as_micros(), 9);
    peer.reply(1, b"").await;
    assert!(
        control
            .ended()
            .await
            .reason()
            .contains("unexpected frame of kind Reply")
    );
}

#[tokio::test]
async fn control_asks_for_signs_of_life() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut peer) = (ControlClient::new(host), Peer(worker));
    let long = std::time::Duration::from_secs(60);
    let answer = async {
        let (first, ..) = peer.receive().await.unwrap();
        let (second, ..) = peer.receive().await.unwrap();
        assert_eq!((first.kind, first.call), (Kind::Ping, 1));
        assert_eq!((second.kind, second.call), (Kind::Ping, 2));
        let head = pb::Pong { held_us: 1500 }.encode_to_vec();
        peer.send(&frame(Kind::Pong, 2, 0, &head, b"")).await;
        peer
    };
    let (one, two, mut peer) = tokio::join!(control.ping(long), control.ping(long), answer);
    let held = std::time::Duration::from_micros(1500);
    assert_eq!(one.unwrap().held, Some(held));
    assert_eq!(two.unwrap().held, Some(held));
    let answer = async {
        let (third, ..) = peer.receive().await.unwrap();
        peer.send(&frame(Kind::Pong, third.call, 0, b"", b"")).await;
        peer
    };
    let (three, mut peer) = tokio::join!(control.ping(long), answer);
    assert_eq!(three.unwrap().held, None, "the interpreter is free");
    let short = std::time::Duration::from_millis(5);
    assert_eq!(control.ping(short).await, None);
    peer.send(&frame(Kind::Pong, 99, 0, b"", b"")).await;
    let LinkEnd::ProtocolBroken(reason) = control.ended().await else {
        panic!("the protocol is broken");
    };
    assert!(
        reason.contains("unexpected frame of kind Pong"),
        "nobody has asked: {reason}"
    );
    assert_eq!(control.ping(short).await, None);
}

#[tokio::test]
async fn control_does_not_heap_up_questions() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut peer) = (ControlClient::new(host), Peer(worker));
    for _ in 0..10_000 {
        let question = control.ping(std::time::Duration::from_secs(60));
        assert!(question.now_or_never().is_none());
    }
    let ping = control.ping(std::time::Duration::from_secs(60));
    let mut ping = std::pin::pin!(ping);
    let mut asked = 0;
    let pulse = loop {
        tokio::select! {
            pulse = &mut ping => break pulse,
            frame = peer.receive() => asked = frame.unwrap().0.call,
        }
        peer.send(&frame(Kind::Pong, asked, 0, b"", b"")).await;
    };
    assert!(pulse.is_some());
    assert!(asked < 5_000, "{asked} of 10000 were sent");
}

#[tokio::test]
async fn the_import_that_switches_the_gil_on_is_told_once() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (control, mut peer) = (ControlClient::new(host), Peer(worker));
    assert_eq!(control.gil_reenabled_by(), None);
    for module in ["first", "second"] {
        let module = module.to_owned();
        let head = pb::GilEnabled { module }.encode_to_vec();
        peer.send(&frame(Kind::GilEnabled, 0, 0, &head, b"")).await;
    }
    assert_eq!(control.gil_enabled().await.as_deref(), Some("first"));
    drop(peer);
    let closed = LinkEnd::Lost("closed its control connection".into());
    assert_eq!(control.ended().await, closed);
    assert_eq!(control.gil_reenabled_by().as_deref(), Some("first"));
    let (host, _) = UnixStream::pair().unwrap();
    assert_eq!(ControlClient::new(host).gil_enabled().await, None);
}

#[tokio::test]
async fn a_secret_of_the_worker_is_hidden_before_it_is_confirmed() {
    let (host, worker) = UnixStream::pair().unwrap();
    let (sender, values) = channel();
    let hide = move |value: &str| {
        sender.send(value.to_owned()).unwrap();
        value != "too many"
    };
    let control = ControlClient::with_secrets(host, Arc::new(drop), Arc::new(hide));
    let mut peer = Peer(worker);
    for (number, value, flags) in [(5, "hush", 0), (6, "too many", FLAG_ERROR)] {
        let head = pb::Secret {
            value: value.to_owned(),
        };
        let head = head.encode_to_vec();
        peer.send(&frame(Kind::Secret, number, 0, &head, b"")).await;
        let (header, ..) = peer.receive().await.unwrap();
        assert_eq!(
            (header.kind, header.call, header.flags),
            (Kind::SecretKnown, number, flags)
        );
        assert_eq!(values.try_recv().as_deref(), Ok(value));
    }
    let head = vec![0; MAX_SECRET + 1];
    peer.send(&frame(Kind::Secret, 7, 0, &head, b"")).await;
    let LinkEnd::ProtocolBroken(reason) = control.ended().await else {
        panic!("the protocol is broken");
    };
    assert!(reason.contains("impossible length"), "{reason}");
}
