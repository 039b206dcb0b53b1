use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

/// The value as compact JSON with all strings in Rust's debug spelling, duplicates included.
fn show(value: Value<'_>) -> String {
    let list = |items: Vec<String>| items.join(",");
    match value.kind() {
        Kind::Null => "null".to_owned(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(spelling) => spelling.to_owned(),
        Kind::String(text) => format!("{text:?}"),
        Kind::Array => format!("[{}]", list(value.elements().map(show).collect())),
        Kind::Object => {
            format!("{{{}}}", list(value.members().map(|m| format!("{:?}:{}", m.key, show(m.value))).collect()))
        }
    }
}

fn read(text: impl AsRef<[u8]>) -> String {
    parse(text.as_ref()).map_or_else(|error| format!("{}: {error}", error.position), |d| show(d.root()))
}

#[test]
fn values_are_read_in_their_order() {
    for (text, shown) in [
        ("null", "null"),
        (" \t\r\ntrue\n", "true"),
        ("[]", "[]"),
        ("[ ]", "[]"),
        ("{ }", "{}"),
        ("[1,[2,[]],{}]", "[1,[2,[]],{}]"),
        (r#"{"a":1,"b":{"c":[false]},"a":null}"#, r#"{"a":1,"b":{"c":[false]},"a":null}"#),
        (r#"{"":"" , "A" : [ "x" , "y" ]}"#, r#"{"":"","A":["x","y"]}"#),
        ("[0,-0,10.0,1e1,1E+5,-1.25e-7]", "[0,-0,10.0,1e1,1E+5,-1.25e-7]"),
        (r#""\"\\\/\b\f\n\r\t\u00e9\u00E9""#, r#""\"\\/\u{8}\u{c}\n\r\téé""#),
        ("\"\u{7f}é\u{1f600}\"", "\"\\u{7f}é\u{1f600}\""),
    ] {
        assert_eq!(read(text), shown, "{text}");
    }
}

#[test]
fn surrogates_without_a_partner_become_replacement_characters() {
    for (text, shown) in [
        (r#""\ud83d\ude00""#, "\"\u{1f600}\""),
        (r#""\uD83D\uDE00!""#, "\"\u{1f600}!\""),
        (r#""\ud83d""#, "\"\u{fffd}\""),
        (r#""\ud83dx""#, "\"\u{fffd}x\""),
        (r#""\ud83d\n""#, "\"\u{fffd}\\n\""),
        (r#""\ud83d\u0041""#, "\"\u{fffd}A\""),
        (r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}\u{1f600}\""),
        (r#""\ude00\ud83d""#, "\"\u{fffd}\u{fffd}\""),
        (r#"{"\ud800":1}"#, "{\"\u{fffd}\":1}"),
    ] {
        assert_eq!(read(text), shown, "{text}");
    }
}

#[test]
fn every_byte_of_invalid_utf8_becomes_a_replacement_character() {
    for (bytes, count) in [
        (b"\"\xff\"".as_slice(), 1),
        (b"\"\xe2\x82\"", 2),
        (b"\"\xf0\x9f\x98\"", 3),
        // A surrogate in UTF-8, and one more byte than a character can have.
        (b"\"\xed\xa0\x80\"", 3),
        (b"\"\xc0\xaf\"", 2),
    ] {
        assert_eq!(read(bytes), format!("{:?}", "\u{fffd}".repeat(count)), "{bytes:?}");
    }
}

#[test]
fn syntax_errors_have_gos_words_and_their_place() {
    for (text, error) in [
        ("", "1:1: unexpected end of JSON input"),
        (" \n ", "2:2: unexpected end of JSON input"),
        ("{", "1:2: unexpected end of JSON input"),
        ("{\"a\": tr", "1:9: unexpected end of JSON input"),
        ("\"a", "1:3: unexpected end of JSON input"),
        ("nul!", "1:4: invalid character '!' in literal null (expecting 'l')"),
        ("trie", "1:3: invalid character 'i' in literal true (expecting 'u')"),
        ("True", "1:1: invalid character 'T' looking for beginning of value"),
        ("[1 2]", "1:4: invalid character '2' after array element"),
        ("[,1]", "1:2: invalid character ',' looking for beginning of value"),
        ("[1}", "1:3: invalid character '}' after array element"),
        ("{1:2}", "1:2: invalid character '1' looking for beginning of object key string"),
        ("{\"a\" 1}", "1:6: invalid character '1' after object key"),
        ("{\"a\":1 \"b\"}", "1:8: invalid character '\"' after object key:value pair"),
        ("{\"a\":}", "1:6: invalid character '}' looking for beginning of value"),
        ("{} {}", "1:4: invalid character '{' after top-level value"),
        ("01", "1:2: invalid character '1' after top-level value"),
        ("-x", "1:2: invalid character 'x' in numeric literal"),
        ("+1", "1:1: invalid character '+' looking for beginning of value"),
        (".5", "1:1: invalid character '.' looking for beginning of value"),
        ("1.x", "1:3: invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "1:3: invalid character 'x' in exponent of numeric literal"),
        ("1e+x", "1:4: invalid character 'x' in exponent of numeric literal"),
        ("\"\\x\"", "1:3: invalid character 'x' in string escape code"),
        ("\"\\'\"", "1:3: invalid character '\\'' in string escape code; JSON strings stand in double quotes"),
        ("\"\\u12g4\"", "1:6: invalid character 'g' in \\u hexadecimal character escape"),
        ("\"a\nb\"", "1:3: invalid character '\\n' in string literal"),
        ("\"a\u{1}\"", "1:3: invalid character '\\x01' in string literal"),
        ("\n\n  é", "3:3: invalid character 'Ã' looking for beginning of value"),
        ("[\"äöü\", x]", "1:9: invalid character 'x' looking for beginning of value"),
        ("\u{a0}1", "1:1: invalid character 'Â' looking for beginning of value"),
        ("\\", "1:1: invalid character '\\\\' looking for beginning of value"),
        ("NaN", "1:1: invalid character 'N' looking for beginning of value"),
        // YAML.
        ("plugin: kmsg", "1:1: invalid character 'p' looking for beginning of value"),
        ("---\nplugin: kmsg", "1:2: invalid character '-' in numeric literal"),
        ("{plugin: \"kmsg\"}", "1:2: invalid character 'p' looking for beginning of object key string"),
        ("{\"a\":1}\n---\n{}", "2:1: invalid character '-' after top-level value"),
        ("{} null", "1:4: invalid character 'n' after top-level value"),
        ("{}\0", "1:3: invalid character '\\x00' after top-level value"),
        ("[1]x", "1:4: invalid character 'x' after top-level value"),
        // Go speaks of a blank where these end.
        ("nul", "1:4: unexpected end of JSON input"),
        ("-", "1:2: unexpected end of JSON input"),
        ("1.", "1:3: unexpected end of JSON input"),
        ("1e", "1:3: unexpected end of JSON input"),
        ("\"\\", "1:3: unexpected end of JSON input"),
        ("\"\\u00", "1:6: unexpected end of JSON input"),
        (
            "\u{feff}{}",
            "1:1: invalid character 'ï' looking for beginning of value; \
             the file starts with a byte order mark, which JSON does not allow",
        ),
        ("// x", "1:1: invalid character '/' looking for beginning of value; JSON has no comments"),
        ("{} # x", "1:4: invalid character '#' after top-level value; JSON has no comments"),
        (
            "{\"a\":1,}",
            "1:8: invalid character '}' looking for beginning of object key string; \
             JSON allows no comma after the last one",
        ),
        (
            "[1,\n]",
            "2:1: invalid character ']' looking for beginning of value; JSON allows no comma after the last one",
        ),
        ("'a'", "1:1: invalid character '\\'' looking for beginning of value; JSON strings stand in double quotes"),
    ] {
        assert_eq!(read(text), error, "{text}");
    }
    assert_eq!(
        read(b"\xff\xfe{\0}\0"),
        "1:1: invalid character 'ÿ' looking for beginning of value; the file seems to be UTF-16, JSON is UTF-8"
    );
    assert_eq!(read(b"\x80"), "1:1: invalid character '\\u0080' looking for beginning of value");
}

#[test]
fn a_value_knows_its_place_and_pointer() {
    let text = "{\n  \"rules\": [ {},\n\t{\"a/b~c\": \"ä\", \"é\": true}],\n  \"\": null }";
    let document = parse(text.as_bytes()).unwrap();
    let mut shown = String::new();
    let mut rest = vec![document.root()];
    while let Some(value) = rest.pop() {
        writeln!(shown, "{value:?} {}", value.pointer()).unwrap();
        let mut inside: Vec<_> = value.elements().chain(value.members().map(|m| m.value)).collect();
        inside.reverse();
        rest.extend(inside);
    }
    let expected = [
        "Object at 1:1 ",
        "Array at 2:12 /rules",
        "Object at 2:14 /rules/0",
        "Object at 3:2 /rules/1",
        "String(\"ä\") at 3:12 /rules/1/a~1b~0c",
        "Bool(true) at 3:22 /rules/1/é",
        "Null at 4:7 /",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    let keys: Vec<_> = document.root().members().map(|m| (m.key, m.position.to_string())).collect();
    assert_eq!(keys, [("rules", "2:3".to_owned()), ("", "4:3".to_owned())]);
}

#[test]
fn spelling_is_what_the_text_says() {
    let document = parse(br#"["\u0041", 1.0 ]"#).unwrap();
    let spellings: Vec<_> = document.root().elements().map(Value::spelling).collect();
    assert_eq!(spellings, [br#""\u0041""#.as_slice(), b"1.0"]);
}

/// On a stack that the main thread of no program goes below: reading, walking and dropping must not recurse.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(64 << 10).spawn(test).unwrap().join().unwrap();
}

#[test]
fn nesting_ends_at_ten_thousand_levels() {
    on_a_small_stack(|| {
        let nested = |open: &str, close: &str, depth: usize| [open.repeat(depth), close.repeat(depth)].concat();
        for depth in [1, 9_998, 10_000] {
            assert!(parse(nested("[", "]", depth).as_bytes()).is_ok(), "{depth}");
        }
        let document = nested("{\"a\":[", "]}", 5_000);
        let document = parse(document.as_bytes()).unwrap();
        let mut value = document.root();
        while let Some(inner) = value.elements().chain(value.members().map(|m| m.value)).next() {
            value = inner;
        }
        assert_eq!(value.pointer(), "/a/0".repeat(5_000).strip_suffix("/0").unwrap());
        assert_eq!(read(nested("[", "]", 10_001)), "1:10001: exceeded max depth of 10000 levels");
        assert_eq!(read("[".repeat(1_000_000)), "1:10001: exceeded max depth of 10000 levels");
    });
}

#[test]
fn the_number_of_values_is_bounded() {
    let of = |count: usize| format!("[{}0]", "0,".repeat(count - 2));
    assert!(parse(of(MAX_VALUES).as_bytes()).is_ok());
    assert_eq!(read(of(MAX_VALUES + 1)), format!("1:{}: more than {MAX_VALUES} values", 2 * MAX_VALUES));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let number = prop_oneof![
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        number,
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::from),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn to_serde(value: Value<'_>) -> serde_json::Value {
    match value.kind() {
        Kind::Null => serde_json::Value::Null,
        Kind::Bool(value) => value.into(),
        Kind::Number(spelling) => to_number(spelling),
        Kind::String(text) => text.into(),
        Kind::Array => value.elements().map(to_serde).collect::<Vec<_>>().into(),
        Kind::Object => value.members().map(|m| (m.key.to_owned(), to_serde(m.value))).collect(),
    }
}

/// Not `serde_json`'s own reading, which is not exact for all floats.
fn to_number(spelling: &str) -> serde_json::Value {
    let signed = spelling.parse::<i64>().map(serde_json::Value::from);
    let unsigned = signed.or_else(|_| spelling.parse::<u64>().map(serde_json::Value::from));
    unsigned.unwrap_or_else(|_| spelling.parse::<f64>().unwrap().into())
}

/// Bytes that are nearly JSON.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "null", "true", "fals", "-", "0", "1", ".", "e", "+",
        " ", "\n", "a", "é", "\u{feff}", "\"a\":",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat().into_bytes()),
        (any_json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
            let mut text = value.to_string().into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            text
        }),
    ]
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_back(value in any_json()) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let document = parse(text.as_bytes()).unwrap();
            prop_assert_eq!(&to_serde(document.root()), &value);
        }
    }

    #[test]
    fn no_bytes_panic_and_every_place_is_in_the_text(text in hostile()) {
        let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
        let inside = |position: Position| {
            lines.get(position.line as usize - 1).is_some_and(|line| position.column as usize <= line.len() + 1)
        };
        match parse(&text) {
            Ok(document) => {
                show(document.root());
                let mut rest = vec![document.root()];
                while let Some(value) = rest.pop() {
                    prop_assert!(inside(value.position()));
                    prop_assert!(!value.spelling().is_empty());
                    rest.extend(value.elements().chain(value.members().map(|m| m.value)));
                }
            }
            Err(error) => prop_assert!(inside(error.position), "{:?}", error),
        }
    }

    #[test]
    fn nothing_is_refused_that_serde_json_takes(text in hostile()) {
        // Not the other way round: it refuses lone surrogates, invalid UTF-8 and numbers beyond f64, Go does not.
        if parse(&text).is_err() {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&text).is_err());
        }
    }
}
