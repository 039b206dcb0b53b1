//! The BPF tool chain: a rustc that knows the BPF targets, and the bpf-linker that reads its bitcode.
//!
//! `cargo xtask setup` uses this to tell whether anything is missing, and npd-agent's build script includes this same file, so that
//! what setup accepts is what the build uses. Therefore: std only, and nothing is installed from here.
//!
//! A linker *fits* a compiler when it links a small program of that compiler. Version numbers do not decide: what matters is the LLVM
//! inside both, which bpf-linker does not tell.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The target the probes are built for. Node agents run on little-endian machines only.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// A rustc that can make BPF code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// A rustup nightly with `rust-src`: `core` is built from source.
    Nightly {
        /// `<rustup home>/toolchains/nightly-…`
        sysroot: PathBuf,
    },
    /// A stable rustc whose distribution compiled `core` for BPF: Debian's rustc-web. It needs `RUSTC_BOOTSTRAP=1`.
    Precompiled {
        /// Usually `/usr`.
        sysroot: PathBuf,
    },
}

/// A compiler and a linker that fit each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    /// Makes the bitcode.
    pub(crate) compiler: Compiler,
    /// Makes the object of it.
    pub(crate) linker: PathBuf,
}

/// Where to look. Read from the environment once, so that the search itself can be tested in a made-up tree.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// `$RUSTUP_HOME`, or `~/.rustup`.
    pub(crate) rustup_home: Option<PathBuf>,
    /// Prefixes under which a distribution may have put rustc.
    pub(crate) prefixes: Vec<PathBuf>,
    /// Directories that may hold bpf-linker.
    pub(crate) bins: Vec<PathBuf>,
}

// === impl Compiler ===

impl Compiler {
    /// The rustc to run.
    pub(crate) fn rustc(&self) -> PathBuf {
        let (Self::Nightly { sysroot } | Self::Precompiled { sysroot }) = self;
        sysroot.join("bin/rustc")
    }
}

impl fmt::Display for Compiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nightly { sysroot } => write!(f, "{} (nightly with rust-src)", sysroot.display()),
            Self::Precompiled { sysroot } => {
                write!(f, "{}/bin/rustc (core compiled for BPF)", sysroot.display())
            }
        }
    }
}

// === impl Toolchain ===

impl Toolchain {
    /// The first compiler and linker that fit each other, trying them in the scratch directory `scratch`.
    pub(crate) fn find(places: &Places, scratch: &Path) -> Option<Self> {
        let linkers = places.linkers();
        for compiler in places.compilers() {
            let Some(bitcode) = probe_bitcode(&compiler, scratch) else { continue };
            if let Some(linker) = linkers.iter().find(|linker| links(linker, &bitcode)) {
                return Some(Self { compiler, linker: linker.clone() });
            }
        }
        None
    }

    /// The cargo command that builds `package` with this tool chain, to be completed by its caller. `cargo` is the running one.
    pub(crate) fn cargo_build(&self, cargo: &OsStr, package: &str) -> Command {
        let nightly_cargo;
        let cargo = match &self.compiler {
            // -Z build-std wants the cargo that belongs to the sources.
            Compiler::Nightly { sysroot } => {
                nightly_cargo = sysroot.join("bin/cargo");
                nightly_cargo.as_os_str()
            }
            Compiler::Precompiled { .. } => cargo,
        };
        let mut command = Command::new(cargo);
        // What an outer cargo, clippy or rustup set for the host's crates must not reach these.
        for (name, _) in env::vars_os() {
            let inherited = name.to_str().is_some_and(|name| {
                (name.starts_with("CARGO_") && !matches!(name, "CARGO_HOME" | "CARGO_NET_OFFLINE" | "CARGO_TERM_COLOR"))
                    || name.starts_with("RUSTC")
                    || name.starts_with("RUSTDOC")
                    || matches!(name, "CARGO" | "RUSTFLAGS" | "RUSTUP_TOOLCHAIN")
            });
            if inherited {
                command.env_remove(&name);
            }
        }
        command
            .args(["build", "--locked", "--package", package, "--target", TARGET])
            .env("RUSTC", self.compiler.rustc())
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", &self.linker);
        if let Compiler::Nightly { .. } = self.compiler {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {}", self.compiler, self.linker.display())
    }
}

// === impl Places ===

impl Places {
    /// The places this process's environment names.
    pub(crate) fn from_env() -> Self {
        let home = env::var_os("HOME").map(PathBuf::from);
        let under_home = |name| home.as_ref().map(|home| home.join(name));
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let mut bins: Vec<PathBuf> = cargo_home.into_iter().map(|home| home.join("bin")).collect();
        bins.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        // Not every shell has them on PATH, but this is where cargo and the release archives put it.
        bins.extend(under_home(".cargo/bin"));
        bins.extend(under_home(".local/bin"));
        Self {
            rustup_home: env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| under_home(".rustup")),
            prefixes: vec![PathBuf::from("/usr"), PathBuf::from("/usr/local")],
            bins,
        }
    }

    /// Every compiler that can make BPF code, the best first.
    pub(crate) fn compilers(&self) -> Vec<Compiler> {
        let mut nightlies: Vec<PathBuf> = self
            .rustup_home
            .iter()
            .filter_map(|home| fs::read_dir(home.join("toolchains")).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nightly")))
            .filter(|path| path.join("lib/rustlib/src/rust/library/core/src/lib.rs").is_file())
            .collect();
        // `nightly-x86_64-…`, which is the newest, sorts after every dated one.
        nightlies.sort_by(|a, b| b.cmp(a));
        let nightlies = nightlies.into_iter().map(|sysroot| Compiler::Nightly { sysroot });
        let precompiled = self
            .prefixes
            .iter()
            .filter(|prefix| prefix.join("lib/rustlib").join(TARGET).join("lib").is_dir())
            .map(|prefix| Compiler::Precompiled { sysroot: prefix.clone() });
        nightlies.chain(precompiled).filter(|compiler| compiler.rustc().is_file()).collect()
    }

    /// Every bpf-linker, in the order of the directories, each once.
    pub(crate) fn linkers(&self) -> Vec<PathBuf> {
        let mut linkers: Vec<PathBuf> = Vec::new();
        for linker in self.bins.iter().map(|bin| bin.join("bpf-linker")) {
            if linker.is_file() && !linkers.contains(&linker) {
                linkers.push(linker);
            }
        }
        linkers
    }
}

/// A tiny program of `compiler` as bitcode. It is the host's `core` that is used, since a nightly has no other: the format is the same.
fn probe_bitcode(compiler: &Compiler, scratch: &Path) -> Option<PathBuf> {
    let source = scratch.join("fit.rs");
    let bitcode = scratch.join("fit.bc");
    fs::create_dir_all(scratch).ok()?;
    fs::write(&source, "#![no_std]\n#[unsafe(no_mangle)]\npub extern \"C\" fn fit() -> u64 { 0 }\n").ok()?;
    let mut rustc = Command::new(compiler.rustc());
    rustc.args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc", "-Cpanic=abort", "-o"]).arg(&bitcode).arg(&source);
    succeeds(&mut rustc).then_some(bitcode)
}

/// Whether `linker` makes an object of that bitcode; also false when it cannot start, for want of its shared libLLVM.
fn links(linker: &Path, bitcode: &Path) -> bool {
    let mut command = Command::new(linker);
    command.args(["--target", "bpfel", "--export", "fit", "-o"]).arg(bitcode.with_extension("o")).arg(bitcode);
    succeeds(&mut command)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The flags every crate of the object is compiled with, in the form of `CARGO_ENCODED_RUSTFLAGS`.
///
/// `bpf_target_arch` is the machine whose kernel runs the probes; `--btf` makes the linker write BTF, which needs debug information.
pub(crate) fn rustflags(arch: &str) -> OsString {
    format!("--cfg=bpf_target_arch=\"{arch}\"\x1f-Cdebuginfo=2\x1f-Clink-arg=--btf").into()
}
