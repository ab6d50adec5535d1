//! Names that users choose: what they may be, and which are alike.

/// Most bytes of the id of a session, or the name of a variable or a program.
const MAX_BYTES: usize = 256;
/// Names looked at to find one that is alike.
const LOOKED_AT: usize = 1000;

/// What is wrong with a name.
pub(crate) fn fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".into());
    }
    if name.len() > MAX_BYTES {
        return Some(format!("has {} bytes, more than {MAX_BYTES}", name.len()));
    }
    name.chars()
        .any(char::is_control)
        .then(|| "has a control character".into())
}

/// The start of a text that may be long.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Up to three names that are like this one, the most alike first.
pub(crate) fn near<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    if name.len() > MAX_BYTES {
        return Vec::new();
    }
    let allowed = (name.chars().count() / 3).max(1);
    let mut found: Vec<_> = names
        .take(LOOKED_AT)
        .map(|known| (distance(name, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    found.sort();
    found
        .into_iter()
        .take(3)
        .map(|(_, known)| known.to_owned())
        .collect()
}

/// Characters to add, to remove or to replace.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_alike_are_found() {
        let names = ["learning_rate", "epochs", "epoch", "x"];
        assert_eq!(near("epocs", names.into_iter()), ["epoch", "epochs"]);
        assert_eq!(near("learnign_rate", names.into_iter()), ["learning_rate"]);
        assert!(near("momentum", names.into_iter()).is_empty());
    }

    #[test]
    fn names_are_bounded() {
        assert_eq!(fault("a b/ü"), None);
        assert!(
            fault("").is_some() && fault("a\nb").is_some() && fault(&"x".repeat(257)).is_some()
        );
    }
}
