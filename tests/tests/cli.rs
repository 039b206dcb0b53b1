//! The command line and the config files as an operator meets them: flags, exit codes, error texts, and the metrics
//! page at the start. What starts an agent for real needs root; the rest runs anywhere.

use std::{
    net::TcpListener,
    process::{ExitCode, Output},
};

use anyhow::{Context, Result, bail, ensure};
use npd_tests::{
    driver::{
        agent::{Agent, Setup, free_port, metrics::get},
        monitor::Monitor,
        suite::{Suite, need},
    },
    host::kmsg,
};
use rustix::process::Signal;

/// A bad flag, as node-problem-detector ends.
const USAGE: i32 = 2;
/// Anything else that keeps the agent from starting, as node-problem-detector ends.
const FATAL: i32 = 255;

fn main() -> ExitCode {
    let mut suite = Suite::default();
    suite.test("--version prints one line and ends with 0", version);
    suite.test("--help names every flag and ends with 0", help);
    suite.test("every flag of node-problem-detector is taken", known_flags);
    suite.test("an unknown flag ends with 2 and is named", || refused(&["--bogus"], USAGE, &["--bogus"]));
    suite.test("a wrong value ends with 2, its flag and value named", wrong_values);
    suite.test("no config file at all ends with 2 and names the flag", no_config);
    suite.test("old and new flag together end with 2", old_and_new);
    suite.test("a config file that is not there ends with 255 and is named", missing_file);
    suite.test("broken JSON ends with 255 and is named with its line", broken_json);
    suite.test("wrong values in a config end with 255, each with its pointer", wrong_config_values);
    suite.test("all errors of all files are reported in one run", all_errors);
    suite.test("with --log-format=json the errors are JSON as well", errors_as_json);
    suite.test("no exporter ends with 255", no_exporter);
    suite.test("a metrics port in use ends with 255 and names the port", port_in_use);
    suite.test("one config path twice is a warning, and one monitor", config_twice);
    suite.test("several config paths in one flag, with commas, are several monitors", comma_list);
    suite.test("the old name of a flag works and says that it is old", old_flag);
    suite.test("keys in another case and unknown keys are taken", lenient_config);
    suite.test("metrics: at the start the problems are there with 0, exactly so", metrics_at_start);
    suite.test("metrics: every family has a help text, and only /metrics is served", metrics_page);
    suite.test("metrics: the version of the agent is in npd_build_info", build_info);
    suite.test("--prometheus-address is obeyed", prometheus_address);
    suite.run()
}

/// Runs an agent that ends by itself.
fn run(arguments: &[&str]) -> Result<Output> {
    Setup::bare()?.args(arguments.iter().copied()).output()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The agent ends with this code, names all of these on stderr, and does not panic.
fn expect_refusal(output: &Output, code: i32, names: &[&str]) -> Result<()> {
    let text = stderr(output);
    ensure!(output.status.code() == Some(code), "ends with {}, not {code}, and says:\n{text}", output.status);
    ensure!(!text.contains("panicked"), "panics:\n{text}");
    for name in names {
        ensure!(text.contains(name), "does not say {name:?}:\n{text}");
    }
    Ok(())
}

fn refused(arguments: &[&str], code: i32, names: &[&str]) -> Result<()> {
    expect_refusal(&run(arguments)?, code, names)
}

// === Flags ===

fn version() -> Result<()> {
    let output = run(&["--version"])?;
    ensure!(output.status.success(), "ends with {}", output.status);
    let text = stdout(&output);
    ensure!(text.lines().count() == 1, "prints {text:?}");
    ensure!(text.contains(env!("CARGO_PKG_VERSION")), "prints {text:?}");
    Ok(())
}

fn help() -> Result<()> {
    let output = run(&["--help"])?;
    ensure!(output.status.success(), "ends with {}", output.status);
    let text = stdout(&output);
    let flags = [
        "--config.system-log-monitor",
        "--enable-k8s-exporter",
        "--prometheus-address",
        "--prometheus-port",
        "--hostname-override",
        "--version",
        "--kernel-source",
        "--kernel-ring-size",
        "--log-format",
        "features",
    ];
    let missing: Vec<_> = flags.into_iter().filter(|flag| !text.contains(flag)).collect();
    ensure!(missing.is_empty(), "{missing:?} are not in\n{text}");
    ensure!(!text.contains("--system-log-monitors"), "old flags are hidden");
    Ok(())
}

/// A drop-in must not fail on the arguments that people's manifests have.
fn known_flags() -> Result<()> {
    let flags = [
        "--hostname-override=node-a",
        "--config.system-log-monitor=a.json",
        "--config.custom-plugin-monitor=a.json",
        "--config.system-stats-monitor=a.json",
        "--system-log-monitors=a.json",
        "--custom-plugin-monitors=a.json",
        "--enable-k8s-exporter=true",
        "--enable-k8s-exporter",
        "--event-namespace=default",
        "--apiserver-override=http://127.0.0.1:8080?inClusterConfig=false",
        "--apiserver-wait-timeout=5m",
        "--apiserver-wait-interval=5s",
        "--k8s-exporter-heartbeat-period=5m0s",
        "--k8s-exporter-write-events=false",
        "--k8s-exporter-update-node-conditions=false",
        "--address=127.0.0.1",
        "--port=20256",
        "--prometheus-address=0.0.0.0",
        "--prometheus-port=20257",
        "--kube-api-qps=5.5",
        "--kube-api-burst=10",
        "--exporter.stackdriver=",
        "-v3",
        "-v=3",
        "--v=3",
        "--logtostderr",
        "--logtostderr=true",
        "--vmodule=kmsg=3",
    ];
    let mut refused = Vec::new();
    for flag in flags {
        let output = run(&[flag, "--version"])?;
        if !output.status.success() {
            refused.push(format!("{flag}: {}", stderr(&output).lines().next().unwrap_or_default()));
        }
    }
    ensure!(refused.is_empty(), "refused are\n{}", refused.join("\n"));
    Ok(())
}

fn wrong_values() -> Result<()> {
    let cases = [
        ("--prometheus-port", "many"),
        ("--prometheus-port", "70000"),
        ("--enable-k8s-exporter", "perhaps"),
        ("--kernel-source", "telepathy"),
        ("--kernel-ring-size", "-1"),
        ("--log-format", "xml"),
    ];
    for (flag, value) in cases {
        let argument = format!("{flag}={value}");
        refused(&[&argument], USAGE, &[flag, value]).with_context(|| argument.clone())?;
    }
    Ok(())
}

fn no_config() -> Result<()> {
    refused(&["--enable-k8s-exporter=false"], USAGE, &["--config.system-log-monitor"])
}

fn old_and_new() -> Result<()> {
    let arguments =
        ["--enable-k8s-exporter=false", "--config.system-log-monitor=a.json", "--system-log-monitors=b.json"];
    refused(&arguments, USAGE, &["--system-log-monitors"])
}

fn old_flag() -> Result<()> {
    need::root()?;
    let setup = Setup::new()?;
    let path = setup.folder().join("old.json");
    std::fs::write(&path, Monitor::kernel("old").to_json()).context("cannot write the config")?;
    let agent = setup.arg(format!("--system-log-monitors={}", path.display())).start()?;
    agent.fence()?;
    let log = agent.stop()?;
    let warned = log.iter().any(|line| line.raw.contains("--system-log-monitors") && line.raw.contains("deprecated"));
    ensure!(warned, "the agent does not log that the flag is deprecated");
    Ok(())
}

// === Config files ===

/// Runs an agent on config files that it must refuse.
fn run_on(files: &[(&str, &str)]) -> Result<Output> {
    let mut setup = Setup::bare()?.args(["--enable-k8s-exporter=false", "--prometheus-port=0"]);
    for (name, content) in files {
        setup = setup.file(name, content)?;
    }
    setup.output()
}

fn missing_file() -> Result<()> {
    let arguments = ["--enable-k8s-exporter=false", "--config.system-log-monitor=/nonexistent/monitor.json"];
    refused(&arguments, FATAL, &["/nonexistent/monitor.json", "No such file"])
}

fn broken_json() -> Result<()> {
    let cases = [
        ("trailing-comma.json", "{\"plugin\": \"kmsg\",\n}"),
        ("trailing-data.json", "{\"plugin\": \"kmsg\"}\n{}"),
        ("mark.json", "\u{feff}{\"plugin\": \"kmsg\"}"),
        ("unended.json", "{\"plugin\": \"kmsg\""),
        ("comment.json", "{\"plugin\": \"kmsg\" /* the kernel */}"),
        ("empty.json", ""),
    ];
    for (name, content) in cases {
        // `name:line:` is what an editor jumps to.
        let named = format!("{name}:");
        expect_refusal(&run_on(&[(name, content)])?, FATAL, &[&named]).with_context(|| name.to_owned())?;
    }
    Ok(())
}

fn wrong_config_values() -> Result<()> {
    let cases = [
        ("/plugin", r#"{"plugin": "nope"}"#, "nope"),
        (
            "/rules/0/pattern",
            r#"{"plugin": "kmsg", "rules": [{"type": "temporary", "reason": "A", "pattern": "a("}]}"#,
            "a(",
        ),
        ("/lookback", r#"{"plugin": "kmsg", "lookback": "5"}"#, "5"),
        ("/delay", r#"{"plugin": "kmsg", "delay": "soon"}"#, "soon"),
        ("/bufferSize", r#"{"plugin": "kmsg", "bufferSize": -1}"#, "-1"),
        ("/bufferSize", r#"{"plugin": "kmsg", "bufferSize": "10"}"#, "bufferSize"),
        (
            "/rules/0/reason",
            r#"{"plugin": "kmsg", "rules": [{"type": "temporary", "reason": "café", "pattern": "a"}]}"#,
            "caf",
        ),
        (
            "/conditions/0/transition",
            r#"{"plugin": "kmsg", "conditions": [{"type": "A", "reason": "B", "message": "c", "transition": "now"}]}"#,
            "now",
        ),
        ("/rules", r#"{"plugin": "kmsg", "rules": {}}"#, "rules"),
        // node-problem-detector takes it, and the rule then never does anything.
        (
            "/rules/0/condition",
            r#"{"plugin": "kmsg", "rules": [{"type": "permanent", "condition": "Nowhere", "reason": "A", "pattern": "a"}]}"#,
            "Nowhere",
        ),
    ];
    for (pointer, content, value) in cases {
        let output = run_on(&[("wrong.json", content)])?;
        expect_refusal(&output, FATAL, &["wrong.json", pointer, value]).with_context(|| content.to_owned())?;
    }
    expect_refusal(&run_on(&[("array.json", "[]")])?, FATAL, &["array.json"])?;
    expect_refusal(&run_on(&[("none.json", "{}")])?, FATAL, &["none.json", "plugin"])
}

fn all_errors() -> Result<()> {
    let one = r#"{"plugin": "nope", "lookback": "5", "rules": [
        {"type": "temporary", "reason": "A", "pattern": "("},
        {"type": "temporary", "reason": "B", "pattern": "fine"},
        {"type": "temporary", "reason": "C", "pattern": "["}]}"#;
    let two = r#"{"plugin": "kmsg", "delay": "x"}"#;
    let output = run_on(&[("one.json", one), ("two.json", two), ("three.json", "{")])?;
    expect_refusal(
        &output,
        FATAL,
        &["/plugin", "/lookback", "/rules/0/pattern", "/rules/2/pattern", "/delay", "three.json"],
    )?;
    let text = stderr(&output);
    ensure!(!text.contains("/rules/1"), "the right rule is called wrong:\n{text}");
    // Each on a line with its file.
    for (file, pointer) in [("one.json", "/lookback"), ("one.json", "/rules/2/pattern"), ("two.json", "/delay")] {
        let together = text.lines().any(|line| line.contains(file) && line.contains(pointer));
        ensure!(together, "{pointer} of {file} has no line of its own:\n{text}");
    }
    Ok(())
}

fn errors_as_json() -> Result<()> {
    let setup = Setup::bare()?.args(["--enable-k8s-exporter=false", "--log-format=json"]);
    let output = setup.file("one.json", r#"{"plugin": "nope"}"#)?.output()?;
    expect_refusal(&output, FATAL, &["one.json", "/plugin"])?;
    let text = stderr(&output);
    for line in text.lines() {
        let parsed = serde_json::from_str::<serde_json::Value>(line);
        ensure!(parsed.is_ok_and(|line| line.is_object()), "no JSON: {line}");
    }
    Ok(())
}

fn config_twice() -> Result<()> {
    need::root()?;
    let setup = Setup::new()?.monitor(&Monitor::kernel("twice").rule("Line", "npd-twice"))?;
    let again = setup.folder().join("monitor-0.json");
    let agent = setup.config(again).start()?;
    kmsg::write("npd-twice")?;
    agent.fence()?;
    let reported = agent.reported("Line").len();
    ensure!(reported == 1, "reported {reported} times");
    let log = agent.stop()?;
    // The lines of the monitor's problems name its file as well.
    let warned = log.iter().filter(|line| line.level() == "WARN" && line.raw.contains("monitor-0.json: ")).count();
    ensure!(warned == 1, "warned {warned} times");
    Ok(())
}

fn comma_list() -> Result<()> {
    need::root()?;
    let setup = Setup::new()?;
    let write = |name: &str| -> Result<String> {
        let path = setup.folder().join(name);
        std::fs::write(&path, Monitor::kernel(name).rule(&format!("Line-{name}"), "npd-comma").to_json())
            .context("cannot write the config")?;
        Ok(path.display().to_string())
    };
    let (a, b, c) = (write("a.json")?, write("b.json")?, write("c.json")?);
    let first = format!("--config.system-log-monitor={a},{b}");
    let agent = setup.arg(first).arg("--config.system-log-monitor").arg(c).start()?;
    kmsg::write("npd-comma")?;
    agent.fence()?;
    for name in ["a.json", "b.json", "c.json"] {
        agent.wait_for_reports(&format!("Line-{name}"), 1)?;
    }
    Ok(())
}

fn lenient_config() -> Result<()> {
    need::root()?;
    let content = r#"{"PLUGIN": "kmsg", "Source": "lenient", "unknown": {"a": [1]}, "conditions": null, "pluginConfig": null,
        "RULES": [{"TYPE": "temporary", "Reason": "Line", "pattern": "npd-lenient", "comment": 7}]}"#;
    let agent = Setup::new()?.file("lenient.json", content)?.start()?;
    kmsg::write("npd-lenient")?;
    let reported = agent.wait_for_reports("Line", 1)?;
    ensure!(reported[0].source == "lenient", "the source is {:?}", reported[0].source);
    Ok(())
}

// === Exporters ===

fn no_exporter() -> Result<()> {
    let setup = Setup::bare()?.args(["--enable-k8s-exporter=false", "--prometheus-port=0"]);
    let output = setup.monitor(&Monitor::kernel("alone"))?.output()?;
    expect_refusal(&output, FATAL, &["exporter"])
}

fn port_in_use() -> Result<()> {
    need::root()?;
    let taken = TcpListener::bind("127.0.0.1:0").context("cannot bind")?;
    let port = taken.local_addr().context("no address")?.port().to_string();
    let arguments = ["--enable-k8s-exporter=false".to_owned(), format!("--prometheus-port={port}")];
    let output = Setup::bare()?.args(arguments).monitor(&Monitor::kernel("late"))?.output()?;
    expect_refusal(&output, FATAL, &[&port, "in use"])
}

fn prometheus_address() -> Result<()> {
    need::root()?;
    let port = free_port()?;
    let arguments = [
        "--enable-k8s-exporter=false".into(),
        "--log-format=json".into(),
        "--prometheus-address=127.0.0.2".into(),
        format!("--prometheus-port={port}"),
    ];
    let agent = Setup::bare()?.args(arguments).monitor(&Monitor::kernel("elsewhere"))?.start()?;
    ensure!(get(port, "/metrics").is_err(), "127.0.0.1 answers");
    let stream = std::net::TcpStream::connect(("127.0.0.2", port));
    ensure!(stream.is_ok(), "127.0.0.2 does not answer");
    agent.stop()?;
    Ok(())
}

fn problem_monitor() -> Monitor {
    Monitor::kernel("kernel-monitor")
        .condition("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock")
        .rule("TaskHung", r"npd-none task \S+:\w+ blocked for more than \w+ seconds\.")
        .permanent("KernelDeadlock", "DockerHung", r"npd-none docker")
        .permanent("KernelDeadlock", "AufsHung", r"npd-none aufs")
}

fn metrics_at_start() -> Result<()> {
    need::root()?;
    let agent = Agent::with(&problem_monitor())?;
    let page = agent.metrics()?.text;
    let problems = |line: &&str| line.contains("problem_") && !line.contains("npd_") && !line.starts_with("# HELP");
    let found: Vec<_> = page.lines().filter(problems).collect();
    let golden = "\
# TYPE problem_counter counter
problem_counter{reason=\"AufsHung\"} 0
problem_counter{reason=\"DockerHung\"} 0
problem_counter{reason=\"NpdTestFence\"} 0
problem_counter{reason=\"TaskHung\"} 0
# TYPE problem_gauge gauge
problem_gauge{reason=\"AufsHung\",type=\"KernelDeadlock\"} 0
problem_gauge{reason=\"DockerHung\",type=\"KernelDeadlock\"} 0";
    ensure!(found == golden.lines().collect::<Vec<_>>(), "the page says\n{}", found.join("\n"));
    Ok(())
}

fn metrics_page() -> Result<()> {
    need::root()?;
    let agent = Agent::with(&problem_monitor())?;
    let metrics = agent.metrics()?;
    ensure!(metrics.head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", metrics.head);
    let names_after = |start: &str| -> Vec<String> {
        let lines = metrics.text.lines().filter_map(|line| line.strip_prefix(start));
        lines.filter_map(|rest| rest.split(' ').next()).map(ToOwned::to_owned).collect()
    };
    let (types, helps) = (names_after("# TYPE "), names_after("# HELP "));
    let page = include_str!("../../docs/metrics.md");
    for name in &types {
        ensure!(page.contains(&format!("| `{name}` |")), "docs/metrics.md does not have {name}");
        ensure!(helps.contains(name), "{name} has no help text");
        ensure!(name.starts_with("problem_") || name.starts_with("npd_"), "a family of another name: {name}");
    }
    for line in metrics.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        ensure!(types.iter().any(|family| name.starts_with(family.as_str())), "{name} belongs to no family");
    }
    for path in ["/", "/healthz", "/metric"] {
        let status = get(agent.port()?, path)?.status;
        ensure!(status == 404, "GET {path} answers {status}");
    }
    Ok(())
}

fn build_info() -> Result<()> {
    need::root()?;
    let agent = Agent::with(&problem_monitor())?;
    let info = agent.metrics()?.series("npd_build_info");
    let [(labels, value)] = info.as_slice() else { bail!("npd_build_info has {} series", info.len()) };
    ensure!((value - 1.0).abs() < 0.5, "its value is {value}");
    ensure!(labels.contains(env!("CARGO_PKG_VERSION")), "its labels are {labels}");
    let stopped = agent.stop_with(Signal::TERM)?;
    ensure!(stopped.code == 0, "the code is {}", stopped.code);
    Ok(())
}
