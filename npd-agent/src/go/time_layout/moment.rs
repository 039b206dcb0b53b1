//! From the parts of a time to the moment they name: the date, its checks, the year that is missing, the zone.
//!
//! Not the reading of text, which is [`super::reader`]'s. A wall clock reading that a zone skips or has twice is
//! resolved as Go's `time.Date` does it: take the offset in force when the clock of *UTC* shows that reading, then the
//! offset in force at the moment this gives. East of Greenwich a skipped reading comes out after the gap and a doubled
//! one is the second; west of it a skipped one comes out before the gap and a doubled one is the first.

use jiff::tz::TimeZone;

use super::{LayoutError, reader::Parts};
use crate::time::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const NANOS: i64 = 1_000_000_000;

/// No clock of the world differs more from UTC: 25 h 1 min in a value, 26 h in a zone of jiff.
const FARTHEST_OFFSET: i64 = 26 * HOUR;

/// How far in the future a time without a year may lie: the clock that wrote it may be ahead, or in another zone.
const FUTURE: i64 = 24 * HOUR;

/// A day that comes only in leap years comes every four years, but for eight around 1900 and 2100.
const YEARS_BACK: i64 = 9;

/// How many changes of a zone's clock to either side are searched for an abbreviation; two years as a rule.
const CHANGES: usize = 4;

// === impl Parts ===

impl Parts<'_> {
    /// The moment, in a year that the value named.
    pub(super) fn moment(&self, zone: &TimeZone) -> Result<Timestamp, LayoutError> {
        let (month, day) = self.date(self.year)?;
        self.place(self.seconds(self.year, month, day), zone)
    }

    /// The moment, in the newest year that has the day and puts it at most [`FUTURE`] after `now`.
    pub(super) fn moment_before(&self, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, LayoutError> {
        let limit = now.shift(FUTURE * NANOS);
        let limit_seconds = limit.unix_nanos().div_euclid(NANOS);
        let newest = year_of(limit_seconds + FARTHEST_OFFSET);
        let mut verdict = Err(LayoutError::OutsideRange);
        for year in (newest - YEARS_BACK..=newest).rev() {
            let seconds = match self.date(year) {
                Ok((month, day)) => self.seconds(year, month, day),
                Err(error) => {
                    verdict = Err(error);
                    continue;
                }
            };
            // Surely in the future: the zone need not be asked.
            if seconds - FARTHEST_OFFSET > limit_seconds {
                continue;
            }
            match self.place(seconds, zone) {
                Ok(moment) if moment > limit => {}
                Ok(moment) => return Ok(moment),
                Err(error) => verdict = Err(error),
            }
        }
        verdict
    }

    /// The month and the day in `year`. What is not named is the first.
    fn date(&self, year: i64) -> Result<(u32, u32), LayoutError> {
        let Some(year_day) = self.year_day else {
            let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
            return if (1..=days_in(year, month)).contains(&day) {
                Ok((month, day))
            } else {
                Err(LayoutError::OutOfRange("day"))
            };
        };
        let mut day = year_day;
        let mut month = 1;
        while month < 12 && day > days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        if !(1..=days_in(year, month)).contains(&day) {
            return Err(LayoutError::OutOfRange("day-of-year"));
        }
        if self.month.is_some_and(|named| named != month) {
            return Err(LayoutError::DayOfYear("month"));
        }
        if self.day.is_some_and(|named| named != day) {
            return Err(LayoutError::DayOfYear("day"));
        }
        Ok((month, day))
    }

    /// The reading of the wall clock as seconds since 1970, as though the clock were UTC's.
    fn seconds(&self, year: i64, month: u32, day: u32) -> i64 {
        days_since_1970(year, month, day) * DAY
            + i64::from(self.hour()) * HOUR
            + i64::from(self.minute) * MINUTE
            + i64::from(self.second)
    }

    /// Puts a reading of the wall clock on the time line: by what the value says of its zone, or by `zone`.
    fn place(&self, seconds: i64, zone: &TimeZone) -> Result<Timestamp, LayoutError> {
        let offset = if self.utc {
            0
        } else if let Some(offset) = self.offset {
            offset
        } else if let Some(abbreviation) = self.abbreviation {
            // "GMT+3" too: Go shows it as such but leaves the moment at UTC.
            offset_by_name(zone, abbreviation, seconds)?.unwrap_or(0)
        } else {
            offset_at(zone, seconds - offset_at(zone, seconds)?)?
        };
        let nanos = i128::from(seconds - offset) * i128::from(NANOS) + i128::from(self.nanos);
        i64::try_from(nanos).map(Timestamp::from_unix_nanos).map_err(|_| LayoutError::OutsideRange)
    }
}

/// The offset of `zone` at a moment, seconds east of UTC.
fn offset_at(zone: &TimeZone, seconds: i64) -> Result<i64, LayoutError> {
    Ok(i64::from(zone.to_offset(timestamp(seconds)?).seconds()))
}

/// The offset that `name` stands for in `zone`, around the moment when a clock by UTC would show the value.
///
/// Two of a zone's offsets can have one name (Irish Standard Time was the winter's, then the summer's). The one in
/// force at the time wins, then the one nearest to it.
fn offset_by_name(zone: &TimeZone, name: &[u8], seconds: i64) -> Result<Option<i64>, LayoutError> {
    let at = timestamp(seconds)?;
    let present = zone.to_offset_info(at);
    let present = (present.abbreviation().as_bytes() == name).then(|| present.offset());
    let named = |change: &jiff::tz::TimeZoneTransition<'_>| change.abbreviation().as_bytes() == name;
    let past = zone.preceding(at).take(CHANGES).filter(named).map(|change| change.offset());
    let future = zone.following(at).take(CHANGES).filter(named).map(|change| change.offset());
    let mut nearest = None;
    for offset in present.into_iter().chain(past).chain(future) {
        let offset = i64::from(offset.seconds());
        let info = zone.to_offset_info(timestamp(seconds - offset)?);
        if info.abbreviation().as_bytes() == name {
            return Ok(Some(i64::from(info.offset().seconds())));
        }
        nearest = nearest.or(Some(offset));
    }
    Ok(nearest)
}

/// A moment for jiff, whose years go from -9999 to 9999.
fn timestamp(seconds: i64) -> Result<jiff::Timestamp, LayoutError> {
    jiff::Timestamp::from_second(seconds).map_err(|_| LayoutError::OutsideRange)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// The days of a month from 1 to 12.
fn days_in(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, in the Gregorian calendar carried backwards.
fn days_since_1970(year: i64, month: u32, day: u32) -> i64 {
    // Years that start in March have their leap day at the end.
    let year = if month < 3 { year - 1 } else { year };
    let months_since_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * months_since_march + 2) / 5 + i64::from(day) - 1;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // The last term is 1970-01-01, counted from 0000-03-01.
    year * 365 + leap_days + day_of_year - 719_468
}

/// The year of a moment, in UTC.
fn year_of(seconds: i64) -> i64 {
    let days = seconds.div_euclid(DAY);
    // 400 years have 146,097 days. This is the year or the one before it.
    let mut year = (days * 400).div_euclid(146_097) + 1970 - 1;
    while days_since_1970(year + 1, 1, 1) <= days {
        year += 1;
    }
    year
}
