//! Problems that come from a pod: the OOM killer takes a process of one.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::apiserver::{ApiServer, Cut, Fault, Resource},
    driver::{
        agent::{Agent, Setup, problem::Problem},
        binary::shipped_manifest,
        monitor::Monitor,
        poll::SOON,
        suite::{Suite, need},
    },
    host::fault::memory_cgroup::MemoryCgroup,
    nonce,
};
use serde_json::{Value, json};

use super::{NODE, rbac};

const PODS_PATH: &str = "/api/v1/pods";

pub(crate) fn add(suite: &mut Suite) {
    let scene = Arc::new(Mutex::new(None));
    let mut test = |claim: &str, run: fn(&Scene) -> Result<()>| {
        let scene = Arc::clone(&scene);
        suite.test(format!("pods: {claim}"), move || {
            need::memory_cgroup()?;
            need::probes()?;
            let mut scene = scene.lock().unwrap_or_else(PoisonError::into_inner);
            if scene.is_none() {
                *scene = Some(Scene::play()?);
            }
            run(scene.as_ref().context("nobody plays")?)
        });
    };
    test("the Node's Event of an OOM kill names the pod and the container", named);
    test("with --pod-events the Pod has an Event of its own", at_pod);
    test("only the metadata of this node's Pods is asked for, once", asked);
    test("with --pod-events the grants of the base and of pod-events suffice, and each is used", grants);
    test("a pod that the API server does not know is counted, and the Node's Event names its uid", unknown);
    test("without --pod-events nobody asks for Pods, and the grants of the base suffice", not_asked);
}

/// Three agents, each with a kill of its own.
struct Scene {
    /// With `--pod-events`; the API server knows the pod.
    knows: Seat,
    /// With `--pod-events`; the API server does not know it.
    lacks: Seat,
    /// Without `--pod-events`.
    plain: Seat,
}

struct Seat {
    server: ApiServer,
    agent: Agent,
    /// The pod's, as its cgroup has it.
    uid: String,
    container: String,
}

// === impl Scene ===

impl Scene {
    fn play() -> Result<Self> {
        let both = fs::read_to_string(shipped_manifest("kustomize/components/pod-events/rbac.yaml"))
            .context("cannot read the manifest")?;
        let both = format!("{}\n---\n{both}", rbac::manifest()?);
        Ok(Self {
            knows: Seat::take("--pod-events", &both, true)?,
            lacks: Seat::take("--pod-events", &both, false)?,
            plain: Seat::take("--pod-events=false", &rbac::manifest()?, true)?,
        })
    }
}

// === impl Seat ===

impl Seat {
    fn take(flag: &str, manifest: &str, pod_is_known: bool) -> Result<Self> {
        let server = ApiServer::with_node(NODE)?;
        server.enforce(manifest)?;
        let uid = if pod_is_known {
            server.create(Resource::Namespaces, "", &json!({"metadata": {"name": "shop"}}))?;
            let pod = server.add_pod("shop", "web-0", NODE)?;
            pod["metadata"]["uid"].as_str().context("a Pod without uid")?.to_owned()
        } else {
            fs::read_to_string("/proc/sys/kernel/random/uuid").context("no uid")?.trim().to_owned()
        };
        // An answer that is lost makes the agent look at the Event that is there, which takes the right to patch it.
        for namespace in ["default", "shop"] {
            let path = format!("/api/v1/namespaces/{namespace}/events");
            server.fault(Fault::on("POST", path).times(1).cut(Cut::AfterHead));
        }
        let monitor = Monitor::kernel("kernel-monitor")
            .condition("Deadlock", "NoDeadlock", "there is none")
            .permanent("Deadlock", "Deadlock", "never")
            .rule("OOMKilling", r"Killed process \d+ \(npd-oom\) total-vm:\d+kB, anon-rss:\d+kB, file-rss:\d+kB.*");
        let agent = Setup::new()?.monitor(&monitor)?.cluster(&server, NODE).arg(flag).start()?;
        server.wait_for_condition(NODE, "Deadlock", "False", SOON)?;
        let mut seat = Self { server, agent, uid, container: String::new() };
        seat.kill()?;
        Ok(seat)
    }

    /// Has a process of the pod killed. Whose it was the kernel says itself: on cgroup v1 an exiting task is in no group
    /// any more.
    fn kill(&mut self) -> Result<()> {
        self.container = nonce().bytes().cycle().map(|byte| format!("{byte:02x}")).take(32).collect();
        let names = [&format!("kubepods-npd-{}", nonce()), &format!("pod{}", self.uid), &self.container];
        MemoryCgroup::at(&names.map(String::as_str), 20 << 20)?.kill_one()?;
        self.agent.log.wait("the kill in the pod", SOON, |line| {
            Problem::from_line(line)
                .filter(|problem| problem.field("container_id") == Some(&self.container))
                .map(|_| ())
        })
    }

    /// Waits for the Event about an object of this kind.
    fn event(&self, kind: &str) -> Result<Value> {
        let about = |event: &Value| event["involvedObject"]["kind"] == kind && self.is_ours(event);
        self.server.wait_for_event(&format!("an Event about a {kind}"), SOON, about)
    }

    /// Others may be killed on this machine at any time. At the Pod the message has the container only.
    fn is_ours(&self, event: &Value) -> bool {
        event["message"].as_str().is_some_and(|message| message.contains(&self.container))
    }

    /// What stands behind the kernel's words in the Event of the Node.
    fn origin(&self) -> Result<String> {
        let event = self.event("Node")?;
        let message = event["message"].as_str().unwrap_or_default();
        let origin = message.split_once(" oom_score_adj:0 ").context(format!("no origin: {message}"))?.1;
        Ok(origin.to_owned())
    }
}

fn named(scene: &Scene) -> Result<()> {
    let Seat { container, .. } = &scene.knows;
    let event = scene.knows.event("Node")?;
    let message = event["message"].as_str().unwrap_or_default();
    ensure!(message.starts_with("Memory cgroup out of memory: Killed process "), "{message}");
    ensure!(scene.knows.origin()? == format!("(pod shop/web-0, container {container})"), "{message}");
    ensure!(event["metadata"]["namespace"] == "default" && event["involvedObject"]["name"] == NODE, "{event}");
    Ok(())
}

fn at_pod(scene: &Scene) -> Result<()> {
    let Seat { uid, .. } = &scene.knows;
    let event = scene.knows.event("Pod")?;
    let object = json!({"kind": "Pod", "apiVersion": "v1", "namespace": "shop", "name": "web-0", "uid": uid});
    ensure!(event["involvedObject"] == object, "{event}");
    ensure!(event["metadata"]["namespace"] == "shop" && event["reason"] == "OOMKilling", "{event}");
    ensure!(event["source"] == json!({"component": "kernel-monitor", "host": NODE}) && event["count"] == 1, "{event}");
    Ok(())
}

fn asked(scene: &Scene) -> Result<()> {
    scene.knows.event("Pod")?;
    let mut asked = scene.knows.server.requests();
    asked.retain(|request| request.path == PODS_PATH);
    ensure!(asked.len() == 1, "{asked:?}");
    ensure!(asked[0].query("fieldSelector") == format!("spec.nodeName={NODE}"), "{}", asked[0]);
    ensure!(asked[0].header("accept").contains("as=PartialObjectMetadataList"), "{:?}", asked[0].headers);
    Ok(())
}

fn grants(scene: &Scene) -> Result<()> {
    scene.knows.server.wait_for_request("a look at the Pod's Event", SOON, |request| {
        let is_event = request.path.starts_with("/api/v1/namespaces/shop/events/");
        is_event && request.method == "PATCH" && request.status.is_some()
    })?;
    rbac::expect_all_used(&scene.knows.server)
}

fn unknown(scene: &Scene) -> Result<()> {
    let Seat { server, agent, uid, container } = &scene.lacks;
    ensure!(scene.lacks.origin()? == format!("(pod uid {uid}, container {container})"), "{}", scene.lacks.origin()?);
    // It sees the kills for the others, too.
    agent.wait_for_metrics("no_pod", |metrics| {
        (metrics.value("npd_k8s_events_total", &[("outcome", "no_pod")]) >= Some(1.0)).then_some(())
    })?;
    let events = server.events();
    ensure!(events.iter().all(|event| event["involvedObject"]["kind"] == "Node"), "{events:?}");
    Ok(())
}

fn not_asked(scene: &Scene) -> Result<()> {
    let Seat { server, uid, container, .. } = &scene.plain;
    ensure!(scene.plain.origin()? == format!("(pod uid {uid}, container {container})"), "{}", scene.plain.origin()?);
    server.wait_for_request("a look at the Event", SOON, |request| {
        request.method == "PATCH" && request.path.contains("/events/") && request.status.is_some()
    })?;
    let requests = server.requests();
    ensure!(!requests.iter().any(|request| request.path.contains("pods")), "{requests:?}");
    rbac::expect_all_used(server)
}
