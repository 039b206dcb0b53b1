//! The answer of a check.

/// What a check found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well.
    Healthy,
    /// It is not, and how that shows.
    Unhealthy(String),
    /// Why nothing can be said.
    CannotTell(String),
}
