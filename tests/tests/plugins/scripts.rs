//! The shipped plugin scripts and the monitors that run them. The programs that they ask are stood in for by scripts that
//! say what the test wants.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use npd_agent::config::{self, ConfigFile, custom_plugin::CheckConfig};
use npd_tests::driver::{
    agent::Setup,
    binary::shipped_config,
    suite::{Suite, need},
};
use tempfile::TempDir;

use super::script_in;

/// The shipped monitors that run scripts.
const MONITORS: [&str; 3] =
    ["custom-plugin-monitor.json", "network-problem-monitor.json", "iptables-mode-monitor.json"];

pub(crate) fn add(suite: &mut Suite) {
    let mut test = |claim: &str, run: fn() -> Result<()>| suite.test(format!("scripts: {claim}"), run);
    test("shellcheck finds nothing", shellcheck);
    test("the shipped monitors run them", shipped_monitors);
    test("the shipped monitors work in an agent", in_an_agent);
    test("network_problem.sh tells a full table", network_problem);
    test("dns_problem.sh tells a name that is not resolved", dns_problem);
    test("check_ntp.sh tells a service that does not run", check_ntp);
    test("iptables_mode.sh tells a mixture", iptables_mode);
}

fn scripts() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(shipped_config("plugin")).context("cannot list config/plugin")?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(paths.len() >= 4, "there are {paths:?}");
    Ok(paths)
}

fn shellcheck() -> Result<()> {
    need::tool("shellcheck")?;
    let output = Command::new("shellcheck").args(scripts()?).output().context("cannot run shellcheck")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

fn shipped_monitors() -> Result<()> {
    let mut found = 0;
    for name in MONITORS {
        let loaded = config::load_files(&[ConfigFile::custom_plugin(shipped_config(name))])?;
        for rule in &loaded.custom_plugins[0].rules {
            let CheckConfig::Program { path, .. } = &rule.check else { continue };
            // As npd finds it where it was started in the folder above config/.
            let path = shipped_config("..").join(path);
            ensure!(path.is_file(), "{name}: there is no {}", path.display());
            found += 1;
        }
    }
    ensure!(found == 5, "there are {found} rules");
    Ok(())
}

/// Without systemd, a cluster and so on nobody can tell; each script says so by itself, and none says a problem falsely.
fn in_an_agent() -> Result<()> {
    let setup = Setup::new()?;
    // The paths are relative to npd's working directory, which is the test's folder.
    symlink(shipped_config("").canonicalize()?, setup.folder().join("config")).context("cannot link config/")?;
    let mut setup = setup.arg("--allow-insecure-plugins");
    for name in MONITORS {
        setup = setup.arg(format!("--config.custom-plugin-monitor=config/{name}"));
    }
    let agent = setup.start()?;
    let rules = [
        "ntp-custom-plugin-monitor/NTPIsDown",
        "ntp-custom-plugin-monitor/NTPIsDown#2",
        "network-custom-plugin-monitor/ConntrackFull",
        "network-custom-plugin-monitor/DNSUnreachable",
        "iptables-mode-monitor/IPTablesVersionsMismatch",
    ];
    agent.wait_for_metrics("a run of each", |metrics| {
        let runs = |rule| ["ok", "problem", "unknown"].map(|outcome| (rule, outcome));
        let ran = |(rule, outcome)| metrics.value("npd_plugin_runs_total", &[("rule", rule), ("outcome", outcome)]);
        rules.iter().all(|rule| runs(*rule).into_iter().filter_map(ran).sum::<f64>() > 0.0).then_some(())
    })?;
    ensure!(agent.page("/readyz")?.status == 200, "{:?}", agent.page("/readyz")?);
    agent.stop()?;
    Ok(())
}

/// A world for a script: the programs that it may call, and a /proc.
struct World {
    folder: TempDir,
    script: &'static str,
}

impl World {
    fn new(script: &'static str) -> Result<Self> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let bin = folder.path().join("bin");
        fs::create_dir(&bin)?;
        let grep = ["/bin/grep", "/usr/bin/grep"].map(Path::new).into_iter().find(|path| path.exists());
        symlink(grep.context("there is no grep")?, bin.join("grep"))?;
        Ok(Self { folder, script })
    }

    /// A program that does this.
    fn program(&self, name: &str, script: &str) -> Result<()> {
        let bin = self.folder.path().join("bin");
        fs::rename(script_in(&bin, name, script)?, bin.join(name)).context("cannot name a program")
    }

    /// A file below /proc/sys/net.
    fn setting(&self, name: &str, value: &str) -> Result<()> {
        let path = self.folder.path().join("proc/sys/net").join(name);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(path, format!("{value}\n")).context("cannot write a setting")
    }

    /// Checks its exit code, and that it says this.
    fn expect(&self, arguments: &[&str], code: i32, says: &str) -> Result<()> {
        let mut command = Command::new("/bin/sh");
        command.arg(shipped_config("plugin").join(self.script)).args(arguments).stdin(Stdio::null()).env_clear();
        command.env("PATH", self.folder.path().join("bin")).env("HOST_PROC", self.folder.path().join("proc"));
        let output = command.output().context("cannot run it")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.code() != Some(code)
            || !said.contains(says)
            || said.lines().count() != 1
            || !complaints.is_empty()
        {
            bail!("expected {code} {says:?}, it ended with {} and said {said:?} {complaints:?}", output.status);
        }
        ensure!(said.len() <= 81, "it says more than the 80 bytes of a message: {said}");
        Ok(())
    }
}

fn network_problem() -> Result<()> {
    let world = World::new("network_problem.sh")?;
    world.expect(&[], 2, "not used here")?;
    world.setting("netfilter/nf_conntrack_count", "90")?;
    world.expect(&[], 2, "not used here")?;
    world.setting("netfilter/nf_conntrack_max", "100")?;
    world.expect(&[], 0, "90 % full")?;
    world.setting("netfilter/nf_conntrack_count", "91")?;
    world.expect(&[], 1, "91 % full: 91 of 100")?;
    world.expect(&["95"], 0, "91 % full")?;
    world.expect(&["much"], 2, "no number")?;
    world.setting("netfilter/nf_conntrack_max", "0")?;
    world.expect(&[], 0, "no limit")?;
    world.setting("netfilter/nf_conntrack_max", "many")?;
    world.expect(&[], 2, "cannot be read")?;

    let older = World::new("network_problem.sh")?;
    older.setting("ipv4/netfilter/ip_conntrack_count", "1000000")?;
    older.setting("ipv4/ip_conntrack_max", "1048576")?;
    older.expect(&[], 1, "95 % full")
}

fn dns_problem() -> Result<()> {
    let world = World::new("dns_problem.sh")?;
    world.expect(&[], 2, "not installed")?;
    world.program("getent", "echo '10.0.0.1 kubernetes.default'; [ \"$*\" = 'hosts kubernetes.default' ]")?;
    world.expect(&[], 0, "kubernetes.default is resolved")?;
    world.program("getent", "exit 2")?;
    world.expect(&["example.org"], 1, "example.org is not resolved")?;
    world.program("getent", "echo 'unknown database' >&2; exit 1")?;
    world.expect(&[], 2, "cannot be used")
}

fn check_ntp() -> Result<()> {
    let world = World::new("check_ntp.sh")?;
    world.expect(&[], 2, "not installed")?;
    let systemctl = |state: &str, running: &str| {
        let script = format!(
            "case $1 in is-system-running) echo {state}; exit 1 ;; esac\n[ \"$*\" = '-q is-active {running}' ] || exit 3"
        );
        world.program("systemctl", &script)
    };
    systemctl("offline", "none")?;
    world.expect(&[], 2, "cannot be asked")?;
    systemctl("degraded", "systemd-timesyncd.service")?;
    world.expect(&[], 0, "systemd-timesyncd.service is running")?;
    world.expect(&["mine.service"], 1, "none of these is running: mine.service")?;
    systemctl("running", "mine.service")?;
    world.expect(&["mine.service"], 0, "mine.service is running")
}

fn iptables_mode() -> Result<()> {
    let world = World::new("iptables_mode.sh")?;
    world.expect(&[], 2, "cannot both be asked")?;
    let empty = "echo '*filter'; echo ':INPUT ACCEPT [0:0]'; echo COMMIT";
    let used = "echo '*filter'; echo ':KUBE - [0:0]'; echo '-A INPUT -j KUBE'; echo COMMIT";
    world.program("iptables-nft-save", used)?;
    world.expect(&[], 2, "cannot both be asked")?;
    world.program("iptables-legacy-save", empty)?;
    world.expect(&[], 0, "one kind")?;
    world.program("iptables-legacy-save", used)?;
    world.expect(&[], 1, "iptables has both legacy (2) and nft (2) rules")?;
    world.program("iptables-legacy-save", "exit 3")?;
    world.program("ip6tables-legacy-save", used)?;
    world.program("ip6tables-nft-save", used)?;
    world.expect(&[], 1, "ip6tables has both")
}
