//! Layouts and values with the verdict of Go 1.26.6's `time.ParseInLocation`.

use super::{BERLIN, NEW_YORK, UTC, read};

/// A zone, a layout, a value, and what Go says.
type Row = (&'static str, &'static str, &'static str, Result<&'static str, &'static str>);

fn reads_as_in_go(rows: &[Row]) {
    for (rule, layout, value, verdict) in rows {
        let verdict = verdict.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(read(rule, layout, value, "2026-06-20T12:00:00Z"), verdict, "{value:?} by {layout:?}");
    }
}

#[test]
#[rustfmt::skip]
fn the_common_layouts_read_as_in_go() {
    reads_as_in_go(&[
        (BERLIN, "2006-01-02T15:04:05Z07:00", "2026-06-20T08:15:30Z", Ok("2026-06-20T08:15:30Z")),
        (BERLIN, "2006-01-02T15:04:05Z07:00", "2026-06-20T08:15:30.25+05:30", Ok("2026-06-20T02:45:30.25Z")),
        (BERLIN, "2006-01-02 15:04:05,000", "2026-06-20 08:15:30,123", Ok("2026-06-20T06:15:30.123Z")),
        (BERLIN, "2006-01-02 15:04:05,000", "2026-01-20 08:15:30.123", Ok("2026-01-20T07:15:30.123Z")),
        (BERLIN, "Mon Jan _2 15:04:05 2006", "Sat Jun  6 08:15:30 2026", Ok("2026-06-06T06:15:30Z")),
        (UTC, "02/Jan/2006:15:04:05 -0700", "20/Jun/2026:08:15:30 -0730", Ok("2026-06-20T15:45:30Z")),
        (UTC, "Monday, 02-Jan-06 15:04:05 MST", "Saturday, 20-Jun-26 08:15:30 UTC", Ok("2026-06-20T08:15:30Z")),
        (UTC, "060102 150405", "260620 081530", Ok("2026-06-20T08:15:30Z")),
        (UTC, "2006 3:04PM", "2026 12:04AM", Ok("2026-01-01T00:04:00Z")),
        (UTC, "2006 03:04pm", "2026 12:04pm", Ok("2026-01-01T12:04:00Z")),
    ]);
}

#[test]
#[rustfmt::skip]
fn numbers_read_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006-1-2 15", "2026-06-05 7", Ok("2026-06-05T07:00:00Z")),
        (UTC, "2006-01-2 15", "2026-6-05 07", Err(r#"cannot parse "6-05 07" as "01""#)),
        (UTC, "2006-01-02", "2026-01-5", Err(r#"cannot parse "5" as "02""#)),
        (UTC, "2006 _2", "2026   5", Ok("2026-01-05T00:00:00Z")),
        (UTC, "2006-_2", "2026- 5", Ok("2026-01-05T00:00:00Z")),
        (UTC, "2006-_2", "2026-  5", Err(r#"cannot parse "  5" as "_2""#)),
        (UTC, "2006-01", "2026-13", Err("month out of range")),
        (UTC, "2006-01", "2026-00", Err("month out of range")),
        (UTC, "2006 15:04", "2026 24:00", Err("hour out of range")),
        (UTC, "2006 3PM", "2026 13PM", Err("hour out of range")),
        (UTC, "2006 3PM", "2026 0PM", Ok("2026-01-01T12:00:00Z")),
        (UTC, "2006 15 PM", "2026 13 PM", Ok("2026-01-01T13:00:00Z")),
        (UTC, "2006 15 PM", "2026 12 AM", Ok("2026-01-01T00:00:00Z")),
        (UTC, "2006 15:04", "2026 00:60", Err("minute out of range")),
        (UTC, "2006 04:05", "2026 00:60", Err("second out of range")),
        (UTC, "2006-01-02", "2026-02-29", Err("day out of range")),
        (UTC, "2006-01-02", "2024-02-29", Ok("2024-02-29T00:00:00Z")),
        (UTC, "2006-01-02", "2000-02-29", Ok("2000-02-29T00:00:00Z")),
        (UTC, "2006-01-02", "2100-02-29", Err("day out of range")),
        (UTC, "2006-01-02", "2026-04-31", Err("day out of range")),
        (UTC, "2006-01-02", "2026-04-00", Err("day out of range")),
        (UTC, "2006", "+026", Err(r#"cannot parse "+026" as "2006""#)),
        (UTC, "06", "69", Ok("1969-01-01T00:00:00Z")),
        (UTC, "06", "68", Ok("2068-01-01T00:00:00Z")),
        (UTC, "06", "-5", Ok("1995-01-01T00:00:00Z")),
        (UTC, "06", "+5", Ok("2005-01-01T00:00:00Z")),
        (UTC, "06", "5", Err(r#"cannot parse "5" as "06""#)),
    ]);
}

#[test]
#[rustfmt::skip]
fn names_read_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006 Jan", "2026 fEB", Ok("2026-02-01T00:00:00Z")),
        (UTC, "2006 January", "2026 may", Ok("2026-05-01T00:00:00Z")),
        (UTC, "2006 January", "2026 Jun", Err(r#"cannot parse "Jun" as "January""#)),
        (UTC, "2006 Jan", "2026 June", Err(r#"extra text: "e""#)),
        (UTC, "2006 Janet", "2026 Janet", Ok("2026-01-01T00:00:00Z")),
        (UTC, "2006 Mon Jan 2", "2026 Mon Jun 20", Ok("2026-06-20T00:00:00Z")),
        (UTC, "2006 Mon", "2026 Xyz", Err(r#"cannot parse "Xyz" as "Mon""#)),
        (UTC, "2006 3PM", "2026 1pm", Err(r#"cannot parse "pm" as "PM""#)),
        (UTC, "2006 3pm", "2026 1Pm", Err(r#"cannot parse "Pm" as "pm""#)),
    ]);
}

#[test]
#[rustfmt::skip]
fn literal_text_and_spaces_read_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006 01", "2026    06", Ok("2026-06-01T00:00:00Z")),
        (UTC, "2006   01", "2026 06", Ok("2026-06-01T00:00:00Z")),
        (UTC, "2006 01", "202606", Err(r#"cannot parse "06" as " ""#)),
        (UTC, "2006 ", "2026", Ok("2026-01-01T00:00:00Z")),
        (UTC, "2006", "2026 ", Err(r#"extra text: " ""#)),
        (UTC, "2006T", "2026", Err(r#"cannot parse "" as "T""#)),
        (UTC, "2006-01-02T15Z", "2026-06-20T08Z", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02T15Z", "2026-06-20T08Z", Ok("2026-06-20T06:00:00Z")),
        (UTC, "_2006", "_2026", Ok("2026-01-01T00:00:00Z")),
        (UTC, "2006_1", "2026_6", Ok("2026-06-01T00:00:00Z")),
        (UTC, "2006é", "2026é", Ok("2026-01-01T00:00:00Z")),
        (UTC, "2006é", "2026e", Err(r#"cannot parse "e" as "\xc3\xa9""#)),
    ]);
}

#[test]
#[rustfmt::skip]
fn fractions_read_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006 05", "2026 01.5", Ok("2026-01-01T00:00:01.5Z")),
        (UTC, "2006 05", "2026 01,123456789999", Ok("2026-01-01T00:00:01.123456789Z")),
        (UTC, "2006 05", "2026 01.", Err(r#"extra text: ".""#)),
        (UTC, "2006 05.000", "2026 01.12", Err(r#"cannot parse ".12" as ".000""#)),
        (UTC, "2006 05.000", "2026 01.1234", Err(r#"extra text: "4""#)),
        (UTC, "2006 05.999", "2026 01.123456", Ok("2026-01-01T00:00:01.123456Z")),
        (UTC, "2006 05.999", "2026 01", Ok("2026-01-01T00:00:01Z")),
        (UTC, "2006 05 .999", "2026 01 .5", Ok("2026-01-01T00:00:01.5Z")),
        (UTC, "2006 05 .999", "2026 01.5", Err(r#"cannot parse ".5" as " ""#)),
        (UTC, "2006 04.000", "2026 01.500", Ok("2026-01-01T00:01:00.5Z")),
        (UTC, "2006 05.0005", "2026 01.5005", Err(r#"cannot parse "" as ".00""#)),
        (UTC, "2006 .000", "2026 .+12", Ok("2026-01-01T00:00:00.012Z")),
        (UTC, "2006 .000", "2026 .-12", Err("fractional second out of range")),
        (UTC, "2006 .0000000000", "2026 .123456789x", Ok("2026-01-01T00:00:00.123456789Z")),
    ]);
}

#[test]
#[rustfmt::skip]
fn the_day_of_the_year_reads_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006-002", "2024-060", Ok("2024-02-29T00:00:00Z")),
        (UTC, "2006-002", "2026-060", Ok("2026-03-01T00:00:00Z")),
        (UTC, "2006-002", "2024-366", Ok("2024-12-31T00:00:00Z")),
        (UTC, "2006-002", "2026-366", Err("day-of-year out of range")),
        (UTC, "2006-002", "2026-000", Err("day-of-year out of range")),
        (UTC, "2006-002", "2026-60", Err(r#"cannot parse "60" as "002""#)),
        (UTC, "2006 __2", "2026   5", Ok("2026-01-05T00:00:00Z")),
        (UTC, "2006-__2", "2026-  5", Ok("2026-01-05T00:00:00Z")),
        (UTC, "2006-__2", "2026-   5", Err(r#"cannot parse "   5" as "__2""#)),
        (UTC, "2006-01-02 002", "2026-03-01 060", Ok("2026-03-01T00:00:00Z")),
        (UTC, "2006-01-02 002", "2026-03-02 060", Err("day-of-year does not match day")),
        (UTC, "2006-01 002", "2026-02 060", Err("day-of-year does not match month")),
    ]);
}

#[test]
#[rustfmt::skip]
fn zones_read_as_in_go() {
    reads_as_in_go(&[
        (UTC, "2006 Z0700", "2026 +2460", Ok("2025-12-30T23:00:00Z")),
        (UTC, "2006 Z0700", "2026 +2500", Err("time zone offset hour out of range")),
        (UTC, "2006 Z0700", "2026 +0061", Err("time zone offset minute out of range")),
        (UTC, "2006 -07:00:00", "2026 +00:00:61", Err("time zone offset second out of range")),
        (UTC, "2006 -0700", "2026 Z", Err(r#"cannot parse "Z" as "-0700""#)),
        (UTC, "2006 Z07", "2026 z", Err(r#"cannot parse "z" as "Z07""#)),
        (UTC, "2006 Z07", "2026 05", Err(r#"cannot parse "05" as "Z07""#)),
        (UTC, "2006 -07:00", "2026 +0500", Err(r#"cannot parse "+0500" as "-07:00""#)),
        (UTC, "2006 -070000", "2026 -000001", Ok("2026-01-01T00:00:00Z")),
        (BERLIN, "2006 -070000", "2026 -000001", Ok("2025-12-31T23:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 CEST", Ok("2026-06-20T06:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 CET", Ok("2026-06-20T07:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 UTC", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 GMT", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 EST", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 GMT+3", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 GMT+24", Err(r#"extra text: "+24""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 +03", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 cest", Err(r#"cannot parse "cest" as "MST""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 ABCD", Err(r#"cannot parse "ABCD" as "MST""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 ABCDT", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 ABCDE", Err(r#"cannot parse "ABCDE" as "MST""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 WITA", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 AB", Err(r#"cannot parse "AB" as "MST""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 ABCDEF", Err(r#"cannot parse "ABCDEF" as "MST""#)),
        (BERLIN, "2006-01-02 15 MST", "2026-06-20 08 ChST", Ok("2026-06-20T08:00:00Z")),
        (BERLIN, "2006-01-02 15 MST -0700", "2026-06-20 08 CEST -0500", Ok("2026-06-20T13:00:00Z")),
        (BERLIN, "2006-01-02 15 MST Z07", "2026-06-20 08 CEST Z", Ok("2026-06-20T08:00:00Z")),
    ]);
}

#[test]
#[rustfmt::skip]
fn readings_that_a_clock_skips_or_has_twice_read_as_in_go() {
    reads_as_in_go(&[
        (BERLIN, "2006-01-02 15:04", "2026-03-29 01:59", Ok("2026-03-29T00:59:00Z")),
        (BERLIN, "2006-01-02 15:04", "2026-03-29 02:30", Ok("2026-03-29T01:30:00Z")),
        (BERLIN, "2006-01-02 15:04", "2026-03-29 03:00", Ok("2026-03-29T01:00:00Z")),
        (BERLIN, "2006-01-02 15:04", "2026-10-25 01:59", Ok("2026-10-24T23:59:00Z")),
        (BERLIN, "2006-01-02 15:04", "2026-10-25 02:30", Ok("2026-10-25T01:30:00Z")),
        (BERLIN, "2006-01-02 15:04", "2026-10-25 03:00", Ok("2026-10-25T02:00:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-03-08 01:59", Ok("2026-03-08T06:59:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-03-08 02:30", Ok("2026-03-08T06:30:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-03-08 03:00", Ok("2026-03-08T07:00:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-11-01 00:59", Ok("2026-11-01T04:59:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-11-01 01:30", Ok("2026-11-01T05:30:00Z")),
        (NEW_YORK, "2006-01-02 15:04", "2026-11-01 02:00", Ok("2026-11-01T07:00:00Z")),
    ]);
}
