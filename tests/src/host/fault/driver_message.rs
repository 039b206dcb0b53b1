//! A driver's message: a record with a dictionary, which a line written to `/dev/kmsg` never has.
//!
//! The kernel reports a nonsensical request to a device's `uevent` file with `dev_err`, in that device's name.

use std::fs;

use anyhow::{Result, bail};

use crate::{
    driver::poll::{self, SOON},
    host::kmsg::Reader,
};

/// The device that always exists and never does anything: `/dev/null`.
const UEVENT: &str = "/sys/devices/virtual/mem/null/uevent";
/// What the kernel says of it.
pub const TEXT: &str = "mem null: uevent: failed to send synthetic uevent: -22";
/// What it adds: `DEVICE=c1:3` follows.
const DICTIONARY: &str = "SUBSYSTEM=mem";

/// Has the kernel say [`TEXT`]. `false` when this kernel says something else, or without a dictionary.
pub fn speak() -> Result<bool> {
    let mut reader = Reader::at_end()?;
    if let Ok(()) = fs::write(UEVENT, "npd") {
        bail!("the kernel takes a nonsensical uevent");
    }
    let answer = poll::wait_for("the kernel's answer", SOON / 10, || {
        while let Some(record) = reader.next()? {
            if record.text == TEXT {
                return Ok(Some(record.dictionary.iter().any(|line| line == DICTIONARY)));
            }
        }
        Ok(None)
    });
    Ok(answer.unwrap_or(false))
}
