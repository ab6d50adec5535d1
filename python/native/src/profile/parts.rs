//! A finished profile as one message.

use std::collections::HashMap;

use prost::Message as _;
use snakepit_grpc::pb::ProfileData;
use snakepit_grpc::pb::profile_data::{Frame, Function, Stack, Thread};

use super::sampler::Sampler;

/// Largest profile in bytes. Stacks that were seen least often are left out.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// Bytes of one number at most.
const NUMBER: usize = 5;

/// Numbers the functions and frames of a profile in the order in which they are needed.
#[derive(Debug)]
struct Numbers<'a> {
    sampler: &'a Sampler,
    lines: bool,
    functions: HashMap<u32, u32>,
    frames: HashMap<(u32, u32), u32>,
    /// Frames by function and offset, so that each line is looked up once.
    places: HashMap<(u32, i32), u32>,
    data: ProfileData,
}

/// Returns the threads, functions and stacks of a profile; with `lines` stacks differ by lines too.
pub(crate) fn data(sampler: &Sampler, lines: bool) -> ProfileData {
    let titles = sampler.titles.list().iter().map(|title| Thread {
        name: title.name.clone(),
        id: title.task.into(),
    });
    let mut numbers = Numbers {
        sampler,
        lines,
        functions: HashMap::new(),
        frames: HashMap::new(),
        places: HashMap::new(),
        data: ProfileData {
            lost: sampler.lost,
            truncated: sampler.table.truncated,
            threads: titles.collect(),
            ..ProfileData::default()
        },
    };
    // Offsets in one line are one stack.
    let mut merged: HashMap<(u32, u32, Vec<u32>), usize> = HashMap::new();
    let mut size = numbers.data.encoded_len();
    for (key, count, places) in sampler.table.counts() {
        let (known, before) = (numbers.data.functions.len(), numbers.data.frames.len());
        let mut frames: Vec<u32> = places
            .iter()
            .rev()
            .filter_map(|place| numbers.frame(*place))
            .collect();
        cut_start(&numbers.data, &mut frames);
        let marks = key.marks.bits();
        if let Some(at) = merged.get(&(key.thread, marks, frames.clone())) {
            numbers.data.stacks[*at].count += count;
            continue;
        }
        let new = numbers.data.functions[known..].iter();
        size += new
            .map(|function| function.encoded_len() + NUMBER)
            .sum::<usize>();
        size += (numbers.data.frames.len() - before) * 3 * NUMBER;
        size += (frames.len() + 6) * NUMBER;
        if size > MAX_BYTES {
            numbers.data.truncated += count;
            continue;
        }
        merged.insert(
            (key.thread, marks, frames.clone()),
            numbers.data.stacks.len(),
        );
        numbers.data.stacks.push(Stack {
            thread: key.thread,
            marks,
            count,
            frames,
        });
    }
    numbers.data
}

impl Numbers<'_> {
    fn frame(&mut self, place: (u32, i32)) -> Option<u32> {
        if let Some(number) = self.places.get(&place) {
            return Some(*number);
        }
        let (code, offset) = place;
        let found = self.sampler.codes.get(code)?;
        let line = if self.lines { found.line(offset) } else { 0 };
        let function = match self.functions.get(&code) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.data.functions.len()).ok()?;
                self.data.functions.push(Function {
                    name: found.function.clone(),
                    file: found.file.clone(),
                    first_line: found.first_line,
                });
                self.functions.insert(code, number);
                number
            }
        };
        let next = u32::try_from(self.data.frames.len()).ok()?;
        let number = *self.frames.entry((function, line)).or_insert(next);
        if number == next {
            self.data.frames.push(Frame { function, line });
        }
        self.places.insert(place, number);
        Some(number)
    }
}

/// Removes the outermost frames of the main thread, which show how the worker was started.
fn cut_start(data: &ProfileData, frames: &mut Vec<u32>) {
    let is_start = |frame: &u32| {
        let frame = data
            .frames
            .get(usize::try_from(*frame).unwrap_or(usize::MAX));
        let function = frame.and_then(|frame| {
            let at = usize::try_from(frame.function).unwrap_or(usize::MAX);
            data.functions.get(at)
        });
        function.is_some_and(|function| function.file.ends_with("snakepit_bridge/_boot.py"))
    };
    let Some(at) = frames.iter().rposition(is_start) else {
        return;
    };
    let first = if at + 1 < frames.len() { at + 1 } else { at };
    frames.drain(..first);
}
