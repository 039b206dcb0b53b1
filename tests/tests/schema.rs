//! The JSON schemas in `config/schema/` are the code's, know the agent's keys, and take what is shipped.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use npd_agent::config::{
    MonitorKind, custom_plugin, guess,
    system_log::{CONDITION, RECHECK, RULE, SYSTEM_LOG, THRESHOLD},
    system_stats,
};
use npd_tests::{driver::binary::shipped_config, schema};
use serde_json::{Value, json};

fn keys(schema: &Value) -> Result<BTreeSet<String>> {
    let properties = schema["properties"].as_object().context("no properties")?;
    Ok(properties.keys().cloned().collect())
}

fn known(keys: &[&str]) -> BTreeSet<String> {
    keys.iter().map(|&key| key.to_owned()).collect()
}

#[test]
fn the_file_is_what_the_code_says() -> Result<()> {
    for (name, text) in [
        ("schema/custom-plugin-monitor.json", schema::file(&schema::custom_plugin_monitor())?),
        ("schema/system-log-monitor.json", schema::file(&schema::system_log_monitor())?),
        ("schema/system-stats-monitor.json", schema::file(&schema::system_stats_monitor())?),
    ] {
        let path = shipped_config(name);
        let found = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(found == text, "run `cargo xtask codegen` and commit {}", path.display());
    }
    Ok(())
}

#[test]
fn it_has_the_keys_that_the_agent_reads() -> Result<()> {
    let schema = schema::system_log_monitor();
    assert_eq!(keys(&schema)?, known(SYSTEM_LOG.names));
    for (name, expected) in
        [("Condition", &CONDITION), ("Rule", &RULE), ("Threshold", &THRESHOLD), ("Recheck", &RECHECK)]
    {
        assert_eq!(keys(&schema["$defs"][name])?, known(expected.names), "{name}");
    }
    let schema = schema::custom_plugin_monitor();
    assert_eq!(keys(&schema)?, known(custom_plugin::CUSTOM_PLUGIN.names));
    for (name, expected) in [("PluginConfig", &custom_plugin::SETTINGS), ("PluginRule", &custom_plugin::RULE)] {
        assert_eq!(keys(&schema["$defs"][name])?, known(expected.names), "{name}");
    }
    let schema = schema::system_stats_monitor();
    assert_eq!(keys(&schema)?, known(system_stats::SYSTEM_STATS.names));
    for (name, expected) in [
        ("Section", &system_stats::SECTION),
        ("DiskSection", &system_stats::DISK),
        ("OsFeatureSection", &system_stats::OS_FEATURE),
        ("NetSection", &system_stats::NET),
        ("MetricConfig", &system_stats::METRIC),
        ("Alert", &system_stats::ALERT),
    ] {
        assert_eq!(keys(&schema["$defs"][name])?, known(expected.names), "{name}");
    }
    Ok(())
}

#[test]
fn shipped_files_pass_and_broken_ones_do_not() -> Result<()> {
    let validator = jsonschema::validator_for(&schema::system_log_monitor())?;
    let plugins = jsonschema::validator_for(&schema::custom_plugin_monitor())?;
    let stats = jsonschema::validator_for(&schema::system_stats_monitor())?;
    let mut files = 0;
    for entry in fs::read_dir(shipped_config("")).context("cannot list config/")? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let config: Value = serde_json::from_slice(&fs::read(&path)?)?;
            let validator = match guess(&path) {
                MonitorKind::SystemLog => &validator,
                MonitorKind::CustomPlugin => &plugins,
                MonitorKind::SystemStats => &stats,
            };
            let errors: Vec<_> = validator.iter_errors(&config).map(|error| error.to_string()).collect();
            ensure!(errors.is_empty(), "{}: {errors:?}", path.display());
            files += 1;
        }
    }
    ensure!(files > 1, "there are no shipped files");
    let rule = |key: &str, value: Value| {
        let mut rule = json!({"type": "temporary", "reason": "R", "pattern": "x"});
        rule[key] = value;
        json!({"plugin": "kmsg", "rules": [rule]})
    };
    ensure!(validator.is_valid(&rule("message", json!("${dev}"))), "a good rule is refused");
    for broken in [
        json!({}),
        json!({"plugin": "syslog"}),
        json!({"plugin": "kmsg", "bufferSize": 1001}),
        rule("type", json!("sometimes")),
        rule("threshold", json!({"count": 1, "window": "1m"})),
        rule("threshold", json!({"count": 5})),
        rule("recheck", json!({"what": "weather"})),
        rule("by", json!("dev")),
    ] {
        ensure!(!validator.is_valid(&broken), "{broken} passes");
    }
    let plugin = |key: &str, value: Value| {
        let mut rule = json!({"type": "temporary", "reason": "R", "path": "/bin/true"});
        rule[key] = value;
        json!({"plugin": "custom", "rules": [rule]})
    };
    ensure!(plugins.is_valid(&plugin("args", json!(["-x"]))), "a good plugin is refused");
    for broken in [
        json!({"plugin": "kmsg"}),
        json!({"plugin": "custom", "pluginConfig": {"concurrency": 0}}),
        json!({"plugin": "custom", "pluginConfig": {"max_output_length": "80"}}),
        plugin("path", json!("")),
        plugin("args", json!("-x")),
        plugin("timeout", json!(3)),
    ] {
        ensure!(!plugins.is_valid(&broken), "{broken} passes");
    }
    let alert =
        |alert: Value| json!({"cpu": {"metricsConfigs": {"cpu/load_1m": {"displayName": "x", "alert": alert}}}});
    ensure!(stats.is_valid(&alert(json!({"above": 1, "type": "temporary", "reason": "R"}))), "a good alert is refused");
    for broken in [
        alert(json!({"above": "1", "type": "temporary", "reason": "R"})),
        alert(json!({"above": 1, "type": "temporary"})),
        json!({"cpu": {"metricsConfigs": {"cpu/load_2m": {"displayName": "x"}}}}),
        json!({"invokeInterval": 60}),
    ] {
        ensure!(!stats.is_valid(&broken), "{broken} passes");
    }
    Ok(())
}
