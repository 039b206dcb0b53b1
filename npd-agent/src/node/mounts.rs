//! The mounted block devices: `/proc/PID/mountinfo`.

use std::{borrow::Cow, collections::HashSet};

/// One mount of a block device.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount<'t> {
    /// The device's number: `("8", "1")`.
    pub(crate) number: (&'t str, &'t str),
    /// Where it is mounted.
    pub(crate) point: Cow<'t, str>,
    /// The mount's own options; `bind` is added if it shows only a part of the file system.
    pub(crate) options: Cow<'t, str>,
    /// The file system, such as `ext4`.
    pub(crate) kind: &'t str,
    /// What was mounted, such as `/dev/vda1`.
    pub(crate) source: &'t str,
}

/// The first mount of each block device.
pub(crate) fn mounts(text: &str) -> Vec<Mount<'_>> {
    let mut seen = HashSet::new();
    text.lines().filter_map(read).filter(|mount| mount.source.starts_with('/') && seen.insert(mount.number)).collect()
}

/// `27 1 254:0 / /var rw,relatime shared:1 - ext4 /dev/vda rw,discard`.
fn read(line: &str) -> Option<Mount<'_>> {
    let mut words = line.split(' ');
    let number = words.nth(2)?.split_once(':')?;
    let (root, point, options) = (words.next()?, words.next()?, words.next()?);
    // Any number of optional fields, then a dash.
    words.find(|word| *word == "-")?;
    let (kind, source) = (words.next()?, words.next()?);
    let options = if root == "/" { Cow::Borrowed(options) } else { Cow::Owned(format!("{options},bind")) };
    Some(Mount { number, point: unescape(point), options, kind, source })
}

/// The kernel writes blanks and backslashes as three octal digits.
fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let escaped = after.split_at_checked(3).filter(|_| first == b'\\').and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            Some((u8::from_str_radix(digits, 8).ok()?, after))
        });
        let (byte, after) = escaped.unwrap_or((first, after));
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_mount_of_each_block_device_counts() {
        let text = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard\n\
            28 27 254:0 /var/lib /mnt rw - ext4 /dev/vda rw\n\
            29 27 253:1 /sub /a\\040b\\134c ro - xfs /dev/mapper/data rw\n\
            short line\n";
        let found = mounts(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!((&*found[0].point, &*found[0].options, found[0].source), ("/", "rw,relatime", "/dev/vda"));
        assert_eq!((&*found[1].point, &*found[1].options, found[1].kind), ("/a b\\c", "ro,bind", "xfs"));
    }

    #[test]
    fn invalid_escapes_are_kept() {
        assert_eq!(unescape("/a\\999\\04"), "/a\\999\\04");
        assert_eq!(unescape("\\777"), "\\777", "no byte");
    }
}
