//! The pattern from left to right: groups, flags, repetitions, and what they apply to.
//!
//! A stack of open groups on the heap takes the place of recursion, so unclosed parentheses cost memory, not stack.

use std::collections::HashSet;

use regex_syntax::hir::{ClassUnicode, Hir, Look};

use super::{
    class,
    error::{GoRegexError, GoRegexErrorKind},
    expr::{Expr, MAX_HEIGHT, MAX_RUNES, MAX_SIZE},
    property::{Property, PropertyTables},
    repeat::{MAX_REPEAT, Repeat, counts},
};

/// A cursor over the pattern and what was built from the part before it.
pub(super) struct Parser<'p> {
    pattern: &'p str,
    at: usize,
    flags: Flags,
    /// Groups that are open, outermost first.
    outer: Vec<Group<'p>>,
    /// The innermost group's branches before the current one.
    branches: Vec<Expr>,
    /// The current branch.
    items: Vec<Expr>,
    captures: u32,
    names: HashSet<&'p str>,
    class_runes: usize,
    tables: PropertyTables,
}

/// What `(?ims-U)` switches.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four switches that are independent of each other")]
pub(super) struct Flags {
    pub(super) fold: bool,
    multi_line: bool,
    dot_matches_newline: bool,
    lazy: bool,
}

/// An open group: how it was opened, and what to come back to when it closes.
struct Group<'p> {
    opened: usize,
    capture: Option<(u32, Option<&'p str>)>,
    flags: Flags,
    branches: Vec<Expr>,
    items: Vec<Expr>,
}

// === impl Parser: the cursor ===

impl<'p> Parser<'p> {
    pub(super) fn new(pattern: &'p str) -> Self {
        Self {
            pattern,
            at: 0,
            flags: Flags::default(),
            outer: Vec::new(),
            branches: Vec::new(),
            items: Vec::new(),
            captures: 0,
            names: HashSet::new(),
            class_runes: 0,
            tables: PropertyTables::default(),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn flags(&self) -> Flags {
        self.flags
    }

    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// `kind`, quoting from `start` to the cursor.
    pub(super) fn error(&self, kind: GoRegexErrorKind, start: usize) -> GoRegexError {
        GoRegexError::new(kind, &self.pattern[start..self.at], start)
    }

    /// `kind`, quoting from `start` to the end.
    pub(super) fn error_to_end(&self, kind: GoRegexErrorKind, start: usize) -> GoRegexError {
        GoRegexError::new(kind, &self.pattern[start..], start)
    }

    /// `kind` at `offset`, where Go quotes the whole pattern.
    fn error_of_all(&self, kind: GoRegexErrorKind, offset: usize) -> GoRegexError {
        GoRegexError::new(kind, self.pattern, offset)
    }

    pub(super) fn property_class(&mut self, property: Property) -> ClassUnicode {
        self.tables.class(property, self.flags.fold)
    }
}

// === impl Parser: the grammar ===

impl Parser<'_> {
    pub(super) fn parse(mut self) -> Result<Hir, GoRegexError> {
        // Where the repetition that ended just now began.
        let mut previous_repeat = None;
        while let Some(c) = self.peek() {
            let start = self.at;
            let mut repeat = None;
            match c {
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '|' => {
                    self.bump();
                    self.end_branch()?;
                }
                '[' => {
                    let class = self.bracket_class()?;
                    self.push_class(class)?;
                }
                '\\' => self.backslash()?,
                '*' | '+' | '?' | '{' => {
                    if let Some(operator) = self.repeat_operator()? {
                        self.repeat(operator, start, previous_repeat)?;
                        repeat = Some(start);
                    } else {
                        self.bump();
                        self.push_literal(c.into())?;
                    }
                }
                '.' => {
                    self.bump();
                    self.push_class(class::dot(self.flags.dot_matches_newline))?;
                }
                '^' => {
                    self.bump();
                    self.push(Expr::look(if self.flags.multi_line { Look::StartLF } else { Look::Start }))?;
                }
                '$' => {
                    self.bump();
                    self.push(Expr::look(if self.flags.multi_line { Look::EndLF } else { Look::End }))?;
                }
                _ => {
                    self.bump();
                    self.push_literal(c.into())?;
                }
            }
            previous_repeat = repeat;
        }
        let all = self.end_alternation()?;
        match self.outer.last() {
            Some(group) => Err(self.error_of_all(GoRegexErrorKind::MissingParen, group.opened)),
            None => Ok(all.into_hir()),
        }
    }

    fn push(&mut self, expr: Expr) -> Result<(), GoRegexError> {
        let expr = self.within_limits(expr)?;
        self.items.push(expr);
        Ok(())
    }

    fn push_literal(&mut self, rune: u32) -> Result<(), GoRegexError> {
        self.push(Expr::literal(rune, self.flags.fold))
    }

    fn push_class(&mut self, class: ClassUnicode) -> Result<(), GoRegexError> {
        self.class_runes += class.ranges().len() * 2;
        self.push(Expr::class(class))
    }

    fn within_limits(&self, expr: Expr) -> Result<Expr, GoRegexError> {
        if self.class_runes > MAX_RUNES || expr.size() > MAX_SIZE {
            return Err(self.error_of_all(GoRegexErrorKind::TooLarge, self.at));
        }
        if expr.height() > MAX_HEIGHT {
            return Err(self.error_of_all(GoRegexErrorKind::NestingDepth, self.at));
        }
        Ok(expr)
    }

    fn end_branch(&mut self) -> Result<(), GoRegexError> {
        let items = std::mem::take(&mut self.items);
        let branch = self.within_limits(Expr::concat(items))?;
        self.branches.push(branch);
        Ok(())
    }

    fn end_alternation(&mut self) -> Result<Expr, GoRegexError> {
        self.end_branch()?;
        let branches = std::mem::take(&mut self.branches);
        self.within_limits(Expr::alternate(branches))
    }

    /// `\` outside brackets.
    fn backslash(&mut self) -> Result<(), GoRegexError> {
        let start = self.at;
        let look = match self.rest().as_bytes().get(1) {
            Some(b'A') => Look::Start,
            Some(b'z') => Look::End,
            Some(b'b') => Look::WordAscii,
            Some(b'B') => Look::WordAsciiNegate,
            Some(b'C') => {
                self.skip(2);
                return Err(self.error(GoRegexErrorKind::Escape, start));
            }
            Some(b'Q') => return self.quotation(),
            _ => {
                if let Some(class) = self.escaped_class()? {
                    return self.push_class(class);
                }
                let rune = self.escape()?;
                return self.push_literal(rune);
            }
        };
        self.skip(2);
        self.push(Expr::look(look))
    }

    /// `\Q...\E`, or `\Q` to the end. Each character is an item of its own, so a repetition takes the last only.
    fn quotation(&mut self) -> Result<(), GoRegexError> {
        self.skip(2);
        let quoted = self.rest().split_once(r"\E").map_or(self.rest(), |(quoted, _)| quoted);
        for c in quoted.chars() {
            self.push_literal(c.into())?;
        }
        self.skip(quoted.len());
        self.eat(r"\E");
        Ok(())
    }
}

// === impl Parser: groups ===

impl<'p> Parser<'p> {
    /// `(`, `(?P<name>`, `(?<name>`, `(?flags:`, or `(?flags)`, which opens nothing.
    fn open_group(&mut self) -> Result<(), GoRegexError> {
        let start = self.at;
        let rest = self.rest();
        let name_at = if rest.starts_with("(?P<") && rest.len() > "(?P<".len() {
            "(?P<".len()
        } else if rest.starts_with("(?<") && rest.len() > "(?<".len() {
            "(?<".len()
        } else if rest.starts_with("(?") {
            return self.flag_group();
        } else {
            self.bump();
            self.open_capture(start, None);
            return Ok(());
        };
        let Some((name, _)) = rest[name_at..].split_once('>') else {
            return Err(self.error_to_end(GoRegexErrorKind::NamedCapture, start));
        };
        self.skip(name_at + name.len() + ">".len());
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(self.error(GoRegexErrorKind::NamedCapture, start));
        }
        self.open_capture(start, Some(name));
        Ok(())
    }

    fn open_capture(&mut self, opened: usize, name: Option<&'p str>) {
        self.captures += 1;
        // The engine refuses a name that is taken.
        let name = name.filter(|name| self.names.insert(name));
        self.enter(opened, Some((self.captures, name)));
    }

    fn enter(&mut self, opened: usize, capture: Option<(u32, Option<&'p str>)>) {
        self.outer.push(Group {
            opened,
            capture,
            flags: self.flags,
            branches: std::mem::take(&mut self.branches),
            items: std::mem::take(&mut self.items),
        });
    }

    fn flag_group(&mut self) -> Result<(), GoRegexError> {
        let start = self.at;
        self.skip("(?".len());
        let mut flags = self.flags;
        let mut on = true;
        // Whether the `-` has a flag behind it, as it must.
        let mut complete = true;
        while let Some(c) = self.bump() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_matches_newline = on,
                'U' => flags.lazy = on,
                '-' if on => on = false,
                ':' | ')' if complete => {
                    if c == ':' {
                        self.enter(start, None);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            complete = c != '-';
        }
        Err(self.error(GoRegexErrorKind::PerlSyntax, start))
    }

    fn close_group(&mut self) -> Result<(), GoRegexError> {
        let inner = self.end_alternation()?;
        let Some(group) = self.outer.pop() else {
            return Err(self.error_of_all(GoRegexErrorKind::UnexpectedParen, self.at));
        };
        self.bump();
        self.flags = group.flags;
        self.branches = group.branches;
        self.items = group.items;
        self.push(match group.capture {
            Some((index, name)) => inner.capture(index, name.map(Into::into)),
            None => inner,
        })
    }
}

// === impl Parser: repetitions ===

impl Parser<'_> {
    /// The operator at the cursor; None for a `{` that is not one and so is text.
    fn repeat_operator(&mut self) -> Result<Option<Repeat>, GoRegexError> {
        let start = self.at;
        let operator = match self.peek() {
            Some('*') => Repeat::STAR,
            Some('+') => Repeat::PLUS,
            Some('?') => Repeat::QUEST,
            _ => {
                let Some((repeat, len)) = counts(self.rest()) else { return Ok(None) };
                self.skip(len);
                if repeat.is_invalid() {
                    return Err(self.error(GoRegexErrorKind::RepeatCount, start));
                }
                return Ok(Some(repeat));
            }
        };
        self.bump();
        Ok(Some(operator))
    }

    /// Repeats the last item. `start` is where the operator began, `previous` where one directly before it did.
    fn repeat(&mut self, operator: Repeat, start: usize, previous: Option<usize>) -> Result<(), GoRegexError> {
        let lazy = self.eat("?") != self.flags.lazy;
        if let Some(previous) = previous {
            return Err(self.error(GoRegexErrorKind::NestedRepeat, previous));
        }
        let Some(sub) = self.items.pop() else {
            return Err(self.error(GoRegexErrorKind::RepeatArgument, start));
        };
        let expr = self.within_limits(sub.repeat(operator, !lazy))?;
        // Nothing under a `{0}` or `{1}` can be over the limit that was not refused before.
        if expr.copies() > MAX_REPEAT {
            return Err(self.error(GoRegexErrorKind::RepeatCount, start));
        }
        self.items.push(expr);
        Ok(())
    }
}
