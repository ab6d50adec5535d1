//! Names chosen by users: their limits, and the search for similar names.

/// Largest number of bytes of the id of a session, or the name of a variable or a program.
const MAX_BYTES: usize = 256;
/// Largest number of names that are compared in the search for similar ones.
pub(crate) const LOOKED_AT: usize = 1000;

/// Returns the rule that a name breaks. `None` if the name is valid.
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

/// Returns the start of a text that may be long.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Returns up to three names that are similar to `name`, the most similar first. Compares the first
/// 1,000.
///
/// Two names are similar if few edits (insert, remove, replace a character, swap two neighbours)
/// turn one into the other: at most a third of the longer name, and at most half of the shorter
/// one. So are names that differ in case only.
pub fn near<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    if name.len() > MAX_BYTES {
        return Vec::new();
    }
    let length = name.chars().count();
    let mut found: Vec<_> = names
        .into_iter()
        .take(LOOKED_AT)
        .filter(|known| known.len() <= MAX_BYTES)
        .filter_map(|known| {
            let other = known.chars().count();
            let allowed = (length.max(other) / 3).max(1).min(length.min(other) / 2);
            // For most names the lengths alone rule out similarity.
            let distance = (length.abs_diff(other) <= allowed)
                .then(|| strsim::osa_distance(name, known))
                .filter(|distance| *distance <= allowed);
            let distance = distance.or(name.eq_ignore_ascii_case(known).then_some(1))?;
            Some((distance, known))
        })
        .collect();
    found.sort_unstable();
    found.truncate(3);
    found
        .into_iter()
        .map(|(_, known)| known.to_owned())
        .collect()
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
        assert!(
            near("y", names.into_iter()).is_empty(),
            "another letter is not alike"
        );
        assert_eq!(near("maen", ["median", "mean"]), ["mean"]);
    }

    #[test]
    fn a_search_has_a_bound() {
        let long = "x".repeat(MAX_BYTES);
        assert_eq!(near(&long, [&long[1..]]), [&long[1..]]);
        let longer = format!("{long}x");
        assert!(near(&longer, [long.as_str()]).is_empty());
        assert!(near(&long, [longer.as_str()]).is_empty());
        let others: Vec<_> = (0..LOOKED_AT).map(|n| n.to_string()).collect();
        let others = || others.iter().map(String::as_str);
        assert_eq!(
            near("epocs", others().skip(1).chain(["epochs"])),
            ["epochs"]
        );
        assert!(near("epocs", others().chain(["epochs"])).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn what_is_far_in_length_is_far(a in "[ab]{0,12}", b in "[ab]{0,12}") {
            let (one, other) = (a.chars().count(), b.chars().count());
            let allowed = (one.max(other) / 3).max(1).min(one.min(other) / 2);
            let alike = strsim::osa_distance(&a, &b) <= allowed;
            assert_eq!(near(&a, [b.as_str()]).len(), usize::from(alike));
        }
    }

    #[test]
    fn names_are_bounded() {
        assert_eq!(fault("a b/ü"), None);
        assert!(
            fault("").is_some() && fault("a\nb").is_some() && fault(&"x".repeat(257)).is_some()
        );
    }
}
