//! What a thread did at the moment of a sample.

/// Two bits on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Marks {
    /// It used a CPU, or waited for one.
    pub(crate) on_cpu: bool,
    /// It had the GIL, or was attached to an interpreter without one.
    pub(crate) gil: bool,
}

impl Marks {
    pub(crate) const fn bits(self) -> u32 {
        self.on_cpu as u32 | (self.gil as u32) << 1
    }
}
