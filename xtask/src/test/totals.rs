//! Counts from the summaries that the test runners print, and their sum.

use std::fmt;

/// The counts of one runner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// Each skipped test, with the reason if the runner reports it.
    pub(super) skips: Vec<String>,
}

/// The sum over all runners. `Display` writes the closing line.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    pub(super) skips: Vec<String>,
    /// Runs that failed without counting a failed test, for example because they do not compile.
    pub(super) problems: Vec<String>,
}

impl Totals {
    pub(super) fn add(&mut self, runner: &str, success: bool, counts: Option<Counts>) {
        let counts = counts.unwrap_or_else(|| {
            self.problems.push(format!("`{runner}` printed no summary"));
            Counts::default()
        });
        if !success && counts.failed == 0 {
            self.problems.push(format!("`{runner}` failed"));
        }
        self.passed += counts.passed;
        self.failed += counts.failed;
        self.skipped += counts.skipped;
        self.skips.extend(counts.skips);
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(
            f,
            "total: {passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// Parses nextest's `Summary [   0.071s] 2 tests run: 1 passed, 1 failed, 1 skipped`.
pub(super) fn nextest(output: &str) -> Option<Counts> {
    let lines = || output.lines().map(str::trim_start);
    let summary = lines().rfind(|line| line.starts_with("Summary ["))?;
    let (_, numbers) = summary.split_once(" run: ")?;
    let mut counts = words(numbers);
    // The list of skipped tests follows the summary, one per line: `SKIP [   ] (───)
    // package::binary name`.
    let skips = lines().filter(|line| line.starts_with("SKIP ["));
    counts.skips = skips
        .filter_map(|line| Some(ignored(line.split_once(") ")?.1)))
        .collect();
    Some(counts)
}

/// Sums libtest's `test result: FAILED. 1 passed; 1 failed; 1 ignored; …`, one for each binary.
pub(super) fn cargo_test(output: &str) -> Option<Counts> {
    let mut sum = Counts::default();
    let mut found = false;
    for line in output.lines() {
        if let Some(numbers) = line.strip_prefix("test result: ") {
            let counts = words(&numbers.replace([';', '.'], ","));
            sum.passed += counts.passed;
            sum.failed += counts.failed;
            sum.skipped += counts.skipped;
            found = true;
        } else if let Some((name, reason)) = line
            .strip_prefix("test ")
            .and_then(|line| line.split_once(" ... ignored"))
        {
            let reason = reason.trim_start_matches(", ");
            sum.skips.push(if reason.is_empty() {
                ignored(name)
            } else {
                format!("{name}: {reason}")
            });
        }
    }
    found.then_some(sum)
}

/// Parses pytest's `== 3 failed, 412 passed, 1 skipped, 2 errors in 3.21s ==` and its `SKIPPED [1]
/// file:line: reason`.
pub(super) fn pytest(output: &str) -> Option<Counts> {
    let summary = output.lines().rfind(|line| {
        let line = line.trim_matches('=').trim();
        let end = line.split_once(" in ").map_or("", |(_, end)| end);
        line.starts_with(|c: char| c.is_ascii_digit())
            && end.starts_with(|c: char| c.is_ascii_digit())
            && end
                .split(' ')
                .next()
                .is_some_and(|time| time.ends_with('s'))
    })?;
    let mut counts = words(summary.trim_matches('=').trim().split(" in ").next()?);
    let skips = output
        .lines()
        .filter_map(|line| line.strip_prefix("SKIPPED "));
    counts.skips = skips.map(str::to_owned).collect();
    Some(counts)
}

fn ignored(name: &str) -> String {
    format!("{name}: ignored")
}

/// Adds up `3 failed, 412 passed (2 slow), 1 skipped`. Other words are not outcomes.
fn words(text: &str) -> Counts {
    let mut counts = Counts::default();
    for part in text.split(',') {
        let mut parts = part.split_whitespace();
        let Some(n) = parts.next().and_then(|n| n.parse::<u64>().ok()) else {
            continue;
        };
        match parts.next().unwrap_or_default() {
            "passed" | "xfailed" => counts.passed += n,
            "skipped" | "ignored" => counts.skipped += n,
            "failed" | "error" | "errors" | "exec" | "timed" | "xpassed" => counts.failed += n,
            // For example `4 warnings`, `0 measured`, `1 flaky)` in parentheses.
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_counts_failures_time_outs_and_skips() {
        let output = "  Summary [ 0.071s] 9 tests run: 5 passed (2 slow, 1 flaky), 1 failed, 2 timed out, 1 exec failed, 1 skipped\n\
                      \x20 SKIP [         ] (───) nx b\nerror: test run failed\n";
        let counts = nextest(output).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (5, 4, 1));
        assert_eq!(counts.skips, ["nx b: ignored"]);
        let cancelled = "Summary [ 0.1s] 1/3 tests run: 1 passed, 0 skipped";
        assert_eq!(nextest(cancelled).unwrap().passed, 1);
        assert_eq!(nextest("error: could not compile `x`"), None);
    }

    #[test]
    fn libtest_sums_over_binaries() {
        let output = "test b ... ignored, because\n\
                      test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.06s\n\
                      test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
        let counts = cargo_test(output).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (4, 1, 1));
        assert_eq!(counts.skips, ["b: because"]);
        assert_eq!(cargo_test("error: could not compile"), None);
    }

    #[test]
    fn pytest_counts_errors_as_failures() {
        let output = "SKIPPED [1] tests/test_x.py:3: needs numpy\n\
                      ==== 3 failed, 412 passed, 1 skipped, 4 warnings, 2 errors in 3.21s ====\n";
        let counts = pytest(output).unwrap();
        assert_eq!((counts.passed, counts.failed, counts.skipped), (412, 5, 1));
        assert_eq!(counts.skips, ["[1] tests/test_x.py:3: needs numpy"]);
        assert_eq!(pytest("12 passed in 0.10s\n").unwrap().passed, 12);
        assert_eq!(
            pytest("12 passed in 61.10s (0:01:01)\n").map(|counts| counts.passed),
            Some(12)
        );
        assert_eq!(pytest("ImportError"), None);
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_is_a_problem() {
        let mut totals = Totals::default();
        totals.add("cargo nextest", false, None);
        assert_eq!(totals.problems.len(), 2);
        totals.add(
            "pytest",
            true,
            Some(Counts {
                passed: 412,
                skipped: 3,
                ..Counts::default()
            }),
        );
        assert_eq!(totals.to_string(), "total: 412 passed, 0 failed, 3 skipped");
    }
}
