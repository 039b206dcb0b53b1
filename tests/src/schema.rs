//! The JSON schemas of config files, for editors and pipelines, built from the agent's tables of keys.
//!
//! They are stricter than the agent in one way: keys must be spelt as documented, while the agent accepts them in any case.
//! And they know less: whether a pattern compiles and a condition is declared is reported by `npd-agent check-config`.

use std::collections::BTreeMap;

use npd_agent::{
    config::{
        custom_plugin::CUSTOM_PLUGIN,
        key::{Absent, Key, Object, Shape, Words},
        system_log::SYSTEM_LOG,
        system_stats::SYSTEM_STATS,
    },
    metric::{MetricId, Section},
};
use serde_json::{Map, Value, json};

/// The schema of a system log monitor's file.
#[must_use]
pub fn system_log_monitor() -> Value {
    root(&SYSTEM_LOG)
}

/// The schema of a custom plugin monitor's file.
#[must_use]
pub fn custom_plugin_monitor() -> Value {
    root(&CUSTOM_PLUGIN)
}

/// The schema of a system stats monitor's file.
#[must_use]
pub fn system_stats_monitor() -> Value {
    root(&SYSTEM_STATS)
}

/// A schema as its file has it.
///
/// # Errors
///
/// When it cannot be written as JSON, which does not happen.
pub fn file(schema: &Value) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(schema)? + "\n")
}

/// The schemas of what a file's objects refer to, by name.
type Definitions = BTreeMap<&'static str, Value>;

fn root(object: &Object) -> Value {
    let mut definitions = Definitions::new();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(object.name));
    schema.append(&mut members(object, &mut definitions));
    schema.insert("$defs".to_owned(), json!(definitions));
    Value::Object(schema)
}

fn members(object: &Object, definitions: &mut Definitions) -> Map<String, Value> {
    let properties: BTreeMap<_, _> = object.keys.iter().map(|key| (key.name, property(key, definitions))).collect();
    let required: Vec<_> = object.keys.iter().filter(|key| is_required(key)).map(|key| key.name).collect();
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(sentence(object.help)));
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), json!(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), json!(required));
    }
    schema
}

/// What the agent refuses when it is absent, it also refuses as null.
fn is_required(key: &Key) -> bool {
    matches!(key.absent, Absent::Refused)
}

fn property(key: &Key, definitions: &mut Definitions) -> Value {
    let mut schema = Map::new();
    schema.insert("description".to_owned(), json!(description(key)));
    schema.append(&mut shape(&key.shape, is_required(key), definitions));
    Value::Object(schema)
}

fn description(key: &Key) -> String {
    let duration = if matches!(key.shape, Shape::Duration { .. }) { ": a Go duration" } else { "" };
    let default = match key.absent {
        Absent::Integer(_) | Absent::Duration(_) => format!(" Default: {}.", key.absent).replace(['`', '"'], ""),
        _ => String::new(),
    };
    format!("{}{duration}.{default}", key.help)
}

fn sentence(help: &str) -> String {
    format!("{help}.")
}

/// The members of a schema that describe a value. An optional value may be null.
fn shape(shape: &Shape, required: bool, definitions: &mut Definitions) -> Map<String, Value> {
    let simple = |name: &str| if required { json!(name) } else { json!([name, "null"]) };
    let schema = match shape {
        Shape::Flag => json!({"type": simple("boolean")}),
        Shape::Integer { least, most } => {
            json!({"type": simple("integer"), "format": "uint32", "maximum": most, "minimum": least})
        }
        Shape::Number => json!({"type": simple("number"), "format": "double"}),
        Shape::Text { least, most } => {
            let mut schema = json!({"type": simple("string")});
            if let Some(most) = most {
                schema["maxLength"] = json!(most);
            }
            if *least > 0 {
                schema["minLength"] = json!(least);
            }
            schema
        }
        Shape::Duration { .. } => json!({"type": simple("string")}),
        Shape::Texts { most } => {
            let mut schema = json!({"type": simple("array"), "items": {"type": "string"}});
            if let Some(most) = most {
                schema["maxItems"] = json!(most);
            }
            schema
        }
        Shape::TextMap => json!({"type": simple("object"), "additionalProperties": {"type": "string"}}),
        Shape::Word(words) => {
            definitions.insert(words.name, choice(words));
            reference(words.name, required)
        }
        Shape::Object(object) => reference(define(object, definitions), required),
        Shape::Objects(object) => {
            json!({"type": simple("array"), "items": reference(define(object, definitions), true)})
        }
        Shape::OneOrMore { name, object } => {
            let one = reference(define(object, definitions), true);
            definitions.insert(name, json!({"anyOf": [one, {"type": "array", "items": one}]}));
            reference(name, required)
        }
        Shape::Metrics(object) => {
            // An editor offers all ids; which of them belongs to which section is checked by check-config.
            let ids: Vec<_> = Section::ALL.iter().flat_map(|s| MetricId::of(*s)).map(|id| id.metric().id).collect();
            json!({
                "type": simple("object"),
                "additionalProperties": reference(define(object, definitions), true),
                "propertyNames": {"enum": ids},
            })
        }
    };
    match schema {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn define(object: &Object, definitions: &mut Definitions) -> &'static str {
    let schema = Value::Object(members(object, definitions));
    definitions.insert(object.name, schema);
    object.name
}

fn reference(name: &str, required: bool) -> Value {
    let reference = json!({"$ref": format!("#/$defs/{name}")});
    if required { reference } else { json!({"anyOf": [reference, {"type": "null"}]}) }
}

fn choice(words: &Words) -> Value {
    let word = |&(word, help): &(&str, &str)| json!({"description": sentence(help), "type": "string", "const": word});
    json!({"oneOf": words.words.iter().map(word).collect::<Vec<_>>()})
}
