//! Flight recordings of dead hosts. They outlive the directory of their run, to show why the host
//! died.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::data_dir::DataDir;
use crate::error::Error;
use crate::run_dir::META;
use crate::run_id::RunId;
use crate::trusted::Dir;

/// Name prefix of the files that are kept when the directory of a run is swept.
pub const RECORDING: &str = "flight-";

/// Name of the directory of recordings, beside the runs.
const RECORDINGS: &str = "recordings";

/// Number of runs whose recordings are kept; the oldest are removed first.
const KEPT: usize = 16;

/// Largest size of a host's metadata, in bytes.
const MAX_META: u64 = 64 << 10;

/// Moves the recordings out of a run's directory, which is about to be removed.
///
/// # Errors
/// The files cannot be moved. Files that remain are removed with the directory.
pub(crate) fn keep(dir: &Dir, id: RunId, data: &DataDir) -> Result<(), Error> {
    let own = |name: &OsString| {
        name.to_str()
            .is_some_and(|name| name.starts_with(RECORDING))
    };
    let files: Vec<OsString> = dir.names()?.into_iter().filter(own).collect();
    if files.is_empty() {
        return Ok(());
    }
    let all = data.top().ensure_dir(RECORDINGS)?;
    make_room(&all)?;
    let kept = all.ensure_dir(&id.to_string())?;
    for name in files.iter().filter_map(|name| name.to_str()) {
        dir.rename(name, &kept, name)?;
    }
    if let Some(meta) = dir.read(META, MAX_META)? {
        let written = kept.create(META)?.write_all(&meta);
        written.map_err(|e| Error::io("write", kept.path().join(META), e))?;
    }
    Ok(())
}

fn make_room(all: &Dir) -> Result<(), Error> {
    let mut names: Vec<String> = all
        .names()?
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    let changed = |name: &String| all.version_of(name).map(|(_, _, at, nanos)| (at, nanos));
    names.sort_by_key(changed);
    let surplus = (names.len() + 1).saturating_sub(KEPT);
    names
        .iter()
        .take(surplus)
        .try_for_each(|name| all.remove(name))
}

/// Returns the directory of the kept recordings, and the runs that have some there. `None` if
/// nothing was kept.
///
/// # Errors
/// The directory cannot be read or trusted.
pub(crate) fn kept(data: &DataDir) -> Result<Option<(Dir, Vec<RunId>)>, Error> {
    let all = match data.top().dir(RECORDINGS) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(None);
        }
        other => other?,
    };
    let names = all.names()?;
    let ids = names.iter().filter_map(|name| name.to_str()?.parse().ok());
    let ids = ids.collect();
    Ok(Some((all, ids)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_are_moved_with_what_the_host_said_and_the_oldest_make_room() {
        let home = tempfile::tempdir().expect("a directory");
        let data = DataDir::prepare(&home.path().join("pit")).expect("it is ours");
        assert!(kept(&data).expect("there is none").is_none());
        let runs = data.runs().expect("it was made");
        let mut ids = Vec::new();
        for number in 0..KEPT + 3 {
            let id = RunId::random().expect("randomness");
            let run = runs.create_dir(&id.to_string()).expect("it is new");
            keep(&run, id, &data).expect("nothing is there to keep");
            for name in ["flight-0", "flight-1", META, "lock"] {
                let mut file = run.create(name).expect("it is new");
                write!(file, "{name} {number}").expect("there is room");
            }
            keep(&run, id, &data).expect("it is moved");
            let left: Vec<_> = run.names().expect("it is there");
            assert_eq!(left.len(), 2, "the lock and the words of the host stay");
            ids.push(id);
        }
        let (all, found) = kept(&data).expect("it is ours").expect("it is there");
        assert_eq!(found.len(), KEPT);
        let last = ids.last().expect("there are some");
        assert!(found.contains(last));
        let dir = all.dir(&last.to_string()).expect("the last one is there");
        let text = dir
            .read("flight-1", 100)
            .expect("it is ours")
            .expect("it is there");
        assert_eq!(text, format!("flight-1 {}", KEPT + 2).into_bytes());
        assert!(dir.read(META, 100).expect("it is ours").is_some());
    }
}
