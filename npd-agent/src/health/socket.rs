//! Connecting to a Unix socket, and what a failure means.

use std::{io, path::Path};

use rustix::io::Errno;
use tokio::net::UnixStream;

use super::Health;

/// Connects, or returns the health that follows from the failure.
///
/// If nothing listens on the socket, that is its owner's failure. A missing socket may be in another mount namespace.
pub(super) async fn connect(path: &Path) -> Result<UnixStream, Health> {
    UnixStream::connect(path).await.map_err(|error| {
        let text = format!("cannot connect to {}: {error}", path.display());
        if error.kind() == io::ErrorKind::NotFound || is_ours(&error) {
            Health::CannotTell(text)
        } else {
            Health::Unhealthy(text)
        }
    })
}

/// Whether a failure is on our side, so that it says nothing about the other side.
pub(super) fn is_ours(error: &io::Error) -> bool {
    const OURS: [Errno; 9] = [
        Errno::ACCESS,
        Errno::PERM,
        Errno::MFILE,
        Errno::NFILE,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::ADDRNOTAVAIL,
        Errno::NAMETOOLONG,
        Errno::NOTSOCK,
    ];
    error.kind() == io::ErrorKind::InvalidInput
        || Errno::from_io_error(error).is_some_and(|errno| OURS.contains(&errno))
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_socket_without_a_listener_is_unhealthy_and_a_missing_one_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert!(matches!(connect(&path).await, Err(Health::CannotTell(_))));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(connect(&path).await.is_ok());
        drop(listener);
        let Err(Health::Unhealthy(why)) = connect(&path).await else { panic!("a dead socket") };
        assert!(why.contains(&path.display().to_string()), "{why}");
    }

    #[test]
    fn what_our_side_lacks_is_not_the_other_sides_fault() {
        for errno in [Errno::MFILE, Errno::ACCESS, Errno::NOMEM] {
            assert!(is_ours(&errno.into()), "{errno}");
        }
        for errno in [Errno::CONNREFUSED, Errno::CONNRESET, Errno::TIMEDOUT, Errno::HOSTUNREACH] {
            assert!(!is_ours(&errno.into()), "{errno}");
        }
    }
}
