//! The agent's metrics page, fetched with a plain socket and taken apart as far as the tests need.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use anyhow::{Context, Result, ensure};

use crate::driver::poll::SOON;

/// A metrics page in the Prometheus text format.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// The header lines of the answer.
    pub head: String,
    /// The page.
    pub text: String,
}

/// What a web server of the agent answers to one GET.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header lines.
    pub head: String,
    /// The rest.
    pub body: String,
}

/// Asks 127.0.0.1 for a path.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).with_context(|| format!("cannot reach port {port}"))?;
    stream.set_read_timeout(Some(SOON)).context("cannot set a time limit")?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").context("cannot ask")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("no whole answer to GET {path}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no header end in {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("no status in {head:?}"))?;
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.into() };
    Ok(Answer { status, head: head.into(), body })
}

fn unchunk(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length.trim(), 16).unwrap_or_default();
        let (Some(chunk), Some(next)) = (rest.get(..length), rest.get(length + 2..)) else { break };
        whole.push_str(chunk);
        body = next;
    }
    whole
}

// === impl Metrics ===

impl Metrics {
    /// Fetches `/metrics`.
    pub fn read(port: u16) -> Result<Self> {
        let answer = get(port, "/metrics")?;
        ensure!(answer.status == 200, "GET /metrics answers {}", answer.status);
        Ok(Self { head: answer.head, text: answer.body })
    }

    /// The value of the one series with this name and at least these labels.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let series = self.series(name);
        let mut fitting = series
            .iter()
            .filter(|(found, _)| labels.iter().all(|(label, value)| found.contains(&format!("{label}=\"{value}\""))));
        let value = fitting.next()?.1;
        fitting.next().is_none().then_some(value)
    }

    /// All series of a name: what stands between the braces, and the value.
    #[must_use]
    pub fn series(&self, name: &str) -> Vec<(String, f64)> {
        self.text.lines().filter_map(|line| parse(line.strip_prefix(name)?)).collect()
    }
}

/// `{a="b"} 1` or ` 1`; anything else belongs to a longer name.
fn parse(rest: &str) -> Option<(String, f64)> {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    Some((labels.to_owned(), value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Metrics, unchunk};

    fn page() -> Metrics {
        let text = "# TYPE a counter\na{reason=\"X\"} 3\na{reason=\"Y\",type=\"T\"} 0\na_b 7\n";
        Metrics { head: String::new(), text: text.into() }
    }

    #[test]
    fn a_series_is_found_by_name_and_labels() {
        assert_eq!(page().value("a", &[("reason", "X")]), Some(3.0));
        assert_eq!(page().value("a", &[("type", "T")]), Some(0.0));
        assert_eq!(page().value("a_b", &[]), Some(7.0));
    }

    #[test]
    fn an_ambiguous_or_absent_series_has_no_value() {
        assert_eq!(page().value("a", &[]), None);
        assert_eq!(page().value("a", &[("reason", "Z")]), None);
        assert_eq!(page().value("b", &[]), None);
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(unchunk("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
    }
}
