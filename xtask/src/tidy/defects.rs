//! The index of the original library's defects: each has a test, and the test exists.

use std::collections::BTreeSet;

use super::Violation;

/// Path of the index.
pub(super) const FILE: &str = "docs/original-defects.md";

/// Numbers that the index must contain.
const NUMBERS: &[&str] = &[
    "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "16a",
    "17", "18", "19", "68", "69", "70", "71", "71a", "71b", "72", "73",
];

/// Adds the names of all functions in a Rust source file.
pub(super) fn functions(text: &str, names: &mut BTreeSet<String>) {
    for line in text.lines() {
        let Some((before, rest)) = line.split_once("fn ") else {
            continue;
        };
        if before
            .trim()
            .split(' ')
            .all(|word| matches!(word, "" | "async" | "pub"))
        {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            names.insert(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
}

pub(super) fn check(index: &str, functions: &BTreeSet<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut missing: BTreeSet<&str> = NUMBERS.iter().copied().collect();
    for (n, line) in index.lines().enumerate() {
        let mut cells = line.trim_matches('|').split('|').map(str::trim);
        let (Some(number), Some(_), Some(tests)) = (cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        let tests: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if !tests.is_empty() {
            missing.remove(number);
        }
        for test in tests {
            if !functions.contains(test) {
                let message = format!("there is no test `{test}`");
                let help = "name the test that shows the defect is not here";
                violations.push(Violation::new(FILE, n + 1, message, help));
            }
        }
    }
    for number in missing {
        let message = format!("defect {number} has no test");
        let help = "add its row and the name of its test";
        violations.push(Violation::new(FILE, 0, message, help));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_and_a_missing_test_are_told() {
        let mut names = BTreeSet::new();
        functions(
            "#[test]\n    async fn one_is_there() {}\n// the fn two(\n",
            &mut names,
        );
        assert!(
            names.contains("one_is_there") && names.len() == 1,
            "{names:?}"
        );
        let mut index = String::from("| # | what | tests |\n|---|---|---|\n");
        for number in NUMBERS.iter().skip(1) {
            index += &format!("| {number} | is wrong | `one_is_there` |\n");
        }
        let told = |index: &str| -> Vec<String> {
            let violations = check(index, &names).into_iter();
            violations.map(|one| one.message).collect()
        };
        assert_eq!(told(&index), ["defect 1 has no test"]);
        index += "| 1 | is wrong | `one_is_there` `two` |\n";
        assert_eq!(told(&index), ["there is no test `two`"]);
    }
}
