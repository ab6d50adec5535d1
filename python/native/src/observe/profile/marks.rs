//! Marks of a sample: the thread's use of CPU and GIL at that moment.

/// The marks of one sample, two bits on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Marks {
    /// The thread used a CPU, or waited for one.
    pub(crate) on_cpu: bool,
    /// The thread had the GIL, or was attached to an interpreter without one.
    pub(crate) gil: bool,
}

impl Marks {
    pub(crate) const fn bits(self) -> u32 {
        self.on_cpu as u32 | (self.gil as u32) << 1
    }
}
