//! The admission policies of `deploy/kustomize/base`: what they let an agent write and what they deny, by their own
//! expressions.
//!
//! The expressions are evaluated as Kubernetes does it: a policy is asked when its resources and its `matchConditions`
//! are met, variables see those above them, and what cannot be evaluated is denied (`failurePolicy: Fail`).

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use anyhow::{Context, Result, ensure};
use npd_tests::driver::binary::shipped_manifest;
use serde::Deserialize;
use serde_json::{Value, json};

const USER: &str = "system:serviceaccount:npd:npd";

#[derive(Debug, Deserialize)]
#[serde(tag = "kind")]
enum Object {
    ValidatingAdmissionPolicy { metadata: Metadata, spec: Policy },
    ValidatingAdmissionPolicyBinding { spec: Binding },
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Binding {
    policy_name: String,
    validation_actions: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policy {
    #[serde(rename = "failurePolicy")]
    on_failure: String,
    match_constraints: MatchConstraints,
    match_conditions: Vec<Named>,
    variables: Vec<Named>,
    validations: Vec<Validation>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MatchConstraints {
    resource_rules: Vec<ResourceRule>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceRule {
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    operations: Vec<String>,
    resources: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    expression: String,
}

#[derive(Debug, Deserialize)]
struct Validation {
    expression: String,
    message: String,
    reason: String,
}

/// A write, as admission sees it.
#[derive(Clone, Debug)]
struct Write {
    operation: &'static str,
    resource: &'static str,
    user: Value,
    object: Value,
    old: Value,
}

// === impl Policy ===

impl Policy {
    /// Why a write is denied, if it is.
    fn verdict(&self, write: &Write) -> Result<(), String> {
        let rules = &self.match_constraints.resource_rules;
        if !rules.iter().any(|rule| rule.is_for(write)) {
            return Ok(());
        }
        let mut context = cel::Context::default();
        let request = json!({
            "operation": write.operation, "name": write.object["metadata"]["name"], "userInfo": write.user,
        });
        for (name, value) in [("request", &request), ("object", &write.object), ("oldObject", &write.old)] {
            context.add_variable(name, value).map_err(|error| error.to_string())?;
        }
        for condition in &self.match_conditions {
            if !holds(&condition.expression, &context)? {
                return Ok(());
            }
        }
        let mut variables = HashMap::new();
        for variable in &self.variables {
            context.add_variable_from_value("variables", variables.clone());
            variables.insert(variable.name.clone(), evaluate(&variable.expression, &context)?);
        }
        context.add_variable_from_value("variables", variables);
        for validation in &self.validations {
            if !holds(&validation.expression, &context)? {
                return Err(validation.message.clone());
            }
        }
        Ok(())
    }
}

impl ResourceRule {
    fn is_for(&self, write: &Write) -> bool {
        let has = |list: &[String], word: &str| list.iter().any(|listed| listed == word || listed == "*");
        has(&self.api_groups, "")
            && has(&self.api_versions, "v1")
            && has(&self.operations, write.operation)
            && has(&self.resources, write.resource)
    }
}

fn evaluate(expression: &str, context: &cel::Context) -> Result<cel::Value, String> {
    let program = cel::Program::compile(expression).map_err(|error| format!("{expression}: {error}"))?;
    program.execute(context).map_err(|error| format!("{expression}: {error}"))
}

fn holds(expression: &str, context: &cel::Context) -> Result<bool, String> {
    match evaluate(expression, context)? {
        cel::Value::Bool(holds) => Ok(holds),
        other => Err(format!("{expression}: {other:?} is no bool")),
    }
}

// === impl Write ===

impl Write {
    /// A status patch of npd on node-a that changes nothing yet.
    fn status() -> Self {
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {
                "name": "node-a", "uid": "u", "resourceVersion": "7", "labels": {"zone": "a"},
                "annotations": {"volumes": "true"}, "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {"podCIDR": "10.0.0.0/24"},
            "status": {
                "capacity": {"cpu": "4"},
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": "True", "reason": "KubeletReady"},
                    {"type": "KernelDeadlock", "status": "False"},
                ],
            },
        });
        Self {
            operation: "UPDATE",
            resource: "nodes/status",
            user: agent_of("node-a"),
            object: node.clone(),
            old: node,
        }
    }

    /// An event of npd on node-a about its node.
    fn event() -> Self {
        let event = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "node-a.1", "namespace": "default"},
            "involvedObject": {"kind": "Node", "name": "node-a"},
            "source": {"component": "kernel-monitor", "host": "node-a"}, "count": 1,
        });
        Self { operation: "CREATE", resource: "events", user: agent_of("node-a"), object: event, old: Value::Null }
    }

    fn by(mut self, user: Value) -> Self {
        self.user = user;
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.object);
        self
    }

    fn verdict(&self) -> Result<(), String> {
        let (policies, _) = shipped().expect("the shipped policies can be read");
        policies.values().try_for_each(|policy| policy.verdict(self))
    }

    fn is_allowed(&self) {
        assert_eq!(self.verdict(), Ok(()), "{self:#?}");
    }

    fn is_denied(&self, because: &str) {
        let why = self.verdict().expect_err("it is allowed");
        assert!(why.contains(because), "it is denied because {why:?}, not because {because:?}");
    }
}

fn agent_of(node: &str) -> Value {
    json!({
        "username": USER,
        "groups": ["system:serviceaccounts", "system:serviceaccounts:npd", "system:authenticated"],
        "extra": {
            "authentication.kubernetes.io/node-name": [node],
            "authentication.kubernetes.io/pod-name": ["npd-x"],
        },
    })
}

fn conditions(object: &mut Value) -> &mut Vec<Value> {
    object["status"]["conditions"].as_array_mut().expect("the node has conditions")
}

fn shipped() -> Result<(BTreeMap<String, Policy>, Vec<Binding>)> {
    let text = fs::read_to_string(shipped_manifest("kustomize/base/admission-policy.yaml"))?;
    let (mut policies, mut bindings) = (BTreeMap::new(), Vec::new());
    for object in serde_saphyr::from_multiple(&text).context("cannot read the policy")? {
        match object {
            Object::ValidatingAdmissionPolicy { metadata, spec } => {
                policies.insert(metadata.name, spec);
            }
            Object::ValidatingAdmissionPolicyBinding { spec } => bindings.push(spec),
        }
    }
    Ok((policies, bindings))
}

#[test]
fn each_policy_is_bound_denies_and_fails_closed() -> Result<()> {
    let (policies, bindings) = shipped()?;
    ensure!(policies.len() == 2 && bindings.len() == 2, "{policies:?} {bindings:?}");
    for (name, policy) in &policies {
        assert_eq!(policy.on_failure, "Fail", "{name}");
        assert!(policy.validations.iter().all(|validation| validation.reason == "Forbidden"), "{name}");
        let bound = bindings.iter().find(|binding| binding.policy_name == *name).context("not bound")?;
        assert_eq!(bound.validation_actions, ["Deny"], "{name}");
    }
    Ok(())
}

#[test]
fn an_agent_may_add_change_and_remove_its_conditions() {
    Write::status().is_allowed();
    Write::status().with(|node| conditions(node)[2]["status"] = "True".into()).is_allowed();
    Write::status().with(|node| drop(conditions(node).pop())).is_allowed();
    let new = json!({"type": "ReadonlyFilesystem", "status": "True"});
    Write::status().with(|node| conditions(node).insert(0, new)).is_allowed();
}

#[test]
fn an_agent_may_not_write_another_node() {
    Write::status().by(agent_of("node-b")).is_denied("only the status of the node that its token is bound to");
}

#[test]
fn a_token_that_is_bound_to_no_node_may_write_nothing() {
    let unbound = json!({"username": USER});
    let empty = json!({"username": USER, "extra": {}});
    for user in [unbound, empty] {
        Write::status().by(user.clone()).is_denied("its token is bound to");
        Write::event().by(user).is_denied("its token is bound to");
    }
}

#[test]
fn the_kubelets_conditions_may_not_be_changed_added_or_removed() {
    let because = "kubelet's own types";
    Write::status().with(|node| conditions(node)[1]["status"] = "False".into()).is_denied(because);
    Write::status().with(|node| conditions(node)[1]["message"] = "new".into()).is_denied(because);
    Write::status().with(|node| drop(conditions(node).remove(0))).is_denied(because);
    Write::status().with(|node| drop(node["status"].as_object_mut().unwrap().remove("conditions"))).is_denied(because);
    for kind in ["DiskPressure", "PIDPressure", "NetworkUnavailable"] {
        Write::status().with(|node| conditions(node).push(json!({"type": kind, "status": "True"}))).is_denied(because);
    }
}

#[test]
fn nothing_else_of_the_status_may_be_changed_added_or_removed() {
    let because = "nothing of a node's status but its conditions";
    Write::status().with(|node| node["status"]["capacity"]["cpu"] = "99".into()).is_denied(because);
    Write::status().with(|node| node["status"]["addresses"] = json!([])).is_denied(because);
    Write::status().with(|node| drop(node["status"].as_object_mut().unwrap().remove("capacity"))).is_denied(because);
}

#[test]
fn only_the_agents_annotation_may_be_changed() {
    let set = |key: &'static str| move |node: &mut Value| node["metadata"]["annotations"][key] = "X".into();
    Write::status().with(set("npd-agent/condition-types")).is_allowed();
    let because = "no annotation of a node but npd-agent/condition-types";
    Write::status().with(set("volumes")).is_denied(because);
    Write::status().with(set("new")).is_denied(because);
    Write::status()
        .with(|node| node["metadata"]["annotations"] = json!({"npd-agent/condition-types": "X"}))
        .is_denied(because);
    let mut first =
        Write::status().with(|node| node["metadata"]["annotations"] = json!({"npd-agent/condition-types": ""}));
    first.old["metadata"].as_object_mut().unwrap().remove("annotations");
    first.is_allowed();
}

#[test]
fn labels_owners_and_the_spec_may_not_be_changed() {
    let because = "no labels, owners or finalizers";
    Write::status().with(|node| node["metadata"]["labels"]["zone"] = "b".into()).is_denied(because);
    Write::status().with(|node| drop(node["metadata"].as_object_mut().unwrap().remove("labels"))).is_denied(because);
    Write::status().with(|node| node["metadata"]["finalizers"] = json!(["x"])).is_denied(because);
    Write::status().with(|node| node["spec"]["unschedulable"] = true.into()).is_denied("the spec of a node");
}

#[test]
fn what_the_api_server_changes_with_each_write_is_no_offence() {
    Write::status()
        .with(|node| {
            node["metadata"]["resourceVersion"] = "8".into();
            node["metadata"]["generation"] = 2.into();
            node["metadata"]["managedFields"] = json!([{"manager": "kubelet"}, {"manager": "npd-agent"}]);
        })
        .is_allowed();
}

#[test]
fn an_agent_may_write_events_of_its_node_only() {
    Write::event().is_allowed();
    Write::event().by(agent_of("node-b")).is_denied("source.host is the node");
    Write::event()
        .with(|event| event["involvedObject"]["name"] = "node-b".into())
        .is_denied("its own node and about Pods");
    Write::event().with(|event| event["source"]["host"] = "node-b".into()).is_denied("source.host is the node");
    Write::event()
        .with(|event| drop(event.as_object_mut().unwrap().remove("source")))
        .is_denied("source.host is the node");
}

#[test]
fn an_event_of_a_pod_names_the_agents_node_as_its_host() {
    let pod =
        |event: &mut Value| event["involvedObject"] = json!({"kind": "Pod", "name": "web-0", "namespace": "shop"});
    Write::event().with(pod).is_allowed();
    Write::event().with(pod).by(agent_of("node-b")).is_denied("source.host is the node");
    Write::event()
        .with(|event| event["involvedObject"] = json!({"kind": "Secret", "name": "node-a"}))
        .is_denied("its own node and about Pods");
}

#[test]
fn only_an_agents_own_event_may_be_patched() {
    let patched = |change: fn(&mut Value)| {
        let mut write = Write::event();
        write.operation = "UPDATE";
        write.old = write.object.clone();
        change(&mut write.old);
        write.with(|event| event["count"] = 2.into())
    };
    patched(|_| ()).is_allowed();
    let because = "only its own events";
    patched(|old| old["source"]["host"] = "node-b".into()).is_denied(because);
    patched(|old| drop(old.as_object_mut().unwrap().remove("source"))).is_denied(because);
    patched(|old| old["involvedObject"] = json!({"kind": "Pod", "name": "web-0"})).is_denied(because);
}

#[test]
fn nobody_else_is_held_to_the_policies() {
    let kubelet = json!({"username": "system:node:node-a", "groups": ["system:nodes"]});
    Write::status().by(kubelet.clone()).with(|node| conditions(node)[1]["status"] = "False".into()).is_allowed();
    Write::event().by(kubelet).with(|event| event["source"]["host"] = "node-b".into()).is_allowed();
}
