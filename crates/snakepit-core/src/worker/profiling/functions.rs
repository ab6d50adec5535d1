//! The functions of a profile, and the share of each.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::ProfileReport;

/// The share of a function in a profile, in samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ProfiledFunction {
    /// Function.
    pub function: String,
    /// File of the code.
    pub file: String,
    /// Line where its definition begins, decorators included.
    pub first_line: u32,
    /// Samples in which the function itself ran or waited, or a C function that it called.
    pub own: u64,
    /// Samples in which the function, or one that it called, ran or waited.
    pub total: u64,
}

impl ProfileReport {
    /// Returns the functions, those with the most samples of their own first.
    pub fn functions(&self) -> Vec<ProfiledFunction> {
        let mut list: Vec<ProfiledFunction> = Vec::new();
        let mut numbers = HashMap::new();
        let places = self.frames.iter().map(|frame| {
            let key = (&*frame.function, &*frame.file, frame.first_line);
            *numbers.entry(key).or_insert_with(|| {
                list.push(ProfiledFunction {
                    function: frame.function.clone(),
                    file: frame.file.clone(),
                    first_line: frame.first_line,
                    ..ProfiledFunction::default()
                });
                list.len() - 1
            })
        });
        let places: Vec<usize> = places.collect();
        for stack in &self.stacks {
            let functions = stack.frames.iter();
            let functions = functions.filter_map(|frame| {
                let frame = usize::try_from(*frame).ok()?;
                places.get(frame).copied()
            });
            let functions: Vec<usize> = functions.collect();
            let add = |sum: &mut u64| *sum = sum.saturating_add(stack.count);
            if let Some(innermost) = functions.last() {
                add(&mut list[*innermost].own);
            }
            // A recursive function counts once.
            for function in functions.into_iter().collect::<HashSet<_>>() {
                add(&mut list[function].total);
            }
        }
        list.retain(|function| function.total > 0);
        list.sort_by(|one, other| {
            let key = |it: &ProfiledFunction| std::cmp::Reverse((it.own, it.total));
            let names = (&one.file, one.first_line).cmp(&(&other.file, other.first_line));
            key(one).cmp(&key(other)).then(names)
        });
        list
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ProfiledFrame, ProfiledStack};
    use super::*;

    #[test]
    fn recursion_counts_once_and_lines_are_of_one_function() {
        let frame = |function: &str, line| ProfiledFrame {
            function: function.into(),
            file: "a.py".into(),
            line,
            first_line: 1,
        };
        let stack = |frames: &[u32], count| ProfiledStack {
            frames: frames.to_vec(),
            count,
            ..ProfiledStack::default()
        };
        let report = ProfileReport {
            frames: vec![frame("f", 2), frame("f", 3), frame("g", 9), frame("h", 7)],
            stacks: vec![stack(&[0, 1, 2], 5), stack(&[0, 1], 2), stack(&[99], 4)],
            ..ProfileReport::default()
        };
        let functions = report.functions();
        let functions = functions.iter().map(|it| (&*it.function, it.own, it.total));
        let functions: Vec<_> = functions.collect();
        assert_eq!(functions, [("g", 5, 5), ("f", 2, 7)]);
    }
}
