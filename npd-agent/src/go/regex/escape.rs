//! Backslash followed by something that stands for one character.

use super::{
    error::{GoRegexError, GoRegexErrorKind},
    parser::Parser,
};

impl Parser<'_> {
    /// The character that the escape at the cursor stands for; Go takes surrogates too, hence a number.
    pub(super) fn escape(&mut self) -> Result<u32, GoRegexError> {
        let start = self.at();
        self.bump();
        let Some(c) = self.bump() else {
            return Err(GoRegexError::new(GoRegexErrorKind::TrailingBackslash, "", start));
        };
        let rune = match c {
            '0' => Some(self.octal(0)),
            // `\1` alone would be a backreference, which Go has not.
            '1'..='7' if self.octal_digit().is_some() => Some(self.octal(u32::from(c) - u32::from('0'))),
            'x' => self.hex(),
            'a' => Some(0x07),
            'f' => Some(0x0c),
            'n' => Some(0x0a),
            'r' => Some(0x0d),
            't' => Some(0x09),
            'v' => Some(0x0b),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c.into()),
            _ => None,
        };
        rune.ok_or_else(|| self.error(GoRegexErrorKind::Escape, start))
    }

    fn octal_digit(&self) -> Option<u32> {
        self.peek()?.to_digit(8)
    }

    /// Up to two more octal digits after the first.
    fn octal(&mut self, first: u32) -> u32 {
        let mut rune = first;
        for _ in 0..2 {
            let Some(digit) = self.octal_digit() else { break };
            rune = rune * 8 + digit;
            self.bump();
        }
        rune
    }

    /// `41` or `{41}` after `\x`. The cursor stops behind the first wrong character, up to which Go quotes.
    fn hex(&mut self) -> Option<u32> {
        let first = self.bump()?;
        if first != '{' {
            let high = first.to_digit(16);
            let low = self.bump()?.to_digit(16)?;
            return Some(high? * 16 + low);
        }
        let (mut rune, mut digits) = (0, 0);
        loop {
            match self.bump()? {
                '}' if digits > 0 => return Some(rune),
                c => rune = rune * 16 + c.to_digit(16)?,
            }
            digits += 1;
            if rune > u32::from(char::MAX) {
                return None;
            }
        }
    }
}
