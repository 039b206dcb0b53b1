//! The checks in a build without health checks: there are none.

#[path = "result.rs"]
mod result;

pub use self::result::Health;

/// The checks by name.
pub mod built_in {
    use std::{convert::Infallible, time::Duration};

    use super::Health;
    use crate::{
        feature::{Feature, NotBuilt},
        node::Node,
    };

    /// All checks by name: none.
    pub const CHECKS: [(&str, &str); 0] = [];

    /// Never made.
    #[derive(Clone, Debug)]
    pub struct BuiltIn(Infallible);

    /// Why there is no such check.
    #[derive(Debug, thiserror::Error)]
    pub enum BuiltInError {
        /// There is none at all.
        #[error(transparent)]
        Name(#[from] NotBuilt),
    }

    impl BuiltIn {
        /// Fails, since this build has no checks.
        pub fn parse(_name: &str, _args: &[String]) -> Result<Self, BuiltInError> {
            Err(NotBuilt(Feature::HealthChecks).into())
        }

        /// Never called.
        pub fn run(&self, _node: &Node, _within: Duration) -> std::future::Ready<Health> {
            match self.0 {}
        }
    }
}
