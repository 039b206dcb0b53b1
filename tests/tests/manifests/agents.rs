//! The agents that the manifests start: the arguments are read by the agent's own parser, the monitors by its own reader, and
//! what they need of the pod is there.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use npd_agent::{
    cli::Args,
    config::{self, ConfigFile, Notice},
    exporter::kubernetes::KubernetesOptions,
};
use npd_tests::{
    cluster::deploy,
    driver::{binary::shipped_config, suite::Suite},
};
use serde_json::{Value, json};

use super::rendering::{self, Rendering};

const NODE: &str = "node-a";
/// What a version of the image is called.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn add(suite: &mut Suite) {
    suite.test("agents: each understands its arguments, and its monitors are in the image or a ConfigMap", arguments);
    suite.test("agents: the command of deliveryhero's chart is understood as it stands", old_command);
    suite.test("agents: the monitors that the chart's values bring are checked by `helm test`", checked);
    suite.test("agents: the kubelet asks where they listen, Prometheus where the metrics are", servers);
    suite.test("agents: what they keep outlives the container", state);
    suite.test("agents: they run on every Linux node, whatever its taints, and are evicted last", everywhere);
    suite.test("agents: the image is the one of this version", image);
    suite.test("agents: only `privileged` overlays are, least privilege has three capabilities", privileges);
    suite.test("agents: an overlay of one's own adds monitors and names the image", own_overlay);
}

/// The words of the agent's command line as execve(2) gets them, without the program.
pub(crate) fn words(container: &Value) -> Result<Vec<String>> {
    let strings = |list: &Value| -> Result<Vec<String>> {
        let words = list.as_array().into_iter().flatten();
        words.map(|word| Ok(word.as_str().context("an argument is no string")?.to_owned())).collect()
    };
    let command = strings(&container["command"])?;
    let words = match &*command.iter().map(String::as_str).collect::<Vec<_>>() {
        ["/node-problem-detector"] => strings(&container["args"])?,
        // As a shell reads it, with quotes and variables.
        ["/bin/sh", "-c", line] => {
            let line = line.strip_prefix("exec /node-problem-detector ").context("another program is run")?;
            let script = format!("set -- {line}; for word in \"$@\"; do printf '%s\\n' \"$word\"; done");
            let shell = Command::new("/bin/sh").args(["-c", &script]).env("NODE_NAME", NODE).output()?;
            String::from_utf8(shell.stdout)?.lines().map(str::to_owned).collect()
        }
        other => anyhow::bail!("the command is {other:?}"),
    };
    // As the kubelet does it.
    let mut words = words;
    for variable in container["env"].as_array().context("no environment")? {
        let name = variable["name"].as_str().context("a variable without name")?;
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("spec.nodeName") => NODE,
            Some("status.hostIP") => "192.0.2.1",
            _ => variable["value"].as_str().unwrap_or_default(),
        };
        for word in &mut words {
            *word = word.replace(&format!("$({name})"), value);
        }
    }
    Ok(words)
}

/// The arguments of a rendering's agent.
pub(crate) fn parse(rendering: &Rendering) -> Result<Args> {
    let words = words(rendering.container()?)?;
    Args::try_parse_from(["npd-agent".to_owned()].into_iter().chain(words))
        .with_context(|| format!("{}: the agent does not understand its arguments", rendering.name))
}

/// What its exporter is told, if there is one.
pub(crate) fn exporter(args: &Args) -> Result<Option<KubernetesOptions>> {
    Ok(args.kubernetes.check(NODE, |_| {})?.map(|(options, _)| options))
}

/// The file that is at this path in the container: one of the image, or one of a ConfigMap that is written to `folder`.
fn on_disk(path: &Path, rendering: &Rendering, folder: &Path) -> Result<PathBuf> {
    if let Ok(name) = path.strip_prefix("/config") {
        return Ok(shipped_config(name.to_str().context("no UTF-8")?));
    }
    let name = path.strip_prefix("/custom-config").with_context(|| format!("nothing has {}", path.display()))?;
    let volumes = rendering.pod()?["spec"]["volumes"].as_array().context("no volumes")?;
    let volume = volumes.iter().find(|volume| volume["name"] == "custom-config").context("no custom-config")?;
    let map = volume["configMap"]["name"].as_str().context("no ConfigMap")?;
    let map = deploy::find(&rendering.objects, "ConfigMap", map)?;
    let text = map["data"][name.to_str().context("no UTF-8")?].as_str();
    let text = text.with_context(|| format!("the ConfigMap has no {}", name.display()))?;
    let path = folder.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

fn arguments() -> Result<()> {
    for rendering in rendering::all()? {
        let args = parse(rendering)?;
        exporter(&args).with_context(|| rendering.name.clone())?;
        let files = args.check(|note| panic!("{}: {note}", rendering.name))?;
        let folder = tempfile::tempdir()?;
        let on_disk = |file: ConfigFile| -> Result<ConfigFile> {
            Ok(ConfigFile { path: on_disk(&file.path, rendering, folder.path())?, ..file })
        };
        let files = files.into_iter().map(on_disk).collect::<Result<Vec<_>>>();
        let files = files.with_context(|| rendering.name.clone())?;
        let loaded = config::load_files(&files).with_context(|| rendering.name.clone())?;
        // Old values name counters as the plugins that they were.
        let odd: Vec<_> = loaded.warnings.iter().filter(|warning| warning.notice != Notice::LogMonitor).collect();
        ensure!(odd.is_empty(), "{}: {odd:?}", rendering.name);
    }
    let args = parse(rendering::named("chart with old-large")?)?;
    ensure!((args.port, args.prometheus_port, args.verbosity) == (20526, 20267, 1), "{args:?}");
    let args = parse(rendering::named("chart with old-shell")?)?;
    ensure!(args.hostname_override == NODE, "{args:?}");
    let args = parse(rendering::named("chart with bare")?)?;
    ensure!(args.hostname_override == NODE && args.state_dir == *"", "{args:?}");
    Ok(())
}

fn old_command() -> Result<()> {
    let line = "exec /node-problem-detector --logtostderr --config.system-log-monitor=/config/kernel-monitor.json,\
                /config/docker-monitor.json  --prometheus-address=0.0.0.0 --prometheus-port=20257 \
                --k8s-exporter-heartbeat-period=5m0s  --port 20526";
    let container = json!({"command": ["/bin/sh", "-c", line], "env": []});
    let args = Args::try_parse_from(["npd-agent".to_owned()].into_iter().chain(words(&container)?))?;
    exporter(&args)?;
    let files = args.check(|note| panic!("{note}"))?;
    ensure!(files.len() == 2 && args.port == 20526, "{args:?}");
    Ok(())
}

fn checked() -> Result<()> {
    let test = rendering::named("chart with old-large")?.of("Pod").next().context("there is no test")?;
    let container = &test["spec"]["containers"][0];
    ensure!(container["command"] == json!(["/node-problem-detector"]), "{container}");
    let folder = tempfile::tempdir()?;
    let mut arguments = Vec::new();
    for word in container["args"].as_array().context("no arguments")? {
        let word = word.as_str().context("no string")?;
        arguments.push(match word.strip_prefix('/') {
            Some(_) => on_disk(Path::new(word), rendering::named("chart with old-large")?, folder.path())?.into(),
            None => OsString::from(word),
        });
    }
    let mut command = Command::new(npd_tests::driver::binary::agent()?);
    let output = command.args(&arguments).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    ensure!(arguments.len() == 7, "{arguments:?}");
    let broken = folder.path().join("network-problem.json");
    fs::write(&broken, fs::read_to_string(&broken)?.replacen("\"path\"", "\"file\"", 1))?;
    ensure!(!command.output()?.status.success(), "it takes a rule without a program");
    Ok(())
}

/// The number that a probe's port stands for.
fn port_of<'a>(container: &'a Value, port: &'a Value) -> &'a Value {
    let ports = container["ports"].as_array().into_iter().flatten();
    ports.into_iter().find(|named| named["name"] == *port).map_or(port, |named| &named["containerPort"])
}

fn servers() -> Result<()> {
    for rendering in rendering::all()? {
        let (args, container, name) = (parse(rendering)?, rendering.container()?, &rendering.name);
        let host_network = rendering.pod()?["spec"]["hostNetwork"] == true;
        for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
            let ask = &container[probe]["httpGet"];
            if name == "chart with bare" {
                ensure!(ask.is_null(), "{name}: {probe} was switched off");
                continue;
            }
            ensure!(ask["path"] == path && *port_of(container, &ask["port"]) == args.port, "{name}: {ask}");
            if host_network {
                // Nobody else on the network of the node is to be served.
                ensure!(args.address.is_loopback() && ask["host"] == args.address.to_string(), "{name}: {ask}");
            } else {
                ensure!(args.address.is_unspecified() && ask["host"].is_null(), "{name}: {ask}");
            }
        }
        let ports = container["ports"].as_array().context("no ports")?;
        let metrics = ports.iter().find(|port| port["name"] == "metrics" || port["name"] == "exporter");
        ensure!(metrics.context("no port")?["containerPort"] == args.prometheus_port, "{name}");
        ensure!(!args.prometheus_address.is_loopback(), "{name}: nobody can scrape it");
    }
    Ok(())
}

fn state() -> Result<()> {
    for rendering in rendering::all()?.iter().filter(|rendering| rendering.name != "chart with bare") {
        let state = parse(rendering)?.state_dir;
        let mounts = rendering.container()?["volumeMounts"].as_array().context("no mounts")?;
        let is_state = |mount: &&Value| mount["mountPath"].as_str().map(Path::new) == Some(Path::new(&state));
        let mount = mounts.iter().find(is_state).with_context(|| format!("{}: no state", rendering.name))?;
        ensure!(mount["readOnly"] != true, "{}: {mount}", rendering.name);
        let volumes = rendering.pod()?["spec"]["volumes"].as_array().context("no volumes")?;
        let volume = volumes.iter().find(|volume| volume["name"] == mount["name"]).context("no volume")?;
        ensure!(volume["hostPath"].is_object(), "{}: {volume}", rendering.name);
    }
    Ok(())
}

fn everywhere() -> Result<()> {
    for rendering in rendering::all()? {
        let pod = &rendering.pod()?["spec"];
        ensure!(pod["nodeSelector"]["kubernetes.io/os"] == "linux", "{}", rendering.name);
        ensure!(pod["terminationGracePeriodSeconds"] == 15, "{}", rendering.name);
        let cpu = &rendering.container()?["resources"]["limits"]["cpu"];
        // These are the users' own.
        if !["chart with bare", "chart with old-large", "chart with old-defaults"].contains(&&*rendering.name) {
            let all =
                json!([{"effect": "NoSchedule", "operator": "Exists"}, {"effect": "NoExecute", "operator": "Exists"}]);
            ensure!(pod["tolerations"] == all, "{}: {}", rendering.name, pod["tolerations"]);
            ensure!(pod["priorityClassName"] == "system-node-critical", "{}", rendering.name);
            ensure!(cpu.is_null(), "{}: it would be throttled", rendering.name);
        }
    }
    Ok(())
}

fn image() -> Result<()> {
    for rendering in rendering::all()? {
        let image = rendering.container()?["image"].as_str().context("no image")?;
        if image.starts_with("registry.invalid/") {
            ensure!(image == format!("registry.invalid/npd:{VERSION}"), "{}: {image}", rendering.name);
        }
        for pod in rendering.of("Pod") {
            ensure!(pod["spec"]["containers"][0]["image"] == image, "{}: {pod}", rendering.name);
        }
    }
    let large = rendering::named("chart with old-large")?.container()?;
    ensure!(large["image"].to_string().contains("/mirror/npd@sha256:"), "the digest wins over the tag: {large}");
    Ok(())
}

fn privileges() -> Result<()> {
    let least = ["overlay least-privilege", "overlay health-checker", "overlay metrics-only", "chart with least"];
    for name in least {
        let rendering = rendering::named(name)?;
        let (pod, context) = (&rendering.pod()?["spec"], &rendering.container()?["securityContext"]);
        let expected = json!({
            "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SYSLOG"]},
        });
        ensure!(*context == expected, "{name}: {context}");
        ensure!(pod["hostPID"] != true && pod["hostIPC"] != true && pod["enableServiceLinks"] == false, "{name}");
        for mount in rendering.container()?["volumeMounts"].as_array().context("no mounts")? {
            let is_state = mount["mountPath"] == "/var/lib/npd";
            ensure!(is_state || mount["readOnly"] == true, "{name}: {mount}");
            ensure!(!mount["mountPath"].to_string().contains("/dev"), "{name}: {mount}");
        }
    }
    for name in ["overlay privileged", "chart"] {
        let context = &rendering::named(name)?.container()?["securityContext"];
        ensure!(context["privileged"] == true && context["capabilities"].is_null(), "{name}: {context}");
    }
    let spec = &rendering::named("overlay privileged")?.pod()?["spec"];
    ensure!(spec["hostPID"] == true && spec["hostNetwork"] != true, "{spec}");
    Ok(())
}

fn own_overlay() -> Result<()> {
    let base = npd_tests::driver::binary::shipped_manifest("kustomize/overlays/least-privilege").canonicalize()?;
    let kustomization = format!(
        "resources:\n  - {}
images:
  - name: registry.invalid/npd
    newName: registry.example.com/npd
    newTag: 0.1.0-slim
configMapGenerator:
  - name: npd-custom-config
    namespace: npd
    behavior: merge
    files: [own.json]
patches:
  - target: {{kind: DaemonSet, name: npd}}
    patch: |-
      - op: add
        path: /spec/template/spec/containers/0/args/-
        value: --config.system-log-monitor=/custom-config/own.json
",
        base.display()
    );
    let monitor = fs::read_to_string(shipped_config("kernel-monitor.json"))?;
    let objects = deploy::kustomize_text(&kustomization, &[("own.json", &monitor)])?;
    let rendering = Rendering { name: "an overlay of one's own".into(), objects };
    ensure!(rendering.container()?["image"] == "registry.example.com/npd:0.1.0-slim", "{:?}", rendering.container()?);
    let folder = tempfile::tempdir()?;
    let files = parse(&rendering)?.check(|_| {})?;
    let own = files.iter().find(|file| file.path.starts_with("/custom-config")).context("it is not configured")?;
    ensure!(fs::read_to_string(on_disk(&own.path, &rendering, folder.path())?)? == monitor, "it is another");
    Ok(())
}
