use npd_tests::suite::Suite;

pub(super) fn add(_: &mut Suite) {}
