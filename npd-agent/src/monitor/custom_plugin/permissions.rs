//! Which users could change a program that npd runs, mostly as root.
//!
//! A user who can write to the file, to a folder on its path or to a symlink among them decides what is run. All of them
//! must belong to root or to the user that npd runs as, and no other user may be able to write to them. With an access
//! control list the group bits of the mode are its mask, so a list that lets another user write is detected here. In a
//! sticky folder, such as /tmp, all users can create files, but none can replace the file of another user. What the program
//! itself runs is not checked.

use std::{
    ffi::OsString,
    fmt, io,
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

/// Maximum number of symlinks on a path, as in the kernel.
const LINKS_MAX: u32 = 40;

const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Another user could change what is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Insecure {
    path: PathBuf,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Owner(u32),
    Group(u32),
    Anybody,
}

/// Checks a program and everything on its path. `me` is the user that npd runs as.
///
/// # Errors
///
/// When something on the path cannot be read. That another user could change it is not an error.
pub fn look(program: &Path, me: u32) -> io::Result<Option<Insecure>> {
    let mut rest: Vec<OsString> = Vec::new();
    push(&mut rest, &std::path::absolute(program)?);
    let mut at = PathBuf::from("/");
    let mut links = 0;
    if let Some(insecure) = judge(&at, &at.symlink_metadata()?, me) {
        return Ok(Some(insecure));
    }
    while let Some(name) = rest.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let metadata = next.symlink_metadata()?;
        if let Some(insecure) = judge(&next, &metadata, me) {
            return Ok(Some(insecure));
        }
        if !metadata.is_symlink() {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(rustix::io::Errno::LOOP.into());
        }
        let target = next.read_link()?;
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        push(&mut rest, &target);
    }
    Ok(None)
}

/// Pushes the parts of a path onto the rest of the path, the first part on top.
fn push(rest: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    let parts: Vec<_> = parts.map(|part| part.as_os_str().to_owned()).collect();
    rest.extend(parts.into_iter().rev());
}

fn judge(path: &Path, metadata: &std::fs::Metadata, me: u32) -> Option<Insecure> {
    let mode = metadata.mode();
    let how = if metadata.uid() != 0 && metadata.uid() != me {
        How::Owner(metadata.uid())
    // The mode of a symlink means nothing.
    } else if metadata.is_symlink() || (metadata.is_dir() && mode & STICKY != 0) {
        return None;
    } else if mode & WRITABLE_BY_ALL != 0 {
        How::Anybody
    } else if mode & WRITABLE_BY_GROUP != 0 {
        How::Group(metadata.gid())
    } else {
        return None;
    };
    Some(Insecure { path: path.to_owned(), how })
}

impl fmt::Display for Insecure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match self.how {
            How::Owner(uid) => write!(f, "{path} belongs to user {uid}"),
            How::Group(gid) => write!(f, "group {gid} can write to {path}"),
            How::Anybody => write!(f, "anybody can write to {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    /// A folder with `bin/plugin` in it, all of it closed to others.
    fn folder() -> (tempfile::TempDir, PathBuf, u32) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("bin")).unwrap();
        fs::write(root.join("bin/plugin"), "").unwrap();
        for path in ["bin", "bin/plugin"] {
            set(&root.join(path), 0o755);
        }
        let me = fs::metadata(&root).unwrap().uid();
        (folder, root, me)
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn told(path: &Path, me: u32) -> Option<String> {
        look(path, me).unwrap().map(|insecure| insecure.to_string())
    }

    #[test]
    fn what_only_its_owner_can_write_to_is_trusted() {
        let (_folder, root, me) = folder();
        assert_eq!(told(&root.join("bin/plugin"), me), None);
        assert_eq!(told(&root.join("bin/../bin/./plugin"), me), None);
    }

    #[test]
    fn a_file_and_each_folder_on_the_way_count() {
        let (_folder, root, me) = folder();
        let plugin = root.join("bin/plugin");
        for (path, mode, says) in [
            (plugin.clone(), 0o757, "anybody can write to "),
            (plugin.clone(), 0o775, "group "),
            (root.join("bin"), 0o777, "anybody can write to "),
            (root.join("bin"), 0o775, "group "),
        ] {
            set(&path, mode);
            let told = told(&plugin, me).unwrap();
            assert!(told.starts_with(says) && told.contains(&path.display().to_string()), "{told}");
            set(&path, 0o755);
        }
        set(&root.join("bin"), 0o1777);
        assert_eq!(told(&plugin, me), None, "a sticky folder");
    }

    #[test]
    fn a_symlink_is_followed_with_its_own_folder() {
        let (_folder, root, me) = folder();
        fs::create_dir(root.join("links")).unwrap();
        symlink("../bin/plugin", root.join("links/relative")).unwrap();
        symlink(root.join("bin"), root.join("links/folder")).unwrap();
        for link in ["links/relative", "links/folder/plugin"] {
            set(&root.join("links"), 0o755);
            assert_eq!(told(&root.join(link), me), None, "{link}");
            set(&root.join("links"), 0o777);
            assert!(told(&root.join(link), me).unwrap().ends_with("links"), "{link}");
        }
        set(&root.join("links"), 0o755);
        set(&root.join("bin/plugin"), 0o777);
        assert!(told(&root.join("links/relative"), me).is_some(), "where it leads to counts");
        symlink("loop", root.join("links/loop")).unwrap();
        assert_eq!(look(&root.join("links/loop"), me).unwrap_err().raw_os_error(), Some(40), "ELOOP");
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_trusted() {
        let (_folder, root, me) = folder();
        let somebody = if me == 0 { 1000 } else { 0 };
        // Seen as another user, what is ours is somebody else's; what is root's is trusted all the same.
        assert_eq!(told(&root.join("bin/plugin"), somebody).is_none(), me == 0);
    }
}
