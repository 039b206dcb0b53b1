//! What the reader warns of.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Level;

/// The warnings of this thread, a line each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Warnings(Arc<Mutex<Vec<u8>>>);

// === impl Warnings ===

impl Warnings {
    pub(crate) fn of<T>(&self, run: impl FnOnce() -> T) -> T {
        let warnings = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::WARN)
            .with_ansi(false)
            .with_writer(move || warnings.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, run)
    }

    /// How many name this journal file.
    pub(crate) fn about(&self, name: &str) -> usize {
        self.text().lines().filter(|warning| warning.contains(&format!("/{name}.journal"))).count()
    }

    pub(crate) fn total(&self) -> usize {
        self.text().lines().count()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock()).into_owned()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Warnings {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
