//! Stands in for the journal reader in builds without it: no journal can be opened.

use std::{
    convert::Infallible,
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    time::Duration,
};

use super::{Cursor, Entry, JournalFilter, JournalState, ReadOutcome, Start};
use crate::feature::{Feature, NotBuilt};

/// Never constructed.
#[derive(Debug)]
pub struct JournalTail(Infallible);

/// Why the journal cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// This build has no journal reader.
    #[error(transparent)]
    NotBuilt(#[from] NotBuilt),
}

impl JournalTail {
    /// Returns the error that this build cannot read the journal.
    pub fn open(_path: Option<PathBuf>, _filter: &JournalFilter, _start: Start) -> Result<Self, JournalError> {
        Err(NotBuilt(Feature::Journald).into())
    }

    /// Never called.
    pub fn read(&mut self, _entry: &mut dyn FnMut(&Entry<'_>) -> ControlFlow<()>) -> ReadOutcome {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn position(&self) -> Option<Cursor> {
        match self.0 {}
    }

    /// Never called.
    #[must_use]
    pub fn state(&self) -> JournalState {
        match self.0 {}
    }
}

impl AsFd for JournalTail {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.0 {}
    }
}
