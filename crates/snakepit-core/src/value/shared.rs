//! Byte strings that share the memory of the payload that they are decoded from.
//!
//! serde passes only a slice to a visitor. While a payload is being decoded, this module knows the
//! owner of the slice, so that megabytes are not copied.

use std::cell::{Cell, RefCell};

use bytes::Bytes;

/// Smallest byte string that is shared. Sharing a smaller one would keep the whole payload in
/// memory for a few bytes.
const SHARED: usize = 16 << 10;

thread_local! {
    static DECODING: RefCell<Vec<Bytes>> = const { RefCell::new(Vec::new()) };
    static SEEN: Cell<Seen> = const { Cell::new(Seen { refusal: false, bytes: false }) };
}

/// Observations made while a payload was decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// A value was rejected for what it is: decoding it in another way would not help.
    pub(crate) refusal: bool,
    /// The payload has byte strings. The codec also reads a text that is not UTF-8 as bytes.
    pub(crate) bytes: bool,
}

impl Seen {
    /// Returns the observations since the last call, and resets them.
    pub(crate) fn take() -> Self {
        SEEN.take()
    }
}

/// Records that a value was rejected for what it is.
pub(crate) fn refuse() {
    let seen = SEEN.get();
    SEEN.set(Seen {
        refusal: true,
        ..seen
    });
}

/// Runs `decode` so that large byte strings may share `payload`.
pub(crate) fn decoding<T>(payload: &Bytes, decode: impl FnOnce() -> T) -> T {
    /// A guard that forgets the payload, also if `decode` panics.
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
    decode()
}

/// Returns `data` as a part of the payload that is being decoded if it lies there, else a copy.
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
    use crate::value::{Bytes as Wire, Payload};

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
    fn bytes_from_elsewhere_are_copied() {
        let payload = Bytes::from(vec![0; SHARED]);
        let other = vec![3; SHARED];
        assert_eq!(decoding(&payload, || part(&other)), other);
        assert_eq!(part(&other), other);
    }
}
