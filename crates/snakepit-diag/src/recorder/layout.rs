//! Offsets in the file, in words of 8 bytes.

/// First word: the file's type and format. It is written last.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"SNKFLT04");

/// Words of the header: magic, an unused one, wall clock at the start, process id of the host,
/// number of the next death, checksum of the clock and the process id, pool.
pub(super) const HEADER: usize = 64;
pub(super) const WALL_NS: usize = 2;
pub(super) const HOST_PID: usize = 3;
pub(super) const NEXT_DEATH: usize = 4;
pub(super) const HEADER_SUM: usize = 5;
pub(super) const POOL: usize = 8;

/// Words of a text: its length and checksum, then 56 bytes (more for the exit and the output of a
/// death).
pub(super) const NAME: usize = 8;

/// Entries in the table of tools, and as many in the table of workers. The first entry of each is
/// for names that have no entry of their own.
pub(super) const NAMES: usize = 512;
pub(super) const TOOLS: usize = HEADER;
pub(super) const WORKERS: usize = TOOLS + NAMES * NAME;

/// Deaths: number, time, calls, checksum, worker, cause, exit, last output.
pub(super) const DEATHS: usize = 32;
pub(super) const DEATH: usize = 128;
pub(super) const DEATH_AT: usize = 1;
pub(super) const DEATH_CALLS: usize = 2;
pub(super) const DEATH_SUM: usize = 3;
pub(super) const DEATH_WORKER: usize = 8;
pub(super) const DEATH_CAUSE: usize = 16;
pub(super) const DEATH_EXIT: usize = 24;
pub(super) const DEATH_EXIT_WORDS: usize = 24;
pub(super) const DEATH_OUTPUT: usize = 48;
pub(super) const DEATH_OUTPUT_WORDS: usize = DEATH - DEATH_OUTPUT;
pub(super) const FIRST_DEATH: usize = WORKERS + NAMES * NAME;

/// Number of calls kept.
pub(super) const RECORDS: usize = 4096;

/// Words of one call; `ring.rs` packs them.
pub(super) const RECORD: usize = 8;
pub(super) const FIRST_RECORD: usize = FIRST_DEATH + DEATHS * DEATH;

/// Words of the whole file.
pub(super) const WORDS: usize = FIRST_RECORD + RECORDS * RECORD;

/// The outcomes of calls, by number. A running call has the first one.
pub(super) const OUTCOMES: [&str; 8] = [
    "running",
    "ok",
    "error",
    "cancelled",
    "queue_timeout",
    "call_timeout",
    "rejected",
    "unknown",
];

/// The outcome of a call that ran or waited when its host ended. No file contains it: a host that
/// is killed writes nothing.
pub(super) const CUT: &str = "cut by the death of its host";

/// Returns the number of an outcome.
pub(super) fn outcome(word: &str) -> u64 {
    let known = OUTCOMES.iter().position(|known| *known == word);
    known.unwrap_or(OUTCOMES.len() - 1) as u64
}
