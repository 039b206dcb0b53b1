//! The npd agent: arguments, logs, configuration, exporters, sources and monitors, and an orderly end.

use std::{
    error::Error,
    ffi::OsStr,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use npd_agent::{
    agent::Agent,
    cli::{self, Args, Command, LogFormat},
    config::{self, ConfigErrors, ConfigFile, Loaded},
    detector::Detector,
    exporter::{Exporter, log::LogExporter, prometheus as page, prometheus::PrometheusExporter},
    kernel::{
        log::{KernelLog, KernelLogOptions, Resume},
        metrics::KernelMetrics,
        probes::{ProbeReport, Probes},
    },
    memory,
    record::Record,
    reload::Reload,
    replay::{self, ReplayOptions},
    state::StateDir,
};
use prometheus::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a wrong command line exits with.
const USAGE: u8 = 2;
/// What everything else that keeps the agent from working exits with.
const FATAL: u8 = 255;
/// How long a scrape that is under way may go on.
const SERVER_DEADLINE: Duration = Duration::from_millis(300);
/// How long the end may take before it is forced.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

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
        None => {}
        Some(Command::Features) => return say(&features(&args)),
        Some(Command::CheckConfig { files }) => return check_config(files),
        Some(Command::Replay(replay)) => return replay_log(replay),
    }
    let configs = match args.check(|note| tracing::warn!("{note}")) {
        Ok(configs) => configs,
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
        Ok(runtime) => runtime.block_on(run(&args, loaded)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fatal(&*error),
    }
}

async fn run(args: &Args, loaded: Loaded) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    register_build_info(&registry)?;
    let port = u16::try_from(args.prometheus_port).unwrap_or(0);
    if port == 0 {
        return Err(
            "No exporter is successfully setup: --prometheus-port is 0 and the Kubernetes exporter is off".into()
        );
    }
    let exporters: Vec<Box<dyn Exporter>> =
        vec![Box::new(LogExporter), Box::new(PrometheusExporter::register(&registry)?)];
    let mut agent = Agent::new(&registry, kernel_options(args), Detector::new(exporters), open_state(&args.state_dir))?;
    let address = SocketAddr::new(args.prometheus_address, port);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("Failed to start Prometheus scrape endpoint: listen tcp {address}: {error}"))?;
    let mut signals = Signals::listen()?;
    let mut reload = Reload::new(&loaded)?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(page::serve(listener, registry.clone(), stop.clone()));
    agent.add_system_stats(loaded.system_stats)?;
    agent.start(loaded.system_logs).await?;

    let node = cli::node_name(&args.hostname_override, std::env::var("NODE_NAME").ok());
    memory::give_back();
    tracing::info!(node, metrics = %format!("http://{address}/metrics"), "ready");

    let failed = loop {
        tokio::select! {
            name = signals.next() => {
                tracing::info!(signal = name, "stopping");
                break false;
            }
            changes = reload.changed() => agent.reload(changes)?,
            () = agent.broken() => break true,
        }
    };
    let end = async {
        // In the order of the flow: the sources with all that they have read, then the page.
        agent.stop().await;
        stop.cancel();
        // A client that does not end its request does not hold up the end.
        if let Ok(served) = tokio::time::timeout(SERVER_DEADLINE, server).await {
            served??;
        }
        Ok::<(), Box<dyn Error>>(())
    };
    tokio::select! {
        ended = end => ended?,
        () = tokio::time::sleep(SHUTDOWN_DEADLINE) => return Err("stopping took too long".into()),
        name = signals.next() => return Err(format!("aborted by a second signal ({name})").into()),
    }
    if failed { Err("a source ended by itself".into()) } else { Ok(()) }
}

/// The folder of the state. Without it the agent works all the same, and says so.
fn open_state(path: &OsStr) -> Option<StateDir> {
    if path.is_empty() {
        return None;
    }
    match StateDir::open(Path::new(path)) {
        Ok(dir) => Some(dir),
        Err(error) => {
            let error = &error as &dyn Error;
            tracing::warn!(error, "nothing is kept: a restart looks back as far as \"lookback\" says");
            None
        }
    }
}

fn kernel_options(args: &Args) -> KernelLogOptions {
    KernelLogOptions {
        source: args.kernel_source.into(),
        ring_size: args.kernel_ring_size.0,
        probe_diagnostics: args.verbosity > 0,
        kmsg: "/dev/kmsg".into(),
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
    let options = kernel_options(args);
    let sink = Box::new(|_: &Record<'_>| ());
    let opened = KernelMetrics::register(&Registry::new())
        .map_err(Box::<dyn Error>::from)
        .and_then(|metrics| Ok(KernelLog::open(options.clone(), Resume::default(), sink, metrics)?));
    let (probes, way) = match opened {
        Ok(log) => (log.probes().to_vec(), log.mode().as_str().to_owned()),
        Err(error) => {
            let probes =
                Probes::load(options.ring_size, false).map_or_else(|none| none, |(p, ..)| p.reports().to_vec());
            (probes, format!("none: {}", chain(&*error)))
        }
    };
    let mut table = format!("{:<14} {:<26} {:<12} WHY\n", "PROBE", "TRACEPOINT", "STATE");
    for ProbeReport { probe, state, why } in probes {
        let row = format!("{:<14} {probe:<26} {state:<12} {why}", probe.name);
        table.push_str(row.trim_end());
        table.push('\n');
    }
    format!("{table}\nkernel log: {way}\n")
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
    let level = match args.verbosity {
        ..=0 if args.command.is_some() => "off",
        ..=0 => "info",
        1 => "info,npd_agent=debug,npd_ebpf=debug",
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

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
