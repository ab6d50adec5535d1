//! The part of a profile that belongs to one tool.

use super::ProfileReport;
use crate::worker::ToolInfo;

/// Largest number of lines that decorators may take before the `def` of a tool.
const MOST_LINES: u32 = 200;

impl ProfileReport {
    /// Keeps only the stacks in which this tool runs, from its function on. Work that it has
    /// started in other threads is not included.
    #[must_use]
    pub fn of_tool(mut self, tool: &ToolInfo) -> Self {
        let name = defined_name(&tool.signature);
        // Distance in lines of the `def` from the start of a function. `None` if it cannot be that
        // function.
        let distance = |index: &u32| {
            let frame = self.frames.get(usize::try_from(*index).ok()?)?;
            let last = frame.function.rsplit('.').next().unwrap_or_default();
            let named = name.is_none_or(|name| name == last);
            let lines = tool.line.checked_sub(frame.first_line)?;
            // Files of tools are relative to the working directory, for people to read.
            let path = frame.file.strip_suffix(&tool.file);
            let same = path.is_some_and(|path| path.is_empty() || path.ends_with('/'));
            (same && named && lines <= MOST_LINES).then_some(lines)
        };
        let indices = 0..u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        let nearest = indices.clone().filter_map(|index| distance(&index)).min();
        let is_tool: Vec<bool> = indices
            .map(|index| nearest.is_some() && distance(&index) == nearest)
            .collect();
        let is_tool = |index: &u32| {
            let index = usize::try_from(*index).unwrap_or(usize::MAX);
            is_tool.get(index).copied().unwrap_or(false)
        };
        self.stacks.retain_mut(|stack| {
            let Some(at) = stack.frames.iter().position(is_tool) else {
                return false;
            };
            stack.frames.drain(..at);
            true
        });
        self
    }
}

/// Returns the name in `async def mean(xs)`.
fn defined_name(signature: &str) -> Option<&str> {
    let (_, rest) = signature.split_once("def ")?;
    let (name, _) = rest.split_once('(')?;
    Some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::super::{ProfiledFrame, ProfiledStack};
    use super::*;

    #[test]
    fn stacks_of_a_tool_begin_with_its_function() {
        let frame = |function: &str, line, first_line| ProfiledFrame {
            function: function.into(),
            file: "/srv/app/tools.py".into(),
            line,
            first_line,
        };
        let stack = |frames: &[u32]| ProfiledStack {
            frames: frames.to_vec(),
            count: 1,
            ..ProfiledStack::default()
        };
        let report = ProfileReport {
            frames: vec![
                frame("<module>", 90, 1),
                frame("Tools.mean", 12, 10),
                frame("Tools.mean", 13, 10),
                frame("mean", 8, 5),
                frame("total", 33, 30),
            ],
            stacks: vec![
                stack(&[0, 1, 4]),
                stack(&[0, 2]),
                stack(&[0, 3, 4]),
                stack(&[0, 4]),
            ],
            ..ProfileReport::default()
        };
        let tool = ToolInfo {
            name: "average".into(),
            file: "tools.py".into(),
            line: 11,
            signature: "def mean(self, xs: list[float]) -> float".into(),
            ..ToolInfo::default()
        };
        let left = report.clone().of_tool(&tool);
        let left: Vec<_> = left.stacks.into_iter().map(|stack| stack.frames).collect();
        assert_eq!(left, [vec![1, 4], vec![2]]);
        for file in ["other.py", "ools.py"] {
            let elsewhere = ToolInfo {
                file: file.into(),
                ..tool.clone()
            };
            assert!(report.clone().of_tool(&elsewhere).stacks.is_empty());
        }
    }
}
