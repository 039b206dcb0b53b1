//! Builds the eBPF object (feature `ebpf`) and writes it to `$OUT_DIR/npd-ebpf`, where the agent embeds it from.
//!
//! It runs a second cargo because the probes need another target and another compiler than the agent. `toolchain.rs`, shared
//! with `cargo xtask setup`, finds that compiler. Nothing is installed here.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use object::{
    build::elf::{Builder, SectionData},
    elf::SHT_STRTAB,
};

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

    // BTF contains the paths of source files; the paths of this machine must not be among them.
    let root = PathBuf::from(var("CARGO_MANIFEST_DIR")?)
        .join("..")
        .canonicalize()
        .context("cannot resolve the path of the workspace")?;
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
        bail!("the eBPF probes do not build with {toolchain}: see the compiler's output above");
    }
    let object = target_dir.join(TARGET).join("bpf/npd-ebpf");
    let object = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    let object = without_dwarf(&object).context("cannot strip the linker's output")?;
    fs::write(out_dir.join("npd-ebpf"), object).context("cannot write the eBPF object")
}

/// `cargo build` with this tool chain; the caller adds the arguments.
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
    // Variables that cargo, clippy or rustup set for the host's crates must not apply to the probes.
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

/// The object without its DWARF sections and what refers to them, which are nine tenths of it. BTF could only be made together with
/// them, but the kernel and the agent read BTF alone.
fn without_dwarf(object: &[u8]) -> object::build::Result<Vec<u8>> {
    let mut elf = Builder::read(object)?;
    for section in &mut elf.sections {
        let name = section.name.as_slice();
        section.delete = name.starts_with(b".debug_") || name.starts_with(b".rel.debug_");
    }
    // bpf-linker keeps the names of sections among those of symbols; the writer wants a table for each.
    let names = elf.sections.add();
    names.name = b".shstrtab".as_slice().into();
    names.sh_type = SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;

    let mut stripped = Vec::new();
    elf.write(&mut stripped)?;
    Ok(stripped)
}

/// The workspace's target directory, so that debug, release and static builds share one build of the probes. Cargo marks it with a
/// CACHEDIR.TAG; if there is none, each build keeps its own.
fn shared_target_dir(out_dir: &Path) -> &Path {
    out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file()).unwrap_or(out_dir)
}

fn var(name: &str) -> anyhow::Result<OsString> {
    env::var_os(name).with_context(|| format!("{name} is not set; build scripts must be run by cargo"))
}

#[allow(clippy::print_stdout, reason = "cargo reads a build script's standard output")]
fn say(line: &str) {
    println!("{line}");
}
