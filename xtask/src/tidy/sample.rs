//! A random sample of doc comments, to be read by people: `tidy --sample-docs 60 --seed 7`.

use std::fmt;

use anyhow::{Context as _, Result, bail};

/// A doc comment and its item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doc {
    file: String,
    /// Line number of the comment, from 1.
    line: usize,
    /// Lines of the comment, without their marks.
    text: Vec<String>,
    /// First line of the item; empty for a module.
    item: String,
}

impl fmt::Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}", self.file, self.line)?;
        for line in &self.text {
            writeln!(f, "    {line}")?;
        }
        match self.item.is_empty() {
            true => writeln!(f, "  (module)"),
            false => writeln!(f, "  {}", self.item),
        }
    }
}

/// The arguments of `tidy` that request a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) count: usize,
    pub(super) seed: u64,
}

impl Request {
    /// Reads the arguments. `None` if there are none.
    ///
    /// # Errors
    /// An argument is unknown or not a number.
    pub(super) fn read(args: &[String]) -> Result<Option<Self>> {
        let mut request = None;
        let mut seed = 1;
        for pair in args.chunks(2) {
            let [name, number] = pair else {
                bail!("`{}` needs a number", pair[0]);
            };
            let number = || number.parse().with_context(|| format!("`{name} {number}`"));
            match name.as_str() {
                "--sample-docs" => request = Some(number()?),
                "--seed" => seed = number()?,
                _ => bail!("unknown argument `{name}`\n  help: pass --sample-docs N, --seed N"),
            }
        }
        match request {
            Some(count) => Ok(Some(Self {
                count: usize::try_from(count)?,
                seed,
            })),
            None if args.is_empty() => Ok(None),
            None => bail!("--seed needs --sample-docs"),
        }
    }
}

/// Returns the doc comments of a source file of Rust or Python.
pub(super) fn docs(file: &str, text: &str) -> Vec<Doc> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let found = match file.rsplit('.').next() {
        Some("rs") => of_rust(&lines),
        Some("py" | "pyi") => of_python(&lines),
        _ => Vec::new(),
    };
    let doc = |(at, text, item): (usize, Vec<String>, String)| Doc {
        file: file.to_owned(),
        line: at + 1,
        text,
        item,
    };
    found.into_iter().map(doc).collect()
}

/// Index of the first line, text and item of each doc comment.
type Found = Vec<(usize, Vec<String>, String)>;

fn of_rust(lines: &[&str]) -> Found {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let Some(mark) = ["///", "//!"].into_iter().find(|it| line.starts_with(it)) else {
            at += 1;
            continue;
        };
        let block = lines[at..].iter().take_while(|it| it.starts_with(mark));
        let text: Vec<_> = block.map(|it| plain(it, mark)).collect();
        let begin = at;
        at += text.len();
        let item = match mark {
            "///" => item_of_rust(&lines[at..]),
            _ => String::new(),
        };
        found.push((begin, text, item));
    }
    found
}

/// Returns the first line that belongs to no attribute.
fn item_of_rust(lines: &[&str]) -> String {
    let mut in_attribute = false;
    let item = lines.iter().find(|line| {
        in_attribute |= line.starts_with("#[");
        let is_item = !in_attribute && !line.is_empty();
        in_attribute &= !line.ends_with(']');
        is_item
    });
    item.map_or_else(String::new, |line| (*line).to_owned())
}

fn of_python(lines: &[&str]) -> Found {
    const QUOTES: &str = "\"\"\"";
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let begin = at;
        at += 1;
        let Some(first) = line.trim_start_matches('r').strip_prefix(QUOTES) else {
            continue;
        };
        let before = lines[..begin].iter().rev();
        let before = before
            .clone()
            .find(|it| !it.is_empty() && !it.starts_with('#'));
        if before.is_some_and(|it| !it.ends_with(':')) {
            continue;
        }
        let mut text = vec![first.trim_end_matches(QUOTES).to_owned()];
        let mut open = !first.contains(QUOTES);
        while open && let Some(line) = lines.get(at) {
            open = !line.contains(QUOTES);
            text.push(line.trim_end_matches(QUOTES).to_owned());
            at += 1;
        }
        let is_item = |it: &&&str| {
            ["def ", "class ", "async def "]
                .iter()
                .any(|w| it.starts_with(w))
        };
        let item = before.and_then(|_| lines[..begin].iter().rev().find(is_item));
        found.push((
            begin,
            text,
            item.map_or_else(String::new, |it| (*it).to_owned()),
        ));
    }
    found
}

fn plain(line: &str, mark: &str) -> String {
    let text = line.strip_prefix(mark).unwrap_or(line);
    text.strip_prefix(' ').unwrap_or(text).to_owned()
}

/// Draws comments at random, each at most once. The same seed draws the same ones.
pub(super) fn draw(mut docs: Vec<Doc>, request: Request) -> Vec<Doc> {
    let mut state = request.seed;
    let count = request.count.min(docs.len());
    for place in 0..count {
        let left = docs.len() - place;
        let step = next(&mut state) % u64::try_from(left).unwrap_or(u64::MAX);
        docs.swap(place, place + usize::try_from(step).unwrap_or(0));
    }
    docs.truncate(count);
    docs
}

/// Returns the next number of the generator SplitMix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(file: &str, text: &str) -> Vec<(usize, Vec<String>, String)> {
        let found = docs(file, text).into_iter();
        found.map(|doc| (doc.line, doc.text, doc.item)).collect()
    }

    #[test]
    fn comments_of_rust_stand_with_their_items() {
        let text = "//! A module.\n//!\n//! More.\n\n    /// A field.\n    #[serde(\n        default\n    )]\n    a: u8,\n// no doc\n";
        assert_eq!(
            shown("a.rs", text),
            [
                (
                    1,
                    vec!["A module.".into(), "".into(), "More.".into()],
                    "".into()
                ),
                (5, vec!["A field.".into()], "a: u8,".into()),
            ]
        );
    }

    #[test]
    fn docstrings_of_python_stand_with_their_definitions() {
        let text = "\"\"\"A module.\"\"\"\n\ndef f(\n    a,\n):\n    \"\"\"Do it.\n\n    More.\n    \"\"\"\n    return \"\"\"text\"\"\"\n";
        assert_eq!(
            shown("a.py", text),
            [
                (1, vec!["A module.".into()], "".into()),
                (
                    6,
                    vec!["Do it.".into(), "".into(), "More.".into(), "".into()],
                    "def f(".into()
                ),
            ]
        );
    }

    #[test]
    fn a_seed_draws_the_same_comments_again_and_each_once() {
        let text: String = (0..50).map(|n| format!("/// {n}\nfn f() {{}}\n")).collect();
        let all = docs("a.rs", &text);
        let draw = |count, seed| draw(all.clone(), Request { count, seed });
        assert_eq!(draw(10, 7), draw(10, 7));
        assert_ne!(draw(10, 7), draw(10, 8));
        let mut every = draw(99, 3);
        every.sort_by_key(|doc| doc.line);
        assert_eq!(every, all);
    }

    #[test]
    fn arguments_are_pairs_of_name_and_number() {
        let read = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(|it| (*it).to_owned()).collect();
            Request::read(&args)
        };
        assert_eq!(read(&[]).unwrap(), None);
        let wanted = Some(Request { count: 60, seed: 7 });
        assert_eq!(
            read(&["--sample-docs", "60", "--seed", "7"]).unwrap(),
            wanted
        );
        for bad in [&["--sample-docs"][..], &["--seed", "7"], &["--all", "1"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
