//! The npd agent: arguments, logs, configuration, kernel log, exporters, and an orderly end.

use std::{
    error::Error,
    io::{IsTerminal as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Parser as _;
use npd_agent::{
    cli::{self, Args, Command, LogFormat},
    config,
    detector::Detector,
    exporter::{Exporter, log::LogExporter, prometheus as page, prometheus::PrometheusExporter},
    kernel::{
        log::{KernelLog, KernelLogOptions, KernelSource, Started},
        metrics::KernelMetrics,
        probes::{ProbeReport, Probes},
    },
    memory,
    monitor::system_log::{SystemLog, Times},
    record::Record,
    time::Now,
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
    if let Some(Command::Features) = args.command {
        return say(&features(&args));
    }
    let configs = match args.check(|note| tracing::warn!("{note}")) {
        Ok(configs) => configs,
        Err(error) => {
            tracing::error!("{error}");
            return USAGE.into();
        }
    };
    let loaded = match config::load(&configs) {
        Ok(loaded) => loaded,
        Err(errors) => {
            for warning in &errors.warnings {
                tracing::warn!("{warning}");
            }
            for error in &errors.errors {
                tracing::error!("{error}");
            }
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

async fn run(args: &Args, loaded: config::Loaded) -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    register_build_info(&registry)?;
    let times = times();
    let monitors: Vec<SystemLog> = loaded.system_logs.into_iter().map(|config| SystemLog::new(config, times)).collect();
    let port = u16::try_from(args.prometheus_port).unwrap_or(0);
    if port == 0 {
        return Err(
            "No exporter is successfully setup: --prometheus-port is 0 and the Kubernetes exporter is off".into()
        );
    }
    let declared: Vec<_> = monitors.iter().map(SystemLog::declared).collect();
    let exporters: Vec<Box<dyn Exporter>> =
        vec![Box::new(LogExporter), Box::new(PrometheusExporter::register(&registry, &declared)?)];
    let address = SocketAddr::new(args.prometheus_address, port);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|error| format!("Failed to start Prometheus scrape endpoint: listen tcp {address}: {error}"))?;
    let detector = Arc::new(Detector::new(exporters));

    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(page::serve(listener, registry.clone(), stop.clone()));
    let metrics = KernelMetrics::register(&registry)?;
    let options = kernel_options(args);
    let (alive, mut ended) = tokio::sync::oneshot::channel::<()>();
    let sink = listen(monitors, detector, alive);
    let opened = tokio::task::spawn_blocking(move || KernelLog::start(options, Box::new(sink), metrics));
    let (kernel_log, _started) = opened.await??;

    let node = cli::node_name(&args.hostname_override, std::env::var("NODE_NAME").ok());
    memory::give_back();
    tracing::info!(node, metrics = %format!("http://{address}/metrics"), "ready");

    let failed = tokio::select! {
        name = signals.next() => {
            tracing::info!(signal = name, "stopping");
            false
        }
        // The sender is dropped with the thread's state, whatever ended it.
        _ = &mut ended => true,
    };
    let end = async {
        // In the order of the flow: the source with all that it has read, then the page.
        let last = tokio::task::spawn_blocking(move || kernel_log.stop()).await?;
        stop.cancel();
        // A client that does not end its request does not hold up the end.
        if let Ok(served) = tokio::time::timeout(SERVER_DEADLINE, server).await {
            served??;
        }
        last.map_err(Box::<dyn Error>::from)
    };
    tokio::select! {
        ended = end => ended?,
        () = tokio::time::sleep(SHUTDOWN_DEADLINE) => return Err("stopping took too long".into()),
        name = signals.next() => return Err(format!("aborted by a second signal ({name})").into()),
    }
    if failed { Err("the kernel log ended by itself".into()) } else { Ok(()) }
}

/// The monitors as the sink of the kernel log: each gets each record. `alive` is dropped with the sink.
fn listen(
    mut monitors: Vec<SystemLog>,
    detector: Arc<Detector>,
    alive: tokio::sync::oneshot::Sender<()>,
) -> impl FnMut(&Record<'_>) + Send {
    for monitor in &monitors {
        detector.report(&monitor.initial_status());
    }
    move |record| {
        let _alive = &alive;
        for monitor in &mut monitors {
            monitor.record(record, &mut |status| detector.report(&status));
        }
    }
}

fn kernel_options(args: &Args) -> KernelLogOptions {
    KernelLogOptions {
        source: args.kernel_source.source().unwrap_or(KernelSource::Auto),
        ring_size: args.kernel_ring_size.0,
        probe_diagnostics: args.verbosity > 0,
        kmsg: "/dev/kmsg".into(),
    }
}

fn times() -> Times {
    let now = Now::read();
    let boottime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let uptime = boottime.tv_sec.saturating_mul(1_000_000_000).saturating_add(boottime.tv_nsec);
    Times { now: now.wall, boot: now.wall.shift(uptime.saturating_neg()) }
}

/// The table of `npd-agent features`. It is there to be read where nothing works, so nothing makes it fail.
fn features(args: &Args) -> String {
    let options = kernel_options(args);
    let sink = Box::new(|_: &Record<'_>| ());
    let opened = KernelMetrics::register(&Registry::new())
        .map_err(Box::<dyn Error>::from)
        .and_then(|metrics| Ok(KernelLog::start(options.clone(), sink, metrics)?));
    let (probes, way) = match opened {
        Ok((kernel_log, Started { mode, probes })) => {
            let stopped = kernel_log.stop().map_or_else(|error| format!(" ({})", chain(&error)), |()| String::new());
            (probes, format!("{}{stopped}", mode.as_str()))
        }
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
