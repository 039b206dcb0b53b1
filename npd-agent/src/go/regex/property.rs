//! Unicode properties by the names that Go knows: general categories, scripts, `Any`, `ASCII` and `Assigned`.
//!
//! Go looks a name up without regard to case, spaces, `_` and `-`. It compares what is left with script names in which
//! the underscores stay, so a script of several words cannot be named at all: `\p{Old_Italic}` is an error.

use std::collections::HashMap;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

use super::fold::fold;

/// A property that Go has a table of.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Property {
    Any,
    Ascii,
    Assigned,
    Category(&'static str),
    Script(&'static str),
}

/// Tables by property and case folding; a pattern tends to name the same few again.
#[derive(Default)]
pub(super) struct PropertyTables {
    tables: HashMap<(Property, bool), ClassUnicode>,
}

/// General categories, short and long names and aliases, as Go spells them once normalised; sorted.
#[rustfmt::skip]
const CATEGORIES: &[&str] = &[
    "C", "Casedletter", "Cc", "Cf", "Closepunctuation", "Cn", "Cntrl", "Co", "Combiningmark", "Connectorpunctuation",
    "Control", "Cs", "Currencysymbol", "Dashpunctuation", "Decimalnumber", "Digit", "Enclosingmark",
    "Finalpunctuation", "Format", "Initialpunctuation", "L", "Lc", "Letter", "Letternumber", "Lineseparator", "Ll",
    "Lm", "Lo", "Lowercaseletter", "Lt", "Lu", "M", "Mark", "Mathsymbol", "Mc", "Me", "Mn", "Modifierletter",
    "Modifiersymbol", "N", "Nd", "Nl", "No", "Nonspacingmark", "Number", "Openpunctuation", "Other", "Otherletter",
    "Othernumber", "Otherpunctuation", "Othersymbol", "P", "Paragraphseparator", "Pc", "Pd", "Pe", "Pf", "Pi", "Po",
    "Privateuse", "Ps", "Punct", "Punctuation", "S", "Sc", "Separator", "Sk", "Sm", "So", "Spaceseparator",
    "Spacingmark", "Surrogate", "Symbol", "Titlecaseletter", "Unassigned", "Uppercaseletter", "Z", "Zl", "Zp", "Zs",
];

/// Scripts of one word; sorted.
#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "Adlam", "Ahom", "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Batak", "Bengali", "Bhaiksuki",
    "Bopomofo", "Brahmi", "Braille", "Buginese", "Buhid", "Carian", "Chakma", "Cham", "Cherokee", "Chorasmian",
    "Common", "Coptic", "Cuneiform", "Cypriot", "Cyrillic", "Deseret", "Devanagari", "Dogra", "Duployan", "Elbasan",
    "Elymaic", "Ethiopic", "Georgian", "Glagolitic", "Gothic", "Grantha", "Greek", "Gujarati", "Gurmukhi", "Han",
    "Hangul", "Hanunoo", "Hatran", "Hebrew", "Hiragana", "Inherited", "Javanese", "Kaithi", "Kannada", "Katakana",
    "Kawi", "Kharoshthi", "Khmer", "Khojki", "Khudawadi", "Lao", "Latin", "Lepcha", "Limbu", "Lisu", "Lycian",
    "Lydian", "Mahajani", "Makasar", "Malayalam", "Mandaic", "Manichaean", "Marchen", "Medefaidrin", "Miao", "Modi",
    "Mongolian", "Mro", "Multani", "Myanmar", "Nabataean", "Nandinagari", "Newa", "Nko", "Nushu", "Ogham", "Oriya",
    "Osage", "Osmanya", "Palmyrene", "Phoenician", "Rejang", "Runic", "Samaritan", "Saurashtra", "Sharada", "Shavian",
    "Siddham", "Sinhala", "Sogdian", "Soyombo", "Sundanese", "Syriac", "Tagalog", "Tagbanwa", "Takri", "Tamil",
    "Tangsa", "Tangut", "Telugu", "Thaana", "Thai", "Tibetan", "Tifinagh", "Tirhuta", "Toto", "Ugaritic", "Vai",
    "Vithkuqi", "Wancho", "Yezidi", "Yi",
];

// === impl Property ===

impl Property {
    /// The property that Go finds under `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        let name = normalised(name);
        let find = |names: &[&'static str]| names.binary_search(&name.as_str()).ok().map(|at| names[at]);
        match name.as_str() {
            "Any" => Some(Self::Any),
            "Ascii" => Some(Self::Ascii),
            "Assigned" => Some(Self::Assigned),
            _ => find(CATEGORIES).map(Self::Category).or_else(|| find(SCRIPTS).map(Self::Script)),
        }
    }

    fn table(self) -> ClassUnicode {
        match self {
            Self::Any => ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)]),
            Self::Ascii => ClassUnicode::new([ClassUnicodeRange::new('\0', '\x7f')]),
            Self::Assigned => {
                let mut class = unicode_table("gc", "Cn");
                class.negate();
                class
            }
            // Surrogates only, which UTF-8 has not.
            Self::Category("Cs" | "Surrogate") => ClassUnicode::empty(),
            Self::Category(name) => unicode_table("gc", name),
            Self::Script(name) => unicode_table("sc", name),
        }
    }

    /// Whether `(?i)` adds anything: Go has no folding table for this category, young as it is.
    fn folds(self) -> bool {
        !matches!(self, Self::Category("Lc" | "Casedletter"))
    }
}

// === impl PropertyTables ===

impl PropertyTables {
    pub(super) fn class(&mut self, property: Property, folded: bool) -> ClassUnicode {
        let table = self.tables.entry((property, folded)).or_insert_with(|| {
            let mut class = property.table();
            if folded && property.folds() {
                fold(&mut class);
            }
            class
        });
        table.clone()
    }
}

/// `name` without spaces, `_` and `-`, its first letter in upper case and the others in lower case.
fn normalised(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')) {
        normal.push(if normal.is_empty() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() });
    }
    normal
}

/// The table of `regex-syntax` for `key=name`. It is asked for the complement, as a class of a single character would
/// come back as a literal.
fn unicode_table(key: &str, name: &str) -> ClassUnicode {
    let complement = regex_syntax::parse(&format!(r"\P{{{key}={name}}}"));
    match complement.map(Hir::into_kind) {
        Ok(HirKind::Class(Class::Unicode(mut class))) => {
            class.negate();
            class
        }
        _ => ClassUnicode::empty(),
    }
}
