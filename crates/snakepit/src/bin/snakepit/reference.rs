//! `REF` on the command line: an adapter and optionally a tool.

/// A parsed reference.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The adapter in the form that the worker expects.
    pub(crate) adapter: String,
    /// The tool. `None` if the reference names none.
    pub(crate) tool: Option<String>,
}

impl Reference {
    /// Parses `tools.py:mean`, `package.module:mean`, `tools.py:Class`, `tools.py:Class.method` or
    /// `tools.py:Class:method`.
    ///
    /// A name that begins with an upper-case letter is a class, by Python's naming conventions, and
    /// belongs to the adapter.
    pub(crate) fn parse(text: &str) -> Self {
        let Some((place, rest)) = text.split_once(':') else {
            return Self {
                adapter: text.to_owned(),
                tool: None,
            };
        };
        let (first, second) = match rest.split_once([':', '.']) {
            Some((first, second)) => (first, Some(second)),
            None => (rest, None),
        };
        let is_class = first.chars().next().is_some_and(char::is_uppercase);
        if is_class {
            let tool = second.filter(|tool| !tool.is_empty()).map(str::to_owned);
            return Self {
                adapter: format!("{place}:{first}"),
                tool,
            };
        }
        let tool = Some(rest.to_owned()).filter(|tool| !tool.is_empty());
        Self {
            adapter: place.to_owned(),
            tool,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    #[test]
    fn references() {
        for (text, adapter, tool) in [
            ("tools.py", "tools.py", None),
            ("tools.py:", "tools.py", None),
            ("tools.py:mean", "tools.py", Some("mean")),
            ("a/b/tools.py:mean", "a/b/tools.py", Some("mean")),
            ("tools.py:stats.mean", "tools.py", Some("stats.mean")),
            ("tools.py:Model", "tools.py:Model", None),
            ("tools.py:Model.predict", "tools.py:Model", Some("predict")),
            ("tools.py:Model:predict", "tools.py:Model", Some("predict")),
            ("pkg.mod:mean", "pkg.mod", Some("mean")),
            ("pkg.mod", "pkg.mod", None),
        ] {
            let expected = Reference {
                adapter: adapter.into(),
                tool: tool.map(str::to_owned),
            };
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }
}
