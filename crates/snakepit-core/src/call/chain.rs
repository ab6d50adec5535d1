//! The chain of calls in which a call is nested.

use std::fmt;
use std::sync::Arc;

use crate::id::CallId;
use crate::schedule::Grant;

/// The calls in which a call is nested, itself included: a worker calls a host tool, which calls a
/// worker, and so on. Cheap to clone; empty by default.
///
/// A worker implementation passes the chain of the running [`Request`](crate::call::Request) to
/// [`ToolCall`](crate::host_tools::ToolCall). A host tool passes its chain to its own calls with
/// [`ToolContext::options`](crate::host_tools::ToolContext::options). The pool rejects a nested
/// call that could only wait for itself.
#[derive(Clone, Default)]
pub struct CallChain {
    /// The pool and the slot of the innermost call.
    own: Option<(PoolMark, Grant)>,
    outer: Option<Arc<Self>>,
    depth: u32,
    /// The call of a host tool that makes the innermost call. `None` if host tools are not
    /// observed.
    caller: Option<CallId>,
}

/// Identity of a pool; pools of the same name have different marks.
pub(crate) type PoolMark = Arc<()>;

impl CallChain {
    /// Number of calls in the chain.
    pub const fn depth(&self) -> u32 {
        self.depth
    }

    /// Returns this chain with one more call, which has a slot.
    pub(crate) fn with(&self, pool: &PoolMark, grant: Grant) -> Self {
        Self {
            own: Some((Arc::clone(pool), grant)),
            outer: (self.depth > 0).then(|| Arc::new(self.clone())),
            depth: self.depth.saturating_add(1),
            caller: self.caller,
        }
    }

    /// Returns this chain for the calls that a host tool makes.
    pub(crate) fn called_by(self, caller: CallId) -> Self {
        Self {
            caller: Some(caller),
            ..self
        }
    }

    pub(crate) const fn caller(&self) -> Option<CallId> {
        self.caller
    }

    /// Returns the slots of the calls, each with its pool.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (&PoolMark, Grant)> {
        std::iter::successors(Some(self), |chain| chain.outer.as_deref())
            .filter_map(|chain| chain.own.as_ref())
            .map(|(mark, grant)| (mark, *grant))
    }

    /// Returns the slots of the calls in one pool.
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
