//! Durations as Go writes them: `300ms`, `1h30m`, `-1.5s`.
//!
//! Configuration files and command line flags use them, so the grammar, the overflow rules, the rounding and the
//! words of the errors are those of Go's `time.ParseDuration`, and the spelling that of its `Duration.String`. They
//! are signed: a negative lookback starts in the future. Not `std::time::Duration`, which cannot be negative.

use std::{fmt, str::FromStr};

/// A signed span of time in whole nanoseconds, a little over 292 years either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(i64);

/// Why a text is not a duration, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// It does not follow the grammar, or is too long for 64 bits of nanoseconds.
    #[error("time: invalid duration {}", GoQuoted(.0))]
    Invalid(String),
    /// A number without its unit. Only a single `0` may.
    #[error("time: missing unit in duration {}", GoQuoted(.0))]
    MissingUnit(String),
    /// The unit is not one of `ns`, `us`, `µs`, `μs`, `ms`, `s`, `m`, `h`.
    #[error("time: unknown unit {} in duration {}", GoQuoted(.unit), GoQuoted(.duration))]
    UnknownUnit {
        /// The text in the place of the unit.
        unit: String,
        /// The whole text.
        duration: String,
    },
}

/// The largest magnitude there is: 2⁶³, which only a negative duration can have.
const LIMIT: u64 = 1 << 63;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Reads a duration: an optional sign, then either a single `0` or decimal numbers, each with its unit.
pub fn parse_duration(text: &str) -> Result<GoDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, unsigned) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if unsigned == "0" {
        return Ok(GoDuration(0));
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let (whole, fraction, after) = split_number(rest).ok_or_else(invalid)?;
        let whole = read_whole(whole).ok_or_else(invalid)?;
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit)
            .ok_or_else(|| DurationError::UnknownUnit { unit: unit.to_owned(), duration: text.to_owned() })?;
        let nanos = term_nanos(whole, fraction, scale).ok_or_else(invalid)?;
        // Two terms of 2⁶³ wrap to zero; so they do in Go.
        total = total.wrapping_add(nanos);
        if total > LIMIT {
            return Err(invalid());
        }
        rest = next;
    }
    if negative {
        Ok(GoDuration(0_i64.wrapping_sub_unsigned(total)))
    } else {
        i64::try_from(total).map(GoDuration).map_err(|_| invalid())
    }
}

/// Splits `digits[.digits]` off the front. At least one digit must be there, on either side of the point.
fn split_number(text: &str) -> Option<(&str, &str, &str)> {
    let digits = |s: &str| s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len());
    let (whole, rest) = text.split_at(digits(text));
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(digits(rest)),
        None => ("", rest),
    };
    (!whole.is_empty() || !fraction.is_empty()).then_some((whole, fraction, rest))
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // The micro sign and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// The digits before the point as a number, or `None` if that exceeds [`LIMIT`].
fn read_whole(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|number| *number <= LIMIT)
    })
}

/// `whole.fraction` times `unit`, or `None` if that exceeds [`LIMIT`].
fn term_nanos(whole: u64, fraction: &str, unit: u64) -> Option<u64> {
    if whole > LIMIT / unit {
        return None;
    }
    let (numerator, scale) = read_fraction(fraction);
    #[expect(clippy::cast_sign_loss, reason = "a product of positive numbers")]
    let part = (numerator as f64 * (unit as f64 / scale)) as u64;
    (whole * unit).checked_add(part).filter(|nanos| *nanos <= LIMIT)
}

/// The digits after the point as a numerator and its power of ten. Digits beyond 64 bits cannot matter and are dropped.
fn read_fraction(digits: &str) -> (u64, f64) {
    let (mut numerator, mut scale) = (0_u64, 1.0);
    for digit in digits.bytes() {
        let next = (numerator <= (LIMIT - 1) / 10).then(|| numerator * 10 + u64::from(digit - b'0'));
        match next {
            Some(next) if next <= LIMIT => {
                numerator = next;
                scale *= 10.0;
            }
            _ => break,
        }
    }
    (numerator, scale)
}

// === impl GoDuration ===

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of `nanos` nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// A span of `seconds` seconds; stops at the ends of the range.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// The span in nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The span as std knows it, or `None` if it is negative.
    #[must_use]
    pub fn to_std(self) -> Option<std::time::Duration> {
        u64::try_from(self.0).ok().map(std::time::Duration::from_nanos)
    }
}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        parse_duration(text)
    }
}

impl fmt::Display for GoDuration {
    /// `72h3m0.5s`: the largest unit that is not zero first; below a second one unit with its fraction (`1.5ms`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        let mut text = String::from(if self.0 < 0 { "-" } else { "" });
        match nanos {
            0 => text.push_str("0s"),
            1..MICROSECOND => push_decimal(&mut text, nanos, 1, "ns"),
            MICROSECOND..MILLISECOND => push_decimal(&mut text, nanos, MICROSECOND, "\u{b5}s"),
            MILLISECOND..SECOND => push_decimal(&mut text, nanos, MILLISECOND, "ms"),
            _ => {
                let (hours, minutes) = (nanos / HOUR, nanos % HOUR / MINUTE);
                if hours > 0 {
                    push_decimal(&mut text, hours, 1, "h");
                }
                if hours > 0 || minutes > 0 {
                    push_decimal(&mut text, minutes, 1, "m");
                }
                push_decimal(&mut text, nanos % MINUTE, SECOND, "s");
            }
        }
        f.pad(&text)
    }
}

/// Appends `value / unit` with its fraction, trailing zeros dropped.
fn push_decimal(text: &mut String, value: u64, unit: u64, name: &str) {
    text.push_str(&(value / unit).to_string());
    let (mut rest, mut place) = (value % unit, unit / 10);
    if rest > 0 {
        text.push('.');
    }
    while rest > 0 {
        text.push(char::from(b'0' + (rest / place) as u8));
        rest %= place;
        place /= 10;
    }
    text.push_str(name);
}

// === impl GoQuoted ===

/// A text in double quotes as Go's time package does it: what is not printable ASCII as `\xNN`, byte by byte.
struct GoQuoted<'a>(&'a str);

impl fmt::Display for GoQuoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.0.bytes() {
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
                0..b' ' | 0x80.. => write!(f, "\\x{byte:02x}")?,
                _ => write!(f, "{}", char::from(byte))?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_go_accepts() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-5s", -5_000_000_000),
            ("05s", 5_000_000_000),
            (".5s", 500_000_000),
            ("-.5s", -500_000_000),
            ("1.s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            ("30m1h", 5_400_000_000_000),
            ("1h1h", 7_200_000_000_000),
            ("1h2m3s4ms5us6ns", 3_723_004_005_006),
            ("300ms", 300_000_000),
            ("10\u{b5}s", 10_000),
            ("10\u{3bc}s", 10_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("0.9223372036854775807h", 3_320_413_933_267),
            ("0.100000000000000000000h", 360_000_000_000),
            ("0.830103483285477580700h", 2_988_372_539_827),
            ("0.0000000001s", 0),
            ("9007199254740993ns", 9_007_199_254_740_993),
            ("9223372036854775807ns", i64::MAX),
            ("9223372036854775.807us", i64::MAX),
            ("9223372036s854ms775us807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
            ("-9223372036854775.808us", i64::MIN),
            ("-2562047h47m16.854775808s", i64::MIN),
            // 2⁶³ twice wraps to nothing.
            ("9223372036854775808ns9223372036854775808ns", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(GoDuration(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses_in_its_words() {
        for (text, words) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            ("--5s", r#"time: invalid duration "--5s""#),
            ("5", r#"time: missing unit in duration "5""#),
            ("00", r#"time: missing unit in duration "00""#),
            ("0.0", r#"time: missing unit in duration "0.0""#),
            ("1h5", r#"time: missing unit in duration "1h5""#),
            ("1.2.3s", r#"time: missing unit in duration "1.2.3s""#),
            ("s", r#"time: invalid duration "s""#),
            (".", r#"time: invalid duration ".""#),
            (".s", r#"time: invalid duration ".s""#),
            ("-.s", r#"time: invalid duration "-.s""#),
            ("1h.s", r#"time: invalid duration "1h.s""#),
            (" 5s", r#"time: invalid duration " 5s""#),
            ("5s ", r#"time: unknown unit "s " in duration "5s ""#),
            ("5 s", r#"time: unknown unit " s" in duration "5 s""#),
            ("5S", r#"time: unknown unit "S" in duration "5S""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1e3s", r#"time: unknown unit "e" in duration "1e3s""#),
            ("1h-5m", r#"time: unknown unit "h-" in duration "1h-5m""#),
            ("\u{663}s", r#"time: invalid duration "\xd9\xa3s""#),
            ("3\u{b5}", r#"time: unknown unit "\xc2\xb5" in duration "3\xc2\xb5""#),
            ("\"\\\n", r#"time: invalid duration "\"\\\x0a""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            ("9223372036854775.808us", r#"time: invalid duration "9223372036854775.808us""#),
            ("-9223372036854775809ns", r#"time: invalid duration "-9223372036854775809ns""#),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            ("99999999999999999999s", r#"time: invalid duration "99999999999999999999s""#),
            // The number is looked at before its unit.
            ("9223372036854775809d", r#"time: invalid duration "9223372036854775809d""#),
            ("9223372036854775808d", r#"time: unknown unit "d" in duration "9223372036854775808d""#),
        ] {
            let error = parse_duration(text).map_err(|e| e.to_string());
            assert_eq!(error, Err(words.to_owned()), "{text}");
        }
    }

    #[test]
    fn prints_as_go_prints() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (300_000_000_000, "5m0s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (3_600_000_000_000, "1h0m0s"),
            (480_000_000_001, "8m0.000000001s"),
            (-1_500_000, "-1.5ms"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(GoDuration(nanos).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nanos in any::<i64>()) {
            prop_assert_eq!(parse_duration(&GoDuration(nanos).to_string()), Ok(GoDuration(nanos)));
        }

        #[test]
        fn no_text_panics(text in r"[-+]?([0-9]{0,25}(\.[0-9]{0,25})?(ns|us|µs|ms|s|m|h|x|é)?){0,4}|.*") {
            if let Err(error) = parse_duration(&text) {
                prop_assert!(error.to_string().starts_with("time: "));
            }
        }
    }
}
