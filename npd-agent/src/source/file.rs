//! Log files: following a path across rotations, and the time and message of a line.

pub mod filelog;
pub mod line_format;
pub mod tail;
