//! The streams of a scripted worker, by the name of the tool.

use std::sync::Arc;

use futures_util::StreamExt;

use super::ScriptedWorker;
use crate::call::Request;
use crate::value::Payload;
use crate::worker::{CallError, ChunkStream};

impl ScriptedWorker {
    pub(super) async fn chunks(
        self: Arc<Self>,
        request: Request,
    ) -> Result<ChunkStream, CallError> {
        if &*request.tool == "count" {
            let call = request.call;
            let chunks = futures_util::stream::unfold(0_u64, move |n| {
                let worker = Arc::clone(&self);
                async move {
                    let over = worker.is_cancelled(call);
                    let chunk = Payload::encode(&n).expect("a number can be encoded");
                    (!over && worker.is_alive()).then_some((Ok(chunk), n + 1))
                }
            });
            return Ok(Box::pin(chunks));
        }
        if &*request.tool == "pause" {
            let (call, args) = (request.call, request.args);
            let silence = async move {
                self.cancellation(call).await;
                None
            };
            let first = futures_util::stream::iter([Ok(args)]);
            let rest = futures_util::stream::once(silence).filter_map(std::future::ready);
            return Ok(Box::pin(first.chain(rest)));
        }
        if &*request.tool == "deaf" {
            let first = futures_util::stream::iter([Ok(request.args)]);
            let silence = futures_util::stream::pending();
            return Ok(Box::pin(first.chain(silence)));
        }
        if &*request.tool == "behind_later" {
            let tool = "behind".into();
            let outcome = async move { self.guarded(Request { tool, ..request }).await };
            return Ok(Box::pin(futures_util::stream::once(outcome)));
        }
        let chunk = self.guarded(request).await?;
        Ok(Box::pin(futures_util::stream::iter([Ok(chunk)])))
    }
}
