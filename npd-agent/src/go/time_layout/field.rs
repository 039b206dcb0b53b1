//! The fields of a layout: which texts in it stand for a part of a time, and which are themselves.
//!
//! A layout is Go's reference time, Mon Jan 2 15:04:05 MST 2006, written as the log writes its times. Everything that
//! is not one of the reference's parts is literal text. Nothing is read here; this is done once for each layout.

use std::ops::Range;

/// Literal text and the field behind it; the last chunk of a layout may have no field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Where the literal text lies in the layout.
    pub(super) literal: Range<usize>,
    /// The field.
    pub(super) field: Field,
    /// Where the field lies in the layout.
    pub(super) text: Range<usize>,
}

/// A part of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// `2006`
    Year,
    /// `06`
    YearOfCentury,
    /// `January`, `Jan`
    MonthName(NameLength),
    /// `1`, `01`
    Month(Pad),
    /// `Monday`, `Mon`
    Weekday(NameLength),
    /// `2`, `02`, `_2`
    Day(Pad),
    /// `002`, `__2`
    YearDay(Pad),
    /// `15`
    Hour,
    /// `3`, `03`
    Hour12(Pad),
    /// `4`, `04`
    Minute(Pad),
    /// `5`, `05`
    Second {
        /// How it is padded.
        pad: Pad,
        /// Whether the next field is a fraction. If not, the value may have one all the same.
        fraction_follows: bool,
    },
    /// `.000` or `,000`: exactly this many digits.
    Fraction(usize),
    /// `.999` or `,999`: any number of digits, or none.
    OptionalFraction,
    /// `PM`
    UpperAmPm,
    /// `pm`
    LowerAmPm,
    /// `-0700` and its kin.
    Offset {
        /// How many parts it has.
        shape: OffsetShape,
        /// Whether a `Z` may stand in for it: `Z0700`.
        zulu: bool,
    },
    /// `MST`
    Abbreviation,
}

/// How a number is filled up. Only zeros are asked for when a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pad {
    None,
    Space,
    Zero,
}

/// Whether a name is cut to its first three letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameLength {
    Short,
    Long,
}

/// The parts of an offset from UTC, behind its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffsetShape {
    /// `07`
    Hours,
    /// `0700`
    Minutes,
    /// `07:00`
    ColonMinutes,
    /// `070000`
    Seconds,
    /// `07:00:00`
    ColonSeconds,
}

/// Longest first, so that the first that fits is the right one.
const OFFSETS: [(&[u8], OffsetShape); 5] = [
    (b"070000", OffsetShape::Seconds),
    (b"07:00:00", OffsetShape::ColonSeconds),
    (b"0700", OffsetShape::Minutes),
    (b"07:00", OffsetShape::ColonMinutes),
    (b"07", OffsetShape::Hours),
];

/// Splits a layout into its chunks and the place where its closing literal text starts.
pub(super) fn split(layout: &[u8]) -> (Vec<Chunk>, usize) {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut literal, mut at) = (0, 0);
    while at < layout.len() {
        let Some((field, length)) = field_at(&layout[at..]) else {
            at += 1;
            continue;
        };
        let is_fraction = matches!(field, Field::Fraction(_) | Field::OptionalFraction);
        if let Some(Chunk { field: Field::Second { fraction_follows, .. }, .. }) = chunks.last_mut() {
            *fraction_follows = is_fraction;
        }
        chunks.push(Chunk { literal: literal..at, field, text: at..at + length });
        at += length;
        literal = at;
    }
    (chunks, literal)
}

/// The field that `layout` starts with, and its length.
fn field_at(layout: &[u8]) -> Option<(Field, usize)> {
    Some(match layout {
        [b'J', b'a', b'n', b'u', b'a', b'r', b'y', ..] => (Field::MonthName(NameLength::Long), 7),
        [b'M', b'o', b'n', b'd', b'a', b'y', ..] => (Field::Weekday(NameLength::Long), 6),
        // "Janet" is not a month and "Month" is not a day of the week.
        [b'J', b'a', b'n', b'a'..=b'z', ..] | [b'M', b'o', b'n', b'a'..=b'z', ..] => return None,
        [b'J', b'a', b'n', ..] => (Field::MonthName(NameLength::Short), 3),
        [b'M', b'o', b'n', ..] => (Field::Weekday(NameLength::Short), 3),
        [b'M', b'S', b'T', ..] => (Field::Abbreviation, 3),
        [b'0', b'1', ..] => (Field::Month(Pad::Zero), 2),
        [b'0', b'2', ..] => (Field::Day(Pad::Zero), 2),
        [b'0', b'3', ..] => (Field::Hour12(Pad::Zero), 2),
        [b'0', b'4', ..] => (Field::Minute(Pad::Zero), 2),
        [b'0', b'5', ..] => (Field::Second { pad: Pad::Zero, fraction_follows: false }, 2),
        [b'0', b'6', ..] => (Field::YearOfCentury, 2),
        [b'0', b'0', b'2', ..] => (Field::YearDay(Pad::Zero), 3),
        [b'1', b'5', ..] => (Field::Hour, 2),
        [b'1', ..] => (Field::Month(Pad::None), 1),
        [b'2', b'0', b'0', b'6', ..] => (Field::Year, 4),
        [b'2', ..] => (Field::Day(Pad::None), 1),
        // In "_2006" the underscore is literal and a year follows.
        [b'_', b'2', after @ ..] if !after.starts_with(b"006") => (Field::Day(Pad::Space), 2),
        [b'_', b'_', b'2', ..] => (Field::YearDay(Pad::Space), 3),
        [b'3', ..] => (Field::Hour12(Pad::None), 1),
        [b'4', ..] => (Field::Minute(Pad::None), 1),
        [b'5', ..] => (Field::Second { pad: Pad::None, fraction_follows: false }, 1),
        [b'P', b'M', ..] => (Field::UpperAmPm, 2),
        [b'p', b'm', ..] => (Field::LowerAmPm, 2),
        [sign @ (b'-' | b'Z'), rest @ ..] => {
            let (text, shape) = OFFSETS.into_iter().find(|(text, _)| rest.starts_with(text))?;
            (Field::Offset { shape, zulu: *sign == b'Z' }, 1 + text.len())
        }
        [b'.' | b',', digit @ (b'0' | b'9'), ..] => {
            let digits = layout[1..].iter().take_while(|byte| *byte == digit).count();
            if layout.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            let field = if *digit == b'0' { Field::Fraction(digits) } else { Field::OptionalFraction };
            (field, 1 + digits)
        }
        _ => return None,
    })
}
