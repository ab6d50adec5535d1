//! The line and column of a setting in its file.

use std::ops::Range;

use toml_edit::{ImDocument, Item};

/// Returns the line and the column of a key, or of the item of a list, both from 1. `None` if the
/// file does not have it.
pub(super) fn find(text: &str, keys: &[&str]) -> Option<(usize, usize)> {
    let document = ImDocument::parse(text).ok()?;
    span(document.as_item(), keys).map(|span| of(text, span.start))
}

/// Returns the line and the column of an offset, both from 1.
pub(super) fn of(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or(before);
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

fn span(item: &Item, keys: &[&str]) -> Option<Range<usize>> {
    let (first, rest) = keys.split_first()?;
    if let Some(items) = item.as_array() {
        return items.get(first.parse().ok()?)?.span();
    }
    let (key, item) = item.as_table_like()?.get_key_value(first)?;
    match rest {
        [] => key.span(),
        rest => span(item, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn keys_are_found_in_tables_of_every_form() {
        let text = "admin = true\n[pools.main]\n  workers = 2\nenv = { \"Ä\" = '1', B = '2' }\n\
                    restart.window = 3\npython_path = ['a',\n 'b']\n[pools.main.retry]\n";
        for (path, place) in [
            ("admin", (1, 1)),
            ("pools.main", (2, 8)),
            ("pools.main.workers", (3, 3)),
            ("pools.main.env.B", (4, 20)),
            ("pools.main.restart.window", (5, 9)),
            ("pools.main.python_path.1", (7, 2)),
            ("pools.main.retry", (8, 13)),
        ] {
            let keys: Vec<&str> = path.split('.').collect();
            assert_eq!(find(text, &keys), Some(place), "{path}");
        }
        assert_eq!(find(text, &["pools", "other"]), None);
        assert_eq!(find("[", &["pools"]), None);
    }
}
