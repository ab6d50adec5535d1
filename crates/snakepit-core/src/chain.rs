//! The calls that a call is nested in.

use std::fmt;
use std::sync::Arc;

use crate::schedule::Grant;

/// The calls that a call is nested in, itself included: worker calls host tool calls worker and so on. Cheap to clone; empty by default.
///
/// A worker implementation hands the chain of the running [`Request`](crate::Request) to [`ToolCall`](crate::ToolCall); a host tool hands
/// its own on by [`ToolContext::options`](crate::ToolContext::options). The pool refuses a nested call that could only wait for itself.
#[derive(Clone, Default)]
pub struct CallChain {
    /// The pool and the slot of the innermost call.
    own: Option<(PoolMark, Grant)>,
    outer: Option<Arc<Self>>,
    depth: u32,
}

/// Tells pools apart, also those of the same name.
pub(crate) type PoolMark = Arc<()>;

impl CallChain {
    /// Number of calls in it.
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// This chain with one more call, which has a slot.
    pub(crate) fn with(&self, pool: &PoolMark, grant: Grant) -> Self {
        Self {
            own: Some((Arc::clone(pool), grant)),
            outer: (self.depth > 0).then(|| Arc::new(self.clone())),
            depth: self.depth.saturating_add(1),
        }
    }

    /// The slots that its calls have, each with its pool.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&PoolMark, Grant)> {
        std::iter::successors(Some(self), |chain| chain.outer.as_deref())
            .filter_map(|chain| chain.own.as_ref())
            .map(|(mark, grant)| (mark, *grant))
    }

    /// Slots of one pool that its calls have.
    pub(crate) fn slots_of(&self, pool: &PoolMark) -> Vec<Grant> {
        let own = self.slots().filter(|(mark, _)| Arc::ptr_eq(mark, pool));
        own.map(|(_, grant)| grant).collect()
    }
}

impl fmt::Debug for CallChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallChain(depth {})", self.depth)
    }
}
