//! The requests that have come, as a test looks at them.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Instant,
};

use hyper::{body::Bytes, http::request::Parts};
use serde_json::Value;

/// How many requests are remembered; the oldest go.
const REMEMBERED: usize = 1 << 16;

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// From 0 on, in the order in which they came.
    pub number: u64,
    /// When all of it had been received.
    pub at: Instant,
    /// `GET`, `PATCH`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The query, decoded; of a key that comes twice the last.
    pub query: BTreeMap<String, String>,
    /// By name in lower case; what is not UTF-8 is left out.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Bytes,
    /// The status that was answered; none as long as no head has been sent.
    pub status: Option<u16>,
}

/// The newest requests.
#[derive(Debug, Default)]
pub struct Requests {
    kept: VecDeque<Request>,
    next: u64,
}

// === impl Request ===

impl Request {
    pub(super) fn new(parts: &Parts, body: Bytes) -> Self {
        let query = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let headers = parts.headers.iter();
        Self {
            number: 0,
            at: Instant::now(),
            method: parts.method.as_str().to_owned(),
            path: parts.uri.path().to_owned(),
            query: query.into_owned().collect(),
            headers: headers
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
                .collect(),
            body,
            status: None,
        }
    }

    /// A header, by its name in lower case; empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// A part of the query; empty when it is not there.
    #[must_use]
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The body; null when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.method, self.path)?;
        for (index, (name, value)) in self.query.iter().enumerate() {
            write!(out, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        match self.status {
            Some(status) => write!(out, " {status}"),
            None => out.write_str(" (no answer)"),
        }
    }
}

// === impl Requests ===

impl Requests {
    /// From the oldest that is remembered to the newest.
    #[must_use]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Request> {
        self.kept.iter()
    }

    /// How many have come.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Those with this number or a greater one.
    pub fn since(&self, number: u64) -> impl Iterator<Item = &Request> {
        let start = self.kept.partition_point(|request| request.number < number);
        self.kept.range(start..)
    }

    pub(super) fn add(&mut self, mut request: Request) -> u64 {
        let number = self.next;
        request.number = number;
        self.next += 1;
        if self.kept.len() == REMEMBERED {
            self.kept.pop_front();
        }
        self.kept.push_back(request);
        number
    }

    pub(super) fn answered(&mut self, number: u64, status: Option<u16>) {
        let place = self.kept.partition_point(|request| request.number < number);
        if let Some(request) = self.kept.get_mut(place).filter(|request| request.number == number) {
            request.status = status;
        }
    }
}
