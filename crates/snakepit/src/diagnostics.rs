//! Reports about the host, for the program itself and for other processes of the same user.

use snakepit_diag::{PoolReport, Report};

use crate::{Snakepit, SnakepitBuilder};

impl SnakepitBuilder {
    /// Sets whether processes of the same user may query the host through a socket in its run
    /// directory, for example with `snakepit status`, and whether its calls are recorded there.
    /// Default: true. Overrides `admin` of a configuration.
    pub const fn admin(mut self, admin: bool) -> Self {
        self.admin = Some(admin);
        self
    }
}

impl Snakepit {
    /// Returns a report on pools, workers, calls, memory and the machine; [`Report::findings`]
    /// lists the problems. Blocks while it reads files of `/proc` for each worker. Running calls
    /// are included if calls are [recorded](SnakepitBuilder::admin).
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
