//! `cargo xtask build`: the agent with its probes, as a development, release or static build.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    remap, setup,
    step::Step,
    workspace::{cargo, cargo_home, host_triple, root, target_dir},
};

/// The programs that are built, the most important first.
pub(crate) const PROGRAMS: [&str; 3] = ["npd-agent", "health-checker", "log-counter"];

/// Which build to make.
#[derive(Clone, Copy, Default, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Build with optimisation and without symbols, as shipped; takes minutes
    #[arg(long)]
    release: bool,
    /// Build without shared libraries, for any distribution or an empty container
    #[arg(long = "static")]
    is_static: bool,
}

/// The verb.
pub(crate) fn build(args: Args) -> Result<()> {
    setup::setup()?;
    let dir = args.build()?;
    for name in PROGRAMS {
        println!("{}", described(&dir.join(name))?);
    }
    Ok(())
}

// === impl Args ===

impl Args {
    /// The build that is shipped.
    pub(crate) const SHIPPED: Self = Self { release: true, is_static: true };

    /// Builds the agent's programs and returns their directory.
    pub(crate) fn build(self) -> Result<PathBuf> {
        let step = Step::loud(match self {
            Self { release: false, is_static: false } => "build the agent",
            Self { release: true, is_static: false } => "build the agent for release",
            Self { release: false, is_static: true } => "build the static agent",
            Self { release: true, is_static: true } => "build the static agent for release",
        });
        let mut command = cargo();
        command.args(["build", "--package", "npd-agent", "--bins"]);
        let mut dir = target_dir();
        if self.is_static {
            // With an explicit target the flag does not reach build scripts and procedural macros, which must stay dynamic.
            let triple = host_triple();
            // Where this variable is set, cargo ignores all other places that flags can come from.
            command.args(["--target", &triple]).env("CARGO_ENCODED_RUSTFLAGS", static_flags()?);
            dir.push(triple);
        }
        if self.release {
            command.arg("--release");
        }
        dir.push(if self.release { "release" } else { "debug" });
        step.run(&mut command)?;
        step.done();
        Ok(dir)
    }

    /// Builds, and returns the variable by which the tests find the agent.
    pub(crate) fn build_for_tests(self) -> Result<(&'static str, OsString)> {
        Ok(("NPD_AGENT_BIN", self.build()?.join("npd-agent").into_os_string()))
    }
}

/// The compiler's flags for a static program, with paths in its panics that do not depend on this machine.
fn static_flags() -> Result<OsString> {
    let mut flags = OsString::from("-Ctarget-feature=+crt-static");
    // The last one that fits counts, and the target directory is usually inside the root.
    let folders = [(&*cargo_home()?, "/cargo"), (root(), "/npd"), (&target_dir(), "/npd/target")];
    remap::add_flags(&mut flags, &folders);
    Ok(flags)
}

/// A program's path and size.
pub(crate) fn described(path: &Path) -> Result<String> {
    let bytes = fs::metadata(path).with_context(|| format!("cannot read the size of {}", path.display()))?.len();
    Ok(format!("{}  {:.1} MiB", path.display(), bytes as f64 / f64::from(1 << 20)))
}
