//! Texts in the file, and numbers for names.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use foldhash::HashMap;

use super::check::sum;
use super::layout::{NAME, NAMES};

/// Writes a text: its length and checksum, then its bytes. A text that is too long is cut off at a
/// character boundary.
pub(super) fn write(words: &[AtomicU64], text: &str) {
    let room = words.len().saturating_sub(1) * 8;
    let mut end = text.len().min(room);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = &text[..end];
    let mut chunks = text.as_bytes().chunks(8).map(word_of);
    for word in &words[1..] {
        word.store(chunks.next().unwrap_or(0), Ordering::Relaxed);
    }
    let length = text.len() as u64;
    let sum = sum(words[1..]
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .chain([length]));
    words[0].store(length | u64::from(sum) << 32, Ordering::Release);
}

/// Returns up to 8 bytes as a word.
fn word_of(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Returns true if this text, and not only its beginning, was written to the words.
fn holds(words: &[AtomicU64], text: &str) -> bool {
    let length = words[0].load(Ordering::Acquire) & u64::from(u32::MAX);
    let chunks = text.as_bytes().chunks(8);
    length == text.len() as u64
        && chunks
            .zip(&words[1..])
            .all(|(chunk, word)| word_of(chunk) == word.load(Ordering::Relaxed))
}

/// Reads a text. `None` if it is damaged; a text that was never written is empty.
pub(super) fn read(words: &[u64]) -> Option<String> {
    let (first, words) = words.split_first()?;
    if *first == 0 {
        return Some(String::new());
    }
    let length = first & u64::from(u32::MAX);
    if u64::from(sum(words.iter().copied().chain([length]))) != first >> 32 {
        return None;
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let length = usize::try_from(length).ok()?;
    String::from_utf8(bytes.get(..length)?.to_vec()).ok()
}

/// The names of one kind, each with an entry in the file. Number 0 stands for a name without an
/// entry.
#[derive(Debug)]
pub(super) struct Names {
    /// The first word of the table in the file.
    first: usize,
    /// The number that was found last. Most calls have few tools and workers, and a comparison with
    /// one entry costs less than a search in the table.
    last: AtomicU32,
    numbers: RwLock<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    of: HashMap<Arc<str>, u32>,
    /// The names, in the order of their entries. A full table is reused from its beginning.
    places: Vec<Arc<str>>,
    next: usize,
}

impl Names {
    pub(super) fn new(first: usize) -> Self {
        Self {
            first,
            last: AtomicU32::new(0),
            numbers: RwLock::default(),
        }
    }

    /// Returns the number of a name. A new name is written into the file; if the table is full, it
    /// replaces the oldest one.
    pub(super) fn number(&self, words: &[AtomicU64], name: &str) -> u32 {
        let last = self.last.load(Ordering::Relaxed);
        if last > 0 && holds(self.entry(words, last), name) {
            return last;
        }
        let known = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        let number = known.of.get(name).copied();
        drop(known);
        let number = number.unwrap_or_else(|| self.add(words, name));
        self.last.store(number, Ordering::Relaxed);
        number
    }

    fn entry<'a>(&self, words: &'a [AtomicU64], number: u32) -> &'a [AtomicU64] {
        let at = self.first + number as usize * NAME;
        &words[at..at + NAME]
    }

    /// Returns the name with a number. Empty if the number has no entry.
    pub(super) fn name(&self, number: u16) -> String {
        let numbers = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        let place = usize::from(number).checked_sub(1);
        let name = place.and_then(|place| numbers.places.get(place));
        name.map_or_else(String::new, |name| (**name).to_owned())
    }

    #[cold]
    fn add(&self, words: &[AtomicU64], name: &str) -> u32 {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = numbers.of.get(name) {
            return *number;
        }
        let name: Arc<str> = name.into();
        let place = numbers.next;
        numbers.next = (place + 1) % (NAMES - 1);
        match numbers.places.get_mut(place) {
            Some(old) => {
                let old = std::mem::replace(old, Arc::clone(&name));
                numbers.of.remove(&old);
            }
            None => numbers.places.push(Arc::clone(&name)),
        }
        let number = place as u32 + 1;
        write(self.entry(words, number), &name);
        numbers.of.insert(name, number);
        number
    }
}
