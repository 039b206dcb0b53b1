//! Config files that change while the agent runs.
//!
//! Only the content of a file matters, not its time: an editor's temporary files, a touch, and the swap of a ConfigMap's
//! `..data` link to the same content change nothing. inotify says when to look; a file is read once it has been
//! quiet for a moment, so that one that is still being written is not mistaken for a broken one.

use std::{io, path::PathBuf, time::Duration};

use rustix::fs::inotify::WatchFlags;
use tokio::io::unix::AsyncFd;

use crate::{
    config::{self, ConfigErrors, ConfigFile, Loaded},
    path_watch::PathWatch,
};

/// Quiet period before changed files are read again.
const QUIET: Duration = Duration::from_millis(100);
/// How many times the quiet period may be extended.
const PATIENCE: u32 = 20;
/// Pause before an invalid file is read a second time and only then reported: it may still be being written.
const SECOND_LOOK: Duration = Duration::from_millis(500);
/// Polling interval if the files cannot be watched.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The config files.
pub struct Reload {
    /// `None` if the system has no inotify instance left; the files are polled then.
    watch: Option<AsyncFd<PathWatch>>,
    files: Vec<Known>,
}

/// A file that has changed.
#[derive(Debug)]
pub struct Changed {
    /// The file.
    pub file: ConfigFile,
    /// Its new configuration.
    pub outcome: Result<Loaded, ConfigErrors>,
    digest: Option<u64>,
}

struct Known {
    file: ConfigFile,
    absolute: PathBuf,
    /// Digest of its text when it was last read; `None` if it could not be read.
    digest: Option<u64>,
}

// === impl Reload ===

impl Reload {
    /// Watches the files of these configs.
    ///
    /// # Errors
    ///
    /// If a path is relative and there is no working directory.
    pub fn new(loaded: &Loaded) -> io::Result<Self> {
        let files = loaded.files().map(|(file, digest)| {
            let absolute = std::path::absolute(&file.path)?;
            Ok(Known { file, absolute, digest: Some(digest) })
        });
        let files = files.collect::<io::Result<Vec<_>>>()?;
        #[expect(deprecated, reason = "a PathWatch owns its descriptor; the sound constructor is an unsafe function")]
        let watch = PathWatch::new(WatchFlags::CLOSE_WRITE).and_then(AsyncFd::new);
        let complain = |error: &io::Error| tracing::warn!(%error, "cannot watch the config files: looking every 10 s");
        let mut reload = Self { watch: watch.inspect_err(complain).ok(), files };
        reload.follow();
        Ok(reload)
    }

    /// Waits until the content of a file changes, and returns all files that have changed.
    pub async fn changed(&mut self) -> Vec<Changed> {
        loop {
            let mut changed = self.look();
            if changed.iter().any(|changed| changed.outcome.is_err()) {
                tokio::time::sleep(SECOND_LOOK).await;
                changed = self.look();
            }
            if !changed.is_empty() {
                for Changed { file, digest, .. } in &changed {
                    if let Some(known) = self.files.iter_mut().find(|known| known.file == *file) {
                        known.digest = *digest;
                    }
                }
                return changed;
            }
            self.wait().await;
        }
    }

    async fn wait(&mut self) {
        let Some(watch) = &mut self.watch else {
            tokio::time::sleep(LOOK_EVERY).await;
            return;
        };
        let complete = watch.get_ref().failure().is_none();
        loop {
            let pause =
                async { if complete { std::future::pending().await } else { tokio::time::sleep(LOOK_EVERY).await } };
            tokio::select! {
                () = pause => break,
                seen = seen(watch) => if seen { break },
            }
        }
        for _ in 0..PATIENCE {
            if tokio::time::timeout(QUIET, seen(watch)).await.is_err() {
                break;
            }
        }
        self.follow();
    }

    fn follow(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.get_mut().follow(self.files.iter().map(|file| &*file.absolute));
        }
    }

    /// Reads all files and returns those that have changed.
    fn look(&self) -> Vec<Changed> {
        let mut changed = Vec::new();
        for known in &self.files {
            let (digest, outcome) = match config::read_text(&known.file.path) {
                Ok(text) => {
                    let digest = Some(config::digest(&text));
                    if digest == known.digest {
                        continue;
                    }
                    (digest, config::load_text(&known.file, &text))
                }
                Err(_) if known.digest.is_none() => continue,
                Err(errors) => (None, Err(errors)),
            };
            changed.push(Changed { file: known.file.clone(), outcome, digest });
        }
        changed
    }
}

/// Waits for events; `true` if one of them was about the files.
async fn seen(watch: &mut AsyncFd<PathWatch>) -> bool {
    match watch.readable_mut().await {
        Ok(mut ready) => {
            let seen = ready.get_inner_mut().drain(|_, _| ());
            ready.clear_ready();
            seen
        }
        // The runtime is ending.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = r#"{"plugin": "kmsg"}"#;

    fn watched() -> (tempfile::TempDir, PathBuf, Reload) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("monitor.json");
        fs::write(&path, GOOD).unwrap();
        let loaded = config::load(std::slice::from_ref(&path)).unwrap();
        let reload = Reload::new(&loaded).unwrap();
        (folder, path, reload)
    }

    #[tokio::test]
    async fn a_file_that_is_still_being_written_is_not_mistaken_for_a_broken_one() {
        let (_folder, path, mut reload) = watched();
        fs::write(&path, "").unwrap();
        // The first read finds it empty; then the rest is written.
        let rest = async { fs::write(&path, GOOD.replace("kmsg", "kmsg\", \"source\": \"x")).unwrap() };
        let (changed, ()) = tokio::join!(reload.changed(), rest);
        let loaded = changed.into_iter().next().unwrap().outcome.unwrap();
        assert_eq!(&*loaded.system_logs[0].source, "x");
    }

    #[tokio::test]
    async fn a_file_that_stays_broken_is_reported_once() {
        let (_folder, path, mut reload) = watched();
        fs::write(&path, "{").unwrap();
        assert!(reload.changed().await[0].outcome.is_err());
        fs::write(&path, "{").unwrap();
        let again = tokio::time::timeout(Duration::from_secs(1), reload.changed()).await;
        assert!(again.is_err(), "its content is the same as before");
        fs::remove_file(&path).unwrap();
        assert!(reload.changed().await[0].outcome.as_ref().unwrap_err().to_string().contains("cannot be read"));
        fs::write(&path, GOOD).unwrap();
        assert!(reload.changed().await[0].outcome.is_ok());
    }

    #[tokio::test]
    async fn without_inotify_the_files_are_polled() {
        let (_folder, path, mut reload) = watched();
        reload.watch = None;
        tokio::time::pause();
        fs::write(&path, GOOD.replace("kmsg", "kmsg\", \"source\": \"x")).unwrap();
        assert!(reload.changed().await[0].outcome.is_ok());
        let rest = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            fs::write(&path, GOOD).unwrap();
        };
        let (changed, ()) = tokio::join!(reload.changed(), rest);
        assert!(changed[0].outcome.is_ok());
    }
}
