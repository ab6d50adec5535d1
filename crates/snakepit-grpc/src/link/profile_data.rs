//! The data of a profile. It comes from the worker, so it is bounded here.

use prost::Message as _;
use prost::encoding::{DecodeContext, decode_key, skip_field};
use snakepit_core::worker::profiling::{
    Marks, ProfileReport, ProfiledFrame, ProfiledStack, ProfiledThread, UnprofiledWorker,
};

use crate::pb::ProfileData;

/// Largest numbers of elements in a profile.
const MAX_THREADS: usize = 16 << 10;
const MAX_FUNCTIONS: usize = 64 << 10;
const MAX_FRAMES: usize = 1 << 20;
const MAX_STACKS: usize = 1 << 19;

/// Largest number of fields in the message, counted before they take memory.
const MAX_FIELDS: usize = MAX_THREADS + MAX_FUNCTIONS + MAX_FRAMES + MAX_STACKS + 16;

/// Largest number of frames in one stack.
const MAX_DEPTH: usize = 512;

/// Largest total size in bytes of the names and paths of all frames, each of which holds its own
/// copy.
const MAX_TEXTS: usize = 64 << 20;

/// Largest number of characters in a name or a path.
const MAX_TEXT: usize = 514;

/// Decodes a profile.
///
/// # Errors
/// The profile is malformed, too large, or contains an invalid reference.
pub(super) fn read(bytes: &[u8]) -> Result<ProfileReport, String> {
    if fields(bytes).is_none_or(|fields| fields > MAX_FIELDS) {
        return Err("its profile is malformed, or too large".to_owned());
    }
    let data = ProfileData::decode(bytes).map_err(|error| format!("its profile: {error}"))?;
    let bounds = [
        (data.threads.len(), MAX_THREADS),
        (data.functions.len(), MAX_FUNCTIONS),
        (data.frames.len(), MAX_FRAMES),
        (data.stacks.len(), MAX_STACKS),
    ];
    if bounds.iter().any(|(length, most)| length > most) {
        return Err("its profile is too large".to_owned());
    }
    let functions = data.functions.iter();
    let functions = functions.map(|function| (limited(&function.name), limited(&function.file)));
    let functions: Vec<_> = functions.collect();
    let mut report = ProfileReport::default();
    let mut texts = 0;
    for frame in &data.frames {
        let at = usize::try_from(frame.function).unwrap_or(usize::MAX);
        let known = functions.get(at).zip(data.functions.get(at));
        let ((name, file), function) = known.ok_or("its profile refers to an unknown function")?;
        texts += name.len() + file.len();
        if texts > MAX_TEXTS {
            return Err("the names in its profile are too large".to_owned());
        }
        report.frames.push(ProfiledFrame {
            function: name.clone(),
            file: file.clone(),
            line: frame.line,
            first_line: function.first_line,
        });
    }
    for thread in &data.threads {
        report.threads.push(ProfiledThread {
            name: limited(&thread.name),
            id: thread.id,
            ..ProfiledThread::default()
        });
    }
    for stack in data.stacks {
        let inside =
            |index: &u32, length: usize| usize::try_from(*index).is_ok_and(|at| at < length);
        let known = inside(&stack.thread, report.threads.len())
            && stack.frames.len() <= MAX_DEPTH
            && stack
                .frames
                .iter()
                .all(|frame| inside(frame, report.frames.len()));
        if !known {
            return Err("a stack of its profile refers to an unknown frame or thread".to_owned());
        }
        report.stacks.push(ProfiledStack {
            thread: stack.thread,
            marks: Marks {
                on_cpu: stack.marks & 1 != 0,
                gil: stack.marks & 2 != 0,
            },
            frames: stack.frames,
            count: stack.count,
        });
    }
    (report.samples, report.missed) = (data.samples, data.missed);
    (report.lost, report.truncated) = (data.lost, data.truncated);
    report.started = data.started_ns as f64 / 1e9;
    report.seconds = data.elapsed_us as f64 / 1e6;
    report.hz = data.hz;
    if !data.failure.is_empty() {
        report.unprofiled.push(UnprofiledWorker {
            reason: limited(&data.failure),
            ..UnprofiledWorker::default()
        });
    }
    Ok(report)
}

/// Returns the number of fields of a message. `None` if it is malformed.
fn fields(mut bytes: &[u8]) -> Option<usize> {
    let mut fields = 0;
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).ok()?;
        skip_field(wire, tag, &mut bytes, DecodeContext::default()).ok()?;
        fields += 1;
    }
    Some(fields)
}

/// Limits the length of a text. Its control characters are replaced once its secrets are masked.
pub(super) fn limited(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pb::profile_data::{Frame, Function, Stack, Thread};

    fn data(name: &str) -> ProfileData {
        ProfileData {
            samples: 10,
            hz: 100,
            functions: vec![Function {
                name: name.to_owned(),
                file: "tools.py".to_owned(),
                first_line: 3,
            }],
            frames: vec![Frame {
                function: 0,
                line: 4,
            }],
            threads: vec![Thread {
                name: name.to_owned(),
                id: 7,
            }],
            stacks: vec![Stack {
                thread: 0,
                marks: 3,
                count: 9,
                frames: vec![0, 0],
            }],
            ..ProfileData::default()
        }
    }

    #[test]
    fn a_profile_is_read() {
        let report = read(&data("spin\u{1b}[2J").encode_to_vec()).unwrap();
        assert_eq!(report.frames[0].function, "spin\u{1b}[2J");
        assert_eq!(report.threads[0].name, "spin\u{1b}[2J");
        assert_eq!((report.samples, report.total()), (10, 9));
        assert!(report.stacks[0].marks.gil && report.stacks[0].marks.on_cpu);
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let refused = |change: fn(&mut ProfileData)| {
            let mut data = data("f");
            change(&mut data);
            read(&data.encode_to_vec()).unwrap_err()
        };
        refused(|data| data.frames[0].function = 1);
        refused(|data| data.stacks[0].thread = 1);
        refused(|data| data.stacks[0].frames = vec![0, 1]);
        refused(|data| data.stacks[0].frames = vec![0; MAX_DEPTH + 1]);
        refused(|data| data.threads = vec![Thread::default(); MAX_THREADS + 1]);
    }

    #[test]
    fn a_small_profile_that_would_be_large_is_refused() {
        let mut large = data(&"\u{1f40d}".repeat(MAX_TEXT));
        large.frames = vec![Frame::default(); MAX_FRAMES];
        assert!(read(&large.encode_to_vec()).unwrap_err().contains("names"));
        // Empty functions, two bytes each.
        let many = [0x42, 0].repeat(MAX_FIELDS + 1);
        assert!(read(&many).unwrap_err().contains("too large"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_profile_or_an_error(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_damaged_profile_is_a_profile_or_an_error(
            name in ".{0,40}", at: prop::sample::Index, byte: u8,
        ) {
            let mut bytes = data(&name).encode_to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(report) = read(&bytes) {
                for frame in &report.frames {
                    prop_assert!(frame.function.chars().count() <= MAX_TEXT + 1);
                }
            }
        }
    }
}
