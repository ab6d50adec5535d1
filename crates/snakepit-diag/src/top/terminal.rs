//! The terminal while the view has it. It is given back as it was, also after a panic.

use std::io;

use ratatui::DefaultTerminal;

/// The terminal, in raw mode and on its other screen. Dropping it restores it.
pub(super) struct Terminal {
    inner: DefaultTerminal,
}

impl Terminal {
    /// Takes the terminal that stdout is. A panic restores it before its message is printed.
    pub(super) fn open() -> io::Result<Self> {
        let inner = ratatui::try_init();
        if inner.is_err() {
            restore();
        }
        Ok(Self { inner: inner? })
    }

    /// Draws.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.inner.draw(draw).map(drop)
    }
}

fn restore() {
    // A terminal that is gone needs nothing any more.
    let _ = ratatui::try_restore();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A panic has restored it already, and what it said must stay.
        if !std::thread::panicking() {
            restore();
        }
    }
}
