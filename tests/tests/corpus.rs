//! The shipped log monitors against what kernels and daemons really print.
//!
//! `corpus/*/*.txt` says of single lines what the rules make of them. A file is read from top to bottom:
//!
//! * `# config: docker-monitor.json` first: the monitors, in `config/`, that its lines are for;
//! * `# expect: OOMKilling`: which reasons each line from here on must have, exactly these and in any order;
//!   `over:OOMKilling` for a line that says that the problem is over, `none` for an innocent one. Of a log file whole
//!   lines are held: `skipped` are those that the monitor passes over, `unreadable` those without time or message.
//!
//! Other lines that start with `#` are comments, blank lines count for nothing. What takes several lines and time to
//! happen is played to a whole monitor. No kernel and no agent is needed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use jiff::tz::TimeZone;
use npd_agent::config::{self, LogInput, SystemLogConfig};
use npd_agent::monitor::system_log::{SystemLog, Times};
use npd_agent::problem::{ConditionStatus, Fields, Status};
use npd_agent::record::{Place, Record};
use npd_agent::rules::{Hit, Rules};
use npd_agent::time::Timestamp;
use npd_tests::binary::shipped_config;
use npd_tests::suite::Suite;

/// The shipped log monitors by the names of their files.
type Shipped = BTreeMap<String, SystemLogConfig>;

/// What came of a file.
#[derive(Default)]
struct Checked {
    wrong: Vec<String>,
    /// The patterns that were hit, by their monitor and place.
    hit: BTreeSet<(String, usize)>,
}

/// A monitor that is asked about single lines.
struct Reader<'c> {
    name: &'c str,
    input: &'c LogInput,
    rules: Rules,
    /// What a hit of each pattern is called.
    labels: Vec<String>,
}

/// A monitor on a node that was booted an hour ago.
struct Node {
    monitor: SystemLog,
    now: Timestamp,
}

/// All times are this or later: 2026-11-24T09:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_nanos(1_795_510_800 * SECOND);
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600;

fn main() -> Result<ExitCode> {
    let mut suite = Suite::default();
    let shipped = Arc::new(shipped()?);
    let mut hit = BTreeSet::new();
    for file in corpus()? {
        let name = file.strip_prefix(corpus_folder()).unwrap_or(&file).with_extension("").display().to_string();
        let (wrong, hits) = match check(&file, &shipped) {
            Ok(checked) => (Ok(checked.wrong), checked.hit),
            Err(error) => (Err(error), BTreeSet::new()),
        };
        hit.extend(hits);
        suite.test(format!("{name}: each line has exactly the reasons it should have"), move || {
            let wrong = wrong?;
            ensure!(wrong.is_empty(), "{} lines are wrong:\n{}", wrong.len(), wrong.join("\n"));
            Ok(())
        });
    }
    let monitors = Arc::clone(&shipped);
    suite.test("each pattern of each monitor is hit by a line of the corpus", move || all_are_hit(&monitors, &hit));

    let mut test = |claim: &str, run: fn(&Shipped) -> Result<()>| {
        let shipped = Arc::clone(&shipped);
        suite.test(claim, move || run(&shipped));
    };
    test("a monitor of a log file has the rules of the monitor that it stands in for", same_rules);
    test("the frequent are told of at the count, not before it, and no longer when they are rare", thresholds);
    test("restarts that systemd 229 to 242 tells of in two lines count once", restarts_in_two_lines);
    test("an administrator's restarts are not frequent restarts", restarts_by_hand);
    test("restarts soon after boot do not count", restarts_after_boot);
    test("a service that systemd gave up holds its condition until it is started", given_up);
    test("bad blocks are told apart by disk and kind, and are over one by one", bad_blocks);
    test("what the node can be asked about names whom to ask about", rechecks);
    test("starts in a crash loop are folded, and all are counted", crash_loop);
    Ok(suite.run())
}

// === the corpus ===

fn corpus_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn corpus() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in entries(&corpus_folder())?.into_iter().filter(|path| path.is_dir()) {
        files.extend(entries(&folder)?.into_iter().filter(|path| path.extension().is_some_and(|found| found == "txt")));
    }
    ensure!(!files.is_empty(), "no file in tests/corpus");
    Ok(files)
}

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = list.with_context(|| format!("cannot list {}", folder.display()))?;
    paths.sort();
    Ok(paths)
}

/// Loads each file by itself: some declare the same condition, and nobody runs them all.
fn shipped() -> Result<Shipped> {
    let mut shipped = Shipped::new();
    for path in entries(&shipped_config(""))? {
        if path.extension().is_none_or(|found| found != "json") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let json: serde_json::Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        if !json["plugin"].as_str().is_some_and(|plugin| LogInput::NAMES.contains(&plugin)) {
            continue;
        }
        let mut loaded = config::load(std::slice::from_ref(&path)).context("a shipped monitor is wrong")?;
        if let Some(warning) = loaded.warnings.first() {
            bail!("{warning}");
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        shipped.insert(name, loaded.system_logs.remove(0));
    }
    Ok(shipped)
}

fn check(file: &Path, shipped: &Shipped) -> Result<Checked> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let names = text.lines().next().and_then(|line| line.strip_prefix("# config:"));
    let names = names.context("the first line is not `# config:`")?.split_whitespace();
    let readers: Result<Vec<_>> = names.map(|name| Reader::new(name, shipped)).collect();
    let mut readers = readers?;
    let mut expected: Option<BTreeSet<&str>> = None;
    let mut checked = Checked::default();
    for (number, line) in text.lines().enumerate() {
        if let Some(reasons) = line.strip_prefix("# expect:") {
            expected = Some(reasons.split_whitespace().filter(|reason| *reason != "none").collect());
        } else if !line.starts_with('#') && !line.trim().is_empty() {
            let Some(expected) = &expected else { bail!("line {}: nothing is expected yet", number + 1) };
            let mut found = BTreeSet::new();
            for reader in &mut readers {
                reader.read(line, &mut found, &mut checked.hit);
            }
            if found.iter().map(String::as_str).ne(expected.iter().copied()) {
                checked.wrong.push(format!("line {}: expected {expected:?}, found {found:?}: {line}", number + 1));
            }
        }
    }
    ensure!(expected.is_some(), "no `# expect:` in the file");
    Ok(checked)
}

fn all_are_hit(shipped: &Shipped, hit: &BTreeSet<(String, usize)>) -> Result<()> {
    let mut missed = Vec::new();
    for name in shipped.keys() {
        let labels = Reader::new(name, shipped)?.labels;
        let not_hit = labels.iter().enumerate().filter(|(index, _)| !hit.contains(&(name.clone(), *index)));
        missed.extend(not_hit.map(|(index, label)| format!("{name}: pattern {index}, {label}")));
    }
    ensure!(missed.is_empty(), "no line of the corpus hits\n{}", missed.join("\n"));
    Ok(())
}

// === impl Reader ===

impl<'c> Reader<'c> {
    fn new(name: &'c str, shipped: &'c Shipped) -> Result<Self> {
        let config = shipped.get(name).with_context(|| format!("there is no config/{name}"))?;
        let mut patterns: Vec<_> = config.rules.iter().map(|rule| rule.pattern.clone()).collect();
        let mut labels: Vec<_> = config.rules.iter().map(|rule| rule.reason.to_string()).collect();
        for rule in &config.rules {
            patterns.extend(rule.recovery.pattern.clone());
            labels.extend(rule.recovery.pattern.as_ref().map(|_| format!("over:{}", rule.reason)));
        }
        Ok(Self { name, input: &config.input, rules: Rules::new(patterns, config.buffer_size), labels })
    }

    fn read(&mut self, line: &str, found: &mut BTreeSet<String>, hits: &mut BTreeSet<(String, usize)>) {
        let line = line.as_bytes();
        let message = match self.input {
            LogInput::File { format, .. } if format.skips(line) => Err("skipped"),
            LogInput::File { format, .. } => {
                let time = format.timestamp(line, &TimeZone::UTC, NOW);
                time.and_then(|_| format.message(line)).map_err(|_| "unreadable")
            }
            LogInput::KernelLog | LogInput::Journal { .. } => Ok(Cow::Borrowed(line)),
        };
        let message = match message {
            Ok(message) => message,
            Err(why) => {
                found.insert(why.to_owned());
                return;
            }
        };
        self.rules.push(&message, NOW, &mut |hit: Hit| {
            found.extend(self.labels.get(hit.rule).cloned());
            hits.insert((self.name.to_owned(), hit.rule));
        });
    }
}

// === impl Node ===

impl Node {
    fn new(name: &str, shipped: &Shipped) -> Result<Self> {
        Self::booted(name, shipped, HOUR)
    }

    fn booted(name: &str, shipped: &Shipped, ago: i64) -> Result<Self> {
        let config = shipped.get(name).with_context(|| format!("there is no config/{name}"))?.clone();
        let times = Times { now: NOW, boot: NOW.shift(-ago * SECOND) };
        Ok(Self { monitor: SystemLog::new(config, times), now: NOW })
    }

    /// Each line is a record, all of one moment.
    fn prints(&mut self, lines: &[&str]) -> Vec<Status> {
        let mut found = Vec::new();
        let fields = Fields::none();
        for line in lines {
            let record = Record {
                text: line.as_bytes(),
                at: self.now,
                priority: None,
                fields: &fields,
                known: false,
                place: Place::Nowhere,
            };
            self.monitor.record(&record, &mut |status| found.push(status));
        }
        found
    }

    fn wait(&mut self, seconds: i64) -> Vec<Status> {
        self.now = self.now.shift(seconds * SECOND);
        let mut found = Vec::new();
        self.monitor.advance(self.now, &mut |status| found.push(status));
        found
    }

    /// The conditions that are true.
    fn problems(&self) -> Vec<String> {
        let conditions = self.monitor.initial_status().conditions.into_iter();
        let bad = conditions.filter(|condition| condition.status != ConditionStatus::False);
        bad.map(|condition| condition.kind.to_string()).collect()
    }

    fn expect(&self, problems: &[&str], when: &str) -> Result<()> {
        let found = self.problems();
        ensure!(found == problems, "{when}: {found:?} in place of {problems:?}");
        Ok(())
    }
}

// === what takes several lines ===

fn same_rules(shipped: &Shipped) -> Result<()> {
    for (stand_in, original) in
        [("kernel-monitor-filelog.json", "kernel-monitor.json"), ("docker-monitor-filelog.json", "docker-monitor.json")]
    {
        let (stand_in, original) = (&shipped[stand_in], &shipped[original]);
        // Patterns are equal by their text.
        let rules = |config: &SystemLogConfig| format!("{:?}", (&config.source, &config.conditions, texts(config)));
        ensure!(rules(stand_in) == rules(original), "{} has fallen behind", stand_in.path.display());
    }
    Ok(())
}

fn texts(config: &SystemLogConfig) -> Vec<String> {
    let rules = config.rules.iter();
    rules.map(|r| format!("{:?} {} {} {:?}", r.effect, r.reason, r.pattern.source(), r.recovery.recheck)).collect()
}

const SYSTEMD_COUNTER: &str = "systemd-monitor-counter.json";

/// How often a line has to come within how many minutes for a condition.
#[rustfmt::skip]
const THRESHOLDS: [(&str, &str, usize, i64, &str); 7] = [
    (SYSTEMD_COUNTER, "FrequentKubeletRestart", 5, 20, "kubelet.service: Scheduled restart job, restart counter is at 7."),
    (SYSTEMD_COUNTER, "FrequentKubeletRestart", 5, 20, "k3s-agent.service: Scheduled restart job, restart counter is at 8."),
    (SYSTEMD_COUNTER, "FrequentDockerRestart", 5, 20, "docker.service: Scheduled restart job, restart counter is at 1."),
    (SYSTEMD_COUNTER, "FrequentDockerRestart", 5, 20, "docker.service holdoff time over, scheduling restart."),
    (SYSTEMD_COUNTER, "FrequentContainerdRestart", 5, 20, "containerd.service: Scheduled restart job, restart counter is at 1."),
    ("kernel-monitor-counter.json", "FrequentUnregisterNetDevice", 3, 20, "unregister_netdevice: waiting for veth-1a2b.5 to become free. Usage count = 2"),
    ("docker-monitor-counter.json", "CorruptDockerOverlay2", 10, 5, "level=error msg=\"Handler for GET /v1.47/containers/app/json returned error: readlink /var/lib/docker/overlay2/l: invalid argument\""),
];

fn thresholds(shipped: &Shipped) -> Result<()> {
    for (name, condition, count, minutes, line) in THRESHOLDS {
        let window = minutes * 60;
        let gap = window / i64::try_from(count)?;
        let mut node = Node::new(name, shipped)?;
        for n in 1..=count {
            node.expect(&[], &format!("{condition} after {} of {count}", n - 1))?;
            node.wait(gap);
            node.prints(&[line]);
        }
        node.expect(&[condition], &format!("after {count}"))?;
        node.wait(window + 1);
        node.expect(&[], "when it is over")?;

        let mut slow = Node::new(name, shipped)?;
        for _ in 0..3 * count {
            slow.wait(window / i64::try_from(count - 1)? + 1);
            slow.prints(&[line]);
            slow.expect(&[], &format!("{condition} at a rate below {count} in {window} seconds"))?;
        }
    }
    Ok(())
}

fn restarts_in_two_lines(shipped: &Shipped) -> Result<()> {
    let hold_off = "docker.service: Service hold-off time over, scheduling restart.";
    let scheduled = "docker.service: Scheduled restart job, restart counter is at 3.";
    let stopped = "Stopped Docker Application Container Engine.";
    let expired = "docker.service: Service RestartSec=2s expired, scheduling restart.";
    let starting = "Starting Docker Application Container Engine...";
    for lines in [
        &[hold_off, stopped, starting][..],
        &[hold_off, scheduled, stopped, starting],
        &[expired, scheduled, stopped, starting],
    ] {
        let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
        for _ in 0..4 {
            node.wait(10);
            node.prints(lines);
        }
        node.expect(&[], &format!("after four times {lines:?}"))?;
        node.prints(lines);
        node.expect(&["FrequentDockerRestart"], &format!("after five times {lines:?}"))?;
    }
    Ok(())
}

fn restarts_by_hand(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
    for _ in 0..50 {
        node.wait(5);
        for service in [
            "kubelet.service - kubelet: The Kubernetes Node Agent",
            "docker.service - Docker Application Container Engine",
            "containerd.service - containerd container runtime",
        ] {
            let unit = service.split(' ').next().unwrap_or_default();
            node.prints(&[
                &format!("Stopping {service}..."),
                &format!("{unit}: Deactivated successfully."),
                &format!("Stopped {service}."),
                &format!("{unit}: Consumed 1min 2.345s CPU time."),
                &format!("Starting {service}..."),
                &format!("Started {service}."),
            ]);
        }
    }
    node.expect(&[], "after fifty restarts of each")
}

fn restarts_after_boot(shipped: &Shipped) -> Result<()> {
    let restart = "kubelet.service: Scheduled restart job, restart counter is at 7.";
    let mut node = Node::booted(SYSTEMD_COUNTER, shipped, 0)?;
    for _ in 0..29 {
        node.wait(10);
        node.prints(&[restart]);
    }
    node.expect(&[], "before the five minutes are over")?;
    for _ in 0..6 {
        node.wait(10);
        node.prints(&[restart]);
    }
    node.expect(&["FrequentKubeletRestart"], "a minute later")
}

fn given_up(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new(SYSTEMD_COUNTER, shipped)?;
    // Docker's unit allows three starts a minute.
    for _ in 0..3 {
        node.wait(3);
        node.prints(&["docker.service: Scheduled restart job, restart counter is at 1."]);
    }
    node.expect(&[], "after three restarts")?;
    node.prints(&["docker.service: Start request repeated too quickly."]);
    node.expect(&["FrequentDockerRestart"], "when systemd has given up")?;
    node.wait(24 * HOUR);
    node.prints(&["Started containerd container runtime.", "Starting Docker Application Container Engine..."]);
    node.expect(&["FrequentDockerRestart"], "a day later")?;
    node.prints(&["Started Docker Application Container Engine."]);
    node.expect(&[], "when it is started")
}

fn bad_blocks(shipped: &Shipped) -> Result<()> {
    let bad = &["DiskBadBlock"][..];
    let mut node = Node::new("disk-log-message-filelog.json", shipped)?;
    node.prints(&["smartd[811]: Device: /dev/sda [SAT], 99 Currently unreadable (pending) sectors"]);
    node.expect(&[], "with 99 sectors")?;
    let lines = [
        "smartd[811]: Device: /dev/sda [SAT], 100 Currently unreadable (pending) sectors (changed +1)",
        "smartd[811]: Device: /dev/sda [SAT], 104 Offline uncorrectable sectors",
        "smartd[811]: Device: /dev/sdb [SAT], 262 Currently unreadable (pending) sectors",
    ];
    ensure!(node.prints(&lines).len() == 3, "each is news");
    ensure!(node.prints(&lines).is_empty(), "again is no news");
    let over = "No more Currently unreadable (pending) sectors, warning condition reset after 1 email";
    node.prints(&[&format!("smartd[811]: Device: /dev/sda [SAT], {over}")]);
    node.expect(bad, "with two of three")?;
    node.prints(&["smartd[811]: Device: /dev/sda [SAT], 4 Offline uncorrectable sectors (changed -100)"]);
    node.expect(bad, "with the second disk")?;
    for _ in 0..100 {
        node.wait(HOUR / 2);
        node.prints(&lines[2..]);
        node.expect(bad, "while smartd says so")?;
    }
    node.wait(24 * HOUR - 1);
    node.expect(bad, "nearly a day later")?;
    node.wait(1);
    node.expect(&[], "when the disk has gone")
}

fn rechecks(shipped: &Shipped) -> Result<()> {
    for (name, line, subject) in [
        ("readonly-monitor.json", "EXT4-fs (sda1): Remounting filesystem read-only", Some("sda1")),
        ("readonly-monitor.json", "kernel: EXT4-fs (dm-0): Remounting filesystem read-only", Some("dm-0")),
        (
            "readonly-monitor.json",
            "EXT2-fs (cciss!c0d0p1): error: remounting filesystem read-only",
            Some("cciss!c0d0p1"),
        ),
        ("readonly-monitor.json", "BTRFS info (device sda1): forced readonly", Some("sda1")),
        ("readonly-monitor.json", "BTRFS info (device nvme0n1p3: state EA): forced readonly", Some("nvme0n1p3")),
        ("readonly-monitor.json", "BTRFS info (device dm-0 state EA): forced readonly", Some("dm-0")),
        ("readonly-monitor.json", "exFAT-fs (sdb1): Filesystem has been set read-only", Some("sdb1")),
        ("readonly-monitor.json", "Remounting filesystem read-only", None),
        ("readonly-monitor.json", "OCFS2: File system is now read-only.", None),
        ("kernel-monitor.json", "XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", Some("dm-0")),
        (
            "kernel-monitor.json",
            "XFS (nvme1n1): Filesystem has been shut down due to log error (0x2).",
            Some("nvme1n1"),
        ),
        ("kernel-monitor.json", "INFO: task docker:20744 blocked for more than 120 seconds.", Some("20744")),
        ("kernel-monitor.json", "{1}[Hardware Error]: event severity: fatal", None),
    ] {
        let mut node = Node::new(name, shipped)?;
        node.prints(&[line]);
        ensure!(node.problems().len() == 1, "no condition: {line}");
        let subjects: Vec<_> = node.monitor.checks(node.now).into_iter().map(|check| check.subject).collect();
        ensure!(subjects.iter().map(String::as_str).eq(subject), "asks about {subjects:?}: {line}");
    }
    Ok(())
}

fn crash_loop(shipped: &Shipped) -> Result<()> {
    let mut node = Node::new("systemd-monitor.json", shipped)?;
    let mut statuses = Vec::new();
    for _ in 0..60 {
        statuses.extend(node.prints(&["Started kubelet: The Kubernetes Node Agent."]));
        statuses.extend(node.wait(10));
    }
    statuses.extend(node.wait(60));
    let events: Vec<_> = statuses.iter().flat_map(|status| &status.events).collect();
    ensure!(events.len() <= 12, "{} events in ten minutes", events.len());
    let told: u64 = events.iter().map(|event| event.count).sum();
    ensure!(told == 60, "{told} of 60 starts are told of");
    Ok(())
}
