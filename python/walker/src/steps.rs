//! Bounded walks over chains of links: links that were read at different moments may form a loop.

/// A loop detector after Brent, which finds a loop within two rounds.
#[derive(Debug)]
pub(crate) struct Steps {
    mark: u64,
    taken: usize,
    lap: usize,
    most: usize,
}

impl Steps {
    /// Begins a chain of at most `most` links.
    pub(crate) const fn at_most(most: usize) -> Self {
        Self {
            mark: 0,
            taken: 0,
            lap: 8,
            most,
        }
    }

    /// Follows a link. Returns `false` if the chain is too long, returns to itself, or the link is
    /// not the address of an object.
    pub(crate) fn take(&mut self, link: u64) -> bool {
        if !crate::memory::is_aligned(link) || link == self.mark || self.taken >= self.most {
            return false;
        }
        self.taken += 1;
        if self.taken == self.lap {
            self.mark = link;
            self.lap = self.lap.saturating_mul(2);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Steps;

    #[test]
    fn a_loop_ends_and_a_chain_does_not() {
        let mut steps = Steps::at_most(1000);
        assert!((1..=1000).all(|link| steps.take(link * 8)));
        assert!(!steps.take(8008), "it is too long");
        let mut steps = Steps::at_most(1_000_000);
        let taken = (0..).take_while(|n| steps.take(8 + 8 * (n % 50))).count();
        assert!(taken < 200, "{taken}");
        assert!(!Steps::at_most(5).take(3), "no object is there");
    }
}
