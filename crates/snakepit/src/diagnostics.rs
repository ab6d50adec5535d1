//! A look into the whole, for itself and for others of the same user.

use snakepit_diag::{PoolReport, Report};

use crate::{Snakepit, SnakepitBuilder};

impl SnakepitBuilder {
    /// Whether processes of the same user may look into the whole through a socket in its run directory, with `snakepit status` for
    /// example, and whether its calls are recorded there; they may unless told otherwise. This goes before the `admin` of a configuration.
    pub const fn admin(mut self, admin: bool) -> Self {
        self.admin = Some(admin);
        self
    }
}

impl Snakepit {
    /// Pools, workers, calls, memory and the machine at this moment; [`Report::findings`] says what is wrong. Reads files of `/proc` for
    /// each worker, and blocks while it does. The calls that run are in it if they are [recorded](SnakepitBuilder::admin).
    pub fn report(&self) -> Report {
        let mut report = match self.host().admin() {
            Some(admin) => admin.host().report(),
            None => {
                let pools = self.pools();
                Report::of(pools.iter().map(|pool| PoolReport::from(pool.raw())))
            }
        };
        report.measure();
        report
    }
}
