//! Byte strings that share the memory of the payload they are decoded from.
//!
//! serde hands a visitor only a slice. While a payload is being decoded, this module knows whose slice it is, so that megabytes are not
//! copied once more.

use std::cell::{Cell, RefCell};

use bytes::Bytes;

use crate::Value;

/// A byte string below this size is copied: sharing it would keep the whole payload in memory for a few bytes.
const SHARED: usize = 16 << 10;

/// What the values of a payload may take in memory, in bytes: this much, and [`PER_BYTE`] for each byte of the payload. A byte of
/// MessagePack may be a whole item of a list, and an item takes 40 bytes: without a limit, 64 MiB could become several gigabytes.
pub(super) const ALLOWED: usize = 64 << 20;

/// See [`ALLOWED`].
pub(super) const PER_BYTE: usize = 4;

thread_local! {
    static DECODING: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    /// Bytes that the values of the payload being decoded may still take; `usize::MAX` if nobody counts.
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static SEEN: Cell<Seen> = const { Cell::new(Seen { refusal: false, bytes: false }) };
}

/// What has been seen while a payload was decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// A value was refused for what it is: reading it in another way would not help.
    pub(crate) refusal: bool,
    /// There were bytes. The codec also takes a text that is not UTF-8 for bytes.
    pub(crate) bytes: bool,
}

impl Seen {
    /// What has been seen since the last time.
    pub(crate) fn take() -> Self {
        SEEN.take()
    }
}

/// Notes that a value was refused for what it is.
pub(super) fn refuse() {
    let seen = SEEN.get();
    SEEN.set(Seen {
        refusal: true,
        ..seen
    });
}

/// Takes the memory of so many values before they are read; `false` if the payload has used up what it may take.
pub(super) fn charge(items: usize) -> bool {
    let left = LEFT.get();
    if left == usize::MAX {
        return true;
    }
    let wanted = items.saturating_mul(size_of::<Value>());
    match left.checked_sub(wanted) {
        Some(left) => {
            LEFT.set(left);
            true
        }
        None => false,
    }
}

/// Runs `decode` while large byte strings may share `payload`, and while the memory of its values is counted. The values of a payload
/// that is too small for sharing fit into [`ALLOWED`] whatever they are.
pub(crate) fn decoding<T>(payload: &Bytes, decode: impl FnOnce() -> T) -> T {
    /// Forgets the payload also when `decode` panics.
    struct Forget;
    impl Drop for Forget {
        fn drop(&mut self) {
            DECODING.with_borrow_mut(Vec::pop);
        }
    }
    if payload.len() < SHARED {
        return decode();
    }
    DECODING.with_borrow_mut(|stack| stack.push(payload.clone()));
    let _forget = Forget;
    counting(payload.len(), decode)
}

/// Runs `decode` while the memory of its values is counted, for an input of so many bytes.
pub(super) fn counting<T>(bytes: usize, decode: impl FnOnce() -> T) -> T {
    /// Ends the count also when `decode` panics.
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let allowed = ALLOWED + bytes.saturating_mul(PER_BYTE);
    let _restore = Restore(LEFT.replace(allowed));
    decode()
}

/// The bytes of `data`: a part of the payload being decoded if it lies there, else a copy.
pub(crate) fn part(data: &[u8]) -> Bytes {
    let seen = SEEN.get();
    SEEN.set(Seen {
        bytes: true,
        ..seen
    });
    if data.len() < SHARED {
        return Bytes::copy_from_slice(data);
    }
    DECODING.with_borrow(|stack| {
        let payload = stack
            .last()
            .filter(|payload| payload.as_ptr_range().contains(&data.as_ptr()));
        match payload {
            Some(payload) if payload.as_ptr_range().end >= data.as_ptr_range().end => {
                payload.slice_ref(data)
            }
            _ => Bytes::copy_from_slice(data),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes as Wire, Payload};

    #[test]
    fn large_byte_strings_share_the_payload_and_small_ones_do_not() {
        for (size, shares) in [(SHARED, true), (SHARED - 1, false)] {
            let data = Wire::from(vec![7_u8; size]);
            let payload =
                Payload::encode(&vec![data.clone(), Wire::from(vec![1_u8; SHARED])]).unwrap();
            let decoded: Vec<Wire> = payload.decode().unwrap();
            assert_eq!(decoded[0], data);
            let range = payload.bytes.as_ptr_range();
            assert_eq!(range.contains(&decoded[0].0.as_ptr()), shares);
        }
    }

    #[test]
    fn small_payloads_fit_into_what_is_allowed() {
        // Every byte an item, and each with a list of its own.
        assert!(SHARED * 2 * size_of::<Value>() < ALLOWED);
    }

    #[test]
    fn bytes_from_elsewhere_are_copied() {
        let payload = Bytes::from(vec![0; SHARED]);
        let other = vec![3; SHARED];
        assert_eq!(decoding(&payload, || part(&other)), other);
        assert_eq!(part(&other), other);
    }
}
