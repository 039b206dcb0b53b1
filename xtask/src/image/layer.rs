//! A layer of an image: files with their modes and capabilities. It is packed into the same bytes at any time and on any machine.

use std::{
    collections::BTreeMap,
    io::{Read, Write as _},
};

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::dist::hexadecimal;

/// The contents of a layer, by path without a leading slash.
#[derive(Default)]
pub(super) struct Layer {
    entries: BTreeMap<String, Entry>,
}

/// A file, folder or link. It belongs to root unless it was read from a tar file.
pub(super) struct Entry {
    mode: u32,
    owner: (u64, u64),
    kind: Kind,
    /// The value of `security.capability`.
    capabilities: Option<Vec<u8>>,
}

enum Kind {
    Folder,
    File(Vec<u8>),
    Symlink(String),
    Hardlink(String),
}

/// A layer as it is stored.
pub(super) struct Packed {
    /// The tar, compressed.
    pub(super) compressed: Vec<u8>,
    /// The digest of the uncompressed tar, which an image's config refers to.
    pub(super) diff_id: String,
    /// The size of its files.
    pub(super) size: usize,
}

// === impl Layer ===

impl Layer {
    /// Adds a folder.
    pub(super) fn folder(&mut self, path: &str, mode: u32) {
        self.add(path, mode, Kind::Folder);
    }

    /// Adds a file.
    pub(super) fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.add(path, mode, Kind::File(content.into()));
    }

    /// Adds a symbolic link.
    pub(super) fn symlink(&mut self, path: &str, target: &str) {
        self.add(path, 0o777, Kind::Symlink(target.to_owned()));
    }

    /// Sets the capabilities of a file, in the format of the extended attribute.
    pub(super) fn capabilities(&mut self, path: &str, value: Vec<u8>) {
        if let Some(entry) = self.entries.get_mut(path) {
            entry.capabilities = Some(value);
        }
    }

    /// Reads the entries of a tar file for which `wanted` is true. Devices are left out: the runtime creates those of a container.
    pub(super) fn read(tar: impl Read, wanted: impl Fn(&str) -> bool) -> Result<Self> {
        let mut layer = Self::default();
        let mut archive = tar::Archive::new(tar);
        for entry in archive.entries().context("the base is not a tar file")? {
            let mut entry = entry.context("the base's tar file is damaged")?;
            let path = entry.path_bytes();
            let path = std::str::from_utf8(&path).context("a path in the base is not UTF-8")?;
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            if path.is_empty() || !wanted(&path) {
                continue;
            }
            let target = || -> Result<String> {
                let target = entry.link_name_bytes().context("a link in the base has no target")?;
                let target = String::from_utf8(target.into_owned()).context("a link in the base is not UTF-8")?;
                Ok(target)
            };
            let kind = match entry.header().entry_type() {
                EntryType::Directory => Kind::Folder,
                EntryType::Symlink => Kind::Symlink(target()?),
                EntryType::Link => Kind::Hardlink(target()?.trim_start_matches("./").to_owned()),
                EntryType::Regular => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).with_context(|| format!("cannot read {path} of the base"))?;
                    Kind::File(content)
                }
                _ => continue,
            };
            let header = entry.header();
            let numbers = || Ok::<_, std::io::Error>((header.mode()?, header.uid()?, header.gid()?));
            let (mode, uid, gid) = numbers().with_context(|| format!("{path} of the base has no owner"))?;
            layer.entries.insert(path, Entry { mode, owner: (uid, gid), kind, capabilities: None });
        }
        Ok(layer)
    }

    /// Packs the layer into a compressed tar. All times in it are `date`.
    pub(super) fn pack(&self, date: u64) -> Result<Packed> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut size = 0;
        // The target of a hard link has to come before the link.
        let (links, rest): (Vec<_>, Vec<_>) =
            self.entries.iter().partition(|(_, entry)| matches!(entry.kind, Kind::Hardlink(_)));
        for (path, entry) in rest.into_iter().chain(links) {
            size += entry.append(&mut tar, path, date).with_context(|| format!("cannot pack {path}"))?;
        }
        let tar = tar.into_inner().context("cannot finish the layer")?;
        // No time, and 255 for an unknown operating system.
        let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
        gzip.write_all(&tar).context("cannot compress the layer")?;
        let compressed = gzip.finish().context("cannot compress the layer")?;
        Ok(Packed { compressed, diff_id: digest(&tar), size })
    }

    fn add(&mut self, path: &str, mode: u32, kind: Kind) {
        self.entries.insert(path.to_owned(), Entry { mode, owner: (0, 0), kind, capabilities: None });
    }
}

// === impl Entry ===

impl Entry {
    /// Appends the entry and returns the size of its content.
    fn append(&self, tar: &mut tar::Builder<Vec<u8>>, path: &str, date: u64) -> Result<usize> {
        if let Some(value) = &self.capabilities {
            tar.append_pax_extensions([("SCHILY.xattr.security.capability", value.as_slice())])?;
        }
        let mut header = Header::new_gnu();
        header.set_mode(self.mode & 0o7777);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(date);
        header.set_size(0);
        match &self.kind {
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                tar.append_data(&mut header, format!("{path}/"), std::io::empty())?;
            }
            Kind::File(content) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, path, content.as_slice())?;
                return Ok(content.len());
            }
            Kind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                tar.append_link(&mut header, path, target)?;
            }
            Kind::Hardlink(target) => {
                header.set_entry_type(EntryType::Link);
                tar.append_link(&mut header, path, target)?;
            }
        }
        Ok(0)
    }
}

/// The digest of bytes as `sha256:…`.
pub(super) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hexadecimal(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(paths: &[&str]) -> Layer {
        let mut layer = Layer::default();
        for path in paths {
            layer.file(path, 0o644, path.as_bytes());
        }
        layer
    }

    #[test]
    fn the_order_of_adding_makes_no_difference() {
        let [one, other] =
            [["a", "b/c", "b"], ["b", "a", "b/c"]].map(|paths| layer(&paths).pack(7).unwrap().compressed);
        assert_eq!(one, other);
    }

    #[test]
    fn a_packed_layer_is_read_back_as_it_was() {
        let mut first = layer(&["etc/passwd"]);
        first.folder("tmp", 0o1777);
        first.symlink("var/run", "/run");
        let packed = first.pack(7).unwrap();
        let again = Layer::read(flate2::read::GzDecoder::new(packed.compressed.as_slice()), |_| true).unwrap();
        assert_eq!(again.pack(7).unwrap().diff_id, packed.diff_id);
        assert_eq!(packed.size, "etc/passwd".len());
    }
}
