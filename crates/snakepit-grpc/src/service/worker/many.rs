//! Batches: many calls of one tool, one after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::stream;
use snakepit_core::call::Request;
use snakepit_core::value::Payload;
use snakepit_core::worker::{CallError, ItemResult};

use super::calls::{Running, cancelled};
use super::encode::with_headers;
use super::failure::died;
use super::{GrpcWorker, decode};
use crate::frame::Kind;

impl GrpcWorker {
    /// Runs `items` as calls of `request.tool`, in one rpc if the worker has the capability `many`.
    /// Returns one result for each, in order.
    pub async fn call_many(
        self: Arc<Self>,
        request: Request,
        items: Arc<[Payload]>,
    ) -> Vec<ItemResult> {
        let running = Running::begin(&self, &request);
        let results = if self.can.many {
            self.in_one_rpc(&running, &request, &items).await
        } else {
            self.one_by_one(&running, &request, &items).await
        };
        // The span of a batch is good if the batch itself was answered.
        let lost = results.iter().rev().find_map(|result| match result {
            Err(error @ CallError::Died { .. }) => Some(error),
            _ => None,
        });
        running.end(lost);
        results
    }

    async fn one_by_one(
        &self,
        running: &Running,
        request: &Request,
        items: &[Payload],
    ) -> Vec<ItemResult> {
        let mut results: Vec<ItemResult> = Vec::with_capacity(items.len());
        for item in items {
            let result = match results.last() {
                // Items that were not sent can be sent to another worker.
                Some(Err(CallError::Died { .. } | CallError::NotBegun)) => Err(CallError::NotBegun),
                _ => self.run(running, request, item).await,
            };
            running.end(result.as_ref().err());
            results.push(result);
        }
        results
    }

    async fn in_one_rpc(
        &self,
        running: &Running,
        request: &Request,
        items: &[Payload],
    ) -> Vec<ItemResult> {
        let all = |error: CallError| items.iter().map(|_| Err(error.clone())).collect();
        if running.cancelled.is_cancelled() {
            return all(cancelled());
        }
        let span = self.spans.begin(Kind::Many, request);
        let messages: Result<Vec<_>, _> = items
            .iter()
            .map(|item| self.message(request, item, span, false))
            .collect();
        let messages = match messages {
            Ok(messages) => messages,
            // One item that cannot be sent: the others are sent one by one.
            Err(_) => return self.one_by_one(running, request, items).await,
        };
        let Some(first) = messages.first().cloned() else {
            return Vec::new();
        };
        let headers = with_headers(first, span).into_parts().0;
        let sent = tonic::Request::from_parts(
            headers,
            tonic::Extensions::default(),
            stream::iter(messages),
        );
        let mut client = self.calls.clone();
        let opened = tokio::select! {
            biased;
            opened = client.execute_tool_many(sent) => opened,
            reason = self.broken() => return all(died(reason)),
        };
        let mut answers = match opened {
            Ok(answers) => answers.into_inner(),
            Err(status) => return all(self.failed(&status, "ExecuteToolMany")),
        };
        self.refusals.store(0, Ordering::Relaxed);
        let mut results: Vec<ItemResult> = Vec::with_capacity(items.len());
        let ended = loop {
            let next = tokio::select! {
                biased;
                next = answers.message() => next,
                reason = self.broken() => break Some(died(reason)),
            };
            match next {
                Ok(Some(answer)) if results.len() < items.len() => {
                    let result = decode::response(&request.tool, answer);
                    results.push(result.and_then(|result| self.fits(result)));
                }
                Ok(Some(_)) => break Some(self.wrong_count(items.len(), "more than")),
                Ok(None) if results.len() < items.len() => {
                    break Some(self.wrong_count(items.len(), "fewer than"));
                }
                // Only the end of the rpc says that no tool runs any more.
                Ok(None) => break None,
                Err(status) => break Some(self.failed(&status, "ExecuteToolMany")),
            }
        };
        if let Some(error) = ended {
            if let CallError::TooLarge { .. } = error {
                // The call of gRPC has ended here, but its tools go on.
                self.cut("sent an answer above the limit in a batch");
            }
            results.resize_with(items.len(), || Err(error.clone()));
        }
        results
    }

    /// Returns the error of a batch that was not answered as it must be.
    fn wrong_count(&self, items: usize, relation: &str) -> CallError {
        let reason = format!("has sent {relation} {items} answers to {items} calls in a batch");
        self.cut(&reason);
        died(reason)
    }
}
