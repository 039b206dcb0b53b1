//! Each object for itself, and how they hang together: nobody but the API server would say otherwise.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, bail, ensure};
use npd_tests::{
    cluster::deploy::Release,
    driver::{
        program::output,
        suite::{Suite, need},
    },
};
use serde_json::{Value, json};

use super::rendering::{self, Rendering};

/// Which of Kubernetes: the oldest with admission policies, and on to the newest that kubernetes-validate knows.
const VERSIONS: [&str; 4] = ["1.30", "1.33", "1.35", "1.37"];
/// Of a custom resource; Kubernetes does not know these.
const OPERATOR: &str = "monitoring.coreos.com/v1";

pub(crate) fn add(suite: &mut Suite) {
    suite.test("objects: each is one of Kubernetes 1.30, 1.33, 1.35 and 1.37", valid);
    suite.test("objects: for Kubernetes 1.25 the chart leaves out what came later", old_kubernetes);
    suite.test("objects: those of the Prometheus operator have its fields", operator);
    suite.test("objects: promtool takes every PrometheusRule", rules);
    suite.test("objects: no two of a rendering have one name", distinct);
    suite.test("objects: every selector meets the pods, and every port it names is there", selectors);
    suite.test("objects: every mount has its volume, no volume is left over, no path is mounted twice", mounts);
}

/// Runs kubernetes-validate once for all of them, and gives its complaints.
fn validate(objects: &[&Value], versions: &[&str]) -> Result<String> {
    need::tool("kubernetes-validate")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("objects.yaml");
    let texts: BTreeSet<_> = objects.iter().map(ToString::to_string).collect();
    ensure!(!texts.is_empty(), "there is nothing to validate");
    fs::write(&file, texts.into_iter().collect::<Vec<_>>().join("\n---\n"))?;
    let mut command = Command::new("kubernetes-validate");
    command.args(["--strict", "--quiet"]);
    for version in versions {
        command.args(["--kubernetes-version", version]);
    }
    let output = command.arg(&file).output().context("cannot start kubernetes-validate")?;
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat();
    ensure!(output.status.success() || !said.trim().is_empty(), "kubernetes-validate: {}", output.status);
    Ok(said)
}

fn valid() -> Result<()> {
    let all = rendering::all()?;
    let objects = all.iter().flat_map(|rendering| &rendering.objects);
    let objects: Vec<_> = objects.filter(|object| object["apiVersion"] != OPERATOR).collect();
    // It says nothing of what is right, not even that a schema was found.
    let said = validate(&objects, &VERSIONS)?;
    ensure!(said.trim().is_empty(), "{said}");
    let mut mistaken = rendering::named("overlay least-privilege")?.daemon_set()?.clone();
    mistaken["spec"]["template"]["spec"]["hostPid"] = true.into();
    let said = validate(&[&mistaken], &VERSIONS)?;
    ensure!(said.matches("hostPid").count() == VERSIONS.len(), "it takes anything: {said}");
    Ok(())
}

fn old_kubernetes() -> Result<()> {
    let objects = Release::default().kubernetes("1.25.0").set("networkPolicy.enabled=true").render()?;
    let said = validate(&objects.iter().collect::<Vec<_>>(), &["1.25"])?;
    ensure!(said.trim().is_empty(), "{said}");
    let late = |object: &&Value| object["kind"].as_str().is_some_and(|kind| kind.starts_with("ValidatingAdmission"));
    ensure!(objects.iter().find(late).is_none(), "it has no admission policies");
    Ok(())
}

/// What the operator's documents say of the fields that are used here.
fn operator_schema(kind: &str) -> Result<Value> {
    let labels = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let selector = json!({
        "type": "object", "additionalProperties": false, "required": ["matchLabels"], "properties": {"matchLabels": labels},
    });
    let relabeling = json!({
        "type": "object", "additionalProperties": false, "properties": {
            "action": {"enum": ["replace", "keep", "drop", "labelmap"]},
            "sourceLabels": {"type": "array", "items": {"type": "string"}},
            "targetLabel": {"type": "string"}, "regex": {"type": "string"}, "replacement": {"type": "string"},
        },
    });
    let endpoints = json!({"type": "array", "minItems": 1, "items": {
        "type": "object", "additionalProperties": false, "required": ["port"], "properties": {
            "port": {"type": "string"}, "path": {"type": "string"}, "interval": {"pattern": "^[0-9]+[smh]$"},
            "relabelings": {"type": "array", "items": relabeling},
        },
    }});
    let rule = json!({
        "type": "object", "additionalProperties": false, "required": ["alert", "expr"], "properties": {
            "alert": {"type": "string"}, "expr": {"type": "string"}, "for": {"pattern": "^[0-9]+[smh]$"},
            "keep_firing_for": {"pattern": "^[0-9]+[smh]$"}, "labels": labels, "annotations": labels,
        },
    });
    let properties = match kind {
        "PodMonitor" => json!({"selector": selector, "podMetricsEndpoints": endpoints}),
        "ServiceMonitor" => json!({
            "selector": selector, "endpoints": endpoints,
            "namespaceSelector": {"properties": {"matchNames": {"type": "array", "items": {"type": "string"}}}},
        }),
        "PrometheusRule" => json!({"groups": {"type": "array", "minItems": 1, "items": {
            "type": "object", "additionalProperties": false, "required": ["name", "rules"], "properties": {
                "name": {"type": "string"}, "rules": {"type": "array", "minItems": 1, "items": rule},
            },
        }}}),
        other => bail!("nobody has said what a {other} is"),
    };
    let required: Vec<_> = properties.as_object().into_iter().flat_map(serde_json::Map::keys).collect();
    Ok(json!({
        "type": "object", "additionalProperties": false, "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": OPERATOR}, "kind": {"const": kind},
            "metadata": {"required": ["name", "namespace", "labels"]},
            "spec": {"type": "object", "additionalProperties": false, "required": required, "properties": properties},
        },
    }))
}

fn operator() -> Result<()> {
    let mut seen = BTreeSet::new();
    for rendering in rendering::all()? {
        for object in rendering.objects.iter().filter(|object| object["apiVersion"] == OPERATOR) {
            let kind = object["kind"].as_str().context("no kind")?;
            let schema = jsonschema::validator_for(&operator_schema(kind)?)?;
            let wrong: Vec<_> =
                schema.iter_errors(object).map(|error| format!("{}: {error}", error.instance_path())).collect();
            ensure!(wrong.is_empty(), "{}: {kind}: {wrong:?}", rendering.name);
            seen.insert(kind);
        }
    }
    ensure!(seen.len() == 3, "only {seen:?} are rendered");
    Ok(())
}

fn rules() -> Result<()> {
    need::tool("promtool")?;
    let folder = tempfile::tempdir()?;
    let specs = rendering::all()?.iter().flat_map(|rendering| rendering.of("PrometheusRule"));
    let specs: BTreeSet<_> = specs.map(|object| object["spec"].to_string()).collect();
    ensure!(specs.len() >= 2, "there are only {} of them", specs.len());
    let files = specs.iter().enumerate().map(|(i, spec)| (folder.path().join(format!("{i}.yaml")), spec));
    let files = files.map(|(path, spec)| fs::write(&path, spec).map(|()| path)).collect::<Result<Vec<_>, _>>()?;
    output(Command::new("promtool").args(["check", "rules"]).args(files)).map(drop)
}

fn distinct() -> Result<()> {
    for Rendering { name, objects } in rendering::all()? {
        let mut seen = BTreeSet::new();
        for object in objects {
            let metadata = &object["metadata"];
            let key = [&object["kind"], &metadata["namespace"], &metadata["name"]].map(ToString::to_string).join(" ");
            ensure!(seen.insert(key.clone()), "{name}: {key} is there twice");
        }
    }
    Ok(())
}

fn meets(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().into_iter().flatten();
    selector.as_object().is_some_and(|wanted| !wanted.is_empty())
        && wanted.into_iter().all(|(key, value)| labels[key] == *value)
}

fn selectors() -> Result<()> {
    let mut looked = 0;
    for rendering in rendering::all()? {
        let (set, pod) = (rendering.daemon_set()?, rendering.pod()?);
        let labels = &pod["metadata"]["labels"];
        let ports = rendering.container()?["ports"].as_array().context("no ports")?;
        let has_port = |port: &Value| ports.iter().any(|has| has["name"] == *port || has["containerPort"] == *port);
        for object in &rendering.objects {
            let (spec, place) = (&object["spec"], format!("{}: {}", rendering.name, object["kind"]));
            let services: Vec<_> = rendering.of("Service").collect();
            let (selector, found_ports, targets) = match object["kind"].as_str().context("no kind")? {
                "DaemonSet" => (&spec["selector"]["matchLabels"], vec![], vec![labels]),
                "NetworkPolicy" => {
                    let ports = spec["ingress"][0]["ports"].as_array().context("no ports")?;
                    (
                        &spec["podSelector"]["matchLabels"],
                        ports.iter().map(|port| &port["port"]).collect(),
                        vec![labels],
                    )
                }
                "Service" => (&spec["selector"], vec![&spec["ports"][0]["port"]], vec![labels]),
                "PodMonitor" => {
                    let port = &spec["podMetricsEndpoints"][0]["port"];
                    (&spec["selector"]["matchLabels"], vec![port], vec![labels])
                }
                "ServiceMonitor" => {
                    let port = &spec["endpoints"][0]["port"];
                    ensure!(
                        services.iter().any(|service| service["spec"]["ports"][0]["name"] == *port),
                        "{place}: {port}"
                    );
                    let labels = services.iter().map(|service| &service["metadata"]["labels"]).collect();
                    (&spec["selector"]["matchLabels"], vec![], labels)
                }
                _ => continue,
            };
            ensure!(targets.iter().any(|labels| meets(selector, labels)), "{place} selects nothing by {selector}");
            ensure!(object["metadata"]["namespace"] == set["metadata"]["namespace"], "{place} is elsewhere");
            ensure!(found_ports.iter().all(|port| has_port(port)), "{place}: {found_ports:?} are no ports of the pod");
            looked += 1;
        }
    }
    ensure!(looked > 20, "only {looked} selectors were looked at");
    Ok(())
}

fn mounts() -> Result<()> {
    for rendering in rendering::all()? {
        let pods = rendering.of("Pod").map(|pod| &pod["spec"]).chain([&rendering.pod()?["spec"]]);
        for pod in pods {
            let volumes = pod["volumes"].as_array().context("no volumes")?;
            let mut unused: BTreeSet<_> = volumes.iter().map(|volume| volume["name"].to_string()).collect();
            ensure!(unused.len() == volumes.len(), "{}: two volumes have one name", rendering.name);
            let names = unused.clone();
            for container in pod["containers"].as_array().context("no containers")? {
                let mut paths = BTreeSet::new();
                for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                    let (name, path) = (mount["name"].to_string(), mount["mountPath"].as_str().context("no path")?);
                    ensure!(names.contains(&name), "{}: there is no volume {name}", rendering.name);
                    ensure!(paths.insert(path.trim_end_matches('/')), "{}: {path} is mounted twice", rendering.name);
                    unused.remove(&name);
                }
            }
            // The user's own may be for whatever.
            unused.retain(|name| !rendering.name.contains("old-large") || name.contains("npd-state"));
            ensure!(unused.is_empty(), "{}: nothing mounts {unused:?}", rendering.name);
        }
    }
    Ok(())
}
