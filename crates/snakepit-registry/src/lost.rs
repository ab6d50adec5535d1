//! Runs whose directories were removed. Their processes carry the proof that their hosts are dead.

use std::collections::BTreeSet;

use crate::data_dir::DataDir;
use crate::identity::Scene;
use crate::origin::Origin;
use crate::run_id::RunId;
use crate::table::Tagged;

/// Returns the runs of a data directory that have processes but no directory, and whose hosts are
/// dead. A living host restores its directory itself.
pub(crate) fn runs(
    data: &DataDir,
    here: &Scene,
    tagged: &[Tagged],
    known: impl Fn(RunId) -> bool,
) -> BTreeSet<RunId> {
    let mut lost = BTreeSet::new();
    for process in tagged {
        // A process carries the origin of its innermost worker's host.
        let Some(run) = process.cookies.last().map(|cookie| cookie.run()) else {
            continue;
        };
        if known(run) || lost.contains(&run) {
            continue;
        }
        let origin = Origin::of_process(process.pid);
        if origin.is_some_and(|origin| origin.is_dead(here, data.path())) {
            lost.insert(run);
        }
    }
    lost
}
