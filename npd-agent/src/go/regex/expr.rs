//! An expression under construction: a piece of HIR with the measures that Go's limits are defined on.
//!
//! Pieces are put together bottom-up, so nothing here recurses, however deep the pattern nests. Sequences and
//! alternations stay open (a list) until something encloses them, because Go flattens a sequence within a sequence
//! and so `(?:(?:a)b)c` nests no deeper than `abc`.

use regex_syntax::hir::{Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, Look, Repetition};

use super::{fold::fold, repeat::Repeat};

/// The largest height of Go's syntax tree, its `maxHeight`.
pub(super) const MAX_HEIGHT: u32 = 1000;
/// The largest program in instructions: 128 MiB of 40 bytes each, Go's `maxSize`.
pub(super) const MAX_SIZE: u64 = (128 << 20) / 40;
/// The largest sum of range ends in character classes: 128 MiB of 4 bytes each, Go's `maxRunes`.
pub(super) const MAX_RUNES: usize = (128 << 20) / 4;

/// A parsed piece of the pattern.
pub(super) struct Expr {
    shape: Shape,
    height: u32,
    size: u64,
    copies: u32,
}

enum Shape {
    /// Characters in sequence; code points, as Go admits surrogates here (they match nothing).
    Literal {
        runes: Vec<u32>,
        folds: bool,
    },
    /// One character of a set.
    Class(ClassUnicode),
    Concat(Vec<Hir>),
    Alternate(Vec<Hir>),
    /// Anything that is not taken apart any more.
    Whole(Hir),
}

// === impl Expr ===

impl Expr {
    fn leaf(shape: Shape) -> Self {
        Self { shape, height: 1, size: 1, copies: 1 }
    }

    pub(super) fn empty() -> Self {
        Self::leaf(Shape::Whole(Hir::empty()))
    }

    pub(super) fn literal(rune: u32, folds: bool) -> Self {
        Self::leaf(Shape::Literal { runes: vec![rune], folds })
    }

    pub(super) fn class(class: ClassUnicode) -> Self {
        Self::leaf(Shape::Class(class))
    }

    pub(super) fn look(look: Look) -> Self {
        Self::leaf(Shape::Whole(Hir::look(look)))
    }

    /// Height in Go's syntax tree.
    pub(super) fn height(&self) -> u32 {
        self.height
    }

    /// Instructions of Go's program.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The largest product of repeat counts along any path through the expression.
    pub(super) fn copies(&self) -> u32 {
        self.copies
    }

    pub(super) fn capture(self, index: u32, name: Option<Box<str>>) -> Self {
        let (height, size, copies) = (self.height + 1, self.size.saturating_add(2), self.copies);
        let hir = Hir::capture(Capture { index, name, sub: Box::new(self.into_hir()) });
        Self { shape: Shape::Whole(hir), height, size, copies }
    }

    pub(super) fn repeat(self, repeat: Repeat, greedy: bool) -> Self {
        let (height, size, copies) = (self.height + 1, repeat.size(self.size), repeat.copies(self.copies));
        let sub = self.into_hir();
        let hir = if repeat.max == Some(0) {
            never_entered(sub)
        } else {
            Hir::repetition(Repetition { min: repeat.min, max: repeat.max, greedy, sub: Box::new(sub) })
        };
        Self { shape: Shape::Whole(hir), height, size, copies }
    }

    /// All of `items` in sequence.
    pub(super) fn concat(items: Vec<Self>) -> Self {
        let mut joined = join_literals(items);
        match joined.len() {
            0 => Self::empty(),
            1 => joined.swap_remove(0),
            _ => {
                let (mut height, mut size, mut copies) = (0, 0u64, 1);
                let mut parts = Vec::new();
                for item in joined {
                    let nested = u32::from(!matches!(item.shape, Shape::Concat(_)));
                    height = height.max(item.height + nested);
                    size = size.saturating_add(item.size);
                    copies = copies.max(item.copies);
                    match item.shape {
                        Shape::Concat(inner) if parts.is_empty() => parts = inner,
                        Shape::Concat(inner) => parts.extend(inner),
                        Shape::Literal { runes, folds: true } => parts.extend(runes.into_iter().map(folded_rune)),
                        shape => parts.push(shape.into_hir()),
                    }
                }
                Self { shape: Shape::Concat(parts), height, size, copies }
            }
        }
    }

    /// The first of `branches` that matches.
    pub(super) fn alternate(mut branches: Vec<Self>) -> Self {
        if branches.len() > 1 {
            branches = join_classes(branches);
        }
        if branches.len() == 1 {
            return branches.swap_remove(0);
        }
        let (mut height, mut size, mut copies) = (0, branches.len() as u64 - 1, 1);
        let mut parts = Vec::new();
        for branch in branches {
            let nested = u32::from(!matches!(branch.shape, Shape::Alternate(_)));
            height = height.max(branch.height + nested);
            size = size.saturating_add(branch.size);
            copies = copies.max(branch.copies);
            match branch.shape {
                Shape::Alternate(inner) if parts.is_empty() => parts = inner,
                Shape::Alternate(inner) => parts.extend(inner),
                shape => parts.push(shape.into_hir()),
            }
        }
        Self { shape: Shape::Alternate(parts), height, size, copies }
    }

    pub(super) fn into_hir(self) -> Hir {
        self.shape.into_hir()
    }

    /// The characters this matches one of, if it always matches exactly one.
    fn single(&self) -> Option<ClassUnicode> {
        match &self.shape {
            Shape::Class(class) => Some(class.clone()),
            Shape::Literal { runes, folds } if runes.len() == 1 => {
                let mut class = rune_class(runes[0]);
                if *folds {
                    fold(&mut class);
                }
                Some(class)
            }
            _ => None,
        }
    }
}

// === impl Shape ===

impl Shape {
    fn into_hir(self) -> Hir {
        match self {
            Self::Literal { runes, folds: true } => Hir::concat(runes.into_iter().map(folded_rune).collect()),
            Self::Literal { runes, folds: false } => {
                let text: Option<String> = runes.into_iter().map(char::from_u32).collect();
                text.map_or_else(Hir::fail, |text| Hir::literal(text.into_bytes()))
            }
            Self::Class(class) => Hir::class(Class::Unicode(class)),
            Self::Concat(parts) => Hir::concat(parts),
            Self::Alternate(parts) => Hir::alternation(parts),
            Self::Whole(hir) => hir,
        }
    }
}

/// `x{0}`: matches the empty string. Groups in `x` still count, so that those after it keep their numbers and the
/// number of groups is Go's.
fn never_entered(sub: Hir) -> Hir {
    if sub.properties().explicit_captures_len() == 0 {
        return Hir::empty();
    }
    let unreachable = Hir::concat(vec![Hir::fail(), sub]);
    Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: Box::new(unreachable) })
}

/// Adjacent literals of equal case folding as one, for which Go has one node as well.
fn join_literals(items: Vec<Expr>) -> Vec<Expr> {
    let mut joined: Vec<Expr> = Vec::with_capacity(items.len());
    for item in items {
        if let (
            Some(Expr { shape: Shape::Literal { runes, folds }, size, .. }),
            Shape::Literal { runes: more, folds: folds_too },
        ) = (joined.last_mut(), &item.shape)
            && folds == folds_too
        {
            runes.extend_from_slice(more);
            *size += item.size;
        } else {
            joined.push(item);
        }
    }
    joined
}

/// Adjacent branches of one character each as one class.
fn join_classes(branches: Vec<Expr>) -> Vec<Expr> {
    fn flush(run: &mut Vec<Expr>, ranges: &mut Vec<ClassUnicodeRange>, joined: &mut Vec<Expr>) {
        if run.len() > 1 {
            run.clear();
            joined.push(Expr::class(ClassUnicode::new(ranges.drain(..))));
        }
        joined.append(run);
        ranges.clear();
    }
    let mut joined = Vec::with_capacity(branches.len());
    let (mut run, mut ranges) = (Vec::new(), Vec::new());
    for branch in branches {
        if let Some(class) = branch.single() {
            ranges.extend_from_slice(class.ranges());
            run.push(branch);
        } else {
            flush(&mut run, &mut ranges, &mut joined);
            joined.push(branch);
        }
    }
    flush(&mut run, &mut ranges, &mut joined);
    joined
}

/// The class of one code point; empty for a surrogate, which no UTF-8 text contains.
fn rune_class(rune: u32) -> ClassUnicode {
    ClassUnicode::new(char::from_u32(rune).map(|c| ClassUnicodeRange::new(c, c)))
}

fn folded_rune(rune: u32) -> Hir {
    let mut class = rune_class(rune);
    fold(&mut class);
    Hir::class(Class::Unicode(class))
}
