//! A map keyed by call ids.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from call ids to values. The host chooses the ids, so no peer can cause collisions.
pub(super) type CallMap<T> = HashMap<u64, T, BuildHasherDefault<CallHasher>>;

/// A hasher for ids that count up: one multiplication spreads them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallHasher(u64);

impl Hasher for CallHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
