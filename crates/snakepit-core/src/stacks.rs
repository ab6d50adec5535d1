//! The stacks of a worker, and how they read as text.

use std::fmt;

use serde::Serialize;

use crate::Printable;

/// Where the threads of a worker are: for people, and bounded in size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stacks {
    /// The threads, the one that runs the call first where that is known. The task of a call on an event loop stands before them.
    pub threads: Vec<ThreadStack>,
    /// Threads or frames were left out.
    pub truncated: bool,
}

/// One thread of a worker, or what a task of its event loop waits in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ThreadStack {
    /// Its name, empty when it has none.
    pub name: String,
    /// Its id in the operating system; 0 when unknown.
    pub id: u64,
    /// Its frames, the innermost first.
    pub frames: Vec<StackFrame>,
    /// Number of the call whose task it is. `None` for a thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
}

/// One frame of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StackFrame {
    /// File of the code.
    pub file: String,
    /// Line, from 1; 0 when unknown.
    pub line: u32,
    /// Name of the function.
    pub function: String,
}

/// One line for each thread and, under it, one for each frame, the innermost first; no line break at the end.
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
    /// What people know it by: its name, its id, or both.
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
