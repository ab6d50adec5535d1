//! Parts of a shared connection that exist before there are tools to call.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::table::Table;
use crate::link::Link;
use crate::link::outbox::Outbox;
use crate::link::outlet::Outlet;
use crate::link::wake::Wake;

/// The parts that exist before the adapter is loaded.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) table: Arc<Table>,
    pub(crate) wake: Arc<Wake>,
    pub(super) outlet: Arc<Outlet>,
    outbox: Arc<Outbox>,
}

impl Parts {
    /// Creates the parts; `calls` is the largest number of calls that the host has open at a time.
    pub(crate) fn new(connection: OwnedFd, calls: u16) -> io::Result<Self> {
        let wake = Arc::new(Wake::new()?);
        let outlet = Arc::new(Outlet::new(connection, Arc::clone(&wake)));
        Ok(Self {
            table: Arc::new(Table::new(calls)),
            outbox: Arc::new(Outbox::shared(Arc::clone(&outlet))),
            wake,
            outlet,
        })
    }

    /// Creates a link for the requests of one call at a time. The event loop must run on the
    /// current thread.
    pub(crate) fn link(&self) -> Arc<Link> {
        let thread = std::thread::current().id();
        Arc::new(Link::of_loop(Arc::clone(&self.outbox), thread))
    }
}
