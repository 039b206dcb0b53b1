//! What users are told where a part is not built, and that it is told nowhere else. It holds for every set of features;
//! `cargo xtask test` runs it with all and with none.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use npd_agent::feature::Feature;

const MONITOR: &str = "--config.system-log-monitor=/nowhere.json";
/// What everything but a wrong command line ends with.
const FATAL: i32 = 255;
/// What a wrong command line ends with.
const USAGE: i32 = 2;

fn run(program: &str, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_remove("RUST_LOG").env_remove("KUBERNETES_SERVICE_HOST").env("NODE_NAME", "node");
    command.output().expect("the program can be run")
}

fn agent(args: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_npd-agent"), args)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

fn refusal(feature: Feature) -> String {
    format!("this npd-agent was built without the feature `{feature}`")
}

#[test]
fn a_flag_is_refused_only_where_its_part_is_missing() {
    let off = "--enable-k8s-exporter=false";
    for (args, flag, feature) in [
        (&[off, "--config.system-stats-monitor=/x"][..], "--config.system-stats-monitor", Feature::SystemStats),
        (&[off, MONITOR, "--kernel-source=journald"], "--kernel-source=journald", Feature::Journald),
        (&[off, MONITOR, "--kernel-source=ebpf"], "--kernel-source=ebpf", Feature::Ebpf),
        (&["--enable-k8s-exporter", MONITOR], "--enable-k8s-exporter", Feature::Kubernetes),
        (&["--enable-k8s-exporter=true", MONITOR], "--enable-k8s-exporter", Feature::Kubernetes),
    ] {
        let output = agent(args);
        let (text, refused) = (text(&output), format!("{flag}: {}", refusal(feature)));
        assert_eq!(text.contains(&refused), !feature.is_built(), "{args:?}: {text}");
        // What is not refused gets as far as the file that is not there.
        assert_eq!(output.status.code(), Some(if feature.is_built() { FATAL } else { USAGE }), "{args:?}: {text}");
    }
}

#[test]
fn without_a_flag_the_exporter_is_on_where_it_is_built() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(folder.path(), r#"{"plugin": "kmsg", "source": "a-monitor", "rules": []}"#);
    let config = format!("--config.system-log-monitor={config}");
    let args = ["--prometheus-port=0", "--port=0", "--state-dir=", "--apiserver-override=", &config];
    let output = agent(&args);
    let (words, code) = if Feature::Kubernetes.is_built() {
        ("this is not a pod with a service account", USAGE)
    } else {
        ("No exporter is successfully setup", FATAL)
    };
    assert!(text(&output).contains(words), "{}", text(&output));
    assert_eq!(output.status.code(), Some(code));
}

#[test]
fn an_api_server_that_nobody_will_speak_to_is_told_of() {
    let output = agent(&[MONITOR, "--apiserver-override=http://127.0.0.1:1?inClusterConfig=false"]);
    let note = format!("Flag --apiserver-override has no effect: {}", refusal(Feature::Kubernetes));
    assert_eq!(text(&output).contains(&note), !Feature::Kubernetes.is_built(), "{}", text(&output));
}

#[test]
fn a_config_is_refused_where_it_stands_only_where_its_part_is_missing() {
    for (config, place, needs) in [
        (r#"{"plugin": "custom"}"#, ":1:12: /plugin: ", &[Feature::CustomPlugin][..]),
        (r#"{"plugin": "health"}"#, ":1:12: /plugin: ", &[Feature::CustomPlugin, Feature::HealthChecks]),
        (r#"{"cpu": {}}"#, ":1:1: ", &[Feature::SystemStats]),
        (
            r#"{"plugin": "journald", "pluginConfig": {"source": "x"}, "source": "a", "rules": []}"#,
            ":1:12: /plugin: ",
            &[Feature::Journald],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), config);
        let output = agent(&["check-config", &path]);
        let text = text(&output);
        match needs.iter().find(|feature| !feature.is_built()) {
            Some(missing) => {
                let error = format!("error: {path}{place}{}\n1 files, 1 errors, 0 warnings\n", refusal(*missing));
                assert_eq!((&*text, output.status.code()), (&*error, Some(1)));
            }
            None => assert!(output.status.success() && text.ends_with("1 files, 0 errors, 0 warnings\n"), "{text}"),
        }
    }
}

/// With probes it would load them; what it says then is looked at where the kernel's tests are.
#[test]
#[cfg(not(feature = "ebpf"))]
fn the_table_of_what_a_node_gives_ends_with_what_the_build_has() {
    let built: Vec<_> = Feature::ALL.into_iter().filter(|part| part.is_built()).map(Feature::as_str).collect();
    let built = if built.is_empty() { "none of the optional features".to_owned() } else { built.join(", ") };
    let text = text(&agent(&["features"]));
    assert!(text.ends_with(&format!("\nbuilt with: {built}\n")), "{text}");
    assert!(text.contains(&refusal(Feature::Ebpf)), "{text}");
}

#[test]
fn log_counter_counts_without_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let (log, path) = (write(folder.path(), "one\ntwo\n"), folder.path().to_str().unwrap());
    let count = |args: &[&str]| {
        let output = run(env!("CARGO_BIN_EXE_log-counter"), args);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let lines = count(&["--source=file", "--log-path", &log, "--count=2"]);
    assert_eq!(lines, (Some(1), "Found 2 matching logs, which meets the threshold of 2\n".to_owned()));
    let entries = count(&["--source=journald", "--journald-source=x", "--log-path", path]);
    if Feature::Journald.is_built() {
        assert_eq!(entries, (Some(0), String::new()));
    } else {
        let error = format!(
            "--source=journald: {}; this build can read --source=kmsg and --source=file\n",
            refusal(Feature::Journald)
        );
        assert_eq!(entries, (Some(2), error));
    }
}

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("x.json");
    fs::write(&path, text).expect("a folder for files");
    path.to_str().expect("a path of ASCII").to_owned()
}
