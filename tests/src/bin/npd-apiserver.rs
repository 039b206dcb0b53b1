//! A stand-in API server to look at: it prints what an agent sends.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result};
use clap::Parser;
use npd_tests::cluster::apiserver::{ApiServer, Request, Resource, conditions};
use serde_json::Value;

/// A stand-in for the Kubernetes API server that prints what an agent sends.
///
/// It keeps Nodes, Events, Pods and Namespaces in memory, as core/v1 does, and
/// prints a line for each request, each event made or patched and each condition
/// that changed. A node can be deleted and made again with curl.
///
/// Try it:
///
///   npd-apiserver --port 8001 --node node-a &
///   npd-agent --hostname-override=node-a \
///     '--apiserver-override=http://127.0.0.1:8001?inClusterConfig=false' \
///     --config.system-log-monitor=config/kernel-monitor.json
///   echo 'task docker:7 blocked for more than 300 seconds.' > /dev/kmsg
///   curl -s 127.0.0.1:8001/api/v1/nodes/node-a | jq .status.conditions
///   curl -s -X DELETE 127.0.0.1:8001/api/v1/nodes/node-a
#[derive(Debug, Parser)]
#[command(name = "npd-apiserver", verbatim_doc_comment, after_help = "It ends with Ctrl-C, and what it kept is gone.")]
struct Arguments {
    /// The port of 127.0.0.1 to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// A node that exists; repeatable. An agent whose node is not there gets 404 for everything but events.
    #[arg(long = "node", value_name = "NAME", default_value = "node-a")]
    nodes: Vec<String>,

    /// A file with the bearer tokens that are valid, one a line; without it whoever comes is let in.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,

    /// Writes a kubeconfig of this server, for `--apiserver-override='http://x?inClusterConfig=false&auth=FILE'`.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// What has been printed already.
#[derive(Debug, Default)]
struct Printed {
    requests: u64,
    conditions: BTreeMap<String, BTreeMap<String, Value>>,
}

/// What came since.
#[derive(Debug)]
struct News {
    requests: Vec<Request>,
    nodes: Vec<Value>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut builder = ApiServer::builder().port(arguments.port);
    for node in &arguments.nodes {
        builder = builder.node(node);
    }
    if let Some(path) = &arguments.token {
        let tokens = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        for token in tokens.lines().map(str::trim).filter(|token| !token.is_empty()) {
            builder = builder.token(token);
        }
    }
    let server = builder.start()?;
    if let Some(path) = &arguments.kubeconfig {
        server.write_kubeconfig(path)?;
    }
    let mut out = io::stdout();
    writeln!(out, "{}", server.url())?;
    let mut printed = Printed::default();
    for name in &arguments.nodes {
        printed.conditions.insert(name.clone(), conditions(&server.node(name)?));
    }
    loop {
        let news = server.wait_for("a request", Duration::from_hours(1), |cluster| {
            let requests = cluster.requests.since(printed.requests);
            let requests: Vec<_> = requests.take_while(|request| request.status.is_some()).cloned().collect();
            let nodes = cluster.store.all(Resource::Nodes);
            (!requests.is_empty()).then(|| News { requests, nodes: nodes.cloned().collect() })
        });
        // An hour without a request is nothing to tell of.
        if let Ok(news) = news {
            printed.print(&mut out, &news)?;
        }
    }
}

// === impl Printed ===

impl Printed {
    fn print(&mut self, out: &mut impl Write, news: &News) -> io::Result<()> {
        for request in &news.requests {
            self.requests = request.number + 1;
            writeln!(out, "{request}")?;
            print_event(out, request)?;
        }
        let mut left = std::mem::take(&mut self.conditions);
        for node in &news.nodes {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let (now, before) = (conditions(node), left.remove(name).unwrap_or_default());
            for (kind, condition) in &now {
                let is_news = |before: &Value| {
                    ["status", "reason", "message", "lastTransitionTime"].iter().any(|at| before[at] != condition[at])
                };
                if before.get(kind).is_none_or(is_news) {
                    let [status, reason, message, since] =
                        ["status", "reason", "message", "lastTransitionTime"].map(|field| text(condition, field));
                    writeln!(out, "    condition {name} {kind}={status} {reason} since {since}: {message}")?;
                }
            }
            for kind in before.keys().filter(|kind| !now.contains_key(*kind)) {
                writeln!(out, "    condition {name} {kind} is gone")?;
            }
            self.conditions.insert(name.to_owned(), now);
        }
        for name in left.keys() {
            writeln!(out, "    node {name} is gone")?;
        }
        out.flush()
    }
}

/// What an event says, when the request made or patched one.
fn print_event(out: &mut impl Write, request: &Request) -> io::Result<()> {
    if !(request.path.contains("/events") && matches!(request.status, Some(200 | 201))) {
        return Ok(());
    }
    let event = request.json();
    match request.method.as_str() {
        "POST" => writeln!(
            out,
            "    event {} {} on {}/{} from {}: {}",
            text(&event, "type"),
            text(&event, "reason"),
            text(&event["involvedObject"], "kind"),
            text(&event["involvedObject"], "name"),
            text(&event["source"], "component"),
            text(&event, "message"),
        ),
        "PATCH" => writeln!(out, "    event patched: {event}"),
        _ => Ok(()),
    }
}

fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or("-")
}
