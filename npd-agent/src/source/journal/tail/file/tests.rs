//! What a file is, told before anything is read of it.

use std::fs;

use super::*;

fn key(path: &Path) -> FileKey {
    FileKey::of(&fs::metadata(path).unwrap())
}

#[test]
fn a_name_that_is_another_files_by_now_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    fs::write(&path, "old").unwrap();
    let key = key(&path);
    fs::write(folder.path().join("b"), "new").unwrap();
    fs::rename(folder.path().join("b"), &path).unwrap();
    assert!(matches!(FileReader::open(&path, key, Arc::default()), Err(FileError::Moved)));
    fs::remove_file(&path).unwrap();
    assert!(matches!(FileReader::open(&path, key, Arc::default()), Err(FileError::Moved)));
}

#[test]
fn what_is_no_journal_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.journal");
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        FileReader::open(&path, key(&path), Arc::default()).err().unwrap().to_string()
    };
    assert_eq!(open(b""), FileError::Incomplete.to_string());
    assert_eq!(open(&[0; 4096]), FileError::Incomplete.to_string());
    assert_eq!(open(&[b'x'; 4096]), FileError::Foreign.to_string());
    let mut header = [0; 4096];
    header[..8].copy_from_slice(b"LPKSHHRH");
    assert_eq!(open(&header), FileError::Foreign.to_string());
    header[88] = 240;
    header[12] = 0x40;
    assert_eq!(open(&header), FileError::Unknown(0x40).to_string());
}
