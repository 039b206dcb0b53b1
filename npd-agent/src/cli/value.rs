//! The types of flags that clap does not have: pflag's lists, and the size of a ring buffer.

use std::str::FromStr;

/// A size that the kernel accepts for a ring buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize(pub u32);

/// A comma-separated list with CSV quoting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommaList(pub Vec<String>);

// === impl RingSize ===

impl std::fmt::Display for RingSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RingSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<u32>() {
            Ok(size) if size.is_power_of_two() && (1 << 16..=1 << 30).contains(&size) => Ok(Self(size)),
            _ => Err("it must be a power of two from 65536 to 1073741824".into()),
        }
    }
}

// === impl CommaList ===

impl FromStr for CommaList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut items = Vec::new();
        let mut rest = text;
        if rest.is_empty() {
            return Ok(Self(items));
        }
        loop {
            let (item, after) = if let Some(quoted) = rest.strip_prefix('"') {
                quoted_item(quoted)?
            } else {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err("a quote (\") inside an item that does not start with one".into());
                }
                (rest[..end].to_owned(), &rest[end..])
            };
            items.push(item);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None => return Ok(Self(items)),
            }
        }
    }
}

/// An item after its opening quote, and what follows its closing quote. A doubled quote stands for one.
fn quoted_item(text: &str) -> Result<(String, &str), String> {
    let mut item = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        item.push_str(before);
        match after.strip_prefix('"') {
            Some(next) => {
                item.push('"');
                rest = next;
            }
            None if after.is_empty() || after.starts_with(',') => return Ok((item, after)),
            None => return Err("a closing quote (\") must be followed by a comma".into()),
        }
    }
    Err("a quote (\") is never closed".into())
}
