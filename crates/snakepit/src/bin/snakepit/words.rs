//! The workers of a command line: an adapter, or any executable.

use std::num::NonZeroU16;

use snakepit::{CommandRuntime, ErrorCode, PoolBuilder, Readiness};

use crate::failure::Failure;
use crate::foreign_options::CommandOptions;

/// The workers that a command line names.
#[derive(Clone, Debug)]
pub(crate) enum Workers {
    /// Python workers that serve an adapter.
    Adapter(String),
    /// Processes of an executable.
    Command(Command),
}

/// A program, its arguments, and what is known about its workers.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) words: Vec<String>,
    slots: Option<NonZeroU16>,
    ready: Option<Readiness>,
    runtime: Option<CommandRuntime>,
}

impl Command {
    /// Reads the options. `None` without a command.
    pub(crate) fn of(options: &CommandOptions) -> Result<Option<Self>, Failure> {
        let Some(text) = &options.command else {
            return Ok(None);
        };
        Ok(Some(Self {
            words: split(text)?,
            slots: options.slots,
            ready: options.ready.clone(),
            runtime: options.runtime,
        }))
    }

    /// Returns the number of slots of each worker.
    pub(crate) fn slots(&self) -> u16 {
        self.slots.map_or(1, NonZeroU16::get)
    }

    /// Sets program, arguments and options in a pool.
    pub(crate) fn apply(self, pool: PoolBuilder) -> PoolBuilder {
        let mut words = self.words.into_iter();
        pool.configure_command(|command| {
            command.program = words.next().unwrap_or_default().into();
            command.args = words.collect();
            command.slots = self.slots.unwrap_or(command.slots);
            command.runtime = self.runtime.unwrap_or(command.runtime);
            if let Some(ready) = self.ready {
                command.ready = ready;
            }
        })
    }
}

/// Splits a text into words as a shell does: at blanks, except in quotes and after a backslash.
pub(crate) fn split(text: &str) -> Result<Vec<String>, Failure> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(unclosed(text, "ends with a backslash")),
            },
            ('"' | '\'', None) => {
                quote = Some(c);
                // An empty word in quotes is one, too.
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(unclosed(text, "has a quote that is not closed"));
    }
    words.extend(word);
    if words.is_empty() {
        return Err(unclosed(text, "is empty"));
    }
    Ok(words)
}

fn unclosed(text: &str, reason: &str) -> Failure {
    let help = "write for example --command 'node worker.js'";
    Failure::usage(
        ErrorCode::WrongUsage,
        format!("the command `{text}` {reason}"),
        help,
    )
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_in_a_shell() {
        for (text, words) in [
            ("node worker.js", &["node", "worker.js"][..]),
            ("  a\t b ", &["a", "b"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            (r"a\ b c\'d", &["a b", "c'd"]),
            (r#""a\"b" 'c\d' """#, &["a\"b", r"c\d", ""]),
        ] {
            assert_eq!(
                split(text).ok().as_deref().unwrap_or_default(),
                words,
                "{text}"
            );
        }
        for text in ["", "  ", "a 'b", "a \"b", "a \\"] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
