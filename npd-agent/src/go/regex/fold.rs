//! Simple case folding of character sets, as `(?i)` asks for.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

/// All characters that another one folds to, a few thousand. `case_fold_simple` visits each character of a set, a
/// million for `[^a]`, and need visit only these.
static CASED: LazyLock<ClassUnicode> = LazyLock::new(|| {
    match regex_syntax::parse(r"[\p{Changes_When_Casemapped}\p{Changes_When_Casefolded}]").map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(class))) => class,
        _ => ClassUnicode::empty(),
    }
});

/// Adds to `class` whatever differs from one of its members only in case.
pub(super) fn fold(class: &mut ClassUnicode) {
    let mut cased = class.clone();
    cased.intersect(&CASED);
    cased.case_fold_simple();
    class.union(&cased);
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::ClassUnicodeRange;

    use super::*;

    #[test]
    fn no_character_that_folds_is_missed() {
        let all = ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)]);
        let mut uncased = all.clone();
        uncased.difference(&CASED);
        let before = uncased.clone();
        uncased.case_fold_simple();
        assert_eq!(uncased, before);
    }
}
