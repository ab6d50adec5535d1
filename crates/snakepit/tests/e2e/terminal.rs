//! A program in a terminal of its own, and the content of its screen.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

/// A program whose stdin, stdout and stderr are its controlling pseudo-terminal.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    master: File,
    slave: OwnedFd,
    screen: vt100::Parser,
    /// True until the program has drawn with the new size.
    resized: bool,
}

impl Terminal {
    pub(crate) fn start(program: &Command, columns: u16, rows: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        // The program must not hold the terminal open from the other side.
        let inherited = FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC);
        fcntl(&pty.master, inherited).unwrap();
        // `setsid` makes stdin the controlling terminal of a new session and runs the program.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(program.get_program());
        command.args(program.get_args());
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(dir) = program.get_current_dir() {
            command.current_dir(dir);
        }
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        Self {
            child: command.spawn().unwrap(),
            master: File::from(pty.master),
            slave: pty.slave,
            screen: vt100::Parser::new(rows, columns, 0),
            resized: false,
        }
    }

    /// Returns the text on the screen.
    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    fn read(&mut self) {
        let mut bytes = [0; 4096];
        let n = self.master.read(&mut bytes).unwrap();
        self.screen.process(&bytes[..n]);
        self.resized = false;
    }

    /// Reads until the screen meets a condition; returns its text.
    pub(crate) fn until(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let text = self.text();
            if wanted(&text) && !self.resized {
                return text;
            }
            self.read();
        }
    }

    /// Reads until a text is on the screen; returns the whole screen.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        self.until(|screen| screen.contains(text))
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        self.screen.screen_mut().set_size(rows, columns);
        // crossterm delivers a key that arrives together with a new size only with the next key.
        self.resized = true;
        rustix::termios::tcsetwinsize(&self.master, size).unwrap();
    }

    /// Closes the terminal; returns the status of the program.
    pub(crate) fn hang_up(mut self) -> ExitStatus {
        self.master = File::open("/dev/null").unwrap();
        self.child.wait().unwrap()
    }

    /// Waits for the end of the program; returns its status and the text of the primary screen.
    /// Checks that the terminal is restored.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        // The program ends only if its output is read.
        let flags = fcntl(&self.master, FcntlArg::F_GETFL).unwrap();
        let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
        fcntl(&self.master, FcntlArg::F_SETFL(flags)).unwrap();
        let mut ended = None;
        loop {
            let mut bytes = [0; 4096];
            match (self.master.read(&mut bytes), ended) {
                (Ok(n), _) if n > 0 => self.screen.process(&bytes[..n]),
                (_, Some(status)) => {
                    let screen = self.screen.screen();
                    assert!(!screen.alternate_screen(), "the first screen is back");
                    assert!(!screen.hide_cursor(), "the cursor is back");
                    let modes = tcgetattr(&self.slave).unwrap().local_flags;
                    let usual = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG;
                    assert!(modes.contains(usual), "{modes:?}");
                    return (status, screen.contents());
                }
                _ => {
                    ended = self.child.try_wait().unwrap();
                    std::thread::yield_now();
                }
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
