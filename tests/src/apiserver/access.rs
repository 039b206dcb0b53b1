//! Who may do what: bearer tokens.

use super::failure::Failure;
use super::request::Request;
use super::request_info::RequestInfo;

/// Who may do what at the moment.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// The tokens that are valid; none: whoever comes is let in.
    pub(super) tokens: Option<Vec<String>>,
}

// === impl Access ===

impl Access {
    /// Whether a request may be served.
    ///
    /// # Errors
    ///
    /// 401 for a token that is not valid.
    pub(super) fn check(&mut self, _info: Option<&RequestInfo>, request: &Request) -> Result<(), Failure> {
        let Some(valid) = &self.tokens else { return Ok(()) };
        let given = request.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
        if valid.iter().any(|token| token == given) { Ok(()) } else { Err(Failure::new(401, "Unauthorized")) }
    }
}
