//! The terminal while the view uses it. Its state is restored afterwards, also after a panic.

use std::io;

use ratatui::DefaultTerminal;

/// The terminal in raw mode, on its alternate screen. Dropping it restores the terminal.
pub(super) struct Terminal {
    inner: DefaultTerminal,
}

impl Terminal {
    /// Takes over the terminal at stdout. A panic restores it before its message is printed.
    pub(super) fn open() -> io::Result<Self> {
        let inner = ratatui::try_init();
        if inner.is_err() {
            restore();
        }
        Ok(Self { inner: inner? })
    }

    /// Draws one frame.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        self.inner.draw(draw).map(drop)
    }
}

fn restore() {
    // If the terminal is gone, there is nothing to restore.
    let _ = ratatui::try_restore();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The panic hook has restored the terminal, and the panic message must stay visible.
        if !std::thread::panicking() {
            restore();
        }
    }
}
