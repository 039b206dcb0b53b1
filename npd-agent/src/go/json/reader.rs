//! The grammar: bytes in, a flat list of entries out, syntax errors in Go's words.

use super::{Content, Entry, Label, MAX_VALUES, Position, SyntaxError, text::unescape};

/// Go's `maxNestingDepth`.
const MAX_DEPTH: usize = 10_000;

/// Reads the text's one value and everything in it.
pub(super) fn read(text: &[u8]) -> Result<Vec<Entry>, SyntaxError> {
    let mut reader =
        Reader { text, at: 0, located: Located::default(), entries: Vec::new(), open: Vec::new(), previous: None };
    let mut next = Expect::Value;
    while next != Expect::End {
        reader.skip_space();
        next = match next {
            Expect::FirstElement if reader.peek() == Some(b']') => reader.close(),
            Expect::Value | Expect::FirstElement => reader.value(None)?,
            Expect::FirstKey if reader.peek() == Some(b'}') => reader.close(),
            Expect::Key | Expect::FirstKey => reader.member()?,
            Expect::AfterValue | Expect::End => reader.after_value()?,
        };
    }
    Ok(reader.entries)
}

/// What the grammar wants next, white space aside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of the array just opened.
    FirstElement,
    Key,
    /// A key, or the end of the object just opened.
    FirstKey,
    /// A comma, a closing bracket, or the end of the text.
    AfterValue,
    End,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    located: Located,
    entries: Vec<Entry>,
    /// The arrays and objects that are not closed yet.
    open: Vec<u32>,
    /// The value last completed in the innermost open one.
    previous: Option<u32>,
}

/// A byte of the text and its position: finding the next one only counts on from here.
struct Located {
    at: usize,
    position: Position,
}

type Member = (Box<str>, Position);

// === impl Reader ===

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    /// A key, its colon and its value.
    fn member(&mut self) -> Result<Expect, SyntaxError> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let position = self.position();
        let key = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        self.skip_space();
        self.value(Some((key, position)))
    }

    fn value(&mut self, member: Option<Member>) -> Result<Expect, SyntaxError> {
        let start = self.at;
        let position = self.position();
        let content = match self.peek() {
            Some(b'{') => self.enter(Content::Object)?,
            Some(b'[') => self.enter(Content::Array)?,
            Some(b'"') => Content::String(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'n') => self.literal("null", Content::Null)?,
            Some(b't') => self.literal("true", Content::Bool(true))?,
            Some(b'f') => self.literal("false", Content::Bool(false))?,
            _ => return Err(self.unexpected("looking for beginning of value")),
        };
        let expect = match content {
            Content::Object => Expect::FirstKey,
            Content::Array => Expect::FirstElement,
            _ => Expect::AfterValue,
        };
        self.add(start, position, member, content)?;
        Ok(expect)
    }

    /// Consumes an opening bracket, unless that would nest too deep.
    fn enter(&mut self, content: Content) -> Result<Content, SyntaxError> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error(format!("exceeded max depth of {MAX_DEPTH} levels")));
        }
        self.at += 1;
        Ok(content)
    }

    /// Appends the value that began at `start` and links it to its neighbours.
    fn add(
        &mut self,
        start: usize,
        position: Position,
        member: Option<Member>,
        content: Content,
    ) -> Result<(), SyntaxError> {
        if self.entries.len() == MAX_VALUES {
            return Err(SyntaxError { position, what: format!("more than {MAX_VALUES} values") });
        }
        let index = self.entries.len() as u32;
        let parent = self.open.last().copied();
        let label = match (member, parent, self.previous.map(|p| &self.entries[p as usize].label)) {
            (Some((key, position)), ..) => Label::Member { key, position },
            (None, None, _) => Label::Root,
            (None, Some(_), Some(Label::Element(previous))) => Label::Element(previous + 1),
            (None, Some(_), _) => Label::Element(0),
        };
        match (self.previous, parent) {
            (Some(previous), _) => self.entries[previous as usize].next = index,
            (None, Some(parent)) => self.entries[parent as usize].first_child = index,
            (None, None) => {}
        }
        if matches!(content, Content::Array | Content::Object) {
            self.open.push(index);
            self.previous = None;
        } else {
            self.previous = Some(index);
        }
        let parent = parent.unwrap_or(0);
        self.entries.push(Entry { parent, next: 0, first_child: 0, position, start, end: self.at, label, content });
        Ok(())
    }

    /// Consumes a closing bracket.
    fn close(&mut self) -> Expect {
        self.at += 1;
        self.previous = self.open.pop();
        Expect::AfterValue
    }

    fn after_value(&mut self) -> Result<Expect, SyntaxError> {
        let inside = self.open.last().map(|index| matches!(self.entries[*index as usize].content, Content::Object));
        match (inside, self.peek()) {
            (None, None) => Ok(Expect::End),
            (Some(true), Some(b'}')) | (Some(false), Some(b']')) => Ok(self.close()),
            (Some(object), Some(b',')) => {
                self.at += 1;
                Ok(if object { Expect::Key } else { Expect::Value })
            }
            (None, _) => Err(self.unexpected("after top-level value")),
            (Some(true), _) => Err(self.unexpected("after object key:value pair")),
            (Some(false), _) => Err(self.unexpected("after array element")),
        }
    }

    fn string(&mut self) -> Result<Box<str>, SyntaxError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                None | Some(0..b' ') => return Err(self.unexpected("in string literal")),
                Some(_) => self.at += 1,
            }
        }
        let quoted = &self.text[start..self.at];
        self.at += 1;
        Ok(unescape(quoted).into_boxed_str())
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        match self.peek() {
            Some(b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.unexpected("in \\u hexadecimal character escape"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.unexpected("in string escape code")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Content, SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        Ok(Content::Number)
    }

    /// Consumes one digit or more.
    fn digits(&mut self, context: &str) -> Result<(), SyntaxError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.unexpected(context));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &str, content: Content) -> Result<Content, SyntaxError> {
        for letter in word.chars() {
            if self.peek().map(char::from) != Some(letter) {
                return Err(self.unexpected(&format!("in literal {word} (expecting '{letter}')")));
            }
            self.at += 1;
        }
        Ok(content)
    }

    /// The position of the next byte.
    fn position(&mut self) -> Position {
        self.located.advance(self.text, self.at)
    }

    fn error(&mut self, what: impl Into<String>) -> SyntaxError {
        SyntaxError { position: self.position(), what: what.into() }
    }

    /// The next byte, or the end of the text, cannot be there.
    fn unexpected(&mut self, context: &str) -> SyntaxError {
        let Some(byte) = self.peek() else {
            return self.error("unexpected end of JSON input");
        };
        let hint = self.hint(byte);
        self.error(format!("invalid character {} {context}{hint}", quote(byte)))
    }

    /// What Go's words leave the reader of a message to guess.
    fn hint(&self, byte: u8) -> &'static str {
        let rest = &self.text[self.at..];
        let before = self.text[..self.at].trim_ascii_end();
        match byte {
            0xef if self.at == 0 && rest.starts_with(b"\xef\xbb\xbf") => {
                "; the file starts with a byte order mark, which JSON does not allow"
            }
            0xfe | 0xff if self.at == 0 => "; the file seems to be UTF-16, JSON is UTF-8",
            b'/' | b'#' => "; JSON has no comments",
            b']' | b'}' if before.ends_with(b",") => "; JSON allows no comma after the last one",
            b'\'' => "; JSON strings stand in double quotes",
            _ => "",
        }
    }
}

/// One byte in single quotes as Go prints it: as the character of that number.
fn quote(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0x07 => r"'\a'".to_owned(),
        0x08 => r"'\b'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        0x0b => r"'\v'".to_owned(),
        0x0c => r"'\f'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        0..b' ' | 0x7f => format!(r"'\x{byte:02x}'"),
        // The C1 controls, the no-break space and the soft hyphen do not print.
        0x80..=0xa0 | 0xad => format!(r"'\u{byte:04x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

// === impl Located ===

impl Located {
    /// Moves on to the byte `at`. Bytes that continue a UTF-8 character do not count.
    fn advance(&mut self, text: &[u8], at: usize) -> Position {
        for byte in text.get(self.at..at).unwrap_or_default() {
            match byte {
                b'\n' => {
                    self.position.line = self.position.line.saturating_add(1);
                    self.position.column = 1;
                }
                0x80..=0xbf => {}
                _ => self.position.column = self.position.column.saturating_add(1),
            }
        }
        self.at = at;
        self.position
    }
}

impl Default for Located {
    fn default() -> Self {
        Self { at: 0, position: Position::START }
    }
}
