//! Go's `Time.Format`, as far as the tests need it: it has no abbreviation but `UTC`.

use jiff::tz::Offset;

use super::super::{
    Layout,
    field::{Field, NameLength, OffsetShape, Pad},
};
use crate::time::Timestamp;

/// What Go's `Time.Format` prints of a moment by `layout` at an offset from UTC.
pub(super) fn format(layout: &Layout, moment: Timestamp, offset: Offset) -> String {
    let moment = jiff::Timestamp::from_nanosecond(moment.unix_nanos().into()).unwrap();
    let civil = offset.to_datetime(moment);
    let mut text = String::new();
    for chunk in &layout.chunks {
        text.push_str(&layout.source[chunk.literal.clone()]);
        text.push_str(&format_field(chunk.field, &layout.source[chunk.text.clone()], civil, offset));
    }
    text + &layout.source[layout.tail..]
}

fn format_field(field: Field, text: &str, civil: jiff::civil::DateTime, offset: Offset) -> String {
    let number = |number: i16, pad: Pad, width: usize| match pad {
        Pad::None => number.to_string(),
        Pad::Space => format!("{number:width$}"),
        Pad::Zero => format!("{number:0width$}"),
    };
    let name = |names: &str, index: i8, length: NameLength| {
        let name = names.split(' ').nth(usize::try_from(index).unwrap()).unwrap();
        if length == NameLength::Short { name[..3].to_owned() } else { name.to_owned() }
    };
    let pm = civil.hour() >= 12;
    match field {
        Field::Year => format!("{:04}", civil.year()),
        Field::YearOfCentury => format!("{:02}", civil.year() % 100),
        Field::MonthName(length) => name(
            "January February March April May June July August September October November December",
            civil.month() - 1,
            length,
        ),
        Field::Month(pad) => number(civil.month().into(), pad, 2),
        Field::Weekday(length) => name(
            "Sunday Monday Tuesday Wednesday Thursday Friday Saturday",
            civil.weekday().to_sunday_zero_offset(),
            length,
        ),
        Field::Day(pad) => number(civil.day().into(), pad, 2),
        Field::YearDay(pad) => number(civil.date().day_of_year(), pad, 3),
        Field::Hour => number(civil.hour().into(), Pad::Zero, 2),
        Field::Hour12(pad) => number(if civil.hour() % 12 == 0 { 12 } else { civil.hour() % 12 }.into(), pad, 2),
        Field::Minute(pad) => number(civil.minute().into(), pad, 2),
        Field::Second { pad, .. } => number(civil.second().into(), pad, 2),
        Field::Fraction(digits) => format!("{}{:.digits$}", &text[..1], format!("{:09}", civil.subsec_nanosecond())),
        Field::OptionalFraction => {
            let digits = format!("{:09}", civil.subsec_nanosecond());
            let digits = digits[..(text.len() - 1).min(9)].trim_end_matches('0');
            if digits.is_empty() { String::new() } else { format!("{}{digits}", &text[..1]) }
        }
        Field::UpperAmPm => if pm { "PM" } else { "AM" }.into(),
        Field::LowerAmPm => if pm { "pm" } else { "am" }.into(),
        Field::Offset { zulu: true, .. } if offset.is_zero() => "Z".into(),
        Field::Offset { shape, .. } => {
            let sign = if offset.is_negative() { '-' } else { '+' };
            let seconds = offset.seconds().abs();
            let (h, m, s) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            match shape {
                OffsetShape::Hours => format!("{sign}{h:02}"),
                OffsetShape::Minutes => format!("{sign}{h:02}{m:02}"),
                OffsetShape::ColonMinutes => format!("{sign}{h:02}:{m:02}"),
                OffsetShape::Seconds => format!("{sign}{h:02}{m:02}{s:02}"),
                OffsetShape::ColonSeconds => format!("{sign}{h:02}:{m:02}:{s:02}"),
            }
        }
        Field::Abbreviation => "UTC".into(),
    }
}
