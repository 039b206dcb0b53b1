//! What `deploy/` gives, as kubectl and helm render it, run as a node runs it. Each has to see a task that really hangs.

use std::fs;

use anyhow::{Context, Result, ensure};
use npd_tests::{
    cluster::deploy::{self, OVERLAYS, Release},
    driver::{
        poll::{self, SOON},
        suite::{Suite, need},
    },
    host::{
        container::{Container, Image},
        fault::tracefs::Tracefs,
    },
};
use serde_json::Value;

use super::{
    layouts::{FLAVOURS, image},
    pods::{World, reads_the_kernel_log, sees_a_hung_task, tells_the_cluster},
};

pub(crate) fn add(suite: &mut Suite) {
    for overlay in OVERLAYS {
        for flavour in FLAVOURS {
            suite.test(format!("manifests: the overlay {overlay} sees a hung task with {flavour}"), move || {
                run(&deploy::kustomize(overlay)?, flavour, overlay != "metrics-only")
            });
        }
    }
    for (privileges, flavour) in [("privileged", "slim"), ("least", "static")] {
        suite.test(format!("manifests: the chart with privileges={privileges} sees a hung task"), move || {
            // Without docker-monitor.json: where there is no journal to read the agent is not ready, and says so.
            let monitors = "settings.log_monitors={/config/kernel-monitor.json,/config/readonly-monitor.json}";
            run(&Release::default().set(&format!("privileges={privileges}")).set(monitors).render()?, flavour, true)
        });
    }
}

/// Runs the DaemonSet of these objects until a task that hangs was reported: to the cluster too, if it has rights there.
fn run(objects: &[Value], flavour: &str, in_cluster: bool) -> Result<()> {
    need::hung_task_detector()?;
    need::probes()?;
    let image: Image = image(flavour)?;
    let _tracefs = Tracefs::mounted()?;
    let world = World::new()?;
    for folder in ["run-log", "containerd", "dbus"] {
        fs::create_dir(world.path(folder))?;
    }
    fs::write(world.path("machine-id"), "0123456789abcdef0123456789abcdef\n")?;
    let set = objects.iter().find(|object| object["kind"] == "DaemonSet").context("there is no DaemonSet")?;
    let mut pod = if in_cluster { world.pod(set)? } else { world.pod_without_rights(set)? };
    for (path, here) in [
        ("/run/log", "run-log"),
        ("/run/containerd", "containerd"),
        ("/run/dbus", "dbus"),
        ("/etc/machine-id", "machine-id"),
    ] {
        pod = pod.host_path(path, world.path(here));
    }
    for object in objects {
        pod = pod.config_map(object);
    }
    let container = pod.start(&image)?;
    if in_cluster {
        world.connect(&container)?;
    }
    for probe in ["livenessProbe", "readinessProbe"] {
        succeeds(&container, container_of(set), probe)?;
    }
    // /dev/kmsg is a privileged container's.
    let privileged = &container_of(set)["securityContext"]["privileged"];
    reads_the_kernel_log(&container, if *privileged == true { "probe+kmsg" } else { "probe" })?;
    if in_cluster {
        return tells_the_cluster(&world, container);
    }
    let task = sees_a_hung_task(&container)?;
    drop(task);
    let status = container.stop()?;
    ensure!(status.success(), "it ended with {status}");
    Ok(())
}

fn container_of(set: &Value) -> &Value {
    &set["spec"]["template"]["spec"]["containers"][0]
}

/// Asks what the kubelet would ask until it is content.
fn succeeds(container: &Container, spec: &Value, probe: &str) -> Result<()> {
    let get = &spec[probe]["httpGet"];
    let named = |port: &&Value| port["name"] == get["port"];
    let declared =
        spec["ports"].as_array().and_then(|ports| ports.iter().find(named)).map(|port| &port["containerPort"]);
    let port = declared.unwrap_or(&get["port"]).as_u64().and_then(|port| u16::try_from(port).ok());
    let (Some(port), Some(path)) = (port, get["path"].as_str()) else { anyhow::bail!("{probe} asks nothing: {get}") };
    poll::wait_for(probe, SOON, || {
        let well = |head: &str| head.starts_with("HTTP/1.1 200 ");
        Ok(container.page(port, path).ok().filter(|answer| well(&answer.head)).map(drop))
    })
}
