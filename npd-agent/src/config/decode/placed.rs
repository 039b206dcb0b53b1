//! Values that are decoded, and where they stand.

use super::{Decode, Findings, Kind, Value};

/// An object that may be absent, and where it stands.
#[derive(Debug, Default)]
pub(in crate::config) struct Placed<'d, T> {
    /// Where the object stands; `None` if there is none or it is null.
    pub(in crate::config) at: Option<Value<'d>>,
    /// What has been decoded into it.
    pub(in crate::config) value: T,
}

// === impl Placed ===

impl<'d, T: Decode<'d>> Decode<'d> for Placed<'d, T> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        self.at = (value.kind() == Kind::Object).then_some(value);
        self.value.decode(value, findings)
    }
}
