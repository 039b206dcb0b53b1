//! The BPF tool chain: a rustc that knows the BPF targets, and the bpf-linker that reads its bitcode.
//!
//! `cargo xtask setup` uses this to find out whether anything is missing, and npd-agent's build script includes this file, so that the
//! build uses what setup accepts. Therefore it uses std only and installs nothing.
//!
//! A linker *fits* a compiler if it links a small program of that compiler. Version numbers do not decide this: what matters is the LLVM
//! in both, which bpf-linker does not show.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The target the probes are built for. Node agents run on little-endian machines only.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// The command that builds an agent with everything but the probes.
pub(crate) const WITHOUT_PROBES: &str =
    "cargo build -p npd-agent --no-default-features --features custom-plugin,health-checks,kubernetes,system-stats";

/// A rustc that can generate BPF code.
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
    /// Generates the bitcode.
    pub(crate) compiler: Compiler,
    /// Links it into an object.
    pub(crate) linker: PathBuf,
}

/// Where to look. This is read from the environment once, so that the search can be tested in a made-up tree.
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
    /// Returns the first compiler and linker that fit each other. They are tried in the scratch directory `scratch`.
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
}

#[allow(dead_code, reason = "the build script includes this file and lints nothing")]
impl Toolchain {
    /// Whether a distribution provides it.
    pub(crate) fn is_precompiled(&self) -> bool {
        matches!(self.compiler, Compiler::Precompiled { .. })
    }

    /// Where the clippy of this compiler would be.
    pub(crate) fn clippy_driver(&self) -> PathBuf {
        self.compiler.rustc().with_file_name("clippy-driver")
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} + {}", self.compiler, self.linker.display())
    }
}

// === impl Places ===

impl Places {
    /// The places in the environment of this process.
    pub(crate) fn from_env() -> Self {
        let home = env::var_os("HOME").map(PathBuf::from);
        let under_home = |name| home.as_ref().map(|home| home.join(name));
        let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let mut bins = Vec::new();
        if let Some(home) = &cargo_home {
            bins.extend([home.join("bin"), home.join("npd/bin")]);
        }
        bins.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        // Not every shell has these on PATH, but cargo, `cargo xtask setup` and the release archives install bpf-linker there.
        bins.extend([".cargo/bin", ".cargo/npd/bin", ".local/bin"].into_iter().filter_map(under_home));
        Self {
            rustup_home: env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| under_home(".rustup")),
            prefixes: vec![PathBuf::from("/usr"), PathBuf::from("/usr/local")],
            bins,
        }
    }

    /// Every compiler that can generate BPF code, the best first.
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

    /// Every bpf-linker in the order of the directories, without repetition.
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

/// Compiles a tiny program into bitcode with `compiler`. It uses the host's `core`, the only one a nightly has; the format is the same.
fn probe_bitcode(compiler: &Compiler, scratch: &Path) -> Option<PathBuf> {
    let source = scratch.join("fit.rs");
    let bitcode = scratch.join("fit.bc");
    fs::create_dir_all(scratch).ok()?;
    fs::write(&source, "#![no_std]\n#[unsafe(no_mangle)]\npub extern \"C\" fn fit() -> u64 { 0 }\n").ok()?;
    let mut rustc = Command::new(compiler.rustc());
    rustc
        .args(["--edition=2024", "--crate-type=lib", "--emit=llvm-bc", "-Cpanic=abort", "-o"])
        .arg(&bitcode)
        .arg(&source);
    succeeds(&mut rustc).then_some(bitcode)
}

/// Whether `linker` links that bitcode into an object. It is also false if the linker cannot start, as without its shared libLLVM.
fn links(linker: &Path, bitcode: &Path) -> bool {
    let mut command = Command::new(linker);
    command.args(["--target", "bpfel", "--export", "fit", "-o"]).arg(bitcode.with_extension("o")).arg(bitcode);
    succeeds(&mut command)
}

fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::workspace::scratch_dir;

    /// A made-up machine in a directory of its own.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str) -> Self {
            let root = scratch_dir().join("machines").join(name);
            if root.exists() {
                fs::remove_dir_all(&root).unwrap();
            }
            fs::create_dir_all(&root).unwrap();
            Self(root)
        }

        fn program(&self, path: &str, script: &str) -> &Self {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            self
        }

        fn nightly(&self, name: &str, has_sources: bool) -> &Self {
            if has_sources {
                let sources = format!("rustup/toolchains/{name}/lib/rustlib/src/rust/library/core/src/lib.rs");
                self.program(&sources, "");
            }
            self.program(&format!("rustup/toolchains/{name}/bin/rustc"), "exit 0")
        }

        fn precompiled(&self) -> &Self {
            fs::create_dir_all(self.0.join("usr/lib/rustlib").join(TARGET).join("lib")).unwrap();
            self.program("usr/bin/rustc", "exit 0")
        }

        fn places(&self) -> Places {
            Places {
                rustup_home: Some(self.0.join("rustup")),
                prefixes: vec![self.0.join("usr")],
                bins: vec![self.0.join("a"), self.0.join("b"), self.0.join("a")],
            }
        }

        fn find(&self) -> Option<Toolchain> {
            Toolchain::find(&self.places(), &self.0.join("scratch"))
        }
    }

    #[test]
    fn a_nightly_with_sources_comes_before_a_distributions_compiler() {
        let machine = Machine::new("both");
        machine.nightly("nightly-x86_64-unknown-linux-gnu", true).precompiled().program("a/bpf-linker", "exit 0");
        assert!(matches!(machine.find().unwrap().compiler, Compiler::Nightly { .. }));
    }

    #[test]
    fn a_nightly_without_sources_is_not_used() {
        let machine = Machine::new("no-sources");
        machine.nightly("nightly-x86_64-unknown-linux-gnu", false).program("a/bpf-linker", "exit 0");
        assert_eq!(machine.find(), None);
    }

    #[test]
    fn a_rolling_nightly_comes_before_a_dated_one_and_stable_is_not_used() {
        let machine = Machine::new("dated");
        machine
            .nightly("nightly-2026-01-01-x86_64", true)
            .nightly("nightly-x86_64", true)
            .nightly("stable-x86_64", true);
        let compilers = machine.places().compilers();
        assert_eq!(compilers.len(), 2);
        assert!(compilers[0].rustc().to_string_lossy().contains("nightly-x86_64"), "{compilers:?}");
    }

    #[test]
    fn a_distributions_compiler_without_core_for_bpf_is_not_used() {
        let machine = Machine::new("no-core");
        machine.program("usr/bin/rustc", "exit 0").program("a/bpf-linker", "exit 0");
        assert_eq!(machine.find(), None);
    }

    #[test]
    fn a_linker_that_does_not_fit_is_skipped() {
        let machine = Machine::new("misfit");
        machine.precompiled().program("a/bpf-linker", "exit 1").program("b/bpf-linker", "exit 0");
        assert_eq!(machine.find().unwrap().linker, machine.0.join("b/bpf-linker"));
    }

    #[test]
    fn a_compiler_without_a_fitting_linker_is_skipped() {
        let machine = Machine::new("too-new");
        // The nightly's bitcode is what this linker cannot read.
        let writes = "while [ $# -gt 0 ]; do [ \"$1\" = -o ] && echo nightly > \"$2\"; shift; done";
        machine
            .nightly("nightly-x86_64", true)
            .program("rustup/toolchains/nightly-x86_64/bin/rustc", writes)
            .precompiled()
            .program("usr/bin/rustc", &writes.replace("nightly", "stable"))
            .program("a/bpf-linker", "for last; do :; done; grep -q stable \"$last\"");
        assert!(matches!(machine.find().unwrap().compiler, Compiler::Precompiled { .. }));
    }

    #[test]
    fn a_linker_in_two_directories_of_the_path_is_tried_once() {
        let machine = Machine::new("twice");
        machine.program("a/bpf-linker", "exit 0");
        assert_eq!(machine.places().linkers().len(), 1);
    }

    #[test]
    fn a_machine_with_nothing_has_no_tool_chain() {
        assert_eq!(Machine::new("bare").find(), None);
    }
}
