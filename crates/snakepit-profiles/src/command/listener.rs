//! The check that the process which listens at a worker's address is the worker: any process can
//! listen on a port that a worker claims to have.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use snakepit_grpc::service::{Address, PeerCheck};

use crate::tree;

/// The state `LISTEN` in the tables of the kernel.
const LISTEN: &str = "0A";

/// Returns the check for a worker whose process is `worker`, and that listens at `address`.
pub(super) fn check(worker: u32, address: &Address) -> PeerCheck {
    let address = address.clone();
    Arc::new(move |peer| match (&address, peer) {
        (Address::Unix(path), Some(peer)) => match tree::has(worker, peer) {
            true => Ok(()),
            false => Err(other(&format!("the socket {}", path.display()), peer)),
        },
        (Address::Unix(_) | Address::Abstract(_), _) => Ok(()),
        (Address::Tcp(address), _) => owns(worker, address.port()),
    })
}

/// Checks that every socket that listens on the port belongs to the worker. Without tables of the
/// kernel, there is no check.
fn owns(worker: u32, port: u16) -> Result<(), String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let listening: HashSet<u64> = tables
        .iter()
        .flatten()
        .flat_map(|table| inodes(table, port))
        .collect();
    let own: HashSet<u64> = tree::members(worker)
        .into_iter()
        .flat_map(sockets)
        .collect();
    let Some(foreign) = listening.difference(&own).next() else {
        return Ok(());
    };
    let place = format!("port {port}");
    match holder(*foreign) {
        Some(pid) => Err(other(&place, pid)),
        None => Err(format!(
            "{place} belongs to a process of another user, and not to the worker"
        )),
    }
}

fn other(place: &str, pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!(
        "{place} belongs to process {pid} ({}), and not to the worker",
        name.trim_end()
    )
}

/// Returns the inodes of the sockets that listen on a port.
fn inodes(table: &str, port: u16) -> impl Iterator<Item = u64> {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        let state = fields.nth(1)?;
        let inode = fields.nth(5)?.parse().ok()?;
        (state == LISTEN && u16::from_str_radix(local, 16) == Ok(port)).then_some(inode)
    })
}

/// Returns the inodes of the sockets that a process holds.
fn sockets(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| socket(&entry.ok()?.path()))
        .collect()
}

fn socket(descriptor: &Path) -> Option<u64> {
    let target = fs::read_link(descriptor).ok()?;
    let inode = target
        .to_str()?
        .strip_prefix("socket:[")?
        .strip_suffix(']')?;
    inode.parse().ok()
}

/// Returns a process that holds a socket. `None` if no process that this user may inspect does.
fn holder(inode: u64) -> Option<u32> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.find(|pid| sockets(*pid).contains(&inode))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_are_found_by_their_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
             0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1\n   \
             1: 0100007F:1F90 0100007F:2222 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1\n";
        assert_eq!(inodes(table, 8080).collect::<Vec<_>>(), [4711]);
        assert_eq!(inodes(table, 8081).count(), 0);
    }

    #[test]
    fn a_port_of_another_process_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let own = std::process::id();
        assert_eq!(owns(own, port), Ok(()));
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let refused = owns(child.id(), port);
        child.kill().unwrap();
        child.wait().unwrap();
        let reason = refused.unwrap_err();
        assert!(
            reason.contains(&format!("port {port} belongs to process {own}")),
            "{reason}"
        );
    }
}
