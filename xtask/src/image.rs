//! `cargo xtask image`: container images as OCI layouts in `target/image`, without a container engine.
//!
//! Each has two layers, the base and npd itself, and the upper one is the same in both flavours. The same source gives the same bytes, as
//! long as Debian's packages stay the same.

mod base;
mod layer;
mod layout;
mod root;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    build::PROGRAMS,
    dist, setup,
    step::Step,
    workspace::{source_date, target_dir},
};
use layout::Layout;

/// Which images to make.
#[derive(clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Build only this flavour [default: both]
    #[arg(long, value_enum)]
    flavour: Option<Flavour>,
    /// Build for this processor [default: this machine's]
    #[arg(long, value_enum)]
    arch: Option<Arch>,
    /// Take the static programs from this folder [default: build them as `dist` does]
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// The base of an image.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Flavour {
    /// Nothing; without a shell, plugins cannot be scripts
    Static,
    /// A small Debian with a shell
    Slim,
}

/// A processor, with the names that OCI and Debian use.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Arch {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

/// The verb.
pub(crate) fn image(args: &Args) -> Result<()> {
    setup::setup()?;
    make(args)
}

/// Makes the images.
fn make(args: &Args) -> Result<()> {
    let wanted = |flavour| args.flavour.is_none_or(|only| only == flavour);
    if wanted(Flavour::Slim) {
        setup::for_images();
    }
    let arch = match args.arch {
        Some(arch) => arch,
        None => Arch::of_host()?,
    };
    let programs = programs(args.programs.as_deref(), arch)?;
    for flavour in [Flavour::Static, Flavour::Slim] {
        if wanted(flavour) {
            write(flavour, arch, &programs)?;
        }
    }
    Ok(())
}

/// Writes both images for this machine's processor with the programs in `dist`, and returns their folder.
pub(crate) fn make_all(dist: &Path) -> Result<PathBuf> {
    make(&Args { flavour: None, arch: None, programs: Some(dist.to_owned()) })?;
    Ok(target_dir().join("image"))
}

/// Writes one image.
fn write(flavour: Flavour, arch: Arch, programs: &Path) -> Result<()> {
    let name = flavour.name();
    let title = format!("build the image `{name}` for {}", arch.name());
    let step = Step::loud(&title);
    let date = source_date()?;
    let below = match flavour {
        Flavour::Static => root::empty(),
        Flavour::Slim => base::debian(arch, date)?,
    };
    let layers = [("root", below), ("npd", root::npd(programs)?)];
    let mut layout = Layout::new(target_dir().join("image").join(name), date)?;
    let mut sizes = [0, 0];
    for (title, layer) in layers {
        let packed = layer.pack(date)?;
        println!(
            "layer {title}: {} compressed, {} unpacked",
            megabytes(packed.compressed.len()),
            megabytes(packed.size)
        );
        sizes[0] += packed.compressed.len();
        sizes[1] += packed.size;
        layout.add_layer(&packed)?;
    }
    let path = layout.finish(flavour, arch)?;
    println!("{}: {} compressed, {} unpacked", path.display(), megabytes(sizes[0]), megabytes(sizes[1]));
    step.done();
    Ok(())
}

/// The folder with the programs for that processor.
fn programs(given: Option<&Path>, arch: Arch) -> Result<PathBuf> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None if Arch::of_host().is_ok_and(|host| host == arch) => dist::make()?,
        None => bail!(
            "this machine cannot build programs for {}: run `cargo xtask dist` on one that can, and pass the folder of the programs with \
             --programs",
            arch.name()
        ),
    };
    for name in PROGRAMS {
        arch.check(&folder.join(name))?;
    }
    Ok(folder)
}

fn megabytes(bytes: usize) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

// === impl Flavour ===

impl Flavour {
    /// Its name, which is also the name of its folder.
    fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Slim => "slim",
        }
    }
}

// === impl Arch ===

impl Arch {
    /// This machine's.
    pub(crate) fn of_host() -> Result<Self> {
        match env::consts::ARCH {
            "x86_64" => Ok(Self::Amd64),
            "aarch64" => Ok(Self::Arm64),
            other => bail!("images are for amd64 or arm64 and this machine is {other}: choose one with --arch"),
        }
    }

    /// Its name in an OCI document.
    fn oci(self) -> oci_spec::image::Arch {
        match self {
            Self::Amd64 => oci_spec::image::Arch::Amd64,
            Self::Arm64 => oci_spec::image::Arch::ARM64,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Fails if a program is not an ELF file for this processor.
    fn check(self, program: &Path) -> Result<()> {
        let machine: u16 = match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        };
        let bytes = fs::read(program).with_context(|| format!("cannot read the program {}", program.display()))?;
        if bytes.starts_with(b"\x7fELF") && bytes.get(18..20) == Some(&machine.to_le_bytes()) {
            return Ok(());
        }
        bail!("{} is not a program for {}", program.display(), self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_processor_is_refused() {
        let me = env::current_exe().unwrap();
        let (own, other) = match Arch::of_host().unwrap() {
            Arch::Amd64 => (Arch::Amd64, Arch::Arm64),
            Arch::Arm64 => (Arch::Arm64, Arch::Amd64),
        };
        own.check(&me).unwrap();
        let error = other.check(&me).unwrap_err().to_string();
        assert!(error.ends_with(&format!("is not a program for {}", other.name())), "{error}");
    }
}
