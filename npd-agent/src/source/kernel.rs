//! The kernel log as a source: through the probes and /dev/kmsg, or through the journal if neither is available.

pub(crate) mod driver;
pub(crate) mod events;
pub(crate) mod kmsg;
pub(crate) mod line_pump;
pub(crate) mod log;
pub(crate) mod losses;
pub(crate) mod metrics;
pub mod mode;
pub mod probes;
pub(crate) mod retest;
pub(crate) mod stream;

use std::sync::Arc;

use super::{Health, LogSource, SourceError, Stop, journal::JournalFilter};
use crate::{
    source::{
        journal::journald::{Journald, JournaldOptions},
        kernel::{
            log::{KernelLog, KernelLogError, KernelLogOptions, Resume},
            metrics::KernelMetrics,
            mode::{KernelSource, Mode},
        },
        subscriber::Subscriber,
    },
    state::StateDir,
};

/// The name of the kernel log among the sources.
pub(crate) const NAME: &str = "kmsg";

/// The kernel log.
pub(crate) struct KernelLogSource<S> {
    options: KernelLogOptions,
    subscriber: S,
    metrics: KernelMetrics,
    state: Option<Arc<StateDir>>,
    open: Option<Open<S>>,
}

enum Open<S> {
    Kernel(Box<KernelLog>),
    Journal(Box<Journald<S>>),
}

// === impl KernelLogSource ===

impl<S: Subscriber + Clone + 'static> KernelLogSource<S> {
    /// The kernel log, read for `subscriber`, whose clones are the same subscriber.
    #[must_use]
    pub(crate) fn new(
        options: KernelLogOptions,
        subscriber: S,
        metrics: KernelMetrics,
        state: Option<Arc<StateDir>>,
    ) -> Self {
        Self { options, subscriber, metrics, state, open: None }
    }

    fn resume(&self) -> Resume {
        // Reading the file logs what is wrong with it.
        let hung = self.state.as_ref().and_then(|dir| dir.file("hung-tasks").ok());
        Resume { newest: self.subscriber.newest_kernel_record(), hung }
    }

    /// The journal's copy of the kernel log, if there is a journal.
    fn journal(&self) -> Result<Box<Journald<S>>, SourceError> {
        let filter = JournalFilter { transports: vec!["kernel".to_owned()], ..JournalFilter::default() };
        let options = JournaldOptions { name: NAME.to_owned(), folder: None, filter };
        let mut journal = Journald::new(options, self.subscriber.clone());
        journal.open()?;
        Ok(Box::new(journal))
    }
}

impl<S: Subscriber + Clone + 'static> LogSource for KernelLogSource<S> {
    fn open(&mut self) -> Result<(), SourceError> {
        self.open = None;
        if self.options.source == KernelSource::Journald {
            self.open = Some(Open::Journal(self.journal()?));
            self.metrics.set_mode(Mode::Journald);
            return Ok(());
        }
        let subscriber = Box::new(self.subscriber.clone());
        let opened = KernelLog::open(self.options.clone(), self.resume(), subscriber, self.metrics.clone());
        let error = match opened {
            Ok(log) => {
                self.open = Some(Open::Kernel(Box::new(log)));
                return Ok(());
            }
            Err(error) => error,
        };
        if let KernelLogError::Nothing { .. } = error
            && let Ok(mut journal) = self.journal()
            && journal.read()
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(mode = Mode::Journald.as_str(), error, "kernel log");
            self.metrics.set_mode(Mode::Journald);
            self.open = Some(Open::Journal(journal));
            return Ok(());
        }
        match error {
            KernelLogError::NoProbe { .. } => Err(SourceError::refusal(error)),
            _ => Err(SourceError::new(error)),
        }
    }

    fn run(&mut self, stop: &Stop, health: &Health) -> Result<(), SourceError> {
        match self.open.take() {
            Some(Open::Kernel(mut log)) => log.run(stop, health).map_err(SourceError::new),
            Some(Open::Journal(mut journal)) => {
                health.set_mode(Mode::Journald.as_str());
                journal.run(stop, health)
            }
            None => Ok(()),
        }
    }
}
