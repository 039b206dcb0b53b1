//! `npd-agent`: exporters, state, sources and monitors, signals, and an orderly end.

use std::{ffi::OsStr, io, path::Path, process::ExitCode, time::Duration};

use prometheus::Registry;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::terminal::{FATAL, USAGE, fail};
use crate::{
    admin::{
        listener::{ListenError, Listener},
        server::{self, Shown},
        systemd::Systemd,
    },
    agent::{Agent, AgentError},
    cli::{self, Args},
    config::{self, ConfigErrors, Loaded, reload::Reload},
    detector::Detector,
    exporter::{
        Exporter,
        kubernetes::{self, ApiServer, ConnectError, KubernetesOptions, KubernetesTasks},
        log::LogExporter,
        prometheus::{self as metrics_page, PrometheusExporter},
    },
    metric::own::{BuildMetrics, KubernetesMetrics},
    node::Node,
    process::{memory, signals::Signals},
    state::{StateDir, StateFile},
};

/// How long the exporters may take at the end to send what is queued to the API server.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);
/// How long stopping may take before it is forced: longer than everything that can hang, one after the other.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(8);

/// The API server and what to send to it, if the Kubernetes exporter is on.
type Cluster = Option<(KubernetesOptions, ApiServer)>;

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error("cannot handle signals")]
    Signals(#[source] io::Error),
    #[error("cannot watch the config files")]
    Watch(#[source] io::Error),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error("No exporter is successfully setup: --prometheus-port is 0 and the Kubernetes exporter is off")]
    NoExporter,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("{0} stopped unexpectedly")]
    Broken(&'static str),
    #[error("stopping took longer than {} s", SHUTDOWN_DEADLINE.as_secs())]
    Late,
    #[error("aborted by a second signal ({0})")]
    Aborted(&'static str),
}

/// Runs the agent until a signal stops it or it cannot continue.
#[must_use]
pub fn run(args: &Args) -> ExitCode {
    let node = cli::node_name(&args.hostname_override, std::env::var("NODE_NAME").ok());
    let warn = |text: &str| tracing::warn!("{text}");
    let checked = args.kubernetes.check(&node, warn).and_then(|cluster| Ok((cluster, args.check(warn)?)));
    let (cluster, configs) = match checked {
        Ok(checked) => checked,
        Err(error) => {
            tracing::error!("{error}");
            return USAGE.into();
        }
    };
    let loaded = match config::load_files(&configs) {
        Ok(loaded) => loaded,
        Err(errors) => {
            log_config_errors(&errors);
            return FATAL.into();
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&RunError::Runtime(error)),
    };
    let ended = runtime.block_on(run_until_stopped(args, &node, cluster, loaded));
    // A thread that hangs in the kernel while it starts a plugin is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = fail(&error);
            // node-problem-detector panics here.
            if matches!(error, RunError::Connect(_)) { USAGE.into() } else { code }
        }
    }
}

async fn run_until_stopped(args: &Args, node: &str, cluster: Cluster, loaded: Loaded) -> Result<(), RunError> {
    let registry = Registry::new();
    register_build_info(&registry)?;
    let shown = Shown::default();
    let components = shown.components.clone();
    let metrics = Listener::bind("Prometheus scrape endpoint", args.prometheus_address, args.prometheus_port).await?;
    let health = Listener::bind("health endpoint", args.address, args.port).await?;
    if metrics.is_none() && cluster.is_none() {
        return Err(RunError::NoExporter);
    }
    let systemd = connect_systemd();
    let machine = Node::from_env();
    let state = open_state(&args.state_dir, &machine);

    // In the order in which they get a problem: the one with the longest way to go comes first.
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    let mut kubernetes: Option<KubernetesTasks> = None;
    if let Some((options, server)) = cluster {
        let (metrics, component) = (KubernetesMetrics::register(&registry)?, components.add("kubernetes"));
        let outbox = state.as_ref().and_then(open_outbox);
        let (exporter, tasks) = kubernetes::start(options, server, outbox, metrics, component).await?;
        exporters.push(Box::new(exporter));
        kubernetes = Some(tasks);
    }
    exporters.push(Box::new(LogExporter));
    exporters.push(Box::new(PrometheusExporter::register(&registry)?));
    exporters.push(Box::new(shown.recent.clone()));

    let (kernel, detector) = (args.kernel_options(&machine), Detector::new(exporters));
    let mut agent = Agent::new(&registry, kernel, detector, state, components.clone(), args.allow_insecure_plugins)?;
    let mut signals = Signals::listen().map_err(RunError::Signals)?;
    let mut reload = Reload::new(&loaded).map_err(RunError::Watch)?;
    let (stop_servers, mut servers) = (CancellationToken::new(), JoinSet::new());
    let metrics =
        metrics.map(|port| port.serve(&mut servers, metrics_page::router(registry), "/metrics", &stop_servers));
    let health = health.map(|port| port.serve(&mut servers, server::router(shown), "/healthz", &stop_servers));
    agent.start(loaded).await?;
    tokio::spawn(memory::release_after_start().instrument(tracing::info_span!("memory")));
    tracing::info!(node, metrics, health, kubernetes = kubernetes.is_some(), "ready");
    let stopping = CancellationToken::new();
    if let Some(systemd) = systemd {
        // Its end is not waited for: systemd may not be reading.
        tokio::spawn(systemd.notify(components, stopping.clone()).instrument(tracing::info_span!("systemd")));
    }

    let broken = loop {
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping");
                break None;
            }
            changes = reload.changed() => agent.reload(changes)?,
            () = agent.broken() => break Some("a source"),
            () = broken(&mut kubernetes) => break Some("the Kubernetes exporter"),
        }
    };
    let end = async {
        stopping.cancel();
        // In the order of the data: the sources with everything they have read, the exporters' queues, then the pages.
        agent.stop().await;
        if let Some(kubernetes) = kubernetes {
            kubernetes.stop(FLUSH_DEADLINE).await;
        }
        stop_servers.cancel();
        servers.join_all().await;
    };
    tokio::select! {
        () = end => {}
        () = sleep(SHUTDOWN_DEADLINE) => return Err(RunError::Late),
        name = signals.next() => return Err(RunError::Aborted(name)),
    }
    broken.map_or(Ok(()), |what| Err(RunError::Broken(what)))
}

async fn broken(kubernetes: &mut Option<KubernetesTasks>) {
    match kubernetes {
        Some(tasks) => tasks.broken().await,
        None => std::future::pending().await,
    }
}

/// systemd, if it has started the agent and wants to be notified.
fn connect_systemd() -> Option<Systemd> {
    Systemd::from_env().unwrap_or_else(|error| {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "cannot notify systemd that the agent is ready");
        None
    })
}

/// The state directory. Without it the agent still works, and logs that it keeps no state.
fn open_state(path: &OsStr, node: &Node) -> Option<StateDir> {
    if path.is_empty() {
        return None;
    }
    match StateDir::open(Path::new(path), node) {
        Ok(dir) => Some(dir),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "no state is kept: after a restart logs are read from as far back as \"lookback\"");
            None
        }
    }
}

/// Where events are kept while they wait to be sent.
fn open_outbox(state: &StateDir) -> Option<StateFile> {
    let opened = state.file("kubernetes-events");
    opened
        .inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "events that wait to be sent are not kept across a restart");
        })
        .ok()
}

fn log_config_errors(errors: &ConfigErrors) {
    for warning in &errors.warnings {
        tracing::warn!("{warning}");
    }
    for error in &errors.errors {
        tracing::error!("{error}");
    }
    tracing::error!(errors = errors.errors.len(), "the configuration has errors");
}

fn register_build_info(registry: &Registry) -> prometheus::Result<()> {
    BuildMetrics::register(registry)?.build_info(concat!("v", env!("CARGO_PKG_VERSION"))).set(1);
    Ok(())
}
