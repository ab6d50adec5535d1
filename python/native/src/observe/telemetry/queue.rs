//! The bounded queue of records.

use std::collections::VecDeque;

use prost::Message as _;
use snakepit_grpc::frame::{Header, Kind};
use snakepit_grpc::pb;

/// Largest number of records that wait.
const MAX_RECORDS: usize = 1024;

/// Largest number of bytes of records that wait.
const MAX_BYTES: usize = 1 << 20;

/// Longest record in bytes.
const MAX_RECORD: usize = 16 << 10;

/// Largest number of bytes of records in one frame. Such a frame, and answers to the host after it,
/// fit into a socket that has room.
const FRAME: usize = 32 << 10;

/// Bytes that a record takes in addition to its own.
const OVERHEAD: usize = 16;

/// Records in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Queue {
    records: VecDeque<pb::TelemetryRecord>,
    bytes: usize,
    /// Number of dropped records since the last frame.
    dropped: u64,
    /// Number of them that were too long.
    too_large: u64,
}

impl Queue {
    /// Returns whether there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.dropped == 0
    }

    /// Adds a record. Returns `false` if it has no room; then it is dropped and counted.
    pub(super) fn put(&mut self, kind: u32, record: &[u8]) -> bool {
        let bytes = record.len() + OVERHEAD;
        let fits = record.len() <= MAX_RECORD
            && self.records.len() < MAX_RECORDS
            && self.bytes + bytes <= MAX_BYTES;
        if fits {
            self.bytes += bytes;
            let record = bytes::Bytes::copy_from_slice(record);
            self.records.push_back(pb::TelemetryRecord { kind, record });
        } else {
            self.dropped += 1;
            self.too_large += u64::from(record.len() > MAX_RECORD);
        }
        fits
    }

    /// Takes the oldest records as a frame; `None` if there is nothing to send.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let mut message = pb::Telemetry {
            records: Vec::new(),
            dropped: std::mem::take(&mut self.dropped),
            too_large: std::mem::take(&mut self.too_large),
        };
        let mut size = 0;
        while let Some(next) = self.records.front() {
            let bytes = next.record.len() + OVERHEAD;
            if size + bytes > FRAME {
                break;
            }
            size += bytes;
            self.bytes -= bytes;
            message.records.extend(self.records.pop_front());
        }
        let mut header = Header::new(Kind::Telemetry, 0);
        header.head_len = u32::try_from(message.encoded_len()).expect("the frame is bounded");
        let mut frame = header.encode().to_vec();
        message
            .encode(&mut frame)
            .expect("a vector takes any length");
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use snakepit_grpc::frame::{HEADER_LEN, MAX_TELEMETRY};

    use super::*;

    fn read(frame: &[u8]) -> pb::Telemetry {
        let header = Header::decode(frame.first_chunk().unwrap()).unwrap();
        assert_eq!(header.kind, Kind::Telemetry);
        let head = &frame[HEADER_LEN..];
        assert_eq!(header.head_len as usize, head.len());
        assert!(head.len() <= MAX_TELEMETRY);
        pb::Telemetry::decode(head).unwrap()
    }

    #[test]
    fn what_has_no_room_is_counted_and_the_rest_comes_in_order() {
        let mut queue = Queue::default();
        assert!(queue.take().is_none());
        assert!(!queue.put(1, &[0; MAX_RECORD + 1]));
        let fitting = (0..2000_u32).filter(|n| queue.put(1, &n.to_be_bytes()));
        assert_eq!(fitting.count(), MAX_RECORDS);
        let (mut next, mut dropped, mut too_large) = (0_u32, 0, 0);
        while let Some(frame) = queue.take() {
            let message = read(&frame);
            dropped += message.dropped;
            too_large += message.too_large;
            for record in message.records {
                assert_eq!(record.record[..], next.to_be_bytes());
                next += 1;
            }
        }
        assert_eq!((next as usize, dropped), (MAX_RECORDS, 1 + 2000 - 1024));
        assert_eq!(too_large, 1);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn bytes_are_bounded_and_frames_are_short() {
        let mut queue = Queue::default();
        let fitting = (0..1000).filter(|_| queue.put(3, &[7; MAX_RECORD])).count();
        assert_eq!(fitting, MAX_BYTES / (MAX_RECORD + OVERHEAD));
        let mut records = 0;
        while let Some(frame) = queue.take() {
            let message = read(&frame);
            assert!(message.records.len() <= 2);
            records += message.records.len();
        }
        assert_eq!(records, fitting);
        assert!(queue.put(3, &[7; MAX_RECORD]), "there is room again");
    }
}
