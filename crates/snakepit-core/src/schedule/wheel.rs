//! Turns in the order of their rounds: 64 lists and a bit for each, so that the next turn is found
//! in O(1).

/// Index that stands for "no entry".
const NONE: u32 = u32::MAX;

/// Number of rounds that a wheel can distinguish.
pub(crate) const SPAN: u64 = 64;

/// A place in a wheel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spoke {
    /// The round of its next turn.
    pub(crate) round: u64,
    previous: u32,
    next: u32,
}

impl Default for Spoke {
    fn default() -> Self {
        Self {
            round: 0,
            previous: NONE,
            next: NONE,
        }
    }
}

/// An element with a place in a wheel.
pub(crate) trait Turning {
    fn spoke(&mut self) -> &mut Spoke;
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    head: u32,
    tail: u32,
}

/// Turns of `SPAN` rounds, the first of which is `base`; the turns of a round are in order of
/// arrival.
#[derive(Clone, Debug)]
pub(crate) struct Wheel {
    rounds: [Ends; SPAN as usize],
    /// One bit for each round that has turns.
    occupied: u64,
    base: u64,
}

impl Wheel {
    pub(crate) const fn new() -> Self {
        let empty = Ends {
            head: NONE,
            tail: NONE,
        };
        Self {
            rounds: [empty; SPAN as usize],
            occupied: 0,
            base: 0,
        }
    }

    /// Returns the element with the next turn.
    pub(crate) fn front(&self) -> Option<u32> {
        (self.occupied != 0).then(|| self.rounds[place(self.first())].head)
    }

    /// Returns the first round with turns.
    fn first(&self) -> u64 {
        let bits = self.occupied.rotate_right(place_bit(self.base));
        self.base + u64::from(bits.trailing_zeros())
    }

    /// Adds a turn behind the others of its round. A turn too far ahead is put into the last
    /// distinguishable round; when it comes up, the caller sees that it is early.
    pub(crate) fn insert(&mut self, nodes: &mut [impl Turning], index: u32, round: u64) {
        self.base = match self.occupied {
            0 => round,
            // Turns of earlier rounds never return, so the window moves on; it moves back for a
            // turn that precedes all others.
            _ => self.first().min(round),
        };
        let round = round.min(self.base + SPAN - 1);
        let ends = &mut self.rounds[place(round)];
        let last = std::mem::replace(&mut ends.tail, index);
        if last == NONE {
            ends.head = index;
            self.occupied |= 1 << place_bit(round);
        } else {
            nodes[last as usize].spoke().next = index;
        }
        *nodes[index as usize].spoke() = Spoke {
            round,
            previous: last,
            next: NONE,
        };
    }

    pub(crate) fn remove(&mut self, nodes: &mut [impl Turning], index: u32) {
        let Spoke {
            round,
            previous,
            next,
        } = *nodes[index as usize].spoke();
        let ends = &mut self.rounds[place(round)];
        match previous {
            NONE => ends.head = next,
            _ => nodes[previous as usize].spoke().next = next,
        }
        match next {
            NONE => ends.tail = previous,
            _ => nodes[next as usize].spoke().previous = previous,
        }
        if ends.head == NONE {
            self.occupied &= !(1 << place_bit(round));
        }
    }
}

const fn place_bit(round: u64) -> u32 {
    (round % SPAN) as u32
}

const fn place(round: u64) -> usize {
    place_bit(round) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Turning for Spoke {
        fn spoke(&mut self) -> &mut Self {
            self
        }
    }

    fn taken(wheel: &mut Wheel, nodes: &mut [Spoke]) -> Vec<u32> {
        std::iter::from_fn(|| {
            let front = wheel.front()?;
            wheel.remove(nodes, front);
            Some(front)
        })
        .collect()
    }

    #[test]
    fn by_round_and_then_by_arrival() {
        let (mut wheel, mut nodes) = (Wheel::new(), vec![Spoke::default(); 6]);
        for (index, round) in (0..).zip([70, 100, 70, 132, 69, 100]) {
            wheel.insert(&mut nodes, index, round);
        }
        assert_eq!(taken(&mut wheel, &mut nodes), [4, 0, 2, 1, 5, 3]);
        assert_eq!(wheel.front(), None);
    }

    #[test]
    fn what_is_too_far_ahead_comes_last() {
        let (mut wheel, mut nodes) = (Wheel::new(), vec![Spoke::default(); 3]);
        for (index, round) in (0..).zip([5, 1000, 68]) {
            wheel.insert(&mut nodes, index, round);
        }
        assert_eq!(nodes[1].round, 68);
        assert_eq!(taken(&mut wheel, &mut nodes), [0, 1, 2]);
    }

    #[test]
    fn one_goes_from_the_middle() {
        let (mut wheel, mut nodes) = (Wheel::new(), vec![Spoke::default(); 3]);
        for index in 0..3 {
            wheel.insert(&mut nodes, index, 9);
        }
        wheel.remove(&mut nodes, 1);
        assert_eq!(taken(&mut wheel, &mut nodes), [0, 2]);
    }
}
