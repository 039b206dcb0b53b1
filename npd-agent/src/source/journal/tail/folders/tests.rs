use std::os::unix::fs::symlink;

use super::*;

const MACHINE: &str = "0123456789abcdef0123456789abcdef";

fn folders(root: &Path) -> Folders {
    Folders::new(vec![Root::new(root.to_owned())], Arc::default()).unwrap()
}

fn names(folders: &mut Folders) -> Vec<String> {
    let mut names: Vec<_> =
        folders.list().iter().map(|found| found.path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn journal_files_of_the_folder_and_of_machines_in_it_are_found() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for folder in [MACHINE.to_owned(), format!("{MACHINE}.namespace"), "other".to_owned()] {
        fs::create_dir_all(path(&folder)).unwrap();
        fs::write(path(&folder).join(format!("{folder}.journal")), "").unwrap();
    }
    fs::write(path("a.journal"), "").unwrap();
    fs::write(path("b@1.journal~"), "").unwrap();
    fs::write(path("c.log"), "").unwrap();
    symlink(path("a.journal"), path("d.journal")).unwrap();
    symlink("nowhere", path("e.journal")).unwrap();
    fs::create_dir(path("f.journal")).unwrap();
    let mut folders = folders(root.path());
    assert_eq!(names(&mut folders), [&format!("{MACHINE}.journal"), "a.journal", "b@1.journal~", "d.journal"]);
    assert_eq!(folders.places(), (&[path(MACHINE), root.path().to_owned()][..], &[][..]));
    assert!(!folders.is_waiting());
}

#[test]
fn a_missing_folder_is_noticed_when_it_appears_at_any_depth_and_when_it_goes() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("a/b/c");
    let mut folders = folders(&root);
    assert_eq!(folders.changes(), Changes::Names);
    let settle = |folders: &mut Folders| {
        let files = names(folders);
        while folders.changes() != Changes::None {
            names(folders);
        }
        files
    };
    assert_eq!(settle(&mut folders), [""; 0]);
    assert!(folders.is_waiting());
    for above in ["a", "a/b", "a/b/c"] {
        fs::create_dir(parent.path().join(above)).unwrap();
        assert_eq!(folders.changes(), Changes::Names, "{above}");
        settle(&mut folders);
    }
    assert!(!folders.is_waiting());
    assert_eq!(folders.watched.len(), 1, "{:?}", folders.watched);
    // What happens above is no concern any more.
    fs::write(parent.path().join("a/x"), "").unwrap();
    assert_eq!(folders.changes(), Changes::None);
    fs::write(root.join("a.journal"), "").unwrap();
    assert_eq!(folders.changes(), Changes::Names);
    assert_eq!(settle(&mut folders), ["a.journal"]);
    fs::write(root.join("a.journal"), "more").unwrap();
    assert_eq!(folders.changes(), Changes::Content);
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(folders.changes(), Changes::Names);
    settle(&mut folders);
    assert!(folders.is_waiting());
    fs::create_dir_all(&root).unwrap();
    assert_eq!(folders.changes(), Changes::Names);
}

#[test]
fn the_files_of_run_are_known_as_such() {
    assert!(Root::new("/run/log/journal/x".into()).runtime);
    assert!(!Root::new("/var/log/journal/x".into()).runtime);
    assert!(!Root::new("/runner/journal".into()).runtime);
    let system = Root::system();
    assert_eq!(system.iter().filter(|root| root.runtime).count(), 1);
}
