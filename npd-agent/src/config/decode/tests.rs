use super::*;
use crate::config::json;

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
fn decode(text: &str) -> String {
    let document = json::parse(text.as_bytes()).unwrap();
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
        // A slice that was cut finds its old elements when it grows again …
        (r#"{"rules":[{"a":"1"},{"a":"2"}],"rules":[{}],"rules":[{},{"b":"3"}]}"#, "rules=1/,2/3"),
        // … but not after it was emptied.
        (r#"{"rules":[{"a":"1"}],"rules":[],"rules":[{"b":"2"}]}"#, "rules=/2"),
        (r#"{"rules":[{"a":"1"}],"rules":null,"rules":[{"b":"2"}]}"#, "rules=/2"),
    ]);
}

#[test]
fn integers_are_read_by_their_spelling() {
    let refused = "is no integer, allowed are digits without fraction and exponent that fit 64 bits";
    for spelling in ["10.0", "1e1", "1E2", "-0.0", "9223372036854775808", "-9223372036854775809"] {
        assert_eq!(decode(&format!("{{\"size\":{spelling}}}")), format!("{spelling} {refused}"));
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
        (r#"{"rules":["a"]}"#, r#"is the string "a", must be an object"#),
        (r#"{"map":[]}"#, "is an array, must be an object of strings"),
        (r#"{"map":{"a":1,"b":"2","c":[]}}"#, "is the number 1, must be a string | is an array, must be a string"),
    ]);
}

#[test]
fn a_typo_is_told_from_a_key_of_another_kind() {
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
