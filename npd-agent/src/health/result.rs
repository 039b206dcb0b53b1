//! The result of a check.

/// What a check found: there are three answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Everything is fine.
    Healthy,
    /// It is not, and what shows it.
    Unhealthy(String),
    /// The check could not find out, and why.
    CannotTell(String),
}
