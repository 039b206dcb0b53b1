//! Pods of the images, run as a node runs them. Each has to see a task that really hangs.

use std::{fs, net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::ApiServer,
    driver::{
        binary,
        poll::SOON,
        suite::{Suite, need},
    },
    host::{
        container::{Container, Image, Pod},
        fault::{
            hung_task::{COMM, HungTask},
            tracefs::Tracefs,
        },
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::layouts::{FLAVOURS, image};

const NODE: &str = "node-1";
const TOKEN: &str = "a-token";
const METRICS: u16 = 20257;

pub(crate) fn add(suite: &mut Suite) {
    for flavour in FLAVOURS {
        let mut test = |claim: &str, run: fn(&Image) -> Result<()>| {
            suite.test(format!("pod of {flavour}: {claim}"), move || {
                need::hung_task_detector()?;
                run(&image(flavour)?)
            });
        };
        test(
            "node-problem-detector's own DaemonSet runs unchanged, and tells the cluster of a hung task",
            node_problem_detectors,
        );
        test("with the least privileges it sees a hung task", least_privileges);
        test("a user other than root sees a hung task through the capabilities of the file", not_root);
        test("with CAP_DAC_READ_SEARCH it sees one of which the kernel does not speak", not_root_but_reading);
        test("without any capability it starts, and ends with what it lacks", nothing_at_all);
    }
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("pod: {claim}"), run);
    test("the common chart's command runs word by word, and tells the cluster of a hung task", charts);
    test("the health checker and the log counter run where configs call them", helpers);
    test("a shipped plugin runs in slim, and static says that there is no shell", plugins);
    test("an unprivileged container cannot read /dev/kmsg although it is mounted", device_cgroup);
}

/// A node's folders, and the API server that its pods see.
pub(crate) struct World {
    folder: TempDir,
    server: ApiServer,
}

impl World {
    pub(crate) fn new() -> Result<Self> {
        let server = ApiServer::builder().node(NODE).token(TOKEN).tls().start()?;
        let folder = tempfile::tempdir().context("cannot make a folder")?;
        let secrets = folder.path().join("secrets");
        for path in ["secrets", "log", "state"] {
            fs::create_dir(folder.path().join(path)).context("cannot make a folder")?;
        }
        for (name, content) in [("token", TOKEN), ("ca.crt", server.ca_pem().unwrap_or_default()), ("namespace", "npd")]
        {
            fs::write(secrets.join(name), content).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(Self { folder, server })
    }

    /// A pod on this node.
    pub(crate) fn pod(&self, object: &Value) -> Result<Pod> {
        let url = self.server.url();
        let (_, address) = url.split_once("//").context("no address")?;
        let address: SocketAddr = address.parse().context("no address")?;
        Ok(self.pod_without_rights(object)?.api_server(address, self.folder.path().join("secrets")))
    }

    /// A pod on this node that neither has a token nor knows where the API server is.
    pub(crate) fn pod_without_rights(&self, object: &Value) -> Result<Pod> {
        Ok(Pod::of(object)?
            .node(NODE)
            .host_path("/var/log", self.path("log"))
            .host_path("/var/lib/npd", self.path("state"))
            .host_path("/etc/localtime", self.path("localtime")))
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Puts the API server into the container's network, where it is found by the same address.
    pub(crate) fn connect(&self, container: &Container) -> Result<()> {
        self.server.stop();
        container.in_network(|| self.server.restart())
    }
}

/// Makes a task hang and waits until the container has reported that one, in its log and its metrics.
pub(crate) fn sees_a_hung_task(container: &Container) -> Result<HungTask> {
    sees(container, 10)
}

/// Waits until it reads the kernel log in this way.
pub(crate) fn reads_the_kernel_log(container: &Container, mode: &str) -> Result<()> {
    container.wait_for_metrics(METRICS, mode, |metrics| {
        metrics.value("npd_kernel_log_mode", &[("mode", mode)]).filter(|is_on| *is_on > 0.5).map(drop)
    })
}

/// The same of a task of which printk may speak so often.
fn sees(container: &Container, warnings: u32) -> Result<HungTask> {
    container.log.wait("ready", SOON, |line| line.raw.contains("ready").then_some(()))?;
    let task = HungTask::start(warnings)?;
    let name = format!("{COMM}:{}", task.pid());
    container.log.wait(&format!("TaskHung of {name}"), SOON, |line| {
        (line.raw.contains("TaskHung") && line.raw.contains(&name)).then_some(())
    })?;
    container.wait_for_metrics(METRICS, "the count of hung tasks", |metrics| {
        metrics.value("problem_counter", &[("reason", "TaskHung")]).filter(|count| *count >= 1.0)
    })?;
    Ok(task)
}

/// An agent without a cluster, with these words and in this security context.
fn alone(context: &Value) -> Value {
    json!({
        "kind": "DaemonSet", "metadata": { "name": "npd", "namespace": "npd" },
        "spec": { "template": { "spec": {
            "hostPID": true,
            "containers": [{
                "name": "npd", "image": "registry.invalid/npd",
                "args": ["--enable-k8s-exporter=false", "--log-format=json"],
                "securityContext": context,
                "volumeMounts": [
                    { "name": "kmsg", "mountPath": "/dev/kmsg", "readOnly": true },
                    { "name": "tracing", "mountPath": "/sys/kernel/tracing", "readOnly": true },
                    { "name": "state", "mountPath": "/var/lib/npd" },
                ],
            }],
            "volumes": [
                { "name": "kmsg", "hostPath": { "path": "/dev/kmsg", "type": "CharDevice" } },
                { "name": "tracing", "hostPath": { "path": "/sys/kernel/tracing", "type": "Directory" } },
                { "name": "state", "hostPath": { "path": "/var/lib/npd", "type": "DirectoryOrCreate" } },
            ],
        } } },
    })
}

/// node-problem-detector's manifest v0.8.20, as far as a node makes something of it, and its config map with our monitors.
fn node_problem_detectors(image: &Image) -> Result<()> {
    let world = World::new()?;
    let monitors = ["kernel-monitor.json", "docker-monitor.json"];
    let pod = json!({
        "kind": "DaemonSet", "metadata": { "name": "node-problem-detector", "namespace": "kube-system" },
        "spec": { "template": { "spec": {
            "containers": [{
                "name": "node-problem-detector",
                "command": [
                    "/node-problem-detector", "--logtostderr",
                    "--config.system-log-monitor=/config/kernel-monitor.json,/config/docker-monitor.json",
                ],
                "securityContext": { "privileged": true },
                "env": [{ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                "volumeMounts": [
                    { "name": "log", "mountPath": "/var/log", "readOnly": true },
                    { "name": "kmsg", "mountPath": "/dev/kmsg", "readOnly": true },
                    { "name": "localtime", "mountPath": "/etc/localtime", "readOnly": true },
                    { "name": "config", "mountPath": "/config", "readOnly": true },
                ],
            }],
            "serviceAccountName": "node-problem-detector",
            "volumes": [
                { "name": "log", "hostPath": { "path": "/var/log/" } },
                { "name": "kmsg", "hostPath": { "path": "/dev/kmsg" } },
                { "name": "localtime", "hostPath": { "path": "/etc/localtime" } },
                { "name": "config", "configMap": {
                    "name": "node-problem-detector-config",
                    "items": monitors.map(|name| json!({ "key": name, "path": name })),
                } },
            ],
        } } },
    });
    let mut data = json!({});
    for name in monitors {
        data[name] = fs::read_to_string(binary::shipped_config(name))?.into();
    }
    let config = json!({ "kind": "ConfigMap", "metadata": { "name": "node-problem-detector-config" }, "data": data });
    fs::write(world.path("localtime"), "").context("cannot write")?;
    let container = world.pod(&pod)?.config_map(&config).start(image)?;
    world.connect(&container)?;
    tells_the_cluster(&world, container)
}

/// The deliveryhero chart 2.3 with its default values, as Helm renders it.
fn charts() -> Result<()> {
    need::hung_task_detector()?;
    let world = World::new()?;
    let pod = json!({
        "kind": "DaemonSet", "metadata": { "name": "node-problem-detector", "namespace": "default" },
        "spec": { "template": { "spec": {
            "hostNetwork": false, "hostPID": false, "terminationGracePeriodSeconds": 30, "priorityClassName": "system-node-critical",
            "containers": [{
                "name": "node-problem-detector",
                "command": [
                    "/bin/sh", "-c",
                    "exec /node-problem-detector --logtostderr \
                     --config.system-log-monitor=/config/kernel-monitor.json,/config/docker-monitor.json \
                     --prometheus-address=0.0.0.0 --prometheus-port=20257 --k8s-exporter-heartbeat-period=5m0s  ",
                ],
                "securityContext": { "privileged": true },
                "env": [{ "name": "NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } }],
                "volumeMounts": [
                    { "name": "log", "mountPath": "/var/log/", "readOnly": true },
                    { "name": "localtime", "mountPath": "/etc/localtime", "readOnly": true },
                    { "name": "custom-config", "mountPath": "/custom-config", "readOnly": true },
                ],
            }],
            "volumes": [
                { "name": "log", "hostPath": { "path": "/var/log/" } },
                { "name": "localtime", "hostPath": { "path": "/etc/localtime", "type": "FileOrCreate" } },
                { "name": "custom-config", "configMap": { "name": "custom-config" } },
            ],
        } } },
    });
    let config = json!({ "kind": "ConfigMap", "metadata": { "name": "custom-config" }, "data": {} });
    let container = world.pod(&pod)?.config_map(&config).start(&image("slim")?)?;
    world.connect(&container)?;
    tells_the_cluster(&world, container)
}

/// Sees a hung task, and the cluster has an Event of it and the monitors' conditions.
pub(crate) fn tells_the_cluster(world: &World, container: Container) -> Result<()> {
    let task = sees_a_hung_task(&container)?;
    let name = format!("{COMM}:{}", task.pid());
    let told = world.server.wait_for_event("the hung task", Duration::from_secs(30), |event| {
        event["reason"] == "TaskHung" && event["message"].as_str().is_some_and(|message| message.contains(&name))
    });
    told.with_context(|| format!("the log is:\n{}", container.said()))?;
    world.server.wait_for_condition(NODE, "KernelDeadlock", "False", SOON)?;
    drop(task);
    let status = container.stop()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

/// What `deploy/` gives with the least privileges.
fn least_privilege() -> Value {
    json!({
        "runAsUser": 0, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"], "add": ["BPF", "PERFMON", "SYSLOG"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

fn least_privileges(image: &Image) -> Result<()> {
    need::probes()?;
    let _tracefs = Tracefs::mounted()?;
    let world = World::new()?;
    let container = world.pod(&alone(&least_privilege()))?.start(image)?;
    let task = sees_a_hung_task(&container)?;
    // The device cgroup keeps /dev/kmsg from it.
    reads_the_kernel_log(&container, "probe")?;
    drop(task);
    let status = container.stop()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

fn not_root(image: &Image) -> Result<()> {
    runs_as_a_user(image, &["BPF", "PERFMON", "SYSLOG"], 10)
}

fn not_root_but_reading(image: &Image) -> Result<()> {
    runs_as_a_user(image, &["BPF", "DAC_READ_SEARCH", "PERFMON", "SYSLOG"], 0)
}

fn runs_as_a_user(image: &Image, capabilities: &[&str], warnings: u32) -> Result<()> {
    need::probes()?;
    let _tracefs = Tracefs::mounted()?;
    let world = World::new()?;
    let context = json!({
        // Without escalation the kernel does not look at a file's capabilities.
        "runAsUser": 65532, "runAsGroup": 65532, "runAsNonRoot": true, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": true,
        "capabilities": { "drop": ["ALL"], "add": capabilities },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let container = world.pod(&alone(&context))?.argument("--state-dir=").start(image)?;
    let task = sees(&container, warnings)?;
    drop(task);
    let status = container.stop()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

fn nothing_at_all(image: &Image) -> Result<()> {
    let world = World::new()?;
    let context = json!({
        "runAsUser": 65532, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    });
    let mut container = world.pod(&alone(&context))?.argument("--state-dir=").start(image)?;
    let status = container.wait(SOON)?;
    ensure!(status.code() == Some(255), "{status}:\n{}", container.said());
    container.log.wait("what it lacks", SOON, |line| line.raw.contains("CAP_BPF is missing").then_some(()))
}

fn helpers() -> Result<()> {
    for flavour in FLAVOURS {
        let image = image(flavour)?;
        for program in ["/home/kubernetes/bin/health-checker", "/home/kubernetes/bin/log-counter"] {
            let mut container = one_shot(&json!([program, "--help"]))?.start(&image)?;
            let status = container.wait(SOON)?;
            ensure!(status.success(), "{program} of {flavour} ended with {status}:\n{}", container.said());
        }
    }
    Ok(())
}

fn plugins() -> Result<()> {
    let script = json!(["/config/plugin/network_problem.sh"]);
    let mut container = one_shot(&script)?.start(&image("slim")?)?;
    let status = container.wait(SOON)?;
    // 2: nobody can tell, in a network namespace without connection tracking.
    ensure!(matches!(status.code(), Some(0 | 2)), "{status}:\n{}", container.said());
    let mut container = one_shot(&script)?.start(&image("static")?)?;
    let status = container.wait(SOON)?;
    ensure!(!matches!(status.code(), Some(0 | 2)), "{status}");
    ensure!(container.said().contains("no such file"), "{}", container.said());
    Ok(())
}

fn device_cgroup() -> Result<()> {
    let pod = one_shot(&json!(["/usr/bin/head", "-c1", "/dev/kmsg"]))?
        .with("/containers/0/volumeMounts", json!([{ "name": "kmsg", "mountPath": "/dev/kmsg" }]))?
        .with("/volumes", json!([{ "name": "kmsg", "hostPath": { "path": "/dev/kmsg", "type": "CharDevice" } }]))?;
    let mut container = pod.start(&image("slim")?)?;
    ensure!(
        !container.wait(SOON)?.success() && container.said().contains("Operation not permitted"),
        "{}",
        container.said()
    );
    Ok(())
}

/// A pod that runs one command with what every container gets.
fn one_shot(command: &Value) -> Result<Pod> {
    Pod::of(
        &json!({ "kind": "Pod", "metadata": { "name": "once" }, "spec": { "containers": [{ "name": "once", "command": command }] } }),
    )
}
