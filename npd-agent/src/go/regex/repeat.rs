//! Repetition operators: how counts are written, and what a repetition takes of Go's limits.

/// The largest repeat count, and the largest product of nested ones.
pub(super) const MAX_REPEAT: u32 = 1000;

/// How often something is repeated. `*`, `+` and `?` cost what `{0,}`, `{1,}` and `{0,1}` do.
#[derive(Clone, Copy)]
pub(super) struct Repeat {
    pub(super) min: u32,
    pub(super) max: Option<u32>,
}

// === impl Repeat ===

impl Repeat {
    pub(super) const STAR: Self = Self { min: 0, max: None };
    pub(super) const PLUS: Self = Self { min: 1, max: None };
    pub(super) const QUEST: Self = Self { min: 0, max: Some(1) };

    /// Over 1000, or reversed.
    pub(super) fn is_invalid(self) -> bool {
        self.min > MAX_REPEAT || self.max.is_some_and(|max| max > MAX_REPEAT || self.min > max)
    }

    /// Instructions of the repetition of something that takes `sub`, as Go reckons before it simplifies.
    pub(super) fn size(self, sub: u64) -> u64 {
        let (copies, extra) = match self.max {
            // `x{2,5}` is `xx(x(x(x)?)?)?`.
            Some(max) => (max, max.saturating_sub(self.min)),
            None if self.min == 0 => (1, 2),
            None => (self.min, 1),
        };
        sub.saturating_mul(copies.into()).saturating_add(extra.into()).max(1)
    }

    /// The product of counts on the deepest path, with `sub` that of what is repeated.
    pub(super) fn copies(self, sub: u32) -> u32 {
        match self.max {
            // What is under `{0}` does not count, so `(?:(?:a{1000}){0}){1000}` is legal.
            Some(0) => 1,
            max => sub.saturating_mul(max.unwrap_or(self.min).max(1)),
        }
    }
}

/// The `{2}`, `{2,}` or `{2,5}` that `text` starts with, and its length. Counts with leading zeros, spaces, or without a
/// minimum make it ordinary text.
pub(super) fn counts(text: &str) -> Option<(Repeat, usize)> {
    let inner = text.strip_prefix('{')?;
    let (min, rest) = count(inner)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((Repeat { min, max }, text.len() - rest.len()))
}

/// A decimal number without leading zeros, and what follows it. One that does not fit is as good as any over the limit.
fn count(text: &str) -> Option<(u32, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if digits == 0 || (digits > 1 && number.starts_with('0')) {
        return None;
    }
    Some((number.parse().unwrap_or(u32::MAX), rest))
}
