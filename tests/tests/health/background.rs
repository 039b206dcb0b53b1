//! A server that runs beside the test until it is dropped.

use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use npd_tests::driver::poll::SOON;
use tokio::sync::oneshot;

/// A thread with a runtime of its own.
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === impl Background ===

impl Background {
    /// Starts what `begin` makes and waits until that has begun; it ends with this value.
    pub(crate) fn start<F, T>(begin: impl FnOnce() -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = Result<T>>,
        T: 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (says, heard) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(says.send(Err(error.into()))),
            };
            runtime.block_on(async move {
                match begin().await {
                    Ok(kept) => {
                        drop(says.send(Ok(())));
                        drop(stopped.await);
                        drop(kept);
                    }
                    Err(error) => drop(says.send(Err(error))),
                }
            });
        });
        let background = Self { stop: Some(stop), thread: Some(thread) };
        heard.recv_timeout(SOON).context("the server did not start")??;
        Ok(background)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        // If it panicked, the test has seen that.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
