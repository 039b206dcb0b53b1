//! A process that kernel problems happen to; the tests of this crate start it.
//!
//! `npd-victim COMM hang FILE` makes and removes FILE at each order, and blocks in open(2) when the file system is
//! frozen. `npd-victim COMM eat MIB` allocates and touches so much memory at an order. An order is one byte on stdin,
//! the answer (one at the start as well) is one byte on stdout.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
};

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let [comm, work, object] = words.as_slice() else { bail!("usage: npd-victim COMM hang|eat OBJECT") };
    fs::write("/proc/self/comm", comm).context("cannot change my name")?;
    answer()?;
    let mut orders = io::stdin().lock();
    // No more orders: the test is over.
    while orders.read_exact(&mut [0]).is_ok() {
        match *work {
            "hang" => {
                File::create(object).with_context(|| format!("cannot make {object}"))?;
                fs::remove_file(object).with_context(|| format!("cannot remove {object}"))?;
            }
            "eat" => eat(object.parse().context("no number of MiB")?),
            other => bail!("no such work: {other}"),
        }
        answer()?;
    }
    Ok(())
}

fn answer() -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(b".").and_then(|()| out.flush()).context("nobody wants my answer")
}

/// Anything but zeroes, so that each page becomes real.
fn eat(mebibytes: usize) {
    let memory: Vec<_> = (0..mebibytes).map(|_| std::hint::black_box(vec![1_u8; 1 << 20])).collect();
    drop(std::hint::black_box(memory));
}
