//! An error and its causes on one line.

use std::{error::Error, fmt};

/// Displays an error with all its causes: `cannot open x: No such file or directory`.
///
/// The errors of this crate never repeat their source, but some of other crates do. A cause that the error before it already
/// contains is omitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorChain<'e>(pub &'e dyn Error);

/// An error and its causes as a string; see [`ErrorChain`].
#[must_use]
pub(crate) fn chain(error: &dyn Error) -> String {
    ErrorChain(error).to_string()
}

// === impl ErrorChain ===

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = self.0.to_string();
        f.write_str(&before)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Only the error right before can have repeated it.
            if !before.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            before = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    fn layers(texts: &[&'static str]) -> Layer {
        Layer(texts[0], (texts.len() > 1).then(|| Box::new(layers(&texts[1..]))))
    }

    #[test]
    fn causes_follow_and_are_not_repeated() {
        for (texts, line) in [
            (&["cannot open x"][..], "cannot open x"),
            (&["cannot open x", "denied"], "cannot open x: denied"),
            (&["cannot connect: refused", "refused"], "cannot connect: refused"),
            (&["there is no cgroup", "no"], "there is no cgroup: no"),
            (&["a: b: c", "b: c", "c", "d"], "a: b: c: d"),
        ] {
            assert_eq!(chain(&layers(texts)), line, "{texts:?}");
        }
    }
}
