use proptest::prelude::*;

use super::*;
use crate::go::json;

/// One field of each type.
#[derive(Default)]
struct Sample<'d> {
    source: Field<'d, &'d str>,
    size: Field<'d, i64>,
    on: Field<'d, bool>,
    maybe: Optional<'d, bool>,
    names: List<'d, Field<'d, &'d str>>,
    rules: List<'d, Pair<'d>>,
    map: Map<'d>,
}

#[derive(Default)]
struct Pair<'d> {
    a: Field<'d, &'d str>,
    b: Field<'d, &'d str>,
}

impl<'d> Decode<'d> for Sample<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        let keys = &["source", "size", "on", "maybe", "names", "rules", "map"];
        object(value, keys, findings, |key, value, findings| match key {
            "source" => self.source.decode(value, findings),
            "size" => self.size.decode(value, findings),
            "on" => self.on.decode(value, findings),
            "maybe" => self.maybe.decode(value, findings),
            "names" => self.names.decode(value, findings),
            "rules" => self.rules.decode(value, findings),
            _ => self.map.decode(value, findings),
        })
    }
}

impl<'d> Decode<'d> for Pair<'d> {
    fn decode(&mut self, value: Value<'d>, findings: &mut Findings) -> bool {
        object(value, &["a", "b"], findings, |key, value, findings| match key {
            "a" => self.a.decode(value, findings),
            _ => self.b.decode(value, findings),
        })
    }
}

/// What is not zero after decoding, or the errors without their places.
fn decode(text: impl AsRef<[u8]>) -> String {
    let document = json::parse(text.as_ref()).unwrap();
    let (mut sample, mut findings) = (Sample::default(), Findings::default());
    sample.decode(document.root(), &mut findings);
    let (errors, _) = findings.finish("f".as_ref());
    if !errors.is_empty() {
        return errors.iter().map(|error| error.problem.to_string()).collect::<Vec<_>>().join(" | ");
    }
    let mut shown = Vec::new();
    shown.extend(sample.source.get().filter(|s| !s.is_empty()).map(|s| format!("source={s}")));
    shown.extend(sample.size.get().filter(|n| *n != 0).map(|n| format!("size={n}")));
    shown.extend(sample.on.get().filter(|on| *on).map(|_| "on".to_owned()));
    if let Field::Present { value, .. } = sample.maybe.0 {
        shown.push(format!("maybe={value}"));
    }
    let names: Vec<_> = sample.names.elements().iter().map(|name| name.value.get().unwrap()).collect();
    if !names.is_empty() {
        shown.push(format!("names={}", names.join(",")));
    }
    let pair = |pair: &Element<'_, Pair<'_>>| {
        let null = if pair.null { "null" } else { "" };
        format!("{null}{}/{}", pair.value.a.get().unwrap(), pair.value.b.get().unwrap())
    };
    let rules: Vec<_> = sample.rules.elements().iter().map(pair).collect();
    if !rules.is_empty() {
        shown.push(format!("rules={}", rules.join(",")));
    }
    let mut map: Vec<_> = sample.map.entries.iter().map(|(key, (value, _))| format!("{key}:{value}")).collect();
    map.sort_unstable();
    if !map.is_empty() {
        shown.push(format!("map={}", map.join(",")));
    }
    shown.join(" ")
}

fn table(rows: &[(&str, &str)]) {
    for (text, shown) in rows {
        assert_eq!(decode(text), *shown, "{text}");
    }
}

#[test]
fn keys_are_found_whatever_their_case() {
    table(&[
        (r#"{"source":"x"}"#, "source=x"),
        (r#"{"SOURCE":"x"}"#, "source=x"),
        (r#"{"sOuRcE":"x"}"#, "source=x"),
        ("{\"\u{17f}ource\":\"x\"}", "source=x"),
        (r#"{"rule\u017f":[{"a":"1"}]}"#, "rules=1/"),
        (r#"{"source ":"x"}"#, ""),
        (r#"{"sóurce":"x"}"#, ""),
        (r#"{"\u0053ource":"x"}"#, "source=x"),
        (r#"{"source\u0000":"x"}"#, ""),
        (r#"{"sour\ud800ce":"x"}"#, ""),
        // Map keys are data.
        (r#"{"map":{"A":"1","a":"2"}}"#, "map=A:1,a:2"),
    ]);
    assert!(folds_to("\u{212a}\u{17f}", "ks"));
    assert!(!folds_to("s", "ss") && !folds_to("ss", "s") && !folds_to("ı", "i") && !folds_to("İ", "i"));
}

#[test]
fn null_leaves_a_scalar_and_empties_a_container() {
    table(&[
        ("null", ""),
        ("{}", ""),
        (r#"{"source":null,"size":null,"on":null,"maybe":null,"names":null,"rules":null,"map":null}"#, ""),
        (r#"{"source":"x","source":null}"#, "source=x"),
        (r#"{"size":5,"size":null,"on":true,"on":null}"#, "size=5 on"),
        (r#"{"maybe":true,"maybe":null}"#, ""),
        (r#"{"maybe":null,"maybe":false}"#, "maybe=false"),
        (r#"{"names":["a"],"names":null}"#, ""),
        (r#"{"map":{"a":"1"},"map":null}"#, ""),
        (r#"{"names":[null,"b"]}"#, "names=,b"),
        (r#"{"map":{"a":null}}"#, "map=a:"),
        (r#"{"map":{"a":"1","a":null}}"#, "map=a:"),
        (r#"{"rules":[null]}"#, "rules=null/"),
        (r#"{"rules":[{}]}"#, "rules=/"),
        (r#"{"rules":[{"a":"1","a":null,"b":"2"}]}"#, "rules=1/2"),
        (r#"{"map":{"a":null,"b":"1"}}"#, "map=a:,b:1"),
        (r#"{"maybe":true,"maybe":null,"MAYBE":false}"#, "maybe=false"),
        (r#"{"size":1,"size":null,"\u017fIZE":2}"#, "size=2"),
    ]);
}

#[test]
fn of_duplicate_scalars_the_last_counts() {
    table(&[
        (r#"{"source":"x","source":"y"}"#, "source=y"),
        (r#"{"source":"x","SOURCE":"y"}"#, "source=y"),
        (r#"{"on":true,"on":false,"size":1,"size":0}"#, ""),
        (r#"{"map":{"a":"1","a":"2"}}"#, "map=a:2"),
    ]);
}

#[test]
fn duplicate_containers_merge() {
    table(&[
        (r#"{"map":{"a":"1","b":"2"},"map":{"b":"3","c":"4"}}"#, "map=a:1,b:3,c:4"),
        (r#"{"names":["a","b"],"names":["c"]}"#, "names=c"),
        (r#"{"names":["a","b"],"names":[null,null]}"#, "names=a,b"),
        (r#"{"rules":[{"a":"1","b":"2"}],"rules":[{"b":"3"},{"a":"4"}]}"#, "rules=1/3,4/"),
        (r#"{"rules":[{"a":"1"}],"rules":[null]}"#, "rules=1/"),
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[{"b":"3"}]}"#, "rules=1/3"),
        (r#"{"rules":[{"a":"1"}],"RULES":[{"A":"2"}]}"#, "rules=2/"),
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[null,{"b":"3"}]}"#, "rules=1/,2/3"),
        (r#"{"map":{"a":"1"},"map":{},"MAP":{"b":"2"}}"#, "map=a:1,b:2"),
        (r#"{"map":{"a":"1"},"map":null,"map":{"b":"2"}}"#, "map=b:2"),
        // A slice that was cut finds its old elements when it grows again …
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[{}],"rules":[{},{"b":"3"}]}"#, "rules=1/,2/3"),
        (r#"{"names":["a","b","c"],"names":["x"],"names":[null,null,null]}"#, "names=x,b,c"),
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[{"b":"3"}],"rules":[null,null,{"b":"4"}]}"#, "rules=1/3,2/,/4"),
        // … but not after it was emptied.
        (r#"{"names":["a","b"],"names":[],"names":[null]}"#, "names="),
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[],"rules":[{},{}]}"#, "rules=/,/"),
        (r#"{"rules":[{"a":"1"}],"rules":[],"rules":[{"b":"2"}]}"#, "rules=/2"),
        (r#"{"rules":[{"a":"1"}],"rules":null,"rules":[{"b":"2"}]}"#, "rules=/2"),
    ]);
}

#[test]
fn integers_are_read_by_their_spelling() {
    let refused = "is not an integer, allowed: 64-bit integers without fraction or exponent";
    for spelling in ["10.0", "1e1", "1E2", "0e0", "-0.0", "1.5", "9223372036854775808", "-9223372036854775809"] {
        assert_eq!(decode(format!("{{\"size\":{spelling}}}")), format!("{spelling} {refused}"));
    }
    table(&[
        (r#"{"size":10}"#, "size=10"),
        (r#"{"size":-3}"#, "size=-3"),
        (r#"{"size":-0}"#, ""),
        (r#"{"size":9223372036854775807}"#, "size=9223372036854775807"),
        (r#"{"size":-9223372036854775808}"#, "size=-9223372036854775808"),
        (r#"{"size":"10"}"#, r#"is the string "10", must be an integer (without quotes)"#),
    ]);
}

#[test]
fn a_wrong_type_is_an_error_and_no_duplicate_heals_it() {
    table(&[
        ("[]", "is an array, must be an object"),
        ("1", "is the number 1, must be an object"),
        (r#"{"source":1}"#, "is the number 1, must be a string"),
        (r#"{"source":[]}"#, "is an array, must be a string"),
        (r#"{"source":{}}"#, "is an object, must be a string"),
        (r#"{"source":true,"source":"x"}"#, "is true, must be a string"),
        (r#"{"source":"x","source":true}"#, "is true, must be a string"),
        (r#"{"maybe":1,"maybe":null}"#, "is the number 1, must be true or false (without quotes)"),
        (r#"{"on":"true"}"#, r#"is the string "true", must be true or false (without quotes)"#),
        (r#"{"on":1}"#, "is the number 1, must be true or false (without quotes)"),
        (r#"{"names":"a"}"#, r#"is the string "a", must be an array"#),
        (r#"{"names":{}}"#, "is an object, must be an array"),
        (r#"{"names":"a","names":["a"]}"#, r#"is the string "a", must be an array"#),
        (r#"{"names":["a",1,"b",2]}"#, "is the number 1, must be a string | is the number 2, must be a string"),
        (r#"{"names":1,"names":null}"#, "is the number 1, must be an array"),
        (r#"{"size":"1","size":1}"#, r#"is the string "1", must be an integer (without quotes)"#),
        (r#"{"size":true}"#, "is true, must be an integer (without quotes)"),
        (r#"{"names":[["a"]]}"#, "is an array, must be a string"),
        (r#"{"rules":["a"]}"#, r#"is the string "a", must be an object"#),
        (r#"{"rules":[[]]}"#, "is an array, must be an object"),
        (r#"{"rules":{"a":"1"}}"#, "is an object, must be an array"),
        (r#"{"rules":[{"a":1}],"rules":[{"a":"1"}]}"#, "is the number 1, must be a string"),
        (r#"{"rules":[{"a":1}],"rules":null}"#, "is the number 1, must be a string"),
        (r#"{"map":[]}"#, "is an array, must be an object of strings"),
        (r#"{"map":[],"map":{}}"#, "is an array, must be an object of strings"),
        (r#"{"map":{"a":{"b":"c"}}}"#, "is an object, must be a string"),
        (r#"{"map":{"a":1,"b":"2","c":[]}}"#, "is the number 1, must be a string | is an array, must be a string"),
    ]);
}

#[test]
fn text_is_not_expanded_and_no_other_file_is_included() {
    table(&[
        (r#"{"source":"${HOME} $X {{.Y}} $(id) %s"}"#, "source=${HOME} $X {{.Y}} $(id) %s"),
        (r#"{"include":"other.json","$ref":"x","extends":["y"],"source":"z"}"#, "source=z"),
        (r#"{"x":{"source":"y"},"":"x","source":"z"}"#, "source=z"),
    ]);
}

#[test]
fn what_is_no_unicode_becomes_replacement_characters() {
    table(&[
        (r#"{"map":{"\ud83d":"1","\ude00":"2"}}"#, "map=\u{fffd}:2"),
        (r#"{"map":{"a":"\ud83d\ude00\ud83d"}}"#, "map=a:😀\u{fffd}"),
    ]);
    assert_eq!(decode(b"{\"source\":\"a\xffb\xe2\x82\"}"), "source=a\u{fffd}b\u{fffd}\u{fffd}");
    assert_eq!(decode(b"{\"sour\xffce\":\"a\"}"), "");
}

#[test]
fn a_typo_is_distinguished_from_an_unrelated_key() {
    let keys = &["lookback", "bufferSize", "source", "conditions", "rules", "metricsReporting", "type"];
    for (key, meant) in [
        ("lookBck", Some("lookback")),
        ("loobkack", Some("lookback")),
        ("buffer_size", Some("bufferSize")),
        ("buffer-size", Some("bufferSize")),
        ("bufferSzie", Some("bufferSize")),
        ("sources", Some("source")),
        ("condition", Some("conditions")),
        ("rule", Some("rules")),
        ("metricReporting", Some("metricsReporting")),
        ("typ", Some("type")),
        ("tpe", Some("type")),
        ("kind", None),
        ("lookbackseconds", None),
        ("path", None),
        ("", None),
    ] {
        assert_eq!(nearest(key, keys), meant, "{key}");
    }
    assert_eq!(nearest(&"x".repeat(1_000_000), keys), None);
}

#[test]
fn remarks_are_not_unknown_keys() {
    for key in ["_comment", "//", "#", "$schema", "", "comment", "Description", "1"] {
        assert!(is_remark(key), "{key}");
    }
    assert!(!is_remark("lookBck") && !is_remark("é"));
}

/// A member that may be a duplicate or null, and seldom of the wrong type.
fn member() -> impl Strategy<Value = String> {
    let any_of = |values: &[&'static str]| prop::sample::select(values.to_vec()).prop_map(str::to_owned).boxed();
    let list = |inner: BoxedStrategy<String>| {
        prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))).boxed()
    };
    let named = |keys: &[&'static str], value: BoxedStrategy<String>| {
        (any_of(keys), value).prop_map(|(key, value)| format!("\"{key}\":{value}")).boxed()
    };
    let object = |keys: &[&'static str], value: BoxedStrategy<String>| {
        let members = prop::collection::vec(named(keys, value), 0..4);
        members.prop_map(|members| format!("{{{}}}", members.join(","))).boxed()
    };
    let or_null = |value: BoxedStrategy<String>| prop_oneof![5 => value, 1 => Just("null".to_owned())].boxed();
    let string = any_of(&["null", r#""x""#, r#""y""#, r#""""#, r#""\ud800""#]);
    let pair = or_null(object(&["a", "b", "A", "c"], string.clone()));
    prop_oneof![
        3 => named(&["source", "SOURCE", "\u{17f}ource"], string.clone()),
        3 => named(&["size"], any_of(&["null", "0", "-0", "7"])),
        3 => named(&["on", "maybe", "MAYBE"], any_of(&["null", "true", "false"])),
        3 => named(&["names"], or_null(list(string.clone()))),
        6 => named(&["rules", "Rules", "rule\\u017f"], or_null(list(pair))),
        3 => named(&["map"], or_null(object(&["a", "A"], string.clone()))),
        1 => named(&["x", "source", "size", "names", "rules", "map"], any_of(&["{}", "[]", "[1]", "1.5", "true"])),
    ]
}

/// Whether [`decode`] gave errors.
fn refused(shown: &str) -> bool {
    shown.contains(" must be ") || shown.contains(" is not an integer")
}

proptest! {
    #[test]
    fn members_given_once_more_change_nothing(members in prop::collection::vec(member(), 0..8)) {
        let once = decode(format!("{{{}}}", members.join(",")));
        let twice = decode(format!("{{{}}}", [members.clone(), members].concat().join(",")));
        if refused(&once) {
            prop_assert!(refused(&twice));
        } else {
            prop_assert_eq!(twice, once);
        }
    }

    #[test]
    fn a_later_scalar_wins_and_a_later_null_does_not(members in prop::collection::vec(member(), 0..8)) {
        let last = [members.clone(), vec![r#""source":"last","SOURCE":null"#.to_owned()]].concat();
        let shown = decode(format!("{{{}}}", last.join(",")));
        if refused(&decode(format!("{{{}}}", members.join(",")))) {
            prop_assert!(refused(&shown));
        } else {
            prop_assert!(shown == "source=last" || shown.starts_with("source=last "), "{}", shown);
        }
    }
}
