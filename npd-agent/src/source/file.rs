//! Log files: following a path across rotations, and the time and message of a line.

pub(crate) mod filelog;
pub(crate) mod line_format;
pub(crate) mod tail;
