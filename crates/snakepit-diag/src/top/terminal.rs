//! The terminal while the view uses it. Its state is restored afterwards, also after a panic.

use std::io;

use ratatui::DefaultTerminal;

/// The terminal in raw mode, on its alternate screen. Dropping it restores the terminal.
pub(super) struct Terminal {
    /// `None` only while it is dropped.
    inner: Option<DefaultTerminal>,
}

impl Terminal {
    /// Takes over the terminal at stdout. A panic restores it before its message is printed.
    pub(super) fn open() -> io::Result<Self> {
        let inner = ratatui::try_init();
        if inner.is_err() {
            restore();
        }
        Ok(Self {
            inner: Some(inner?),
        })
    }

    /// Draws one frame.
    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut ratatui::Frame<'_>)) -> io::Result<()> {
        match &mut self.inner {
            Some(inner) => inner.draw(draw).map(drop),
            None => Ok(()),
        }
    }
}

fn restore() {
    // If the terminal is gone, there is nothing to restore.
    let _ = ratatui::try_restore();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(mut inner) = self.inner.take()
            && inner.show_cursor().is_err()
        {
            // The terminal is gone, and often stderr with it: dropping would report on stderr that
            // the cursor is hidden, and panic because it cannot.
            std::mem::forget(inner);
        }
        // The panic hook has restored the terminal, and the panic message must stay visible.
        if !std::thread::panicking() {
            restore();
        }
    }
}
