//! Requests for the stacks of a worker's threads, and the answers. The answers come from the
//! worker, so they are bounded here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use snakepit_core::error::{StackFrame, Stacks, ThreadStack};
use tokio::sync::oneshot;

use crate::pb;

/// Largest size of an answer in bytes, and largest numbers of its elements.
const MAX_BYTES: usize = 64 << 10;
const MAX_THREADS: usize = 100;
const MAX_FRAMES: usize = 100;

/// Largest number of characters in a name or a path.
const MAX_TEXT: usize = 512;

#[derive(Debug, Default)]
pub(super) struct StackRequests {
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Stacks>>>,
}

/// A pending request; forgotten when it is dropped.
pub(super) struct Question<'a> {
    requests: &'a StackRequests,
    /// The number that the request is sent with.
    pub(super) number: u64,
    answer: oneshot::Receiver<Stacks>,
}

impl StackRequests {
    pub(super) fn question(&self) -> Question<'_> {
        let number = 1 + self.last.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        self.lock().insert(number, sender);
        Question {
            requests: self,
            number,
            answer,
        }
    }

    /// Delivers an answer. Drops it if its request is gone.
    ///
    /// # Errors
    /// The answer is malformed or too large.
    pub(super) fn put(&self, number: u64, head: Bytes) -> Result<(), String> {
        let stacks = read(head)?;
        let waiting = self.lock().remove(&number);
        if let Some(waiting) = waiting {
            // The requester may be gone at this moment.
            let _ = waiting.send(stacks);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Stacks>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Question<'_> {
    /// Waits for the answer. `None` if the worker could not read its stacks.
    pub(super) async fn answer(mut self) -> Option<Stacks> {
        let stacks = (&mut self.answer).await.ok()?;
        (!stacks.threads.is_empty()).then_some(stacks)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.number);
    }
}

/// Decodes an answer.
fn read(head: Bytes) -> Result<Stacks, String> {
    if head.len() > MAX_BYTES {
        return Err(format!("stacks of {} bytes", head.len()));
    }
    let dump = pb::StackDump::decode(head).map_err(|error| error.to_string())?;
    let mut truncated = dump.truncated || dump.threads.len() > MAX_THREADS;
    let threads = dump.threads.into_iter().take(MAX_THREADS).map(|thread| {
        truncated |= thread.frames.len() > MAX_FRAMES;
        let frames = thread.frames.into_iter().take(MAX_FRAMES);
        ThreadStack {
            name: limited(thread.name),
            id: thread.id,
            call: (thread.call > 0).then_some(thread.call),
            frames: frames
                .map(|frame| StackFrame {
                    file: limited(frame.file),
                    line: frame.line,
                    function: limited(frame.function),
                })
                .collect(),
        }
    });
    let threads = threads.collect();
    Ok(Stacks { threads, truncated })
}

/// Limits the length of a text. Its control characters are replaced once its secrets are masked.
fn limited(text: String) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pb::stack_dump::{Frame, Thread};

    #[tokio::test]
    async fn each_question_gets_its_own_answer() {
        let requests = StackRequests::default();
        let (first, second) = (requests.question(), requests.question());
        let dump = pb::StackDump {
            threads: vec![Thread {
                name: "Main\u{1b}[31m".into(),
                id: 7,
                frames: vec![Frame {
                    file: "a.py".into(),
                    line: 3,
                    function: "f".into(),
                }],
                call: 0,
            }],
            truncated: false,
        };
        let unknown = pb::StackDump::default().encode_to_vec();
        requests.put(second.number, unknown.into()).unwrap();
        requests
            .put(first.number, dump.encode_to_vec().into())
            .unwrap();
        assert_eq!(second.answer().await, None);
        let stacks = first.answer().await.unwrap();
        assert_eq!(stacks.threads[0].name, "Main\u{1b}[31m");
        assert_eq!(stacks.threads[0].frames[0].line, 3);
        assert!(requests.lock().is_empty());
    }

    #[test]
    fn a_question_that_is_dropped_is_forgotten() {
        let requests = StackRequests::default();
        let number = requests.question().number;
        assert!(requests.lock().is_empty());
        requests.put(number, Bytes::new()).unwrap();
    }

    #[test]
    fn an_answer_is_bounded() {
        let dump = pb::StackDump {
            threads: vec![Thread::default(); 300],
            truncated: false,
        };
        let stacks = read(dump.encode_to_vec().into()).unwrap();
        assert!(stacks.truncated && stacks.threads.len() == MAX_THREADS);
        assert!(read(vec![0; MAX_BYTES + 1].into()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes: Vec<u8>) {
            if let Ok(stacks) = read(bytes.into()) {
                prop_assert!(stacks.threads.len() <= MAX_THREADS);
            }
        }

        #[test]
        fn a_damaged_answer_is_an_answer_or_an_error(
            name in ".{0,40}", line: u32, at: prop::sample::Index, byte: u8,
        ) {
            let frame = Frame { file: name.clone(), line, function: name.clone() };
            let thread = Thread { name, id: 1, frames: vec![frame; 3], call: 7 };
            let dump = pb::StackDump { threads: vec![thread; 3], truncated: true };
            let mut bytes = dump.encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(stacks) = read(bytes.into()) {
                for thread in stacks.threads {
                    prop_assert!(thread.name.chars().count() <= MAX_TEXT + 1);
                }
            }
        }
    }
}
