//! The wait for a worker's sign that it is ready.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use snakepit_grpc::service::Address;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Readiness;

/// First pause between two looks at the file and the sockets; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(20);

/// Longest content of a ready file in bytes.
const MAX_CONTENT: u64 = 4096;

/// The signs of one worker.
#[derive(Debug)]
pub(super) struct Signs {
    pub(super) kind: Readiness,
    pub(super) socket: PathBuf,
    pub(super) file: PathBuf,
    /// Texts after the prefix, of the lines that have it.
    pub(super) lines: mpsc::Receiver<String>,
}

impl Signs {
    /// Waits for the first sign and returns its address.
    ///
    /// # Errors
    /// The sign has no usable address: one phrase.
    pub(super) async fn first(&mut self) -> Result<Address, String> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(address) = self.look().await? {
                return Ok(address);
            }
            tokio::select! {
                biased;
                Some(text) = self.lines.recv() => return read_line(&text),
                () = sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
            }
        }
    }

    /// Checks that no sign contradicts the first one.
    ///
    /// # Errors
    /// Another sign has another address: one phrase.
    pub(super) fn check(&mut self, address: &Address) -> Result<(), String> {
        let mut others = Vec::new();
        while let Ok(text) = self.lines.try_recv() {
            others.push(read_line(&text)?);
        }
        if self.has_file() {
            others.extend(read_file(&self.file)?);
        }
        match others.into_iter().find(|other| other != address) {
            None => Ok(()),
            Some(other) => Err(format!("was ready twice: at {address} and at {other}")),
        }
    }

    fn has_file(&self) -> bool {
        matches!(self.kind, Readiness::Any | Readiness::File)
    }

    /// Looks at the file and the sockets.
    async fn look(&self) -> Result<Option<Address>, String> {
        if self.has_file()
            && let Some(address) = read_file(&self.file)?
        {
            return Ok(Some(address));
        }
        Ok(match &self.kind {
            Readiness::Any | Readiness::Socket => {
                let open = UnixStream::connect(&self.socket).await.is_ok();
                open.then(|| Address::Unix(self.socket.clone()))
            }
            Readiness::Address(address) => {
                let open = TcpStream::connect(address).await.is_ok();
                open.then_some(Address::Tcp(*address))
            }
            Readiness::File | Readiness::Line(_) => None,
        })
    }

    /// Describes what the worker should have done.
    pub(super) fn expected(&self) -> String {
        let socket = self.socket.display();
        match &self.kind {
            Readiness::Any => format!(
                "it has neither listened at {socket}, nor written its port to the ready file, nor \
                 printed `{}<port>`",
                Readiness::PREFIX
            ),
            Readiness::Socket => format!("it has not listened at {socket}"),
            Readiness::File => {
                format!("it has not written its port to {}", self.file.display())
            }
            Readiness::Line(prefix) => format!("it has not printed `{prefix}<port>`"),
            Readiness::Address(address) => format!("it has not listened at {address}"),
        }
    }
}

/// Reads an address from a line, up to the next blank.
fn read_line(text: &str) -> Result<Address, String> {
    let word = text.split_ascii_whitespace().next().unwrap_or_default();
    parse(word).map_err(|reason| format!("printed that it is ready, but {reason}"))
}

/// Reads an address from the file. `None` if there is no content yet.
fn read_file(path: &Path) -> Result<Option<Address>, String> {
    use std::io::Read as _;
    let Ok(file) = std::fs::File::open(path) else {
        return Ok(None);
    };
    let mut text = String::new();
    let read = file.take(MAX_CONTENT).read_to_string(&mut text);
    let text = text.trim();
    if read.is_ok() && text.is_empty() {
        return Ok(None);
    }
    let address = parse(text).map(Some);
    address.map_err(|reason| format!("wrote to its ready file, but {reason}"))
}

/// Parses a port of this machine, or an address: `4321`, `127.0.0.1:4321`, `unix:/run/w.sock`.
fn parse(text: &str) -> Result<Address, String> {
    let wrong = || {
        let text: String = text.chars().take(80).collect();
        format!("`{text}` is neither a port nor an address of this machine")
    };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = Path::new(path);
        return path
            .is_absolute()
            .then(|| Address::Unix(path.to_owned()))
            .ok_or_else(wrong);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
    let port = port.parse().ok().filter(|port: &u16| *port != 0);
    let host = match host.trim_matches(['[', ']']) {
        "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        host => host.parse().ok(),
    };
    let host = host.map(|host: IpAddr| match host {
        // A server on all addresses.
        host if host.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host,
    });
    match (host.filter(IpAddr::is_loopback), port) {
        (Some(host), Some(port)) => Ok(Address::Tcp(SocketAddr::new(host, port))),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_are_read() {
        let tcp = |text: &str| Ok(Address::Tcp(text.parse().unwrap()));
        for text in [
            "4321",
            "127.0.0.1:4321",
            "localhost:4321",
            "[::]:4321",
            "0.0.0.0:4321",
        ] {
            assert_eq!(parse(text), tcp("127.0.0.1:4321"), "{text}");
        }
        assert_eq!(parse("[::1]:4321"), tcp("[::1]:4321"));
        for text in ["unix:/a/b", "unix:///a/b"] {
            assert_eq!(parse(text), Ok(Address::Unix("/a/b".into())));
        }
        for text in [
            "",
            "0",
            "65536",
            "10.0.0.1:4321",
            "host:1",
            "unix:a",
            "4321x",
            "-1",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    fn signs(dir: &Path, kind: Readiness) -> (Signs, mpsc::Sender<String>) {
        let (sender, lines) = mpsc::channel(4);
        let signs = Signs {
            kind,
            socket: dir.join("s"),
            file: dir.join("r"),
            lines,
        };
        (signs, sender)
    }

    #[tokio::test]
    async fn the_first_sign_counts_and_others_must_agree() {
        let dir = tempfile::tempdir().unwrap();
        let (mut signs, sender) = signs(dir.path(), Readiness::Any);
        std::fs::write(dir.path().join("r"), "").unwrap();
        sender.send("41 and more".to_owned()).await.unwrap();
        let address = signs.first().await.unwrap();
        assert_eq!(address.to_string(), "127.0.0.1:41");
        sender.send("41".to_owned()).await.unwrap();
        std::fs::write(dir.path().join("r"), "127.0.0.1:41\n").unwrap();
        assert_eq!(signs.check(&address), Ok(()));
        std::fs::write(dir.path().join("r"), "42").unwrap();
        let reason = signs.check(&address).unwrap_err();
        assert_eq!(
            reason,
            "was ready twice: at 127.0.0.1:41 and at 127.0.0.1:42"
        );
        std::fs::write(dir.path().join("r"), "oops").unwrap();
        assert!(
            signs
                .first()
                .await
                .unwrap_err()
                .contains("`oops` is neither")
        );
    }

    #[tokio::test]
    async fn a_socket_is_a_sign_once_it_accepts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut signs, _sender) = signs(dir.path(), Readiness::Socket);
        std::fs::write(dir.path().join("r"), "1").unwrap();
        assert_eq!(signs.look().await, Ok(None), "the file does not count");
        let _listener = tokio::net::UnixListener::bind(dir.path().join("s")).unwrap();
        assert_eq!(signs.first().await, Ok(Address::Unix(dir.path().join("s"))));
    }
}
