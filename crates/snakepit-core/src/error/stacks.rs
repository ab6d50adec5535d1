//! The stacks of a worker, and their form as text.

use std::fmt;

use serde::Serialize;

use crate::printable::Printable;

/// The stacks of a worker's threads, for people to read; bounded in size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stacks {
    /// The threads; if known, the one that runs the call is first. The task of a call on an event
    /// loop precedes them all.
    pub threads: Vec<ThreadStack>,
    /// Threads or frames were left out.
    pub truncated: bool,
}

/// The stack of one thread of a worker, or of a task of its event loop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ThreadStack {
    /// Name; empty if it has none.
    pub name: String,
    /// Id in the operating system; 0 if unknown.
    pub id: u64,
    /// Frames, the innermost first.
    pub frames: Vec<StackFrame>,
    /// Number of the call that the task runs. `None` for a thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
}

/// One frame of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StackFrame {
    /// File of the code.
    pub file: String,
    /// Line, from 1; 0 if unknown.
    pub line: u32,
    /// Name of the function.
    pub function: String,
}

/// Writes one line for each thread and, under it, one for each frame, the innermost first; no line
/// break at the end.
impl fmt::Display for Stacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, thread) in self.threads.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{thread}")?;
        }
        if self.truncated {
            f.write_str("\n(there is more)")?;
        }
        Ok(())
    }
}

impl fmt::Display for ThreadStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title())?;
        for frame in &self.frames {
            write!(f, "\n  {frame}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, function) = (Printable(&self.file), Printable(&self.function));
        match self.line {
            0 => write!(f, "{file} in {function}"),
            line => write!(f, "{file}:{line} in {function}"),
        }
    }
}

impl ThreadStack {
    /// Returns the name, the id, or both, for people to read.
    pub fn title(&self) -> String {
        if let Some(call) = self.call {
            return match &*self.name {
                "" => format!("task of call {call}"),
                name => format!("task `{}` of call {call}", Printable(name)),
            };
        }
        match (&*self.name, self.id) {
            ("", 0) => "thread without a name".to_owned(),
            ("", id) => format!("thread {id}"),
            (name, 0) => format!("thread `{}`", Printable(name)),
            (name, id) => format!("thread `{}` ({id})", Printable(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_from_the_inside() {
        let frame = |line, function: &str| StackFrame {
            file: "tools.py".into(),
            line,
            function: function.into(),
        };
        let thread = |name: &str, id, frames| ThreadStack {
            name: name.into(),
            id,
            frames,
            call: None,
        };
        let stacks = Stacks {
            threads: vec![
                thread("MainThread", 7, vec![frame(3, "spin"), frame(0, "run")]),
                thread("", 0, Vec::new()),
            ],
            truncated: true,
        };
        let expected = "thread `MainThread` (7)\n  tools.py:3 in spin\n  tools.py in run\n\
             thread without a name\n(there is more)";
        assert_eq!(stacks.to_string(), expected);
        assert_eq!(thread("", 9, Vec::new()).title(), "thread 9");
        assert_eq!(thread("io", 0, Vec::new()).title(), "thread `io`");
        let task = |name: &str| ThreadStack {
            call: Some(7),
            ..thread(name, 0, Vec::new())
        };
        assert_eq!(task("").title(), "task of call 7");
        assert_eq!(task("reader").title(), "task `reader` of call 7");
    }
}
