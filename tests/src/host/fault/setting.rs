//! A value of `/proc/sys` or `/sys` that is changed for a while.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result};

/// A changed setting; dropping it restores the old value.
#[derive(Debug)]
pub struct Setting {
    path: PathBuf,
    before: String,
}

// === impl Setting ===

impl Setting {
    /// Changes a setting.
    pub fn set(path: impl Into<PathBuf>, value: &str) -> Result<Self> {
        let path = path.into();
        let before = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let setting = Self { path, before: before.trim().to_owned() };
        setting.change(value)?;
        Ok(setting)
    }

    /// Changes it once more; dropping still restores what was before the first change.
    pub fn change(&self, value: &str) -> Result<()> {
        self.write(value).with_context(|| format!("cannot write {value} to {}", self.path.display()))
    }

    /// With a newline: `printk_devkmsg` insists on it.
    fn write(&self, value: &str) -> io::Result<()> {
        fs::write(&self.path, format!("{value}\n"))
    }

    /// What it was before.
    #[must_use]
    pub fn before(&self) -> &str {
        &self.before
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        // A drop can tell nobody; the next test that sets it will.
        drop(self.write(&self.before));
    }
}
