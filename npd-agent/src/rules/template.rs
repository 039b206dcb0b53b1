//! The message of a rule: text with placeholders for what was found, as in `disk ${dev} is failing`.
//!
//! `${name}` stands for a named group of the rule's pattern or for a field of the record, `$$` for a dollar sign; any
//! other dollar sign is an error, so that a slip shows when the file is checked and not in an alert at night.

use std::sync::Arc;

/// A message with places to be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(Arc<str>),
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the $ at byte {at} does not start a ${{name}}; write $$ for a dollar sign")]
pub struct TemplateError {
    /// Where in the text.
    pub at: usize,
}

// === impl Template ===

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let name = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let Some((name, after)) = name.filter(|(name, _)| is_name(name)) else {
                return Err(TemplateError { at: text.len() - after.len() - 1 });
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Name(name.into()));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The names in it, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Name(name) => Some(&**name),
        })
    }

    /// The message; a name that `value` does not know is left out.
    pub fn render<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Name(name) => value(name).unwrap_or_default(),
        });
        parts.collect()
    }
}

/// What Go accepts as the name of a group, in ASCII.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn render(text: &str) -> String {
        let value = |name: &str| match name {
            "dev" => Some("sda"),
            "n" => Some("7"),
            _ => None,
        };
        Template::parse(text).unwrap().render(value)
    }

    #[test]
    fn names_are_filled_and_unknown_ones_left_out() {
        assert_eq!(render("disk ${dev} has ${n} errors${x}."), "disk sda has 7 errors.");
        assert_eq!(render("$$${dev}$$"), "$sda$");
        assert_eq!(render(""), "");
        assert_eq!(Template::parse("${a}${b} ${a}").unwrap().names().collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    #[test]
    fn a_stray_dollar_sign_is_an_error_that_says_where() {
        for (text, at) in
            [("cost: 5$", 7), ("$dev", 0), ("a ${}", 2), ("a ${dev", 2), ("${a-b}", 0), ("$${a} $ {b}", 6)]
        {
            assert_eq!(Template::parse(text), Err(TemplateError { at }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_with_doubled_dollar_signs_is_itself(text in any::<String>()) {
            prop_assert_eq!(Template::parse(&text.replace('$', "$$")).unwrap().render(|_| None), text);
        }
    }
}
