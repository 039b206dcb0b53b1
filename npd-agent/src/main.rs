//! The npd agent: arguments, logs, configuration, exporters, sources and monitors, and an orderly end.

use std::{
    error::Error,
    ffi::OsStr,
    io::{IsTerminal as _, Write as _},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::Router;
use clap::Parser as _;
use npd_agent::{
    admin::{
        http::{self, Limits},
        server::{self, Shown},
        systemd::Systemd,
    },
    agent::Agent,
    cli::{self, Args, Command, LogFormat},
    command::replay::{self, ReplayOptions},
    config::{self, ConfigErrors, ConfigFile, Loaded, reload::Reload},
    detector::Detector,
    error::chain,
    exporter::{
        Exporter,
        kubernetes::{self, ApiServer, ConnectError, KubernetesMetrics, KubernetesOptions, KubernetesTasks},
        log::LogExporter,
        prometheus::{self as metrics_page, PrometheusExporter},
    },
    feature::Feature,
    node::Node,
    process::{capabilities, memory},
    record::Record,
    source::kernel::{
        log::{KernelLog, KernelLogOptions, Resume},
        metrics::KernelMetrics,
        probes::{ProbeReport, Probes},
    },
    state::{StateDir, StateFile},
};
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

/// What a wrong command line exits with.
const USAGE: u8 = 2;
/// What everything else that keeps the agent from working exits with.
const FATAL: u8 = 255;
/// How long what is left is sent to the API server at the end.
const FLUSH_DEADLINE: Duration = Duration::from_secs(3);
/// How long the end may take before it is forced: longer than all that may hang in turn.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(8);

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => {
            let code = if message.use_stderr() { USAGE } else { 0 };
            return if message.print().is_ok() { code.into() } else { USAGE.into() };
        }
    };
    if args.version {
        return say(&format!("v{}\n", env!("CARGO_PKG_VERSION")));
    }
    start_log(&args);
    match &args.command {
        None => raise_capabilities(),
        Some(Command::Features) => {
            raise_capabilities();
            return say(&features(&args));
        }
        Some(Command::CheckConfig { files }) => return check_config(files),
        Some(Command::Replay(replay)) => return replay_log(replay),
    }
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
            log_errors(&errors);
            tracing::error!(errors = errors.errors.len(), "the configuration has errors");
            return FATAL.into();
        }
    };
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(run(&args, &node, cluster, loaded));
            // A thread that hangs in the kernel, with the start of a plugin, is not waited for.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // node-problem-detector panics here.
        Err(error) if error.is::<ConnectError>() => {
            fatal(&*error);
            USAGE.into()
        }
        Err(error) => fatal(&*error),
    }
}

/// The API server and what it is to be told, if it is.
type Cluster = Option<(KubernetesOptions, ApiServer)>;

async fn run(args: &Args, node: &str, cluster: Cluster, loaded: Loaded) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    register_build_info(&registry)?;
    let shown = Shown::default();
    let metrics = Listener::bind("Prometheus scrape endpoint", args.prometheus_address, args.prometheus_port).await?;
    let health = Listener::bind("health endpoint", args.address, args.port).await?;
    if metrics.is_none() && cluster.is_none() {
        return Err(
            "No exporter is successfully setup: --prometheus-port is 0 and the Kubernetes exporter is off".into()
        );
    }
    let systemd = systemd();
    let machine = Node::from_env();
    let state = open_state(&args.state_dir, &machine);
    // In the order in which they are told: the longest way is begun first.
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    let mut tasks: Option<KubernetesTasks> = None;
    if let Some((options, server)) = cluster {
        let (metrics, component) = (KubernetesMetrics::register(&registry)?, shown.components.add("kubernetes"));
        let outbox = state.as_ref().and_then(open_outbox);
        let (exporter, running) = kubernetes::start(options, server, outbox, metrics, component).await?;
        exporters.push(Box::new(exporter));
        tasks = Some(running);
    }
    exporters.push(Box::new(LogExporter));
    exporters.push(Box::new(PrometheusExporter::register(&registry)?));
    exporters.push(Box::new(shown.recent.clone()));
    let (kernel, detector) = (kernel_options(args, &machine), Detector::new(exporters));
    let components = shown.components.clone();
    let mut agent = Agent::new(&registry, kernel, detector, state, components.clone(), args.allow_insecure_plugins)?;
    let mut signals = Signals::listen()?;
    let mut reload = Reload::new(&loaded)?;
    let stop = CancellationToken::new();
    let mut servers = JoinSet::new();
    let urls = [
        metrics.map(|page| page.serve(&mut servers, metrics_page::router(registry), "/metrics", &stop)),
        health.map(|page| page.serve(&mut servers, server::router(shown), "/healthz", &stop)),
    ];
    agent.start(loaded).await?;

    tokio::spawn(memory::give_back_after_start());
    let [metrics, health] = urls;
    tracing::info!(node, metrics, health, kubernetes = tasks.is_some(), "ready");
    let stopping = CancellationToken::new();
    if let Some(systemd) = systemd {
        // Nobody waits for its end: systemd may not read.
        tokio::spawn(systemd.tell(components, stopping.clone()));
    }

    let failed = loop {
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping");
                break None;
            }
            changes = reload.changed() => agent.reload(changes)?,
            () = agent.broken() => break Some("a source ended by itself"),
            () = broken(&mut tasks) => break Some("the Kubernetes exporter ended by itself"),
        }
    };
    let end = async {
        stopping.cancel();
        // In the order of the flow: the sources with all that they have read, what is to be told, then the pages.
        agent.stop().await;
        if let Some(tasks) = tasks {
            tasks.stop(FLUSH_DEADLINE).await;
        }
        stop.cancel();
        servers.join_all().await;
    };
    tokio::select! {
        () = end => {}
        () = tokio::time::sleep(SHUTDOWN_DEADLINE) => return Err("stopping took too long".into()),
        name = signals.next() => return Err(format!("aborted by a second signal ({name})").into()),
    }
    failed.map_or(Ok(()), |failed| Err(failed.into()))
}

async fn broken(tasks: &mut Option<KubernetesTasks>) {
    match tasks {
        Some(tasks) => tasks.broken().await,
        None => std::future::pending().await,
    }
}

/// A port that is open before anything else starts.
struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// What is permitted is enough. Who cannot have even that goes on, and hears later what it lacks.
fn raise_capabilities() {
    if let Err(error) = capabilities::raise() {
        tracing::warn!(error = &error as &dyn Error, "the capabilities of the program's file cannot be used");
    }
}

/// systemd, if it has started the agent and wants to be told.
fn systemd() -> Option<Systemd> {
    let systemd = Systemd::from_env();
    systemd.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn Error, "systemd is not told that the agent is ready");
        None
    })
}

/// The folder of the state. Without it the agent works all the same, and says so.
fn open_state(path: &OsStr, node: &Node) -> Option<StateDir> {
    if path.is_empty() {
        return None;
    }
    match StateDir::open(Path::new(path), node) {
        Ok(dir) => Some(dir),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(error, "nothing is kept: a restart looks back as far as \"lookback\" says");
            None
        }
    }
}

/// Where events are kept that wait to be sent.
fn open_outbox(state: &StateDir) -> Option<StateFile> {
    let opened = state.file("kubernetes-events");
    opened.inspect_err(|error| tracing::warn!(error = error as &dyn Error, "events that wait are not kept")).ok()
}

fn kernel_options(args: &Args, node: &Node) -> KernelLogOptions {
    KernelLogOptions {
        source: args.kernel_source.into(),
        ring_size: args.kernel_ring_size.0,
        probe_diagnostics: args.verbosity > 0,
        kmsg: "/dev/kmsg".into(),
        node: node.clone(),
    }
}

/// All that is wrong with the files, and all that is odd about them.
fn check_config(files: &[PathBuf]) -> ExitCode {
    let file = |path: &PathBuf| ConfigFile { path: path.clone(), monitor: config::guess(path) };
    let (errors, warnings) = match config::load_files(&files.iter().map(file).collect::<Vec<_>>()) {
        Ok(loaded) => (Vec::new(), loaded.warnings),
        Err(ConfigErrors { errors, warnings }) => (errors, warnings),
    };
    let warned = warnings.iter().map(|warning| format!("warning: {warning}"));
    let failed = errors.iter().map(|error| format!("error: {error}"));
    let sum = format!("{} files, {} errors, {} warnings", files.len(), errors.len(), warnings.len());
    let said = say(&(warned.chain(failed).chain([sum]).collect::<Vec<_>>().join("\n") + "\n"));
    if errors.is_empty() { said } else { ExitCode::from(1) }
}

fn replay_log(args: &cli::ReplayArgs) -> ExitCode {
    let options = ReplayOptions {
        configs: args.configs.clone(),
        log: args.log.clone(),
        format: args.format.map(Into::into),
        json: args.json,
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let warn = |warning: &config::Warning| complain(&format!("warning: {warning}"));
    match replay::replay(&options, &mut out, warn) {
        Ok(_) => ExitCode::SUCCESS,
        // The reader of the results has seen enough.
        Err(replay::ReplayError::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("error: {}", chain(&error)));
            FATAL.into()
        }
    }
}

/// The table of `npd-agent features`. It is there to be read where nothing works, so nothing makes it fail.
fn features(args: &Args) -> String {
    let options = kernel_options(args, &Node::from_env());
    let sink = Box::new(|_: &Record<'_>| ());
    let opened = KernelMetrics::register(&Registry::new())
        .map_err(Box::<dyn Error>::from)
        .and_then(|metrics| Ok(KernelLog::open(options.clone(), Resume::default(), sink, metrics)?));
    let (probes, way) = match opened {
        Ok(log) => (log.probes().to_vec(), log.mode().as_str().to_owned()),
        Err(error) => {
            let probes = Probes::load(&options.node, options.ring_size, false)
                .map_or_else(|none| none, |(p, ..)| p.reports().to_vec());
            (probes, format!("none: {}", chain(&*error)))
        }
    };
    let mut table = format!("{:<14} {:<26} {:<12} WHY\n", "PROBE", "TRACEPOINT", "STATE");
    for ProbeReport { probe, state, why } in probes {
        let row = format!("{:<14} {probe:<26} {state:<12} {why}", probe.name);
        table.push_str(row.trim_end());
        table.push('\n');
    }
    let built: Vec<_> = Feature::ALL.into_iter().filter(|part| part.is_built()).map(Feature::as_str).collect();
    let built = if built.is_empty() { "none of the optional parts".to_owned() } else { built.join(", ") };
    format!("{table}\nkernel log: {way}\nbuilt with: {built}\n")
}

fn log_errors(errors: &ConfigErrors) {
    for warning in &errors.warnings {
        tracing::warn!("{warning}");
    }
    for error in &errors.errors {
        tracing::error!("{error}");
    }
}

fn register_build_info(registry: &Registry) -> prometheus::Result<()> {
    let opts = prometheus::Opts::new("npd_build_info", "1, with the agent's version");
    let info = prometheus::IntGaugeVec::new(opts, &["version"])?;
    info.with_label_values(&[concat!("v", env!("CARGO_PKG_VERSION"))]).set(1);
    registry.register(Box::new(info))
}

// === impl Listener ===

impl Listener {
    /// Nothing when the port is 0 or less.
    async fn bind(name: &str, ip: IpAddr, port: i64) -> Result<Option<Self>, String> {
        let port = u16::try_from(port).unwrap_or(0);
        if port == 0 {
            return Ok(None);
        }
        let address = SocketAddr::new(ip, port);
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| format!("Failed to start {name}: listen tcp {address}: {error}"))?;
        Ok(Some(Self { listener, address }))
    }

    /// Serves the pages until `stop`; gives the address of one.
    fn serve(self, servers: &mut JoinSet<()>, pages: Router, page: &str, stop: &CancellationToken) -> String {
        servers.spawn(http::serve(self.listener, pages, Limits::default(), stop.clone()));
        format!("http://{}{page}", self.address)
    }
}

/// The signals that end the agent.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn start_log(args: &Args) {
    // The client tells of each failed request; who has asked tells of it once, and what it means.
    let level = match args.verbosity {
        ..=0 if args.command.is_some() => "off",
        ..=0 => "info,kube_client=off",
        1 => "info,npd_agent=debug,npd_ebpf=debug,kube_client=off",
        _ => "trace",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

fn say(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fatal(&error),
    }
}

/// Says what a command other than running has to say beside its results.
fn complain(line: &str) {
    // Where nobody listens there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}

/// The one place where what ended the agent is printed.
fn fatal(error: &dyn Error) -> ExitCode {
    tracing::error!("{}", chain(error));
    FATAL.into()
}
