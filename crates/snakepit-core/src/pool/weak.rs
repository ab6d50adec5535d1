//! A handle of a pool that does not keep it running.

use std::fmt;
use std::sync::Weak;

use super::{Inner, Pool};

/// A handle of a pool that does not keep it running.
#[derive(Clone)]
pub struct WeakPool {
    inner: Weak<Inner>,
}

impl Pool {
    /// Returns a handle that does not keep the pool running.
    pub fn downgrade(&self) -> WeakPool {
        WeakPool {
            inner: std::sync::Arc::downgrade(&self.inner),
        }
    }
}

impl WeakPool {
    /// Returns the pool. `None` if its last handle is gone.
    pub fn upgrade(&self) -> Option<Pool> {
        let inner = self.inner.upgrade()?;
        Some(Pool { inner })
    }
}

impl fmt::Debug for WeakPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakPool").finish_non_exhaustive()
    }
}
