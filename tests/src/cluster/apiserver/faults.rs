//! Faults of the API server and of the way to it, chosen for single requests.

use std::time::Duration;

use super::failure::Failure;

/// What happens to requests of a kind.
#[derive(Clone, Debug)]
pub struct Fault {
    method: &'static str,
    path: String,
    left: Option<u32>,
    /// How long the answer takes.
    pub(super) delay: Duration,
    /// Whether the request is served although its answer is another or is lost. It is served before the delay then.
    pub(super) applied: bool,
    pub(super) outcome: Outcome,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The right answer.
    Served,
    /// A `Status`, with a `Retry-After` header.
    Refused(Failure, Option<u32>),
    /// 429 as API priority and fairness gives it: text, no `Status`, and a `Retry-After` header.
    Overloaded(u32),
    /// Nothing, on a connection that stays open.
    Silence,
    /// The end of the connection.
    Cut(Cut),
    /// The right status and a body that is not JSON.
    Garbage,
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing is answered.
    BeforeHead,
    /// The status line and the headers are sent, of the body nothing.
    AfterHead,
    /// Half of the body is sent.
    InBody,
}

/// The faults that are set, oldest first.
#[derive(Debug, Default)]
pub(super) struct Faults {
    set: Vec<Fault>,
}

// === impl Fault ===

impl Fault {
    /// For requests with this method (`*`: any) and path; a word `*` stands for any one word of the path, `**` at the
    /// end for any number. As long as nothing else is said, the right answer is given at once, again and again.
    #[must_use]
    pub fn on(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), left: None, delay: Duration::ZERO, applied: false, outcome: Outcome::Served }
    }

    /// Only for so many requests; otherwise until [`ApiServer::clear_faults`](super::ApiServer::clear_faults).
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = Some(times);
        self
    }

    /// Answers later. A client that goes away meanwhile finds its request not served, but for [`Fault::applied`].
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Serves the request all the same: the write is done, only the client does not know.
    #[must_use]
    pub fn applied(mut self) -> Self {
        self.applied = true;
        self
    }

    /// Answers with a `Status` of this code.
    #[must_use]
    pub fn refuse(mut self, code: u16) -> Self {
        self.outcome = Outcome::Refused(Failure::new(code, format!("the test wants a {code}")), None);
        self
    }

    /// As [`Fault::refuse`], and says when to come again: in the `Retry-After` header and in the `Status`.
    #[must_use]
    pub fn refuse_for(mut self, code: u16, seconds: u32) -> Self {
        let failure = Failure::new(code, format!("the test wants a {code}")).retry_after(seconds);
        self.outcome = Outcome::Refused(failure, Some(seconds));
        self
    }

    /// Answers with the 429 of API priority and fairness: plain text and a `Retry-After` header.
    #[must_use]
    pub fn overloaded(mut self, seconds: u32) -> Self {
        self.outcome = Outcome::Overloaded(seconds);
        self
    }

    /// Never answers.
    #[must_use]
    pub fn silence(mut self) -> Self {
        self.outcome = Outcome::Silence;
        self
    }

    /// Cuts the connection. After the head or in the body, the request has been served.
    #[must_use]
    pub fn cut(mut self, cut: Cut) -> Self {
        self.outcome = Outcome::Cut(cut);
        self
    }

    /// Serves the request and answers with the right status, but with a body that is not JSON.
    #[must_use]
    pub fn garbage(mut self) -> Self {
        self.outcome = Outcome::Garbage;
        self
    }

    fn is_for(&self, method: &str, path: &str) -> bool {
        (self.method == "*" || self.method == method) && path_matches(&self.path, path)
    }
}

// === impl Faults ===

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.set.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// The fault for a request: the oldest that is for it and has not been used up.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let index = self.set.iter().position(|fault| fault.is_for(method, path))?;
        let fault = self.set.get_mut(index)?;
        if let Some(left) = &mut fault.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Some(self.set.remove(index));
            }
        }
        Some(fault.clone())
    }
}

fn path_matches(pattern: &str, path: &str) -> bool {
    let mut words = path.split('/');
    for wanted in pattern.split('/') {
        if wanted == "**" {
            return true;
        }
        match words.next() {
            Some(word) if wanted == "*" || wanted == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_path_may_be_any() {
        assert!(path_matches("/api/v1/nodes/*/status", "/api/v1/nodes/node-a/status"));
        assert!(!path_matches("/api/v1/nodes/*", "/api/v1/nodes/node-a/status"));
        assert!(!path_matches("/api/v1/nodes/*/status", "/api/v1/nodes/node-a"));
        assert!(path_matches("/api/**", "/api/v1/nodes/node-a"));
        assert!(path_matches("/**", "/version"));
    }

    #[test]
    fn a_fault_is_used_up_and_the_next_comes() {
        let mut faults = Faults::default();
        faults.add(Fault::on("GET", "/a").times(2).refuse(500));
        faults.add(Fault::on("*", "/**").silence());
        let outcome = |fault: Option<Fault>| fault.map(|fault| fault.outcome);
        assert_eq!(outcome(faults.take("POST", "/a")), Some(Outcome::Silence));
        for _ in 0..2 {
            assert!(matches!(outcome(faults.take("GET", "/a")), Some(Outcome::Refused(..))));
        }
        assert_eq!(outcome(faults.take("GET", "/a")), Some(Outcome::Silence));
        faults.clear();
        assert_eq!(outcome(faults.take("GET", "/a")), None);
    }
}
