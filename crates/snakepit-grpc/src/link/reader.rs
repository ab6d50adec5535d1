//! The task that reads a slot connection and completes its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::error::{Direction, ErrorCode};
use snakepit_core::worker::CallError;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::watch;

use super::chunks::{Batch, LARGE_BATCH};
use super::client::DescribeError;
use super::ending::{End, LinkEnd};
use super::gathered::Gathered;
use super::parser::{Parsed, Parser, ProtocolError};
use super::pending::{Open, Pending, Waiter};
use super::serving::Serving;
use super::spans::Ended;
use crate::frame::{FLAG_LAST, FLAG_RENEW, Header, Kind};
use crate::{convert, pb};

/// Reads until the connection ends, then fails all waiting calls.
pub(super) async fn run(
    stream: OwnedReadHalf,
    pending: Arc<Pending>,
    serving: Arc<Serving>,
    ended: watch::Sender<Option<LinkEnd>>,
    max_payload: usize,
    one_by_one: Arc<AtomicBool>,
) {
    let mut reader = Reader {
        stream,
        parser: Parser::new(max_payload),
        pending,
        serving,
        max_payload,
        batch: None,
    };
    let mut end = End {
        ended,
        pending: Arc::clone(&reader.pending),
        serving: Arc::clone(&reader.serving),
        end: LinkEnd::lost("is unreachable: the runtime of its pool was shut down"),
        in_turn: false,
    };
    let all_read;
    (end.end, all_read) = match reader.read_all().await {
        Ok(reason) => (LinkEnd::lost(reason), true),
        Err(error) => (error.into(), error == ProtocolError::Truncated),
    };
    end.in_turn = all_read && one_by_one.load(Ordering::Relaxed);
    reader.batch = None;
}

struct Reader {
    stream: OwnedReadHalf,
    parser: Parser,
    pending: Arc<Pending>,
    serving: Arc<Serving>,
    max_payload: usize,
    /// Collected chunks of the current stream, until the read buffer is used up.
    batch: Option<Open>,
}

impl Reader {
    /// Reads to the end of the connection and returns the reason for the end.
    async fn read_all(&mut self) -> Result<String, ProtocolError> {
        loop {
            let buffer = self.parser.buffer();
            match self.stream.read_buf(buffer).await {
                Ok(0) if self.parser.at_boundary() => return Ok("closed its connection".to_owned()),
                // Usually the process has just ended, so this is not reported as a protocol error.
                Ok(0) => return Ok(format!("lost its connection: {}", ProtocolError::Truncated)),
                Ok(_) => {}
                Err(error) => return Ok(format!("lost its connection: {error}")),
            }
            let outcome = self.parse_all().await;
            // Chunks before a broken frame are still valid.
            self.flush().await;
            outcome?;
        }
    }

    async fn parse_all(&mut self) -> Result<(), ProtocolError> {
        loop {
            match self.next_frame()? {
                Parsed::Incomplete => return Ok(()),
                Parsed::TooLarge { header } => self.too_large(header).await?,
                Parsed::Frame { header, body, .. } if header.kind == Kind::Chunk => {
                    self.chunk(header.call, body).await?;
                }
                Parsed::Frame { header, head, body } if header.kind == Kind::HostCall => {
                    // A chunk that arrived earlier must be passed on first.
                    self.flush().await;
                    self.serving.wait_for_room().await?;
                    self.serving.request(header.call, &head, body)?;
                }
                Parsed::Frame { header, .. } if header.kind == Kind::HostCancel => {
                    self.serving.cancel(header.call);
                }
                Parsed::Frame { header, head, body } => {
                    self.flush().await;
                    self.complete(header, &head, body).await?;
                }
            }
        }
    }

    /// Parses frames up to the first one that is not a chunk of the open batch, and adds the chunks
    /// to the batch.
    ///
    /// A separate function, so that no chunk is copied into the state of a future.
    fn next_frame(&mut self) -> Result<Parsed, ProtocolError> {
        loop {
            if let Some(open) = &mut self.batch {
                let call = open.call;
                self.parser
                    .small_chunks(call, |chunk| open.push_small(chunk))?;
            }
            let parsed = self.parser.next_frame()?;
            let (header, in_batch) = match (&parsed, &self.batch) {
                (Parsed::Incomplete, _) => return Ok(parsed),
                (Parsed::TooLarge { header }, _) => (header, false),
                (Parsed::Frame { header, .. }, batch) => {
                    let call = batch.as_ref().map(|open| open.call);
                    let chunk = header.kind == Kind::Chunk;
                    (header, chunk && call == Some(header.call))
                }
            };
            if header.flags & FLAG_RENEW != 0 {
                // Set before the call is completed, because the slot is free afterwards.
                self.pending.want_renewal();
            }
            match (parsed, &mut self.batch) {
                (Parsed::Frame { body, .. }, Some(open)) if in_batch => open.push(body)?,
                (parsed, _) => return Ok(parsed),
            }
        }
    }

    /// Opens a batch with a chunk of another call than the open one's.
    async fn chunk(&mut self, call: u64, body: Bytes) -> Result<(), ProtocolError> {
        self.flush().await;
        match self.pending.take(call) {
            Some(Waiter::Stream(stream)) => {
                let open = self.batch.insert(Open {
                    call,
                    stream,
                    batch: Batch::default(),
                    bytes: 0,
                });
                open.push(body)
            }
            Some(other) => {
                self.pending.put_back(call, other);
                Err(ProtocolError::Unexpected(Kind::Chunk))
            }
            None => Err(ProtocolError::UnknownCall(call)),
        }
    }

    /// Passes the open batch on. Waits while the consumer is slow; the socket is not read
    /// meanwhile, so the worker waits as well.
    async fn flush(&mut self) {
        let Some(open) = self.batch.take() else {
            return;
        };
        let sender = &open.stream.sender;
        if open.stream.failed.is_none() {
            // Without a consumer the chunks are dropped until the tool has ended. On a multiplexed
            // connection this does not wait: the window limits the number of batches to the
            // channel's capacity.
            if open.bytes < LARGE_BATCH || open.stream.credit.is_some() {
                let _ = sender.send(open.batch).await;
            } else if let Ok(mut places) = sender.reserve_many(sender.max_capacity()).await
                && let Some(place) = places.next()
            {
                place.send(open.batch);
            }
        }
        self.pending
            .put_back(open.call, Waiter::Stream(open.stream));
    }

    async fn too_large(&mut self, header: Header) -> Result<(), ProtocolError> {
        if header.kind == Kind::HostCall {
            self.serving.wait_for_room().await?;
            self.serving.too_large(&header);
            return Ok(());
        }
        self.flush().await;
        let call = header.call;
        let error = CallError::TooLarge {
            direction: Direction::Reply,
            size: header.body_len,
            limit: self.max_payload as u64,
        };
        match (header.kind, self.pending.take(call)) {
            (Kind::Reply, Some(Waiter::Call { sender, .. })) => {
                self.serving.end(call);
                let code = ErrorCode::PayloadTooLarge.as_str();
                let failed = Ended::Failed(code, "");
                self.pending.spans.end(call, &Bytes::new(), failed);
                let _ = sender.send(Err(error));
                Ok(())
            }
            // The tool continues, and its slot is not free before it has ended.
            (Kind::Chunk, Some(Waiter::Stream(mut stream))) => {
                stream.failed.get_or_insert(error);
                self.pending.put_back(call, Waiter::Stream(stream));
                Ok(())
            }
            (_, None) => Err(ProtocolError::UnknownCall(call)),
            (kind, Some(other)) => {
                self.pending.put_back(call, other);
                Err(ProtocolError::Unexpected(kind))
            }
        }
    }

    async fn complete(
        &mut self,
        header: Header,
        head: &Bytes,
        body: Bytes,
    ) -> Result<(), ProtocolError> {
        let Header {
            kind, call, flags, ..
        } = header;
        let waiter = self
            .pending
            .take(call)
            .ok_or(ProtocolError::UnknownCall(call))?;
        match (kind, waiter) {
            (Kind::Reply, Waiter::Call { sender, .. }) => {
                self.serving.end(call);
                self.pending.spans.end(call, head, Ended::Good);
                let _ = sender.send(Ok(body));
                Ok(())
            }
            (Kind::End, Waiter::Stream(stream)) => {
                self.serving.end(call);
                let how = match &stream.failed {
                    Some(_) => Ended::Failed(ErrorCode::PayloadTooLarge.as_str(), ""),
                    None => Ended::Good,
                };
                self.pending.spans.end(call, head, how);
                let end = stream.failed.map_or(Ok(()), Err);
                let _ = stream
                    .sender
                    .send(Batch {
                        chunks: Gathered::default(),
                        end: Some(end),
                    })
                    .await;
                Ok(())
            }
            (
                Kind::ManyReply,
                Waiter::Many {
                    sender,
                    results,
                    expected,
                },
            ) => self.many(
                (call, flags),
                head,
                &body,
                Waiter::Many {
                    sender,
                    results,
                    expected,
                },
            ),
            (Kind::Described, Waiter::Describe(sender)) => {
                let described = convert::description(head).map_err(DescribeError::Refused);
                let _ = sender.send(described);
                Ok(())
            }
            (Kind::Error, waiter) => self.error(call, head, waiter).await,
            (kind, waiter) => {
                self.pending.put_back(call, waiter);
                Err(ProtocolError::Unexpected(kind))
            }
        }
    }

    fn many(
        &self,
        (call, flags): (u64, u8),
        head: &Bytes,
        body: &Bytes,
        waiter: Waiter,
    ) -> Result<(), ProtocolError> {
        let Waiter::Many {
            sender,
            mut results,
            expected,
        } = waiter
        else {
            return Err(ProtocolError::Unexpected(Kind::ManyReply));
        };
        let mask = |error: &mut _| self.pending.spans.mask(error);
        let complete = super::many::append_results(body, &mut results, expected, mask);
        let last = flags & FLAG_LAST != 0;
        if complete && last && results.len() == expected {
            self.serving.end(call);
            self.pending.spans.end(call, head, Ended::Good);
            let _ = sender.send(results);
            return Ok(());
        }
        self.pending.put_back(
            call,
            Waiter::Many {
                sender,
                results,
                expected,
            },
        );
        if complete && !last {
            Ok(())
        } else {
            Err(ProtocolError::Malformed(Kind::ManyReply))
        }
    }

    async fn error(&self, call: u64, head: &Bytes, waiter: Waiter) -> Result<(), ProtocolError> {
        let Ok(mut error) = pb::ToolError::decode(head.clone()) else {
            self.pending.put_back(call, waiter);
            return Err(ProtocolError::Malformed(Kind::Error));
        };
        self.pending.spans.mask(&mut error);
        self.serving.end(call);
        self.pending
            .spans
            .fail(call, &error, convert::code_of_call(&error.code));
        let tool = |error| CallError::Tool(Box::new(convert::tool_error(error)));
        match waiter {
            Waiter::Describe(sender) => {
                let error = Box::new(convert::start_error(error));
                let _ = sender.send(Err(DescribeError::Refused(error)));
            }
            Waiter::Call { sender, .. } => {
                let _ = sender.send(Err(tool(error)));
            }
            Waiter::Stream(stream) => {
                let end = Some(Err(stream.failed.unwrap_or_else(|| tool(error))));
                let _ = stream
                    .sender
                    .send(Batch {
                        chunks: Gathered::default(),
                        end,
                    })
                    .await;
            }
            Waiter::Many {
                sender,
                mut results,
                expected,
            } => {
                let missing = expected.saturating_sub(results.len());
                let error = convert::tool_error(error);
                // Thousands of items may fail with this error; only the first gets all of it.
                let brief = convert::brief(&error);
                let others = (1..missing).map(|_| CallError::Tool(Box::new(brief.clone())));
                let first = CallError::Tool(Box::new(error));
                results.extend(std::iter::once(first).chain(others).take(missing).map(Err));
                let _ = sender.send(results);
            }
        }
        Ok(())
    }
}
