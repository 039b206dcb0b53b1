use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;

mod format;
mod go;
mod rfc3339;

use format::format;

use super::*;

const UTC: &str = "UTC0";
const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";
const NEW_YORK: &str = "EST5EDT,M3.2.0,M11.1.0";

/// Layouts that name everything, the zone too; `#` stands for the fraction.
const WHOLE: [&str; 8] = [
    "2006-01-02T15:04:05#Z07:00",
    "Monday, 2 January 2006 3:04:05# pm -070000",
    "__2 2006 15 4 5# Z07:00:00",
    "Mon Jan _2 03:4:05#PM 2006 -07:00:00",
    "2006002150405#Z070000",
    "2006 Jan 2 002 15:04:05# Z0700",
    "15:4:5# 1/2/2006 -0700",
    "02.01.2006 15.04.05# -07:00",
];

/// Fractions and the nanoseconds of their last digit.
const FRACTIONS: [(&str, i64); 6] = [
    ("", 1_000_000_000),
    (".000000000", 1),
    (",000000000", 1),
    (".999999999", 1),
    (".000", 1_000_000),
    (",999", 1_000_000),
];

fn zone(rule: &str) -> TimeZone {
    TimeZone::posix(rule).unwrap()
}

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_unix_nanos(at.as_nanosecond().try_into().unwrap())
}

fn read(rule: &str, layout: &str, value: &str, now: &str) -> Result<String, String> {
    let moment = Layout::new(layout).read(value, &zone(rule), at(now));
    moment.map(|moment| moment.to_string()).map_err(|error| error.to_string())
}

#[test]
fn a_time_without_a_year_is_the_newest_that_is_at_most_a_day_ahead() {
    for (rule, layout, value, now, moment) in [
        // A line of December that is read in January, and one of January that another clock wrote in December.
        (UTC, "Jan _2 15:04:05", "Dec 31 23:59:59", "2027-01-01T00:00:00Z", "2026-12-31T23:59:59Z"),
        (UTC, "Jan _2 15:04:05", "Jan  1 00:00:01", "2026-12-31T23:59:59Z", "2027-01-01T00:00:01Z"),
        (UTC, "Jan _2 15:04:05", "Jan  1 12:00:00", "2026-12-31T12:00:00Z", "2027-01-01T12:00:00Z"),
        (UTC, "Jan _2 15:04:05", "Jan  1 12:00:01", "2026-12-31T12:00:00Z", "2026-01-01T12:00:01Z"),
        (UTC, "Jan _2 15:04:05", "Jun 20 12:00:00", "2026-06-20T12:00:00Z", "2026-06-20T12:00:00Z"),
        (UTC, "Jan _2 15:04:05", "Jun 22 12:00:00", "2026-06-20T12:00:00Z", "2025-06-22T12:00:00Z"),
        // The year is the zone's: here it begins an hour before UTC's, or five hours after it.
        (BERLIN, "Jan _2 15:04:05", "Jan  1 00:30:00", "2026-12-31T23:30:00Z", "2026-12-31T23:30:00Z"),
        (BERLIN, "Jan _2 15:04:05", "Dec 31 23:30:00", "2026-12-31T23:30:00Z", "2026-12-31T22:30:00Z"),
        (BERLIN, "Jan _2 15:04:05", "Jan  1 00:15:00", "2026-12-30T23:30:00Z", "2026-12-31T23:15:00Z"),
        (NEW_YORK, "Jan _2 15:04:05", "Dec 31 20:00:00", "2027-01-01T01:00:00Z", "2027-01-01T01:00:00Z"),
        (UTC, "Jan _2 15:04 -0700", "Jan 1 00:30 +1400", "2026-12-31T00:00:00Z", "2026-12-31T10:30:00Z"),
        (UTC, "Jan _2 15:04 -0700", "Dec 31 23:30 -1200", "2027-01-01T12:00:00Z", "2027-01-01T11:30:00Z"),
        // Summer time is that of the year which is taken, not of now.
        (BERLIN, "Jan _2 15:04:05", "Jul  1 12:00:00", "2026-12-20T12:00:00Z", "2026-07-01T10:00:00Z"),
        (BERLIN, "Jan _2 15:04:05", "Mar 29 03:30:00", "2026-06-20T12:00:00Z", "2026-03-29T01:30:00Z"),
        (BERLIN, "Jan _2 15:04:05", "Mar 29 03:30:00", "2025-06-20T12:00:00Z", "2025-03-29T02:30:00Z"),
        (BERLIN, "Jan _2 15:04:05", "Oct 25 02:30:00", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        // The leap day.
        (UTC, "Jan _2", "Feb 29", "2028-02-29T12:00:00Z", "2028-02-29T00:00:00Z"),
        (UTC, "Jan _2", "Feb 29", "2028-02-28T00:00:00Z", "2028-02-29T00:00:00Z"),
        (UTC, "Jan _2", "Feb 29", "2028-02-27T00:00:00Z", "2024-02-29T00:00:00Z"),
        (UTC, "Jan _2", "Feb 29", "2026-06-20T12:00:00Z", "2024-02-29T00:00:00Z"),
        (UTC, "Jan _2", "Feb 29", "2104-02-27T12:00:00Z", "2096-02-29T00:00:00Z"),
        (UTC, "Jan _2", "Mar  1", "2026-06-20T12:00:00Z", "2026-03-01T00:00:00Z"),
        // The day of the year is counted in the year that is taken.
        (UTC, "002", "060", "2026-06-20T12:00:00Z", "2026-03-01T00:00:00Z"),
        (UTC, "002", "060", "2028-06-20T12:00:00Z", "2028-02-29T00:00:00Z"),
        (UTC, "002", "366", "2026-06-20T12:00:00Z", "2024-12-31T00:00:00Z"),
        (UTC, "01/02 002", "03/01 060", "2028-06-20T12:00:00Z", "2027-03-01T00:00:00Z"),
        // A time of day alone is January 1, as in Go.
        (UTC, "15:04", "12:30", "2026-06-20T12:00:00Z", "2026-01-01T12:30:00Z"),
        (UTC, "just text", "just text", "2026-06-20T12:00:00Z", "2026-01-01T00:00:00Z"),
        // The ends of what a timestamp can be.
        (UTC, "Jan _2", "Apr 12", "2262-04-11T23:47:16Z", "2261-04-12T00:00:00Z"),
        (UTC, "Jan _2", "Sep 22", "1677-09-21T00:12:44Z", "1677-09-22T00:00:00Z"),
    ] {
        assert_eq!(read(rule, layout, value, now), Ok(moment.to_owned()), "{value:?} read {now}");
    }
    for (value, words) in
        [("Feb 30", "day out of range"), ("Jun 31", "day out of range"), ("Jan  0", "day out of range")]
    {
        assert_eq!(read(UTC, "Jan _2", value, "2026-06-20T12:00:00Z"), Err(words.to_owned()), "{value}");
    }
}

#[test]
fn a_moment_that_is_no_timestamp_is_refused() {
    for value in ["0000-01-01", "1677-09-21", "2262-04-12", "9999-12-31"] {
        let error = Layout::new("2006-01-02").read(value, &TimeZone::UTC, Timestamp::default());
        assert_eq!(error, Err(LayoutError::OutsideRange), "{value}");
    }
    let offset = Layout::new("2006-01-02 15:04:05 -0700").read(
        "9999-12-31 23:59:59 +0000",
        &zone(BERLIN),
        at("1970-01-01T00:00:00Z"),
    );
    assert_eq!(offset, Err(LayoutError::OutsideRange));
    let ends = Layout::new("2006-01-02T15:04:05Z07:00");
    for nanos in [i64::MIN, i64::MAX] {
        let moment = Timestamp::from_unix_nanos(nanos);
        assert_eq!(ends.read(&moment.to_string(), &zone(BERLIN), moment), Ok(moment));
    }
    let before_the_first = Layout::new("Jan _2").read("Sep 20", &TimeZone::UTC, Timestamp::from_unix_nanos(i64::MIN));
    assert_eq!(before_the_first, Err(LayoutError::OutsideRange));
}

#[test]
fn an_abbreviation_is_the_offset_in_force_then_the_nearest() {
    let zone = TimeZone::tzif("Test", &zone_file()).unwrap();
    let layout = Layout::new("2006-01-02 15:04 MST");
    for (value, moment) in [
        ("2005-06-01 12:00 AAA", "2005-06-01T11:00:00Z"),
        ("2015-06-01 12:00 AAA", "2015-06-01T10:00:00Z"),
        // A clock by UTC shows this after the change, but the change is yet to come.
        ("2010-01-01 00:30 AAA", "2009-12-31T23:30:00Z"),
        // Go takes its first one, +1.
        ("2025-06-01 12:00 AAA", "2025-06-01T10:00:00Z"),
        ("1995-06-01 12:00 AAA", "1995-06-01T11:00:00Z"),
        ("2025-06-01 12:00 BBB", "2025-06-01T09:00:00Z"),
        ("2005-06-01 12:00 CCC", "2005-06-01T12:00:00Z"),
    ] {
        assert_eq!(layout.read(value, &zone, Timestamp::default()), Ok(at(moment)), "{value}");
    }
}

/// A zone that is on AAA, an hour east of UTC, from 2000, on AAA, now two hours east, from 2010, and then on BBB,
/// three hours east, from 2020.
fn zone_file() -> Vec<u8> {
    let mut file = b"TZif\0".to_vec();
    file.extend([0; 15]);
    // Counts: UT and standard indicators, leap seconds, transitions, types, bytes of abbreviations.
    for count in [0_u32, 0, 0, 3, 4, 12] {
        file.extend(count.to_be_bytes());
    }
    for transition in [946_684_800_i32, 1_262_304_000, 1_577_836_800] {
        file.extend(transition.to_be_bytes());
    }
    file.extend([1, 2, 3]);
    for (offset, abbreviation) in [(0_i32, 0), (3600, 4), (7200, 4), (10_800, 8)] {
        file.extend(offset.to_be_bytes());
        file.extend([0, abbreviation]);
    }
    file.extend(b"LMT\0AAA\0BBB\0");
    file
}

#[test]
fn a_layout_knows_whether_it_has_fields_and_a_year() {
    for (layout, has_fields, has_year) in [
        ("", false, false),
        ("yyyy-MM-dd HH:mm:ss", false, false),
        ("%Y-%m-%d", false, false),
        ("Janet Z -070 .0005x", true, false),
        ("Jan _2 15:04:05", true, false),
        ("020106", true, true),
        ("_2006", true, true),
        ("2006-01-02", true, true),
        ("200", true, false),
    ] {
        let read = Layout::new(layout);
        assert_eq!((read.has_fields(), read.has_year()), (has_fields, has_year), "{layout:?}");
        assert_eq!(read.source(), layout);
    }
}

#[test]
fn an_error_shows_little_of_a_long_value() {
    let long = "é".repeat(1 << 20);
    for value in [long.clone(), format!("2026{long}"), format!("2026 {long}")] {
        let error = Layout::new("2006 Jan").read(&value, &TimeZone::UTC, Timestamp::default()).unwrap_err();
        assert!(error.to_string().len() < 300, "{error}");
    }
}

/// Pieces of layouts and of values, to be put together at random.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "January",
            "Jan",
            "1",
            "01",
            "Monday",
            "Mon",
            "2",
            "_2",
            "02",
            "__2",
            "002",
            "15",
            "3",
            "03",
            "4",
            "04",
            "5",
            "05",
            "2006",
            "06",
            "PM",
            "pm",
            "MST",
            "Z0700",
            "Z07:00",
            "Z070000",
            "Z07:00:00",
            "Z07",
            "-0700",
            "-07:00",
            "-070000",
            "-07:00:00",
            "-07",
            ".000",
            ",999",
            ".0",
            " ",
            "  ",
            ":",
            "-",
            "+",
            "GMT+3",
            "UTC",
            "é",
            "9999",
            "-1",
            ".",
            "60",
            "366",
            "Feb 29",
            "CEST",
        ])
        .prop_map(str::to_owned),
        ".",
        "[0-9]{1,4}",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_layout_and_no_value_panic(
        layout in pieces(),
        value in pieces(),
        now in any::<i64>(),
        rule in prop::sample::select(vec![UTC, BERLIN, NEW_YORK]),
    ) {
        let (layout, now) = (Layout::new(&layout), Timestamp::from_unix_nanos(now));
        let printed = format(&layout, now, Offset::UTC);
        for value in [&value, &printed, &format!("{printed}{value}")] {
            if let Err(error) = layout.read(value, &zone(rule), now) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_moment_that_is_printed_reads_back(
        nanos in i64::MIN + 1_000_000_000..=i64::MAX,
        layout in prop::sample::select(WHOLE.to_vec()),
        (fraction, unit) in prop::sample::select(FRACTIONS.to_vec()),
        // One second west is none in Go.
        offset in (-89_999..=89_999).prop_filter("no offset", |offset| *offset != -1),
    ) {
        let unit_of_offset = if layout.contains("070000") || layout.contains("07:00:00") { 1 } else { 60 };
        let offset = Offset::from_seconds(offset / unit_of_offset * unit_of_offset).unwrap();
        let moment = Timestamp::from_unix_nanos(nanos - nanos.rem_euclid(unit));
        let layout = Layout::new(&layout.replace('#', fraction));
        let printed = format(&layout, moment, offset);
        prop_assert_eq!(layout.read(&printed, &zone(BERLIN), moment), Ok(moment), "{}", printed);
    }

    #[test]
    fn a_moment_of_the_last_year_reads_back_without_its_year(
        now in -9_000_000_000_i64..9_000_000_000,
        age in -86_400_i64..363 * 86_400,
        rule in prop::sample::select(vec![UTC, BERLIN, NEW_YORK]),
    ) {
        let zone = zone(rule);
        let moment = jiff::Timestamp::from_second(now - age).unwrap();
        let offset = zone.to_offset(moment);
        let layout = Layout::new("Jan _2 15:04:05");
        let printed = format(&layout, Timestamp::from_unix_nanos((now - age) * 1_000_000_000), offset);
        let back = layout.read(&printed, &zone, Timestamp::from_unix_nanos(now * 1_000_000_000)).unwrap();
        let back = jiff::Timestamp::from_nanosecond(back.unix_nanos().into()).unwrap();
        // In the hour that a clock has twice it may be the other one.
        prop_assert_eq!(zone.to_datetime(back), zone.to_datetime(moment), "{}", printed);
    }
}
