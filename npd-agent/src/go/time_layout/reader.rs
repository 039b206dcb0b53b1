//! Reading a value by a layout, up to the parts of the time it names.
//!
//! What is accepted, down to the odd corners (`06` takes `+5`, `.000` takes `.+12`), is what Go accepts; each is
//! marked. Go reads bytes, so this does. Whether the parts make a date, and where on the time line, is
//! [`super::moment`]'s.

use super::{
    LayoutError,
    field::{Chunk, Field, NameLength, OffsetShape, Pad},
};

/// The parts of a time that a value names. What it does not name is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) year: i64,
    /// 1 to 12.
    pub(super) month: Option<u32>,
    /// Not checked yet: 0 to 99.
    pub(super) day: Option<u32>,
    /// Not checked yet: 0 to 999.
    pub(super) year_day: Option<u32>,
    hour: u32,
    pub(super) minute: u32,
    pub(super) second: u32,
    pub(super) nanos: u32,
    am: bool,
    pm: bool,
    /// It said `Z` or `UTC`.
    pub(super) utc: bool,
    /// Seconds east of UTC.
    pub(super) offset: Option<i64>,
    /// The abbreviation of a zone; letters and digits, or a number with its sign.
    pub(super) abbreviation: Option<&'a [u8]>,
}

/// Why a field cannot be read.
enum Fault {
    /// It is something else.
    Mismatch,
    /// It is too large or too small.
    OutOfRange(&'static str),
}

/// What is left of the value. Each method takes its part off the front, or says that it is not there.
struct Rest<'a>(&'a [u8]);

const MONTHS: [&[u8]; 12] = [
    b"January",
    b"February",
    b"March",
    b"April",
    b"May",
    b"June",
    b"July",
    b"August",
    b"September",
    b"October",
    b"November",
    b"December",
];

const WEEKDAYS: [&[u8]; 7] = [b"Sunday", b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday"];

/// Reads `value` by the chunks of `layout`; `tail` is where its closing literal starts.
pub(super) fn read<'a>(
    layout: &[u8],
    chunks: &[Chunk],
    tail: usize,
    value: &'a [u8],
) -> Result<Parts<'a>, LayoutError> {
    let mut parts = Parts::default();
    let mut rest = Rest(value);
    for chunk in chunks {
        rest.literal(&layout[chunk.literal.clone()])?;
        let before = rest.0;
        rest.field(chunk.field, &mut parts).map_err(|fault| match fault {
            Fault::Mismatch => LayoutError::mismatch(&layout[chunk.text.clone()], before),
            Fault::OutOfRange(what) => LayoutError::OutOfRange(what),
        })?;
    }
    rest.literal(&layout[tail..])?;
    if rest.0.is_empty() { Ok(parts) } else { Err(LayoutError::extra_text(rest.0)) }
}

// === impl Parts ===

impl Parts<'_> {
    /// The hour, 0 to 23. AM and PM only touch what they can, even an hour that was on the 24 hour clock.
    pub(super) fn hour(&self) -> u32 {
        match self.hour {
            hour @ 0..12 if self.pm => hour + 12,
            12 if self.am => 0,
            hour => hour,
        }
    }
}

// === impl Rest ===

impl<'a> Rest<'a> {
    /// Takes literal text. Spaces in it match any number of spaces, and nothing at all where the value ends.
    fn literal(&mut self, mut literal: &[u8]) -> Result<(), LayoutError> {
        let whole = literal;
        while let [wanted, after @ ..] = literal {
            match self.0 {
                [first, rest @ ..] if first == wanted && *wanted != b' ' => (literal, self.0) = (after, rest),
                [b' ', ..] | [] if *wanted == b' ' => (literal, self.0) = (skip_spaces(literal), skip_spaces(self.0)),
                _ => return Err(LayoutError::mismatch(whole, self.0)),
            }
        }
        Ok(())
    }

    fn field(&mut self, field: Field, parts: &mut Parts<'a>) -> Result<(), Fault> {
        match field {
            Field::Year => {
                let digits = self.take(4)?;
                // No sign, unlike the year of a century.
                let year = signed(digits).filter(|_| digits[0].is_ascii_digit());
                parts.year = year.ok_or(Fault::Mismatch)?;
            }
            Field::YearOfCentury => {
                // One of the two may be a sign: "-5" is 1995.
                let year = signed(self.take(2)?).ok_or(Fault::Mismatch)?;
                parts.year = year + if year >= 69 { 1900 } else { 2000 };
            }
            Field::MonthName(length) => parts.month = Some(self.name(&MONTHS, length)? + 1),
            Field::Month(pad) => parts.month = Some(in_range(self.number(pad)?, 1, 12, "month")?),
            // Not checked against the date.
            Field::Weekday(length) => self.name(&WEEKDAYS, length).map(drop)?,
            Field::Day(pad) => {
                self.spaces(pad, 1);
                parts.day = Some(self.number(pad)?);
            }
            Field::YearDay(pad) => {
                self.spaces(pad, 2);
                parts.year_day = Some(self.number_of_three(pad)?);
            }
            Field::Hour => parts.hour = in_range(self.number(Pad::None)?, 0, 23, "hour")?,
            Field::Hour12(pad) => parts.hour = in_range(self.number(pad)?, 0, 12, "hour")?,
            Field::Minute(pad) => parts.minute = in_range(self.number(pad)?, 0, 59, "minute")?,
            Field::Second { pad, fraction_follows } => {
                parts.second = in_range(self.number(pad)?, 0, 59, "second")?;
                if !fraction_follows {
                    self.optional_fraction(parts)?;
                }
            }
            Field::Fraction(digits) => parts.nanos = nanos(self.take(1 + digits)?)?,
            Field::OptionalFraction => self.optional_fraction(parts)?,
            Field::UpperAmPm => self.am_pm(b"AM", b"PM", parts)?,
            Field::LowerAmPm => self.am_pm(b"am", b"pm", parts)?,
            Field::Offset { shape, zulu } => match self.0 {
                [b'Z', rest @ ..] if zulu => {
                    self.0 = rest;
                    parts.utc = true;
                }
                _ => {
                    let offset = self.offset(shape)?;
                    // In Go -1 stands for no offset, so one second west of Greenwich is none.
                    parts.offset = (offset != -1).then_some(offset);
                }
            },
            Field::Abbreviation => {
                if let [b'U', b'T', b'C', rest @ ..] = self.0 {
                    self.0 = rest;
                    parts.utc = true;
                } else {
                    let length = abbreviation_length(self.0).ok_or(Fault::Mismatch)?;
                    parts.abbreviation = Some(self.take(length)?);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Mismatch)?;
        self.0 = rest;
        Ok(taken)
    }

    /// Takes up to `most` spaces that fill a number up.
    fn spaces(&mut self, pad: Pad, most: usize) {
        if pad == Pad::Space {
            for _ in 0..most {
                self.0 = self.0.strip_prefix(b" ").unwrap_or(self.0);
            }
        }
    }

    /// One digit or two; exactly two where the layout pads with zeros.
    fn number(&mut self, pad: Pad) -> Result<u32, Fault> {
        let (number, rest) = match self.0 {
            [tens @ b'0'..=b'9', ones @ b'0'..=b'9', rest @ ..] => (digit(*tens) * 10 + digit(*ones), rest),
            [ones @ b'0'..=b'9', rest @ ..] if pad != Pad::Zero => (digit(*ones), rest),
            _ => return Err(Fault::Mismatch),
        };
        self.0 = rest;
        Ok(number)
    }

    /// One to three digits; exactly three where the layout pads with zeros.
    fn number_of_three(&mut self, pad: Pad) -> Result<u32, Fault> {
        let length = self.0.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
        if length == 0 || (pad == Pad::Zero && length < 3) {
            return Err(Fault::Mismatch);
        }
        Ok(self.take(length)?.iter().fold(0, |number, byte| number * 10 + digit(*byte)))
    }

    /// One of `names`, in capitals or not; its index.
    fn name(&mut self, names: &[&[u8]], length: NameLength) -> Result<u32, Fault> {
        for (name, index) in names.iter().zip(0..) {
            let name = if length == NameLength::Short { &name[..3] } else { name };
            if let Some((start, rest)) = self.0.split_at_checked(name.len())
                && start.eq_ignore_ascii_case(name)
            {
                self.0 = rest;
                return Ok(index);
            }
        }
        Err(Fault::Mismatch)
    }

    /// A point or comma with as many digits as there are.
    fn optional_fraction(&mut self, parts: &mut Parts) -> Result<(), Fault> {
        if let [b'.' | b',', digits @ ..] = self.0 {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length > 0 {
                parts.nanos = nanos(self.take(1 + length)?)?;
            }
        }
        Ok(())
    }

    fn am_pm(&mut self, am: &[u8], pm: &[u8], parts: &mut Parts) -> Result<(), Fault> {
        let half = self.take(2)?;
        parts.am |= half == am;
        parts.pm |= half == pm;
        if half == am || half == pm { Ok(()) } else { Err(Fault::Mismatch) }
    }

    /// An offset in seconds. 24 hours, 60 minutes and 60 seconds are allowed: some do write them.
    fn offset(&mut self, shape: OffsetShape) -> Result<i64, Fault> {
        let none = [b'0', b'0'];
        let (sign, [hours, minutes, seconds], rest) = match (shape, self.0) {
            (OffsetShape::Hours, [sign, h1, h2, rest @ ..]) => (sign, [[*h1, *h2], none, none], rest),
            (OffsetShape::Minutes, [sign, h1, h2, m1, m2, rest @ ..])
            | (OffsetShape::ColonMinutes, [sign, h1, h2, b':', m1, m2, rest @ ..]) => {
                (sign, [[*h1, *h2], [*m1, *m2], none], rest)
            }
            (OffsetShape::Seconds, [sign, h1, h2, m1, m2, s1, s2, rest @ ..])
            | (OffsetShape::ColonSeconds, [sign, h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..]) => {
                (sign, [[*h1, *h2], [*m1, *m2], [*s1, *s2]], rest)
            }
            _ => return Err(Fault::Mismatch),
        };
        let [hours, minutes, seconds] = [hours, minutes, seconds].map(|pair| Rest(&pair).number(Pad::Zero));
        // As in Go the last one that is too large is named, before anything else is found wrong.
        let too_large = |component: &Result<u32, Fault>, most| component.as_ref().is_ok_and(|number| *number > most);
        if hours.is_ok() && minutes.is_ok() && too_large(&seconds, 60) {
            return Err(Fault::OutOfRange("time zone offset second"));
        }
        if hours.is_ok() && too_large(&minutes, 60) {
            return Err(Fault::OutOfRange("time zone offset minute"));
        }
        if too_large(&hours, 24) {
            return Err(Fault::OutOfRange("time zone offset hour"));
        }
        let seconds = i64::from((hours? * 60 + minutes?) * 60 + seconds?);
        self.0 = rest;
        match sign {
            b'+' => Ok(seconds),
            b'-' => Ok(-seconds),
            _ => Err(Fault::Mismatch),
        }
    }
}

fn digit(byte: u8) -> u32 {
    u32::from(byte - b'0')
}

fn in_range(number: u32, least: u32, most: u32, what: &'static str) -> Result<u32, Fault> {
    if (least..=most).contains(&number) { Ok(number) } else { Err(Fault::OutOfRange(what)) }
}

fn skip_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    &text[spaces..]
}

/// A decimal number of at most nine digits that may have a sign, and may have nothing behind it.
fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [sign @ (b'+' | b'-'), digits @ ..] => (*sign == b'-', digits),
        digits => (false, digits),
    };
    let number = digits
        .iter()
        .try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))?;
    Some(if negative { -number } else { number })
}

/// The nanoseconds of a fraction, its point or comma included. Digits behind the ninth are not looked at.
fn nanos(fraction: &[u8]) -> Result<u32, Fault> {
    let [b'.' | b',', digits @ ..] = fraction else { return Err(Fault::Mismatch) };
    let digits = &digits[..digits.len().min(9)];
    let number = signed(digits).ok_or(Fault::Mismatch)?;
    let number = u32::try_from(number).map_err(|_| Fault::OutOfRange("fractional second"))?;
    Ok(digits.len()..9).map(|places| places.fold(number, |number, _| number * 10))
}

/// The length of the zone abbreviation that `value` starts with, if it looks like one.
fn abbreviation_length(value: &[u8]) -> Option<usize> {
    if value.len() < 3 {
        return None;
    }
    match value {
        // The only ones with small letters: Guam, and once Metlakatla.
        [b'C', b'h', b'S', b'T', ..] | [b'M', b'e', b'S', b'T', ..] => Some(4),
        [b'G', b'M', b'T', rest @ ..] => Some(3 + signed_hours_length(rest).unwrap_or(0)),
        // Zones without a name, such as "+0330" without its minutes.
        [b'+' | b'-', ..] => signed_hours_length(value),
        _ => match value.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count() {
            3 => Some(3),
            4 if value[3] == b'T' || value.starts_with(b"WITA") => Some(4),
            5 if value[4] == b'T' => Some(5),
            _ => None,
        },
    }
}

/// The length of a sign and digits that make at most 23.
fn signed_hours_length(value: &[u8]) -> Option<usize> {
    let [b'+' | b'-', digits @ ..] = value else { return None };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let hours = digits[..length].iter().fold(0_u32, |hours, byte| (hours * 10 + digit(*byte)).min(24));
    (length > 0 && hours <= 23).then_some(1 + length)
}
