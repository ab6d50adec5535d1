//! Pings that were sent, and the last sign of life.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use snakepit_core::worker::Pulse;
use tokio::sync::watch;

use crate::pb;

#[derive(Debug, Default)]
pub(super) struct Pings {
    /// Number of the last ping.
    sent: AtomicU64,
    last: watch::Sender<Pong>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pong {
    /// Number of the ping that is answered; 0 before the first.
    number: u64,
    pulse: Pulse,
}

impl Pings {
    /// Returns the number for a new ping.
    pub(super) fn next_number(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Returns the number of the last ping.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Records an answer. Returns `false` if it answers a ping that was never sent.
    #[must_use]
    pub(super) fn put(&self, number: u64, message: &pb::Pong) -> bool {
        if number > self.sent() {
            return false;
        }
        let held = Duration::from_micros(message.held_us);
        let pulse = Pulse {
            held: (!held.is_zero()).then_some(held),
        };
        // An answer that was overtaken holds no news.
        self.last.send_if_modified(|last| {
            let later = number > last.number;
            if later {
                *last = Pong { number, pulse };
            }
            later
        });
        true
    }

    /// Waits for the answer to a ping, or to a later one.
    pub(super) async fn answer(&self, number: u64) -> Pulse {
        let mut last = self.last.subscribe();
        let pong = last.wait_for(|pong| pong.number >= number).await;
        pong.expect("the sender lives in `self`").pulse
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::poll;

    use super::*;

    fn pong(held_us: u64) -> pb::Pong {
        pb::Pong { held_us }
    }

    #[tokio::test]
    async fn an_answer_stands_for_all_earlier_questions() {
        let pings = Pings::default();
        let [first, second, third] = [
            pings.next_number(),
            pings.next_number(),
            pings.next_number(),
        ];
        assert!(pings.put(second, &pong(7)));
        let held = Some(Duration::from_micros(7));
        assert_eq!(pings.answer(first).await.held, held);
        assert_eq!(pings.answer(second).await.held, held);
        let mut last = std::pin::pin!(pings.answer(third));
        assert!(poll!(&mut last).is_pending());
        assert!(pings.put(first, &pong(9)), "it was overtaken");
        assert!(poll!(&mut last).is_pending());
        assert!(pings.put(third, &pong(0)));
        assert_eq!(poll!(&mut last), Poll::Ready(Pulse::default()));
    }

    #[test]
    fn an_answer_needs_a_question() {
        let pings = Pings::default();
        assert!(
            pings.put(0, &pong(0)),
            "a sign of life from an earlier host's time"
        );
        assert!(!pings.put(1, &pong(0)));
        assert_eq!(pings.next_number(), 1);
        assert!(pings.put(1, &pong(0)));
        assert!(!pings.put(u64::MAX, &pong(0)));
    }
}
