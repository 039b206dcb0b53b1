//! The images as files: read by tools that are not ours.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    driver::{
        binary,
        program::output,
        suite::{Suite, need},
    },
    host::container::Image,
};
use serde_json::Value;

use super::folder;

pub(crate) const FLAVOURS: [&str; 2] = ["static", "slim"];

pub(crate) fn add(suite: &mut Suite) {
    for flavour in FLAVOURS {
        let mut test = |claim: &str, run: fn(&str) -> Result<()>| {
            suite.test(format!("image {flavour}: {claim}"), move || run(flavour));
        };
        test("skopeo copies it whole, every digest checked, and says what it is", copied);
        test("node-problem-detector's paths are there with what they have there", paths);
        test("the agent's capabilities are permitted and not effective", capabilities);
    }
    suite.test("image slim: scripts find a shell and what they call, and scanners find the packages", debian);
    suite.test("image static: it is npd and nothing else", nothing_else);
    suite.test("Dockerfile: its target static has the same programs, monitors and entrypoint", dockerfile);
}

/// An image, unpacked.
pub(crate) fn image(flavour: &str) -> Result<Image> {
    need::root()?;
    need::tool("umoci")?;
    Image::unpack(&folder("NPD_IMAGE_DIR")?.join(flavour))
}

fn copied(flavour: &str) -> Result<()> {
    need::tool("skopeo")?;
    let version = env!("CARGO_PKG_VERSION");
    let layout = format!("oci:{}:{version}", folder("NPD_IMAGE_DIR")?.join(flavour).display());
    let scratch = tempfile::tempdir()?;
    for kind in ["dir:copy", "oci-archive:copy.tar"] {
        let mut skopeo = Command::new("skopeo");
        skopeo.current_dir(&scratch).args(["--insecure-policy", "copy", "--quiet", &layout, kind]);
        output(&mut skopeo)?;
    }
    let inspected: Value = serde_json::from_str(&output(Command::new("skopeo").args(["inspect", &layout]))?)?;
    ensure!(inspected["Os"] == "linux" && inspected["Architecture"].is_string(), "{inspected}");
    for (label, value) in [("title", "npd"), ("version", version), ("licenses", "MIT OR Apache-2.0")] {
        let label = format!("org.opencontainers.image.{label}");
        ensure!(inspected["Labels"][&label] == value, "{label}: {}", inspected["Labels"]);
    }
    for label in ["description", "created"] {
        ensure!(
            inspected["Labels"][format!("org.opencontainers.image.{label}")].is_string(),
            "{}",
            inspected["Labels"]
        );
    }
    Ok(())
}

fn paths(flavour: &str) -> Result<()> {
    let image = image(flavour)?;
    let dist = folder("NPD_DIST_DIR")?;
    for (path, program) in [
        ("node-problem-detector", "npd-agent"),
        ("home/kubernetes/bin/health-checker", "health-checker"),
        ("home/kubernetes/bin/log-counter", "log-counter"),
    ] {
        let path = image.root().join(path);
        ensure!(fs::read(&path)? == fs::read(dist.join(program))?, "{} is not {program}", path.display());
        let metadata = fs::metadata(&path)?;
        ensure!(metadata.permissions().mode() & 0o7777 == 0o755 && metadata.uid() == 0, "{}", path.display());
    }
    let shipped = binary::shipped_config("");
    for entry in fs::read_dir(&shipped)?.chain(fs::read_dir(shipped.join("plugin"))?) {
        let path = entry?.path();
        let inside = image.root().join("config").join(path.strip_prefix(&shipped)?);
        ensure!(path.ends_with("schema") != inside.exists(), "{}", inside.display());
        if path.is_file() {
            ensure!(fs::read(&path)? == fs::read(&inside)?, "{} is another", inside.display());
            let executable = |path| fs::metadata(path).map(|metadata| metadata.permissions().mode() & 0o111);
            ensure!(executable(&path)? == executable(&inside)?, "{}", inside.display());
        }
    }
    ensure!(image.root().join("var/lib/npd").is_dir(), "no mount point for the state");
    ensure!(image.config()["User"] == "0", "{}", image.config());
    let entrypoint = image.config()["Entrypoint"].to_string();
    ensure!(
        entrypoint
            == "[\"/node-problem-detector\",\"--config.system-log-monitor=/config/kernel-monitor.json,/config/readonly-monitor.json\"]",
        "{entrypoint}"
    );
    Ok(())
}

fn capabilities(flavour: &str) -> Result<()> {
    let image = image(flavour)?;
    need::tool("getcap")?;
    let said = output(Command::new("getcap").arg(image.root().join("node-problem-detector")))?;
    let said = said.trim().rsplit(' ').next().context("no capabilities")?;
    ensure!(said == "cap_dac_read_search,cap_syslog,cap_perfmon,cap_bpf=p", "{said}");
    Ok(())
}

fn debian() -> Result<()> {
    let image = image("slim")?;
    for program in ["sh", "bash", "cat", "date", "getent", "grep", "ps", "sed", "awk", "find"] {
        let found = ["bin", "usr/bin"]
            .iter()
            .any(|folder| fs::symlink_metadata(image.root().join(folder).join(program)).is_ok());
        ensure!(found, "no {program}");
    }
    let status = fs::read_to_string(image.root().join("var/lib/dpkg/status"))?;
    ensure!(status.contains("\nPackage: libc6\n") && status.contains("Status: install ok installed"), "{status:.400}");
    for (path, there) in [
        ("usr/share/man", false),
        ("var/lib/apt", false),
        ("etc/resolv.conf", false),
        ("usr/share/doc/bash/copyright", true),
    ] {
        ensure!(image.root().join(path).exists() == there, "{path}");
    }
    Ok(())
}

fn nothing_else() -> Result<()> {
    let image = image("static")?;
    let listed = output(
        Command::new("find")
            .args([".", "-type", "f", "!", "-path", "./config/*", "-printf", "%P\\n"])
            .current_dir(image.root()),
    )?;
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    let expected = [
        "etc/group",
        "etc/nsswitch.conf",
        "etc/passwd",
        "home/kubernetes/bin/health-checker",
        "home/kubernetes/bin/log-counter",
        "node-problem-detector",
    ];
    ensure!(listed == expected, "{listed:?}");
    Ok(())
}

fn dockerfile() -> Result<()> {
    let ours = image("static")?;
    need::tool("buildah")?;
    let scratch = tempfile::tempdir()?;
    let folder = |name: &str| -> Result<PathBuf> {
        let path = scratch.path().join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    };
    let context = folder("context")?;
    let dist = folder("context/target/dist")?;
    for program in ["npd-agent", "health-checker", "log-counter"] {
        fs::copy(super::folder("NPD_DIST_DIR")?.join(program), dist.join(program))?;
    }
    output(Command::new("cp").arg("--recursive").arg(binary::shipped_config("")).arg(context.join("config")))?;
    let buildah = |words: &[&str]| {
        let mut command = Command::new("buildah");
        command.current_dir(&context).args(["--storage-driver", "vfs", "--root"]).arg(scratch.path().join("storage"));
        output(command.arg("--runroot").arg(scratch.path().join("run")).args(words))
    };
    let file = binary::shipped_manifest("Dockerfile");
    let file = file.to_str().context("a path that is no UTF-8")?;
    buildah(&["build", "--isolation", "chroot", "--target", "static", "--tag", "npd:test", "--file", file, "."])?;
    let layout = scratch.path().join("layout");
    buildah(&["push", "--quiet", "npd:test", &format!("oci:{}:test", layout.display())])?;
    let theirs = Image::unpack(&layout)?;
    for path in ["node-problem-detector", "home", "config"] {
        output(
            Command::new("diff")
                .args(["--recursive", "--brief"])
                .arg(ours.root().join(path))
                .arg(theirs.root().join(path)),
        )?;
    }
    for key in ["Entrypoint", "User"] {
        ensure!(ours.config()[key] == theirs.config()[key], "{key} is {}", theirs.config()[key]);
    }
    Ok(())
}
