//! Checksums that reveal damaged entries.

/// Odd, so that multiplication loses no bits: a single changed word always changes the sum before
/// it is folded.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns the checksum of some words, folded to 32 bits.
pub(super) fn sum(words: impl IntoIterator<Item = u64>) -> u32 {
    // Each word is mixed by itself and in its own way, so that the processor overlaps them.
    let mixed = (0_u32..).zip(words).fold(0_u64, |sum, (place, word)| {
        let mixed = (word ^ FACTOR).wrapping_mul(FACTOR);
        sum.wrapping_add(mixed.rotate_left(7 * place))
    });
    let [a, b, c, d, ..] = (mixed ^ mixed >> 32).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
