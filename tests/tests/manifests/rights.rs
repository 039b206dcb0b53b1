//! What an agent may do in the cluster is what its arguments need: the rights themselves are proven by the tests of the
//! exporter against `deploy/kustomize/base`, here everything that is rendered is compared with these.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::deploy,
    driver::{binary::shipped_manifest, suite::Suite},
};
use serde_json::Value;

use super::{
    agents,
    rendering::{self, Rendering},
};

pub(crate) fn add(suite: &mut Suite) {
    suite.test("rights: each agent has those that its arguments need, and no others", granted);
    suite.test("rights: who has no rights has no token", token);
    suite.test("rights: each agent with rights is held to its own node", held);
}

/// Where, and what: `default [{"apiGroups": …}]`.
fn grants(objects: &[Value], subject: (&Value, &Value)) -> Result<BTreeSet<String>> {
    let mut grants = BTreeSet::new();
    for binding in objects.iter().filter(|object| object["roleRef"].is_object()) {
        let subjects = binding["subjects"].as_array().context("a binding of nobody")?;
        if !subjects.iter().any(|bound| (&bound["name"], &bound["namespace"]) == subject) {
            continue;
        }
        let name = binding["roleRef"]["name"].as_str().context("no name")?;
        let role = deploy::find(objects, binding["roleRef"]["kind"].as_str().context("no kind")?, name)?;
        ensure!(role["metadata"]["namespace"] == binding["metadata"]["namespace"], "{name} is elsewhere");
        grants.insert(format!("{} {}", binding["metadata"]["namespace"], role["rules"]));
    }
    Ok(grants)
}

fn account(rendering: &Rendering) -> Result<(&Value, &Value)> {
    Ok((&rendering.pod()?["spec"]["serviceAccountName"], &rendering.daemon_set()?["metadata"]["namespace"]))
}

/// The grants of a shipped file.
fn shipped(file: &str) -> Result<BTreeSet<String>> {
    let objects = deploy::objects(&fs::read_to_string(shipped_manifest(file))?)?;
    grants(&objects, (&"npd".into(), &"npd".into()))
}

fn granted() -> Result<()> {
    let base = shipped("kustomize/base/rbac.yaml")?;
    let pods = shipped("kustomize/components/pod-events/rbac.yaml")?;
    ensure!(base.len() == 2 && pods.len() == 1, "{base:?} {pods:?}");
    for rendering in rendering::all()? {
        let mut needed = BTreeSet::new();
        if let Some(options) = agents::exporter(&agents::parse(rendering)?)? {
            needed.extend(base.clone());
            if options.pod_events {
                needed.extend(pods.clone());
            }
        }
        let granted = grants(&rendering.objects, account(rendering)?)?;
        ensure!(granted == needed, "{}: {granted:#?} instead of {needed:#?}", rendering.name);
        let bindings = rendering.objects.iter().filter(|object| object["roleRef"].is_object()).count();
        ensure!(bindings == granted.len(), "{}: somebody else has rights", rendering.name);
    }
    Ok(())
}

fn token() -> Result<()> {
    for rendering in rendering::all()? {
        let (args, pod) = (agents::parse(rendering)?, &rendering.pod()?["spec"]);
        // The chart cannot know what extraArgs say.
        if rendering.name != "chart with bare" {
            let automount = pod["automountServiceAccountToken"] == true;
            ensure!(automount == args.kubernetes.enable_k8s_exporter, "{}", rendering.name);
        }
        for pod in rendering.of("Pod") {
            ensure!(pod["spec"]["automountServiceAccountToken"] == false, "{}: {pod}", rendering.name);
        }
    }
    let policy = rendering::named("overlay metrics-only")?.of("NetworkPolicy").next().context("no policy")?;
    ensure!(policy["spec"]["policyTypes"][1] == "Egress" && policy["spec"]["egress"].is_null(), "{policy}");
    Ok(())
}

fn held() -> Result<()> {
    let shipped = deploy::objects(&fs::read_to_string(shipped_manifest("kustomize/base/admission-policy.yaml"))?)?;
    for rendering in rendering::all()? {
        let (name, namespace) = account(rendering)?;
        let (name, namespace) = (name.as_str().context("no name")?, namespace.as_str().context("no namespace")?);
        let text = rendering.objects.iter().filter(|object| {
            object["apiVersion"].as_str().is_some_and(|version| version.starts_with("admissionregistration"))
        });
        let set = rendering.daemon_set()?["metadata"]["name"].as_str().context("no name")?;
        let text = text.map(|object| object.to_string() + "\n").collect::<String>();
        let text =
            text.replace(&format!("system:serviceaccount:{namespace}:{name}'"), "system:serviceaccount:npd:npd'");
        let text = text.replace(&format!("{namespace}-{set}-own-node"), "npd-own-node");
        let found: BTreeSet<_> = text.lines().map(str::to_owned).collect();
        let expected: BTreeSet<_> = match agents::exporter(&agents::parse(rendering)?)? {
            Some(_) => shipped.iter().map(ToString::to_string).collect(),
            None => BTreeSet::new(),
        };
        ensure!(found == expected, "{}: {found:#?}", rendering.name);
    }
    Ok(())
}
