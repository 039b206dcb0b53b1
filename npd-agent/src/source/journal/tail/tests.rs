use std::path::Path;

use super::*;
use crate::time::Timestamp;

#[test]
fn a_tail_can_be_given_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let folder = Some(Path::new("/nowhere").to_owned());
    is_send(&JournalTail::open(folder, &JournalFilter::default(), Start::Since(Timestamp::default())).unwrap());
}

#[test]
fn a_place_to_begin_that_is_no_cursor_is_an_error_that_names_it() {
    let bad = JournalTail::open(None, &JournalFilter::default(), Start::Cursor("s=1".to_owned())).unwrap_err();
    assert_eq!(bad.to_string(), "cannot resume at \"s=1\"");
}
