//! Who may do what: bearer tokens, and then the rules.

use super::{failure::Failure, rbac::Policy, request::Request, request_info::RequestInfo};

/// Who may do what at the moment.
#[derive(Debug)]
pub(super) struct Access {
    /// The tokens that are valid; none: whoever comes is let in.
    pub(super) tokens: Option<Vec<String>>,
    /// What those may do whose token is not the administrator's; none: everything.
    pub(super) policy: Option<Policy>,
    /// A token that is always valid and may do everything.
    pub(super) administrator: String,
}

// === impl Access ===

impl Access {
    /// Whether a request may be served.
    ///
    /// # Errors
    ///
    /// 401 for a token that is not valid, 403 for what no rule allows.
    pub(super) fn check(&mut self, info: Option<&RequestInfo>, request: &Request) -> Result<(), Failure> {
        let given = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if given == self.administrator {
            return Ok(());
        }
        if self.tokens.as_ref().is_some_and(|valid| !valid.iter().any(|token| token == given)) {
            return Err(Failure::new(401, "Unauthorized"));
        }
        match (&mut self.policy, info) {
            (Some(policy), Some(info)) => policy.check(info),
            // Everybody may ask for the version.
            (_, None) | (None, _) => Ok(()),
        }
    }
}
