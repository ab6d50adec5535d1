//! One plain call: sent at once, and answered later.

use bytes::Bytes;
use snakepit_core::{CallError, Payload, Request};
use tokio::sync::oneshot;

use super::client::LinkClient;
use super::pending::{Waiter, died};
use crate::frame::Kind;

/// A call that is sent. Dropping it discards the answer.
#[derive(Debug)]
#[must_use = "the answer comes here"]
pub struct Asked(oneshot::Receiver<Result<Bytes, CallError>>);

impl LinkClient {
    /// Makes one call. It resolves when the answer is there or the connection has ended.
    ///
    /// # Errors
    /// What the worker answered; `TooLarge` before anything is sent, or for a reply over the
    /// limit; `Died` when the connection has ended, ambiguous when the request had been sent.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connection usable; the reply is discarded when it comes.
    pub async fn call(&self, request: &Request) -> Result<Payload, CallError> {
        self.answer(self.begin(request)?).await
    }

    /// Sends one call, whose [`answer`](Self::answer) comes later.
    ///
    /// # Errors
    /// As for [`call`](Self::call), as far as they show before the request is sent.
    pub fn begin(&self, request: &Request) -> Result<Asked, CallError> {
        self.check_size(request.args.bytes.len())?;
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter::Call { sender, number: 0 };
        self.send(Kind::Call, request, waiter, &request.args.bytes)?;
        Ok(Asked(receiver))
    }

    /// Waits for the answer of a call that was sent here.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As for [`call`](Self::call).
    pub async fn answer(&self, asked: Asked) -> Result<Payload, CallError> {
        match asked.0.await {
            Ok(result) => result.map(Payload::from_msgpack),
            Err(_) => Err(died(&self.reason(), true)),
        }
    }
}
