//! Where the programs under test are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

/// The agent: `$NPD_AGENT_BIN`, or `npd-agent` as built beside this test program.
pub fn agent() -> Result<PathBuf> {
    if let Some(path) = env::var_os("NPD_AGENT_BIN") {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("NPD_AGENT_BIN is {}", path.display()));
    }
    beside("npd-agent")
}

/// The plugin that checks the health of a component, built beside the agent.
pub fn health_checker() -> Result<PathBuf> {
    Ok(agent()?.with_file_name("health-checker"))
}

/// The plugin that counts lines of a log, built beside the agent.
pub fn log_counter() -> Result<PathBuf> {
    Ok(agent()?.with_file_name("log-counter"))
}

/// The helper of this crate that hangs, eats memory and so on: see `src/bin/npd-victim.rs`.
pub fn victim() -> Result<PathBuf> {
    beside("npd-victim")
}

/// The `config/` folder of this repository: the monitors as shipped.
#[must_use]
pub fn shipped_config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(name)
}

/// The `deploy/` folder of this repository: the manifests as shipped.
#[must_use]
pub fn shipped_manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

/// Cargo puts a test program into `target/<profile>/deps`, the programs that people run one level above.
fn beside(name: &str) -> Result<PathBuf> {
    let me = env::current_exe().context("cannot find the path of this test program")?;
    let found = me.ancestors().skip(1).take(2).map(|folder| folder.join(name)).find(|path| path.is_file());
    match found {
        Some(path) => Ok(path),
        None => bail!(
            "there is no {name} beside {}: run `cargo xtask test`, which builds it, or say in NPD_AGENT_BIN where the agent is",
            me.display()
        ),
    }
}
