//! The table of all config keys: the one place that knows what a file can hold.
//!
//! Each object of a file is one [`keys!`] table. From it come the struct that the object is decoded into and its decoder,
//! the list of known keys, `config/schema/*.json` and the key tables of `docs/configuration.md`. What a key's value must
//! be beyond its shape (that a pattern compiles, that a condition is declared) is checked by the monitor's own module,
//! against the same constants that stand in the table.

use std::time::Duration;

/// An object of a config file.
#[derive(Debug)]
pub struct Object {
    /// What the schema calls it.
    pub name: &'static str,
    /// What it is, in one sentence without its full stop.
    pub help: &'static str,
    /// The names of its keys, in the order of the table.
    pub names: &'static [&'static str],
    /// Its keys, in the order of the table.
    pub keys: &'static [Key],
}

/// One key of an [`Object`].
#[derive(Debug)]
pub struct Key {
    /// How a file spells it.
    pub name: &'static str,
    /// Who reads it.
    pub origin: Origin,
    /// What its value looks like.
    pub shape: Shape,
    /// What holds when a file does not have it.
    pub absent: Absent,
    /// What it means, in Markdown, without a full stop.
    pub help: &'static str,
}

/// Who reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// node-problem-detector, and npd.
    Shared,
    /// npd only; node-problem-detector ignores it.
    Own,
}

/// What a key's value looks like.
#[derive(Debug)]
pub enum Shape {
    /// `true` or `false`.
    Flag,
    /// An integer from `least` to `most`.
    Integer {
        /// The smallest value allowed.
        least: usize,
        /// The largest value allowed.
        most: usize,
    },
    /// Any number.
    Number,
    /// A string.
    Text {
        /// The fewest characters allowed.
        least: usize,
        /// The most characters allowed; `None` for any number.
        most: Option<usize>,
    },
    /// A Go duration.
    Duration {
        /// The shortest one allowed; `None` if the table sets no limit.
        least: Option<Duration>,
    },
    /// One of a few words.
    Word(&'static Words),
    /// An array of strings.
    Texts {
        /// The most elements allowed; `None` for any number.
        most: Option<usize>,
    },
    /// An object of strings with any keys.
    TextMap,
    /// An object.
    Object(&'static Object),
    /// An array of objects.
    Objects(&'static Object),
    /// An object, or an array of them.
    OneOrMore {
        /// What the schema calls the choice.
        name: &'static str,
        /// The object.
        object: &'static Object,
    },
    /// An object for each metric, by the metric's id.
    Metrics(&'static Object),
}

/// The words that a key's value is chosen from.
#[derive(Debug)]
pub struct Words {
    /// What the schema calls the choice.
    pub name: &'static str,
    /// The words and their meanings, in Markdown, without a full stop.
    pub words: &'static [(&'static str, &'static str)],
}

/// What holds when a file does not have a key.
#[derive(Clone, Copy, Debug)]
pub enum Absent {
    /// The file is refused.
    Refused,
    /// Nothing in particular.
    Unset,
    /// The same as with this word or number.
    Text(&'static str),
    /// The same as with this number.
    Integer(usize),
    /// The same as with this flag.
    Flag(bool),
    /// The same as with this duration.
    Duration(Duration),
    /// The same as with an empty array.
    Empty,
    /// What this text in Markdown describes.
    Other(&'static str),
}

/// Any string.
pub(super) const TEXT: Shape = Shape::Text { least: 0, most: None };

/// A Go duration without a limit.
pub(super) const DURATION: Shape = Shape::Duration { least: None };

/// Declares an object: the struct that it is decoded into, its `Decode` and its table.
///
/// A row is `field: Type = "key" Origin, shape, absent, "help";`.
macro_rules! keys {
    (
        $(#[$doc:meta])*
        $vis:vis struct $raw:ident<$d:lifetime>, $table:ident = $title:literal, $about:literal;
        $($field:ident: $type:ty = $name:literal $origin:ident, $shape:expr, $absent:expr, $help:literal;)*
    ) => {
        $(#[$doc])*
        #[derive(Default)]
        $vis struct $raw<$d> {
            $($vis $field: $type),*
        }

        $(#[$doc])*
        pub static $table: $crate::config::key::Object = $crate::config::key::Object {
            name: $title,
            help: $about,
            names: &[$($name),*],
            keys: &[$($crate::config::key::Key {
                name: $name,
                origin: $crate::config::key::Origin::$origin,
                shape: $shape,
                absent: $absent,
                help: $help,
            }),*],
        };

        impl<$d> $crate::config::decode::Decode<$d> for $raw<$d> {
            fn decode(
                &mut self,
                value: $crate::go::json::Value<$d>,
                findings: &mut $crate::config::report::Findings,
            ) -> bool {
                $crate::config::decode::object(value, $table.names, findings, |key, value, findings| match key {
                    $($name => self.$field.decode(value, findings),)*
                    _ => true,
                })
            }
        }
    };
}

pub(super) use keys;

// === impl Words ===

impl Words {
    /// The words of a list without their meanings.
    #[must_use]
    pub const fn names<const N: usize>(words: &[(&'static str, &'static str); N]) -> [&'static str; N] {
        let mut names = [""; N];
        let mut i = 0;
        while i < N {
            names[i] = words[i].0;
            i += 1;
        }
        names
    }
}

// === impl Key ===

impl Key {
    /// The meaning and the bounds, for a table in Markdown.
    #[must_use]
    pub fn meaning(&self) -> String {
        match &self.shape {
            Shape::Word(words) => {
                let words: Vec<_> = words.words.iter().map(|(word, help)| format!("`{word}`: {help}")).collect();
                format!("{}. {}", self.help, words.join("; "))
            }
            Shape::Integer { least, most } => format!("{} ({least} to {most})", self.help),
            Shape::Duration { least: Some(least) } => format!("{} (a Go duration of {least:?} or more)", self.help),
            Shape::Duration { least: None } => format!("{} (a Go duration)", self.help),
            Shape::Texts { most: Some(most) } => format!("{}; at most {most}", self.help),
            Shape::Text { most: Some(most), .. } => format!("{}; at most {most} characters", self.help),
            _ => self.help.to_owned(),
        }
    }
}

// === impl Absent ===

impl std::fmt::Display for Absent {
    /// In Markdown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused | Self::Unset => f.write_str("–"),
            Self::Text(text) => write!(f, "`\"{text}\"`"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Duration(duration) => write!(f, "`\"{duration:?}\"`"),
            Self::Empty => f.write_str("`[]`"),
            Self::Other(text) => f.write_str(text),
        }
    }
}
