//! Texts in the file, and numbers for names.

use std::sync::atomic::{AtomicU64, Ordering};
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
    let mut bytes = text.as_bytes().chunks(8);
    for word in &words[1..] {
        let mut chunk = [0; 8];
        if let Some(bytes) = bytes.next() {
            chunk[..bytes.len()].copy_from_slice(bytes);
        }
        word.store(u64::from_le_bytes(chunk), Ordering::Relaxed);
    }
    let length = text.len() as u64;
    let sum = sum(words[1..]
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .chain([length]));
    words[0].store(length | u64::from(sum) << 32, Ordering::Release);
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
    numbers: RwLock<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    of: HashMap<Arc<str>, u32>,
    /// In the order of their entries. A full table is reused from its beginning.
    places: Vec<Arc<str>>,
    next: usize,
}

impl Names {
    pub(super) fn new(first: usize) -> Self {
        Self {
            first,
            numbers: RwLock::default(),
        }
    }

    /// Returns the number of a name. A new name is written into the file; if the table is full, it
    /// replaces the oldest one.
    pub(super) fn number(&self, words: &[AtomicU64], name: &str) -> u32 {
        let known = self.numbers.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(number) = known.of.get(name) {
            return *number;
        }
        drop(known);
        self.add(words, name)
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
        let number = place + 1;
        let at = self.first + number * NAME;
        write(&words[at..at + NAME], &name);
        let number = number as u32;
        numbers.of.insert(name, number);
        number
    }
}
