//! Requests to the API server: which server and as whom, the few requests, and what is read from the responses.

pub(crate) mod client;
pub(crate) mod node;
pub(crate) mod pods;
pub(crate) mod server;

use jiff::Timestamp as Moment;

use crate::time::Timestamp;

/// A time as the API has it: whole seconds.
pub(crate) fn seconds(at: Timestamp) -> Moment {
    Moment::from_second(at.unix_nanos().div_euclid(1_000_000_000)).unwrap_or(Moment::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_also_before_1970() {
        assert_eq!(seconds(Timestamp::from_unix_nanos(1_999_999_999)).to_string(), "1970-01-01T00:00:01Z");
        assert_eq!(seconds(Timestamp::from_unix_nanos(-1)).to_string(), "1969-12-31T23:59:59Z");
    }
}
