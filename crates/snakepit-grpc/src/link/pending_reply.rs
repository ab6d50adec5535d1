//! One plain call: sent at once, and answered later.

use bytes::Bytes;
use snakepit_core::call::Request;
use snakepit_core::value::Payload;
use snakepit_core::worker::CallError;
use tokio::sync::oneshot;

use super::client::LinkClient;
use super::pending::{Waiter, died};
use crate::frame::Kind;

/// A call that was sent. Dropping it discards the answer.
#[derive(Debug)]
#[must_use = "the answer comes here"]
pub struct PendingReply(oneshot::Receiver<Result<Bytes, CallError>>);

impl LinkClient {
    /// Makes one call and waits for the answer or the end of the connection.
    ///
    /// # Errors
    /// The error that the worker answered with; `TooLarge` before the request is sent, or for a
    /// reply over the limit; `Died` if the connection has ended, ambiguous if the request had been
    /// sent.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connection usable; the reply is discarded when it arrives.
    pub async fn call(&self, request: &Request) -> Result<Payload, CallError> {
        self.answer(self.begin(request.clone())?).await
    }

    /// Sends one call. [`answer`](Self::answer) waits for its answer.
    ///
    /// # Errors
    /// The errors of [`call`](Self::call) that are known before the request is sent.
    pub fn begin(&self, mut request: Request) -> Result<PendingReply, CallError> {
        let args = std::mem::take(&mut request.args.bytes);
        self.check_size(args.len())?;
        let (sender, receiver) = oneshot::channel();
        let waiter = Waiter::Call { sender, number: 0 };
        self.send(Kind::Call, request, waiter, &args)?;
        Ok(PendingReply(receiver))
    }

    /// Waits for the answer to a call that was sent on this connection.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    ///
    /// # Cancel safety
    /// As for [`call`](Self::call).
    pub async fn answer(&self, call: PendingReply) -> Result<Payload, CallError> {
        match call.0.await {
            Ok(result) => result.map(Payload::from_msgpack),
            Err(_) => Err(died(&self.reason(), true)),
        }
    }
}
