//! Repetition operators: how counts are written, and what a repetition takes of Go's limits.

/// The largest repeat count, and the largest product of nested ones.
pub(super) const MAX_REPEAT: u32 = 1000;

/// A repetition operator. Go counts `x{0,}` against its limits otherwise than `x*`, though both match the same.
#[derive(Clone, Copy)]
pub(super) enum Repeat {
    Star,
    Plus,
    Quest,
    Counted { min: u32, max: Option<u32> },
}

// === impl Repeat ===

impl Repeat {
    pub(super) fn bounds(self) -> (u32, Option<u32>) {
        match self {
            Self::Star => (0, None),
            Self::Plus => (1, None),
            Self::Quest => (0, Some(1)),
            Self::Counted { min, max } => (min, max),
        }
    }

    /// Instructions of the repetition of something that takes `sub`, as Go reckons before it simplifies.
    pub(super) fn size(self, sub: u64) -> u64 {
        let size = match self {
            Self::Star | Self::Counted { min: 0, max: None } => sub.saturating_add(2),
            Self::Plus | Self::Quest => sub.saturating_add(1),
            Self::Counted { min, max: None } => sub.saturating_mul(min.into()).saturating_add(1),
            Self::Counted { min, max: Some(max) } => {
                sub.saturating_mul(max.into()).saturating_add(max.saturating_sub(min).into())
            }
        };
        size.max(1)
    }

    /// The product of counts on the deepest path, with `sub` that of what is repeated.
    pub(super) fn copies(self, sub: u32) -> u32 {
        match self {
            // What is under `{0}` does not count, so `(?:(?:a{1000}){0}){1000}` is legal.
            Self::Counted { max: Some(0), .. } => 1,
            Self::Counted { min, max } => sub.saturating_mul(max.unwrap_or(min).max(1)),
            Self::Star | Self::Plus | Self::Quest => sub,
        }
    }
}

/// The bounds of the `{2}`, `{2,}` or `{2,5}` that `text` starts with, and its length. Counts with leading zeros,
/// spaces, or without a minimum make it ordinary text.
pub(super) fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let inner = text.strip_prefix('{')?;
    let (min, rest) = count(inner)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((min, max, text.len() - rest.len()))
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
