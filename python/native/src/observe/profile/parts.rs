//! Encoding of a finished profile as one message.

use std::collections::HashMap;

use prost::Message as _;
use snakepit_grpc::pb::ProfileData;
use snakepit_grpc::pb::profile_data::{Frame, Function, Stack, Thread};
use snakepit_grpc::profile_limits::MAX_BYTES;
use snakepit_walker::Code;

use super::sampler::Sampler;
use super::table::{Place, Table};
use crate::observe::traceback::before_start;

/// Room for the fields about the whole profile, in bytes, which are set after its stacks.
const WHOLE: usize = 1 << 10;

/// Largest number of bytes around a nested message (`AROUND`), and of a count that grows (`COUNT`).
const AROUND: usize = 6;
const COUNT: usize = 10;

/// Numbers functions and frames of a profile in the order of first use.
struct Numbers<'a, C> {
    /// Looks up the function of a number.
    code: C,
    lines: bool,
    functions: HashMap<u32, u32>,
    frames: HashMap<(u32, u32), u32>,
    /// Frames by function and offset, so that each line is looked up once.
    places: HashMap<Place, u32>,
    data: &'a mut ProfileData,
    /// Bytes added to the data for the current stack.
    size: usize,
    /// Entries added for the current stack, which are removed if it does not fit.
    added: Added,
}

#[derive(Default)]
struct Added {
    functions: Vec<u32>,
    frames: Vec<(u32, u32)>,
    places: Vec<Place>,
}

/// Returns the threads, functions and stacks of a profile. With `lines`, stacks are also told apart
/// by line.
pub(crate) fn data(sampler: &Sampler, lines: bool) -> ProfileData {
    let titles = sampler.titles.list().iter().map(|title| Thread {
        name: title.name.clone(),
        id: title.task.into(),
    });
    let data = ProfileData {
        lost: sampler.lost,
        truncated: sampler.table.truncated,
        threads: titles.collect(),
        ..ProfileData::default()
    };
    let code = |number| sampler.codes.get(number);
    with_stacks(data, &sampler.table, code, lines, MAX_BYTES)
}

/// Adds the stacks that fit into `most` bytes, the most frequent ones first.
fn with_stacks<'c>(
    mut data: ProfileData,
    table: &Table,
    code: impl Fn(u32) -> Option<&'c Code>,
    lines: bool,
    most: usize,
) -> ProfileData {
    // Stacks that differ only by offsets within one line are merged.
    let mut merged: HashMap<(u32, u32, Vec<u32>), usize> = HashMap::new();
    let mut size = data.encoded_len() + WHOLE;
    let mut numbers = Numbers {
        code,
        lines,
        functions: HashMap::new(),
        frames: HashMap::new(),
        places: HashMap::new(),
        data: &mut data,
        size: 0,
        added: Added::default(),
    };
    for (key, count, places) in table.counts() {
        numbers.begin();
        let mut frames: Vec<u32> = places
            .iter()
            .rev()
            .filter_map(|place| numbers.frame(*place))
            .collect();
        let kept = before_start(frames.iter().rev().map(|frame| file(numbers.data, *frame)));
        frames.drain(..frames.len() - kept.unwrap_or(frames.len()));
        let stack = Stack {
            thread: key.thread,
            marks: key.marks.bits(),
            count,
            frames,
        };
        let alike = (stack.thread, stack.marks, stack.frames.clone());
        if let Some(at) = merged.get(&alike) {
            if size + numbers.size > most {
                numbers.undo();
            } else {
                size += numbers.size;
            }
            numbers.data.stacks[*at].count += count;
            continue;
        }
        let grown = size + numbers.size + stack.encoded_len() + AROUND + COUNT;
        if grown > most {
            numbers.undo();
            numbers.data.truncated += count;
            continue;
        }
        size = grown;
        merged.insert(alike, numbers.data.stacks.len());
        numbers.data.stacks.push(stack);
    }
    data
}

impl<'c, C: Fn(u32) -> Option<&'c Code>> Numbers<'_, C> {
    /// Begins the next stack.
    fn begin(&mut self) {
        self.size = 0;
        self.added = Added::default();
    }

    /// Removes the entries that were added for the current stack.
    fn undo(&mut self) {
        for code in self.added.functions.drain(..) {
            self.functions.remove(&code);
            self.data.functions.pop();
        }
        for frame in self.added.frames.drain(..) {
            self.frames.remove(&frame);
            self.data.frames.pop();
        }
        for place in self.added.places.drain(..) {
            self.places.remove(&place);
        }
    }

    fn frame(&mut self, place: Place) -> Option<u32> {
        if let Some(number) = self.places.get(&place) {
            return Some(*number);
        }
        let (code, offset) = place;
        let found = (self.code)(code)?;
        let line = if self.lines { found.line(offset) } else { 0 };
        let function = match self.functions.get(&code) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.data.functions.len()).ok()?;
                let function = Function {
                    name: found.function.clone(),
                    file: found.file.clone(),
                    first_line: found.first_line,
                };
                self.size += function.encoded_len() + AROUND;
                self.data.functions.push(function);
                self.functions.insert(code, number);
                self.added.functions.push(code);
                number
            }
        };
        let next = u32::try_from(self.data.frames.len()).ok()?;
        let number = *self.frames.entry((function, line)).or_insert(next);
        if number == next {
            let frame = Frame { function, line };
            self.size += frame.encoded_len() + AROUND;
            self.data.frames.push(frame);
            self.added.frames.push((function, line));
        }
        self.places.insert(place, number);
        self.added.places.push(place);
        Some(number)
    }
}

/// Returns the file of a frame.
fn file(data: &ProfileData, frame: u32) -> &str {
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let frame = data.frames.get(place(frame));
    let function = frame.and_then(|frame| data.functions.get(place(frame.function)));
    function.map_or("", |function| &function.file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::profile::marks::Marks;

    #[test]
    fn a_profile_keeps_its_bound_whatever_is_left_out() {
        // Long names, so that their functions count.
        let code = |number: u32| {
            let mut code = Code::default();
            code.function = format!(
                "{number}{}",
                "f".repeat(usize::try_from(number % 97).unwrap())
            );
            code.file = "file.py".to_owned();
            code
        };
        let codes: Vec<Code> = (0..2000).map(code).collect();
        let mut table = Table::new(2000);
        let mut samples = 0;
        for number in 0..1000 {
            let seen = table.keep(&[(number, 0), (number + 1000, 2), (number % 7, 4)]);
            for _ in 0..(number % 5) + 1 {
                table.sample(seen, Some(number % 3), Marks::default());
                samples += 1;
            }
        }
        let with = |most| {
            let code = |number: u32| codes.get(usize::try_from(number).ok()?);
            with_stacks(ProfileData::default(), &table, code, false, most)
        };
        let whole = with(MAX_BYTES);
        assert_eq!((whole.stacks.len(), whole.truncated), (1000, 0));
        for most in [0, WHOLE, WHOLE + 100, 8 << 10, 40 << 10] {
            let data = with(most);
            let kept: u64 = data.stacks.iter().map(|stack| stack.count).sum();
            assert_eq!(kept + data.truncated, samples, "{most}");
            assert!(
                data.stacks.is_empty() || data.encoded_len() + WHOLE <= most,
                "{most}"
            );
            // Every entry that is there is needed, and every needed one is there.
            let used = |frame: &u32| usize::try_from(*frame).unwrap() < data.frames.len();
            assert!(data.stacks.iter().flat_map(|stack| &stack.frames).all(used));
            let frames = data.stacks.iter().flat_map(|stack| &stack.frames);
            let most_used = frames.max().map_or(0, |frame| frame + 1);
            assert_eq!(usize::try_from(most_used).unwrap(), data.frames.len());
            let functions = data.frames.iter().map(|frame| frame.function + 1);
            let functions = usize::try_from(functions.max().unwrap_or(0)).unwrap();
            assert_eq!(functions, data.functions.len());
        }
    }
}
