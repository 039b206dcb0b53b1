//! Builds the eBPF object (feature `ebpf`) and puts it at `$OUT_DIR/npd-ebpf`, from where the agent embeds it.
//!
//! It is a cargo run of its own because the probes need another target and another compiler than the agent; `toolchain.rs`, shared
//! with `cargo xtask setup`, finds that compiler. Nothing is installed here.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};

#[path = "../xtask/src/remap.rs"]
mod remap;
#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use toolchain::{Compiler, Places, TARGET, Toolchain, WITHOUT_PROBES};

const MISSING: &str = "\
the eBPF probes cannot be built: no Rust compiler for BPF with a bpf-linker that fits it was found. \
Run `cargo xtask setup` to install them, or build without probes: ";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("cargo::error={error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    say("cargo::rerun-if-changed=build.rs");
    say("cargo::rerun-if-changed=../xtask/src/remap.rs");
    say("cargo::rerun-if-changed=../xtask/src/toolchain.rs");
    if env::var_os("CARGO_FEATURE_EBPF").is_none() {
        return Ok(());
    }
    for path in ["../npd-ebpf", "../npd-common", "../Cargo.lock"] {
        say(&format!("cargo::rerun-if-changed={path}"));
    }

    let out_dir = PathBuf::from(var("OUT_DIR")?);
    let target_dir = shared_target_dir(&out_dir).join("bpf");
    let toolchain =
        Toolchain::find(&Places::from_env(), &out_dir).with_context(|| format!("{MISSING}{WITHOUT_PROBES}"))?;
    let arch = var("CARGO_CFG_TARGET_ARCH")?.into_string().unwrap_or_default();

    // The probes' BTF names source files: not where they were on this machine.
    let root =
        PathBuf::from(var("CARGO_MANIFEST_DIR")?).join("..").canonicalize().context("the workspace has no path")?;
    let flags = format!("--cfg=bpf_target_arch=\"{arch}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf");
    let mut flags = OsString::from(flags);
    let home = remap::cargo_home().context("neither CARGO_HOME nor HOME is set: this is not cargo")?;
    remap::add_flags(&mut flags, &[(&home, "/cargo"), (&root, "/npd")]);

    let mut command = cargo_build(&toolchain)?;
    command
        .args(["--package", "npd-ebpf", "--target", TARGET, "--profile", "bpf", "--target-dir"])
        .arg(&target_dir)
        // BTF is made from the debug information. `bpf_target_arch` is the machine whose kernel runs the probes.
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    if !status.success() {
        bail!("the eBPF probes do not build with {toolchain}: the compiler's words are above");
    }
    let object = target_dir.join(TARGET).join("bpf/npd-ebpf");
    let object = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    let object = without_dwarf(&object).context("the linker's output is not an ELF object as expected")?;
    fs::write(out_dir.join("npd-ebpf"), object).context("cannot write the eBPF object")
}

/// `cargo build` with this tool chain, to be completed by the caller.
fn cargo_build(toolchain: &Toolchain) -> anyhow::Result<Command> {
    let mut command = match &toolchain.compiler {
        // -Z build-std wants the cargo that belongs to the sources.
        Compiler::Nightly { sysroot } => {
            let mut command = Command::new(sysroot.join("bin/cargo"));
            command.args(["build", "-Zbuild-std=core"]);
            command
        }
        Compiler::Precompiled { .. } => {
            let mut command = Command::new(var("CARGO")?);
            command.arg("build");
            command
        }
    };
    // What cargo, clippy or rustup set for the host's crates must not reach these.
    for (name, _) in env::vars_os() {
        let inherited = name.to_str().is_some_and(|name| match name {
            "CARGO_HOME" | "CARGO_NET_OFFLINE" => false,
            "CARGO" | "RUSTFLAGS" | "RUSTUP_TOOLCHAIN" => true,
            _ => ["CARGO_", "RUSTC", "RUSTDOC"].iter().any(|prefix| name.starts_with(prefix)),
        });
        if inherited {
            command.env_remove(name);
        }
    }
    command
        .arg("--locked")
        .env("RUSTC", toolchain.compiler.rustc())
        // aya-ebpf uses BPF's inline assembly, which is not stable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &toolchain.linker);
    Ok(command)
}

/// The object (64-bit, little-endian ELF) without the contents of its DWARF sections, which are nine tenths of it. BTF could only be made
/// together with them, but the kernel and the agent read BTF alone.
///
/// The emptied sections keep their headers: all indices of sections stay as they are.
fn without_dwarf(object: &[u8]) -> Option<Vec<u8>> {
    const NAME: usize = 0;
    const TYPE: usize = 4;
    const OFFSET: usize = 24;
    const SIZE: usize = 32;
    const HEADER: usize = 64;

    let u16_at = |at: usize| Some(usize::from(u16::from_le_bytes(object.get(at..at + 2)?.try_into().ok()?)));
    let u32_at = |at: usize| usize::try_from(u32::from_le_bytes(object.get(at..at + 4)?.try_into().ok()?)).ok();
    let u64_at = |at: usize| usize::try_from(u64::from_le_bytes(object.get(at..at + 8)?.try_into().ok()?)).ok();
    let headers_at = u64_at(40)?;
    let mut headers = object.get(headers_at..headers_at + u16_at(60)? * HEADER)?.to_vec();
    let names = u64_at(headers_at + u16_at(62)? * HEADER + OFFSET)?;

    let mut stripped = object.get(..HEADER)?.to_vec();
    for (index, header) in headers.chunks_exact_mut(HEADER).enumerate() {
        let at = headers_at + index * HEADER;
        let name = object.get(names + u32_at(at + NAME)?..)?;
        let (offset, size) = (u64_at(at + OFFSET)?, u64_at(at + SIZE)?);
        let contents = if name.starts_with(b".debug_") || name.starts_with(b".rel.debug_") {
            header[TYPE..TYPE + 4].fill(0);
            &[]
        } else {
            object.get(offset..offset + size)?
        };
        // Eight is the largest alignment in these objects.
        stripped.resize(stripped.len().next_multiple_of(8), 0);
        header[OFFSET..OFFSET + 8].copy_from_slice(&(stripped.len() as u64).to_le_bytes());
        header[SIZE..SIZE + 8].copy_from_slice(&(contents.len() as u64).to_le_bytes());
        stripped.extend_from_slice(contents);
    }
    stripped.resize(stripped.len().next_multiple_of(8), 0);
    let headers_at = (stripped.len() as u64).to_le_bytes();
    stripped[40..48].copy_from_slice(&headers_at);
    stripped.extend_from_slice(&headers);
    Some(stripped)
}

/// The workspace's target directory, so that debug, release and static builds share one build of the probes. Cargo marks it with a
/// CACHEDIR.TAG; where that is not found, each build keeps its own.
fn shared_target_dir(out_dir: &Path) -> &Path {
    out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(out_dir)
}

fn var(name: &str) -> anyhow::Result<OsString> {
    env::var_os(name).with_context(|| format!("{name} is not set: this is not cargo"))
}

#[allow(clippy::print_stdout, reason = "standard output is how a build script speaks to cargo")]
fn say(line: &str) {
    println!("{line}");
}
