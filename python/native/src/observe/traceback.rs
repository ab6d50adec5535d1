//! Parser of faulthandler's output. The output comes from a copy of a process in any state, so
//! nothing in it is trusted.

use snakepit_grpc::pb::stack_dump::{Frame, Thread};

/// Largest number of threads (`MAX_THREADS`), and most frames of each (`MAX_FRAMES`).
pub(crate) const MAX_THREADS: usize = 100;
pub(crate) const MAX_FRAMES: usize = 100;

/// A thread by its identifier in Python.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Traced {
    pub(crate) ident: u64,
    pub(crate) thread: Thread,
}

/// Returns the threads that run Python code, each once, in the order of their first occurrence, and
/// whether the dump is complete.
pub(crate) fn read(text: &[u8]) -> (Vec<Traced>, bool) {
    let text = String::from_utf8_lossy(text);
    let mut whole = text.is_empty() || text.ends_with('\n');
    let mut found: Vec<Traced> = Vec::new();
    // False while the frames belong to a thread that is listed already, or to one too many.
    let mut open = false;
    let mut lines: Vec<&str> = text.lines().collect();
    if !whole {
        // A line that was cut off cannot be trusted.
        lines.pop();
    }
    for line in lines {
        if let Some(header) = header(line) {
            open = found.iter().all(|traced| traced.ident != header.ident);
            if open && found.len() == MAX_THREADS {
                (open, whole) = (false, false);
            }
            if open {
                found.push(header);
            }
        } else if line.trim_start() == "..." {
            whole = false;
        } else if open
            && let Some(traced) = found.last_mut()
            && let Some(frame) = frame(line)
        {
            let frames = &mut traced.thread.frames;
            match frames.len() {
                MAX_FRAMES.. => whole = false,
                _ => frames.push(frame),
            }
        }
    }
    found.retain(|traced| !traced.thread.frames.is_empty());
    for traced in &mut found {
        cut_start(&mut traced.thread.frames);
    }
    (found, whole)
}

/// Removes the outermost frames of the main thread, which show the start of the worker: its first
/// module and the import of that. A thread with no other frames keeps one of them.
pub(crate) fn cut_start(frames: &mut Vec<Frame>) {
    let kept = before_start(frames.iter().map(|frame| &*frame.file));
    frames.truncate(kept.unwrap_or(frames.len()));
}

/// Returns the number of frames before the start of the worker, at least one. `files` are the files
/// of the frames, the innermost first. `None` if the start is not among them.
pub(crate) fn before_start<'a>(mut files: impl Iterator<Item = &'a str>) -> Option<usize> {
    let at = files.position(|file| file.ends_with("snakepit_bridge/_boot.py"))?;
    Some(at.max(1))
}

/// Parses `Thread 0x00007f04c8aacb80 (most recent call first):`, also with `Current thread`, and
/// with `[name]` since CPython 3.14.
fn header(line: &str) -> Option<Traced> {
    let rest = line
        .strip_prefix("Thread 0x")
        .or_else(|| line.strip_prefix("Current thread 0x"))?;
    let (ident, rest) = rest.split_once(' ')?;
    let name = rest
        .strip_prefix('[')
        .and_then(|rest| rest.rsplit_once("] ("))
        .map_or("", |(name, _)| name);
    Some(Traced {
        ident: u64::from_str_radix(ident, 16).ok()?,
        thread: Thread {
            name: name.to_owned(),
            ..Thread::default()
        },
    })
}

/// Parses `  File "tools.py", line 14 in holds`, with `???` for what could not be read.
fn frame(line: &str) -> Option<Frame> {
    let (file, rest) = line.strip_prefix("  File ")?.rsplit_once(", line ")?;
    let (number, function) = rest.split_once(" in ")?;
    Some(Frame {
        file: unescape(file.trim_matches('"')),
        line: number.parse().unwrap_or(0),
        function: unescape(function),
    })
}

/// Decodes the escapes of faulthandler, which writes ASCII: `\xe9`, `\u20ac`, `\U0001f40d`. A
/// backslash itself is not escaped, so the result is a guess.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let digits = match rest.as_bytes().get(1) {
            Some(b'x') => 2,
            Some(b'u') => 4,
            Some(b'U') => 8,
            _ => 0,
        };
        let code = rest.get(2..2 + digits).filter(|_| digits > 0);
        match code.and_then(|code| u32::from_str_radix(code, 16).ok()) {
            Some(code) => {
                // A lone surrogate stands for a byte of a path that is not UTF-8.
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                rest = &rest[2 + digits..];
            }
            None => {
                out.push('\\');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Thread 0x00000000000000a1 (most recent call first):\n  \
         File \"tools.py\", line 14 in holds\n  File \"b.py\", line 18 in <module>\n\
         Thread 0x00000000000000b2 [pool [1]] (most recent call first):\n  \
         File \"caf\\xe9, line 3 in x.py\", line ??? in ???\n  ...\n\n\
         Thread 0x00000000000000c3 (most recent call first):\n  <no Python frame>\n\
         Current thread 0x00000000000000a1 (most recent call first):\n  \
         File \"again.py\", line 1 in f\n";

    #[test]
    fn each_thread_once_and_only_those_in_python() {
        let (threads, whole) = read(TEXT.as_bytes());
        assert!(!whole, "frames of the second thread are missing");
        assert_eq!(threads.len(), 2);
        assert_eq!(threads[0].ident, 0xa1);
        let first = &threads[0].thread.frames;
        assert_eq!(first.len(), 2);
        assert_eq!(
            (&*first[0].file, first[0].line, &*first[0].function),
            ("tools.py", 14, "holds")
        );
        assert_eq!(threads[1].thread.name, "pool [1]");
        let odd = &threads[1].thread.frames[0];
        assert_eq!(
            (&*odd.file, odd.line, &*odd.function),
            ("café, line 3 in x.py", 0, "???")
        );
    }

    #[test]
    fn the_start_of_the_worker_is_no_part_of_a_stack() {
        let start = "  File \"/p/snakepit_bridge/_boot.py\", line 13 in <module>\n  \
             File \"<frozen importlib._bootstrap>\", line 241 in _call_with_frames_removed\n  \
             File \"<string>\", line 1 in <module>\n";
        let text = format!(
            "Thread 0x1 (most recent call first):\n  File \"tools.py\", line 3 in spin\n{start}\
             Thread 0x2 (most recent call first):\n{start}"
        );
        let (threads, _) = read(text.as_bytes());
        let functions = |index: usize| {
            let frames = &threads[index].thread.frames;
            frames
                .iter()
                .map(|frame| frame.file.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(functions(0), ["tools.py"]);
        assert_eq!(functions(1), ["/p/snakepit_bridge/_boot.py"]);
    }

    #[test]
    fn a_dump_that_broke_off_keeps_its_whole_lines() {
        let cut = &TEXT[..TEXT.find("b.py").unwrap()];
        let (threads, whole) = read(cut.as_bytes());
        assert!(!whole);
        assert_eq!(threads[0].thread.frames.len(), 1);
        assert_eq!(read(b""), (Vec::new(), true));
    }

    #[test]
    fn wherever_it_is_cut_or_changed_it_is_read() {
        for end in 0..TEXT.len() {
            let mut bytes = TEXT.as_bytes()[..end].to_vec();
            assert!(read(&bytes).0.len() <= 2);
            if let Some(last) = bytes.last_mut() {
                *last = 0xff;
            }
            assert!(read(&bytes).0.len() <= 2);
        }
    }

    #[test]
    fn threads_and_frames_are_bounded() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for thread in 0..150 {
            let _ = writeln!(text, "Thread 0x{thread:x} (most recent call first):");
            for line in 0..110 {
                let _ = writeln!(text, "  File \"a.py\", line {line} in f");
            }
        }
        let (threads, whole) = read(text.as_bytes());
        assert!(!whole);
        assert_eq!(threads.len(), MAX_THREADS);
        assert!(
            threads
                .iter()
                .all(|traced| traced.thread.frames.len() == MAX_FRAMES)
        );
    }

    #[test]
    fn characters_that_faulthandler_escapes_come_back() {
        assert_eq!(unescape(r"\u20ac\U0001f40d\xe9"), "€🐍é");
        assert_eq!(unescape(r"a\udc80"), "a\u{fffd}");
        assert_eq!(unescape(r"C:\temp\x\u12"), r"C:\temp\x\u12");
        assert_eq!(unescape("\\"), "\\");
    }
}
