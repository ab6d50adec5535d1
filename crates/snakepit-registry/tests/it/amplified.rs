//! LMDB files that cause more work than their length justifies.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use snakepit_registry::{
    Change, Cookie, Error, ProcessState, Record, RunId, Store, StoreSize, read_records,
};
use tempfile::TempDir;

const PAGE: usize = 4096;

/// Creates a valid file with `count` records of about `path` bytes each. Returns its directory and
/// its bytes.
fn good(count: u64, path: usize) -> (TempDir, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(dir.path(), StoreSize::default()).expect("open");
    let run = RunId::random().expect("randomness");
    let put = |at: u64| {
        Change::Put(Box::new(Record {
            worker_id: format!("worker-{at}"),
            generation: at,
            state: ProcessState::Ready,
            cookie: Cookie::random(run, true).expect("randomness"),
            armed: true,
            identity: None,
            shim: None,
            cgroup: Some(PathBuf::from("x".repeat(path))),
        }))
    };
    store
        .apply(&(0..count).map(put).collect::<Vec<_>>())
        .expect("apply");
    drop(store);
    let bytes = std::fs::read(dir.path().join("data.mdb")).expect("read");
    let found = read_records(dir.path()).expect("it is good");
    assert_eq!(found.len() as u64, count);
    (dir, bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
}

/// Returns the offsets of the leaf pages.
fn leaves(bytes: &[u8]) -> Vec<usize> {
    let pages = (2..bytes.len() / PAGE).map(|page| page * PAGE);
    pages.filter(|&at| u16_at(bytes, at + 10) == 2).collect()
}

/// Returns the nodes of a leaf page whose values are on overflow pages.
fn far(bytes: &[u8], leaf: usize) -> Vec<usize> {
    let count = (u16_at(bytes, leaf + 12) - 16) / 2;
    let nodes = (0..count).map(|at| leaf + u16_at(bytes, leaf + 16 + 2 * at));
    nodes.filter(|&node| u16_at(bytes, node + 4) == 1).collect()
}

/// Asserts that the file is rejected as damaged.
fn refused(dir: &TempDir, bytes: &[u8]) {
    std::fs::write(dir.path().join("data.mdb"), bytes).expect("write");
    match read_records(dir.path()) {
        Err(Error::Corrupt { .. }) => {}
        other => panic!("not refused: {other:?}"),
    }
}

/// Sets the number of rows in both meta pages.
fn rows(bytes: &mut [u8], count: u64) {
    for meta in [0, PAGE] {
        let at = meta + 16 + 24 + 48 + 32;
        bytes[at..at + 8].copy_from_slice(&count.to_ne_bytes());
    }
}

#[test]
fn many_pointers_to_one_node() {
    let (dir, mut bytes) = good(3, 10);
    let leaf = *leaves(&bytes).last().expect("a leaf");
    let node = u16_at(&bytes, leaf + 18);
    // The page's list of nodes grows up to the first node, and every entry points to that node.
    let end = u16_at(&bytes, leaf + 14);
    for at in (16..end).step_by(2) {
        let node = u16::try_from(node)
            .expect("a place in a page")
            .to_ne_bytes();
        bytes[leaf + at..leaf + at + 2].copy_from_slice(&node);
    }
    let lower = u16::try_from(end / 2 * 2)
        .expect("a place in a page")
        .to_ne_bytes();
    bytes[leaf + 12..leaf + 14].copy_from_slice(&lower);
    rows(&mut bytes, (end as u64 - 16) / 2);
    refused(&dir, &bytes);
}

#[test]
fn many_nodes_with_one_value() {
    // Values of this size are stored on overflow pages.
    let (dir, mut bytes) = good(8, 3000);
    let mut found = 0;
    for leaf in leaves(&bytes) {
        let nodes = far(&bytes, leaf);
        let [first, others @ ..] = &nodes[..] else {
            continue;
        };
        found += others.len();
        let place = |bytes: &[u8], node: usize| node + 8 + u16_at(bytes, node + 6);
        let from = place(&bytes, *first);
        let (size, page) = (bytes[*first..][..4].to_vec(), bytes[from..][..8].to_vec());
        for &node in others {
            let at = place(&bytes, node);
            bytes[node..node + 4].copy_from_slice(&size);
            bytes[at..at + 8].copy_from_slice(&page);
        }
    }
    assert!(found > 0, "values have pages of their own");
    refused(&dir, &bytes);
}

#[test]
fn many_branches_to_one_leaf() {
    let (dir, mut bytes) = good(400, 10);
    let branches = (2..bytes.len() / PAGE).map(|page| page * PAGE);
    let branches: Vec<usize> = branches
        .filter(|&at| u16_at(&bytes, at + 10) == 1)
        .collect();
    for &branch in &branches {
        let count = (u16_at(&bytes, branch + 12) - 16) / 2;
        let first = branch + u16_at(&bytes, branch + 16);
        let page = bytes[first..first + 4].to_vec();
        for at in 1..count {
            let node = branch + u16_at(&bytes, branch + 16 + 2 * at);
            bytes[node..node + 4].copy_from_slice(&page);
        }
    }
    assert!(!branches.is_empty());
    refused(&dir, &bytes);
}

#[test]
fn a_value_that_is_mostly_a_hole() {
    let (dir, bytes) = good(8, 3000);
    let mut bytes = bytes;
    for leaf in leaves(&bytes) {
        for node in far(&bytes, leaf) {
            bytes[node..node + 4].copy_from_slice(&(900_u32 << 20).to_ne_bytes());
        }
    }
    let file = dir.path().join("data.mdb");
    std::fs::write(&file, &bytes).expect("write");
    let open = std::fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .expect("open");
    open.set_len(1 << 30).expect("truncate");
    for meta in [0, PAGE as u64] {
        let last = ((1_u64 << 30) / PAGE as u64 - 1).to_ne_bytes();
        open.write_all_at(&last, meta + 16 + 120).expect("write");
    }
    assert!(matches!(
        read_records(dir.path()),
        Err(Error::Corrupt { .. })
    ));
}
