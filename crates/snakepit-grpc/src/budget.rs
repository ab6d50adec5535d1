//! The size of an answer, counted before the answer is built.

use std::collections::HashSet;

use snakepit_core::error::{ErrorCode, ToolError};

/// Bytes that the remaining parts of one answer may have.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        let left = limit;
        Self { left, limit }
    }

    /// Counts a part that is not built yet.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Box<ToolError>> {
        match self.left.checked_sub(bytes) {
            Some(left) => self.left = left,
            None => {
                let limit = self.limit;
                let message = format!("the answer is larger than the limit of {limit} bytes");
                let mut error = ToolError::new(ErrorCode::PayloadTooLarge, message);
                error.help = "request less at a time, or raise the limit".to_owned();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Counts a part of that many bytes if it fits.
    pub(crate) fn fits(&mut self, bytes: usize) -> bool {
        self.take(bytes).is_ok()
    }
}

/// Rejects names that are requested more than once.
pub(crate) fn check_repeats<'a>(
    names: impl IntoIterator<Item = &'a str>,
) -> Result<(), Box<ToolError>> {
    let mut seen = HashSet::new();
    let Some(twice) = names.into_iter().find(|name| !seen.insert(*name)) else {
        return Ok(());
    };
    let name = crate::convert::short_name(twice);
    let message = format!("variable {name:?} is requested more than once in one request");
    let mut error = ToolError::new(ErrorCode::InvalidRequest, message);
    error.help = "request each variable once".to_owned();
    Err(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_is_refused_and_costs_nothing() {
        let mut budget = Budget::new(10);
        assert!(budget.fits(6) && !budget.fits(5) && budget.fits(4) && !budget.fits(1));
        let error = budget.take(usize::MAX).unwrap_err();
        assert_eq!(error.code, ErrorCode::PayloadTooLarge);
        assert!(check_repeats(["a", "b"]).is_ok());
        let error = check_repeats(["a", "b", "a"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidRequest);
    }
}
