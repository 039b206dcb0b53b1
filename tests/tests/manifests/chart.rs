//! The chart as a user meets it: its values, its errors, its notes, and the way from deliveryhero's chart.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::deploy::{self, Release},
    driver::{
        binary::shipped_manifest,
        suite::{Suite, need},
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::rendering;

pub(crate) fn add(suite: &mut Suite) {
    suite.test("chart: helm's linter has nothing to say, whatever the values", lint);
    suite.test("chart: its version is the agent's", version);
    suite.test("chart: a mistaken value is refused, and named", refused);
    suite.test("chart: an upgrade from deliveryhero's chart changes nothing that cannot be changed", upgrade);
    suite.test("chart: arguments are split as a shell would, and only then read by one", split);
    suite.test("chart: a mount of the user at the same path wins", mounts);
    suite.test("chart: probes follow the address and the port that extraArgs give", probes);
    suite.test("chart: alerts are the shipped ones, but for those that are switched off", alerts);
    suite.test("chart: the dashboard is the shipped one", dashboard);
    suite.test("chart: the notes warn of what will not work", notes);
    suite.test("chart: the README has every value with its default", readme);
}

/// What cannot be changed in a release, as deliveryhero's chart 2.3 names it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Installed {
    release: String,
    values: Value,
    name: String,
    labels: Value,
    service_account: String,
    custom_config: String,
}

fn lint() -> Result<()> {
    deploy::helm_lint(&[])?;
    for file in rendering::values_files()? {
        deploy::helm_lint(&[&file]).with_context(|| file.display().to_string())?;
    }
    ensure!(rendering::charts()?.count() >= 8, "there are too few values files");
    Ok(())
}

fn version() -> Result<()> {
    let chart: Value = serde_saphyr::from_str(&fs::read_to_string(deploy::chart().join("Chart.yaml"))?)?;
    let version = env!("CARGO_PKG_VERSION");
    ensure!(chart["apiVersion"] == "v2" && chart["appVersion"] == version && chart["version"] == version, "{chart}");
    Ok(())
}

fn refused() -> Result<()> {
    need::tool("helm")?;
    for (value, said) in [
        ("privileges=root", "at '/privileges': value must be one of 'privileged', 'least'"),
        ("kernelSource=dmesg", "at '/kernelSource': value must be one of 'auto', 'ebpf', 'kmsg', 'journald'"),
        ("kernelSorce=auto", "additional properties 'kernelSorce' not allowed"),
        ("podEvents.enable=true", "at '/podEvents': additional properties 'enable' not allowed"),
        ("networkPolicy.monitoringNamespace=x", "additional properties 'monitoringNamespace' not allowed"),
        ("dashboards.enabled=maybe", "at '/dashboards/enabled': got string, want boolean"),
        ("stateDir=npd", "at '/stateDir'"),
        ("health.port=70000", "at '/health/port': maximum: got 70,000, want 65,535"),
        ("updateStrategy=Recreate", "value must be one of 'RollingUpdate', 'OnDelete'"),
        (
            "image.repository=registry.k8s.io/node-problem-detector/node-problem-detector",
            "the image of node-problem-detector itself",
        ),
    ] {
        let error = Release::default().set(value).render().err().with_context(|| format!("{value} is taken"))?;
        ensure!(error.to_string().contains(said), "{value}: {error}");
    }
    let both = Release::default().set("privileges=least").set("securityContext.privileged=true").render();
    let error = both.err().context("two answers to one question are taken")?.to_string();
    ensure!(error.contains("privileges is least and securityContext.privileged is true"), "{error}");
    Ok(())
}

fn upgrade() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/old-chart.json");
    let all: Vec<Installed> = serde_json::from_str(&fs::read_to_string(path)?)?;
    let folder = tempfile::tempdir()?;
    for old in all {
        let values = folder.path().join("values.yaml");
        fs::write(&values, old.values.to_string())?;
        let release = Release::new(&old.release, "kube-system").values(&[&values]);
        let objects = release.set("metrics.enabled=true").render().with_context(|| format!("{old:?}"))?;
        let find = |kind: &str, name: &str| deploy::find(&objects, kind, name).with_context(|| old.release.clone());
        let set = find("DaemonSet", &old.name)?;
        ensure!(set["spec"]["selector"]["matchLabels"] == old.labels, "{set}");
        ensure!(set["spec"]["template"]["spec"]["serviceAccountName"] == old.service_account, "{set}");
        ensure!(find("Service", &old.name)?["spec"]["clusterIP"] == "None", "{}", old.name);
        let binding = find("ClusterRoleBinding", &old.name)?;
        ensure!(binding["roleRef"]["kind"] == "ClusterRole" && binding["roleRef"]["name"] == old.name, "{binding}");
        find("ConfigMap", &old.custom_config)?;
        if old.values["serviceAccount"]["create"] == false {
            ensure!(objects.iter().all(|object| object["kind"] != "ServiceAccount"), "{}", old.release);
            // Others may run under it.
            ensure!(objects.iter().all(|object| object["kind"] != "ValidatingAdmissionPolicy"), "{}", old.release);
        } else {
            find("ServiceAccount", &old.service_account)?;
        }
        ensure!(objects.iter().all(|object| object["metadata"]["namespace"] != "npd"), "{}", old.release);
    }
    Ok(())
}

/// The command and the last arguments.
fn command(extra: &str) -> Result<(Value, Vec<Value>)> {
    let folder = tempfile::tempdir()?;
    let values = folder.path().join("values.yaml");
    fs::write(&values, format!("settings: {{extraArgs: {extra}}}"))?;
    let objects = deploy::helm(&[&values])?;
    let set = objects.iter().find(|object| object["kind"] == "DaemonSet").context("no DaemonSet")?;
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().cloned().unwrap_or_default();
    let own = args.iter().position(|arg| arg == "--state-dir=/var/lib/npd").map_or(args.len(), |last| last + 1);
    Ok((container["command"].clone(), args[own..].to_vec()))
}

fn split() -> Result<()> {
    for (extra, words) in [
        ("[]", &[][..]),
        ("[--v=1]", &["--v=1"]),
        (r#"["--port 20526", " --v=1 "]"#, &["--port", "20526", "--v=1"]),
        (r#"["--event-namespace=$(POD_NAMESPACE)"]"#, &["--event-namespace=$(POD_NAMESPACE)"]),
        (r#"["--apiserver-override=http://10.0.0.1:8080"]"#, &["--apiserver-override=http://10.0.0.1:8080"]),
    ] {
        let (program, args) = command(extra)?;
        ensure!(
            program == serde_json::json!(["/node-problem-detector"]) && args == words,
            "{extra}: {program} {args:?}"
        );
    }
    for extra in [r#"['--hostname-override="a b"']"#, "['--v=$LEVEL']", r#"["--v=1 2>/dev/null"]"#, "['--v=`id`']"] {
        let (program, args) = command(extra)?;
        let line = program[2].as_str().unwrap_or_default();
        ensure!(program[0] == "/bin/sh" && args.is_empty(), "{extra}: {program} {args:?}");
        let given: Vec<String> = serde_saphyr::from_str(extra)?;
        ensure!(line.starts_with("exec /node-problem-detector --") && line.ends_with(&given[0]), "{extra}: {line}");
    }
    Ok(())
}

fn mounts() -> Result<()> {
    let container = rendering::named("chart with old-large")?.container()?;
    let mounts = container["volumeMounts"].as_array().context("no mounts")?;
    for (path, name) in [("/etc/localtime", "zoneinfo"), ("/var/lib/npd/", "npd-data"), ("/host/log", "log")] {
        let mount = mounts.iter().find(|mount| mount["mountPath"] == path).with_context(|| path.to_owned())?;
        ensure!(mount["name"] == name, "{mount}");
    }
    Ok(())
}

fn probes() -> Result<()> {
    let ask = |release: Release| -> Result<Value> {
        let objects = release.render()?;
        let set = objects.iter().find(|object| object["kind"] == "DaemonSet").context("no DaemonSet")?;
        Ok(set["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"].clone())
    };
    let with = |extra: &str| Release::default().set(&format!("settings.extraArgs={{{extra}}}"));
    let probe = ask(with("--port 1234\\,--v=1").set("health.port=99"))?;
    ensure!(probe.is_null() || probe["port"] != 99, "{probe}");
    for (extra, network, port, host) in [
        ("--v=1", false, 20256, Value::Null),
        ("--port=1234", false, 1234, Value::Null),
        ("--prometheus-port=1234", false, 20256, Value::Null),
        ("--port=1 --port 4321", true, 4321, "127.0.0.1".into()),
        ("--address=0.0.0.0", true, 20256, Value::Null),
        ("--address=10.0.0.1", true, 20256, "10.0.0.1".into()),
    ] {
        let probe = ask(with(extra).set(&format!("hostNetwork={network}")))?;
        ensure!(probe["port"] == port && probe["host"] == host, "{extra}: {probe}");
    }
    for unreachable in ["--address=127.0.0.1", "--port=0"] {
        ensure!(ask(with(unreachable))?.is_null(), "{unreachable}: nobody answers the kubelet");
    }
    Ok(())
}

fn alert_names(rule: &Value) -> Vec<&str> {
    let groups = rule["spec"]["groups"].as_array().into_iter().flatten();
    let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
    rules.filter_map(|rule| rule["alert"].as_str()).collect()
}

fn alerts() -> Result<()> {
    let shipped = shipped_manifest("prometheus-rules.yaml");
    let shipped: Value = serde_saphyr::from_str(&fs::read_to_string(shipped)?)?;
    let of = |name: &str| rendering::named(name)?.of("PrometheusRule").next().context("no rules");
    ensure!(of("chart with everything")?["spec"] == shipped, "they are others");
    ensure!(of("overlay privileged with all components")?["spec"] == shipped, "they are others");
    let (all, some) = (of("chart with everything")?, of("chart with old-monitoring")?);
    let (all, some) = (alert_names(all), alert_names(some));
    ensure!(all.contains(&"NodeProblem") && !some.contains(&"NodeProblem"), "{some:?}");
    ensure!(some.len() == all.len() && some.last() == Some(&"DockerHung"), "{some:?}");
    Ok(())
}

fn dashboard() -> Result<()> {
    let shipped = fs::read_to_string(shipped_manifest("grafana-dashboard.json"))?;
    for (rendering, map) in [
        ("chart with everything", "npd-node-problem-detector-dashboard"),
        ("overlay metrics-only with components", "npd-dashboard"),
    ] {
        let map = deploy::find(&rendering::named(rendering)?.objects, "ConfigMap", map)?;
        ensure!(map["metadata"]["labels"]["grafana_dashboard"] == "1", "{rendering}");
        let text = map["data"]["npd.json"].as_str().context("no dashboard")?;
        ensure!(serde_json::from_str::<Value>(text)? == serde_json::from_str::<Value>(&shipped)?, "{rendering}");
    }
    Ok(())
}

fn notes() -> Result<()> {
    let notes = Release::new("eyes", "monitoring").notes()?;
    for said in [
        "DaemonSet eyes-node-problem-detector, with a privileged container",
        "kubectl -n monitoring rollout status daemonset/eyes-node-problem-detector",
        "helm -n monitoring test eyes",
        "no registry has registry.invalid/npd:",
    ] {
        ensure!(notes.contains(said), "{said} is not in {notes}");
    }
    let quiet = Release::default().set("image.repository=registry.example.com/npd");
    ensure!(!quiet.notes()?.contains("WARNING"), "{}", quiet.notes()?);
    for (value, said) in [
        ("privileges=least", "the fewest rights"),
        ("admissionPolicy.enabled=false", "whoever takes over one agent can write the conditions of all nodes"),
        ("serviceAccount.create=false", "need a service account for npd alone"),
        ("hostNetwork=true,networkPolicy.enabled=true", "networkPolicy.enabled has no effect"),
        ("rbac.pspEnabled=true", "rbac.pspEnabled has no effect"),
        ("metrics.prometheusRule.enabled=true", "metrics.prometheusRule.enabled has no effect"),
        ("metrics.serviceMonitor.enabled=true", "finds nothing to scrape"),
        ("settings.extraArgs[0]=--v=$LEVEL", "only the `slim` image has"),
    ] {
        let notes = quiet.clone().set(value).notes()?;
        ensure!(notes.contains(said), "{value}: {notes}");
    }
    Ok(())
}

/// The values that are no maps with something in them, as `metrics.enabled`.
fn leaves(prefix: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) if !map.keys().any(|key| key.contains(['/', '_']) && !prefix.starts_with("settings")) => {
            for (key, value) in map {
                let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                leaves(&path, value, found);
            }
        }
        _ => found.push((prefix.to_owned(), value.clone())),
    }
}

fn readme() -> Result<()> {
    let text = fs::read_to_string(deploy::chart().join("values.yaml"))?;
    let readme = fs::read_to_string(deploy::chart().join("README.md"))?;
    let mut values = Vec::new();
    leaves("", &serde_saphyr::from_str(&text)?, &mut values);
    ensure!(values.len() > 60, "there are only {}", values.len());
    let documented = |key: &str| text.contains(&format!("# {key} -- "));
    for (leaf, value) in values {
        // `resources` and the like are documented as one.
        let key = if documented(&leaf) { &*leaf } else { leaf.split('.').next().unwrap_or_default() };
        ensure!(documented(key), "values.yaml does not say what {key} is");
        let row = readme.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.with_context(|| format!("the README has no {key}"))?;
        if key == leaf && !value.is_object() && !value.is_array() {
            let shown = format!("| `{value}` |");
            ensure!(row.contains(&shown), "the README shows another default of {key}: {row} instead of {shown}");
        }
    }
    Ok(())
}
