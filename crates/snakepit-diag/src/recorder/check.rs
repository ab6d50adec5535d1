//! Checksums that reveal damaged entries.

/// Odd, so that multiplication loses no bits: a single changed bit always changes the sum before it
/// is folded.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the checksum of some words, folded to 32 bits.
pub(super) fn sum(words: impl IntoIterator<Item = u64>) -> u32 {
    let mixed = words.into_iter().fold(FACTOR, |sum, word| {
        (sum ^ word).wrapping_mul(FACTOR).rotate_left(29)
    });
    let [a, b, c, d, ..] = (mixed ^ mixed >> 32).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
