//! Suggestions for misspelled names.

/// Returns the name that is nearest to `wanted`, if it is near enough: at most a third of the
/// longer name and half of the shorter one differ, or only their case does.
pub(crate) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = wanted.chars().count();
    let near = names.filter_map(|name| {
        let other = name.chars().count();
        let allowed = (length.max(other) / 3).max(1).min(length.min(other) / 2);
        let distance = (other <= 64 && length.abs_diff(other) <= allowed)
            .then(|| strsim::osa_distance(wanted, name))
            .filter(|distance| *distance <= allowed);
        let distance = distance.or(wanted.eq_ignore_ascii_case(name).then_some(1))?;
        Some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_swap_of_neighbours_is_near_and_another_word_is_not() {
        assert_eq!(
            nearest("maen", ["mean", "median"].into_iter()),
            Some("mean")
        );
        assert_eq!(nearest("mean", ["variance"].into_iter()), None);
        assert_eq!(nearest("", std::iter::empty()), None);
    }
}
