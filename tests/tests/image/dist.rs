//! The files of a release.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::{
    program::output,
    suite::{Suite, need},
};
use serde_json::Value;

use super::{files, folder};

const PROGRAMS: [&str; 3] = ["npd-agent", "health-checker", "log-counter"];
/// What the images, the unit and the README promise.
const LARGEST: u64 = 12_000_000;

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("dist: {claim}"), run);
    test("each program is static, small, and runs", programs);
    test("no program has a path of the machine that built it", paths);
    test("SHA256SUMS holds and names every file", sums);
    test("the manual pages are sound", manual);
    test("a flag that is only there for compatibility is in no page and no completion", hidden);
    test("the completions are sound in their shells", completions);
    test("each bill of materials lists what is linked and nothing that only builds or tests", bills);
}

fn programs() -> Result<()> {
    for name in PROGRAMS {
        let path = folder("NPD_DIST_DIR")?.join(name);
        let size = fs::metadata(&path)?.len();
        ensure!(size <= LARGEST, "{name} has {size} bytes");
        output(Command::new(&path).arg("--help").env_clear())?;
    }
    let version = output(Command::new(folder("NPD_DIST_DIR")?.join("npd-agent")).arg("--version"))?;
    ensure!(version.trim() == concat!("v", env!("CARGO_PKG_VERSION")), "{version}");
    need::tool("readelf")?;
    for name in PROGRAMS {
        let path = folder("NPD_DIST_DIR")?.join(name);
        let headers = output(Command::new("readelf").args(["--wide", "--program-headers"]).arg(&path))?;
        ensure!(headers.contains("LOAD") && !headers.contains("INTERP"), "{name} wants a loader");
    }
    Ok(())
}

fn paths() -> Result<()> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let source = source.trim_end_matches("tests/");
    let home = folder("NPD_CARGO_HOME")?;
    let home = home.to_str().context("a path that is no UTF-8")?;
    for name in PROGRAMS {
        let program = fs::read(folder("NPD_DIST_DIR")?.join(name))?;
        for path in [source, &format!("{home}/")] {
            let found = program.windows(path.len()).any(|window| window == path.as_bytes());
            ensure!(!found, "{name} knows {path}");
        }
    }
    Ok(())
}

fn sums() -> Result<()> {
    need::tool("sha256sum")?;
    let dist = folder("NPD_DIST_DIR")?;
    output(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&dist))?;
    let text = fs::read_to_string(dist.join("SHA256SUMS"))?;
    let named: BTreeSet<_> = text.lines().filter_map(|line| line.split("  ").nth(1)).map(ToOwned::to_owned).collect();
    let listed = output(
        Command::new("find")
            .args([".", "-type", "f", "!", "-name", "SHA256SUMS", "-printf", "%P\\n"])
            .current_dir(&dist),
    )?;
    let there: BTreeSet<_> = listed.lines().map(ToOwned::to_owned).collect();
    ensure!(named == there, "named {named:?}, there {there:?}");
    Ok(())
}

fn manual() -> Result<()> {
    need::tool("mandoc")?;
    let folder = folder("NPD_DIST_DIR")?.join("man");
    let pages = files(&folder, ".1")?;
    for name in PROGRAMS.iter().chain(&["npd-agent-features", "npd-agent-replay", "npd-agent-check-config"]) {
        ensure!(pages.iter().any(|page| page.file_stem().is_some_and(|stem| stem == *name)), "no page {name}");
    }
    for page in pages {
        // Warnings are of clap_mangen's style: doubled spaces, one line a paragraph.
        output(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(&page))?;
    }
    Ok(())
}

fn hidden() -> Result<()> {
    let dist = folder("NPD_DIST_DIR")?;
    let mut all = files(&dist.join("man"), ".1")?;
    all.extend(files(&dist.join("completions"), "")?);
    for path in all {
        let text = fs::read_to_string(&path)?.replace('\\', "");
        for flag in ["--logtostderr", "--system-log-monitors", "--vmodule"] {
            ensure!(!text.contains(flag), "{} has {flag}", path.display());
        }
    }
    Ok(())
}

fn completions() -> Result<()> {
    let folder = folder("NPD_DIST_DIR")?.join("completions");
    for (shell, ending) in [("bash", ".bash"), ("fish", ".fish"), ("zsh", "")] {
        let mut scripts = files(&folder, ending)?;
        scripts.retain(|path| !ending.is_empty() || path.extension().is_none());
        ensure!(scripts.len() == PROGRAMS.len(), "{scripts:?}");
        if need::tool(shell).is_err() {
            continue;
        }
        for script in scripts {
            output(Command::new(shell).arg("-n").arg(script))?;
        }
    }
    need::tool("fish").and(need::tool("zsh"))
}

fn bills() -> Result<()> {
    for name in PROGRAMS {
        let path = folder("NPD_DIST_DIR")?.join(format!("{name}.cdx.json"));
        let text = fs::read_to_string(&path)?;
        let bill: Value = serde_json::from_str(&text).context("no JSON")?;
        ensure!(bill["bomFormat"] == "CycloneDX", "{}", bill["bomFormat"]);
        ensure!(bill["metadata"]["component"]["name"] == name, "{}", bill["metadata"]["component"]);
        ensure!(bill["serialNumber"].is_null(), "a number that is another one each time");
        let components = bill["components"].as_array().context("no components")?;
        let names: BTreeSet<_> = components.iter().filter_map(|component| component["name"].as_str()).collect();
        for linked in ["aya", "tokio", "regex-automata", "rustls", "npd-common"] {
            ensure!(names.contains(linked), "{name}: {linked} is missing");
        }
        for other in ["proptest", "libtest-mimic", "lz4_flex", "serde_derive", "npd-tests", "aya-ebpf", "clap_mangen"] {
            ensure!(!names.contains(other), "{name}: {other} is not linked into it");
        }
        for component in components {
            let first_party = component["name"].as_str().is_some_and(|name| name.starts_with("npd-"));
            ensure!(first_party || component["hashes"].is_array(), "no checksum of {}", component["name"]);
        }
    }
    Ok(())
}
