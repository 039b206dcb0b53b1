//! Whether a text is a time as Go's `time.Parse(time.RFC3339, …)` takes it.
//!
//! Go is laxer than RFC 3339 (a fraction may follow a comma, the hour may have one digit, an offset may reach
//! `+24:60`) and stricter (no lower-case `t` and `z`, no leap second). Only the verdict is wanted: a condition's
//! `transition` has to be a time for its file to load, and is then overwritten.

/// Whether Go would read `text`, the bytes between the quotes of a JSON string; Go does not undo escapes here.
pub(crate) fn is_time(text: &[u8]) -> bool {
    let mut rest = Rest(text);
    rest.date_and_time().is_some() && rest.0.is_empty()
}

/// What is left of the text. Each method takes its part off the front, or says that it is not there.
struct Rest<'a>(&'a [u8]);

// === impl Rest ===

impl Rest<'_> {
    fn date_and_time(&mut self) -> Option<()> {
        let year = self.two_digits()? * 100 + self.two_digits()?;
        self.byte(b'-')?;
        let month = self.two_digits()?;
        self.byte(b'-')?;
        let day = self.two_digits()?;
        self.byte(b'T')?;
        let hour = self.one_or_two_digits()?;
        self.byte(b':')?;
        let minute = self.two_digits()?;
        self.byte(b':')?;
        let second = self.two_digits()?;
        self.fraction();
        self.offset()?;
        let in_range =
            (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day) && hour < 24 && minute < 60;
        (in_range && second < 60).then_some(())
    }

    fn fraction(&mut self) {
        if let [b'.' | b',', digits @ ..] = self.0 {
            let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if length > 0 {
                self.0 = &digits[length..];
            }
        }
    }

    fn offset(&mut self) -> Option<()> {
        if self.byte(b'Z').is_some() {
            return Some(());
        }
        self.byte(b'+').or_else(|| self.byte(b'-'))?;
        let hours = self.two_digits()?;
        self.byte(b':')?;
        let minutes = self.two_digits()?;
        (hours <= 24 && minutes <= 60).then_some(())
    }

    fn byte(&mut self, wanted: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(&[wanted])?;
        Some(())
    }

    fn two_digits(&mut self) -> Option<u32> {
        Some(self.digit()? * 10 + self.digit()?)
    }

    fn one_or_two_digits(&mut self) -> Option<u32> {
        let first = self.digit()?;
        Some(self.digit().map_or(first, |second| first * 10 + second))
    }

    fn digit(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first()?;
        let digit = char::from(*first).to_digit(10)?;
        self.0 = rest;
        Some(digit)
    }
}

/// The days of a month; `month` outside 1 to 12 has none.
fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accepts_what_go_accepts() {
        for text in [
            "2026-11-23T13:29:42Z",
            "2026-11-23T13:29:42.056851117Z",
            "2026-11-23T13:29:42.1234567890123456789Z",
            "2026-11-23T13:29:42,5Z",
            "2026-11-23T1:29:42Z",
            "2026-11-23T13:29:42+02:00",
            "2026-11-23T13:29:42-24:60",
            "2026-11-23T13:29:42+24:00",
            "0000-02-29T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(is_time(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23 13:29:42Z",
            "2026-11-23t13:29:42Z",
            "2026-11-23T13:29:42z",
            "2026-11-23T13:29:42",
            "2026-11-23T13:29:42Z ",
            " 2026-11-23T13:29:42Z",
            "2026-11-23T13:29:42.Z",
            "2026-11-23T13:29:42.-5Z",
            "2026-11-23T13:29:60Z",
            "2026-11-23T13:60:42Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T13:9:42Z",
            "2026-1-23T13:29:42Z",
            "2026-11-3T13:29:42Z",
            "2026-00-23T13:29:42Z",
            "2026-13-23T13:29:42Z",
            "2026-11-00T13:29:42Z",
            "2026-11-31T13:29:42Z",
            "2023-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "20266-11-23T13:29:42Z",
            "+026-11-23T13:29:42Z",
            "2026-11-23T13:29:42+25:00",
            "2026-11-23T13:29:42+02:61",
            "2026-11-23T13:29:42+0200",
            "2026-11-23T13:29:42+02",
            "2026-11-23T13:29:42+2:00",
            "2026-11-23T13:29:42ZZ",
            r"2026\u002d11-23T13:29:42Z",
        ] {
            assert!(!is_time(text.as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            is_time(&text);
        }

        #[test]
        fn every_time_that_is_printed_is_one(seconds in -62_000_000_000_i64..253_000_000_000, nanos in 0..1_000_000_000) {
            let time = jiff::Timestamp::new(seconds, nanos).unwrap().to_string();
            prop_assert!(is_time(time.as_bytes()), "{}", time);
        }
    }
}
