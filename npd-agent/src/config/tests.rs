use std::{
    fs,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// What comes of a file that `read` reads: the configuration or the errors, and the warnings, each as one line without the
/// file's name.
pub(super) fn check_text<C>(
    text: &str,
    read: fn(&Path, &crate::go::json::Document<'_>, &mut report::Findings) -> Option<C>,
) -> (Result<C, Vec<String>>, Vec<String>) {
    let document = crate::go::json::parse(text.as_bytes()).unwrap();
    let mut findings = report::Findings::default();
    let config = read("f".as_ref(), &document, &mut findings);
    let (errors, warnings) = findings.finish("f".as_ref());
    assert_eq!(config.is_some(), errors.is_empty(), "{errors:?}");
    let line = |shown: String| shown.strip_prefix("f:").unwrap().to_owned();
    let errors: Vec<_> = errors.iter().map(|error| line(error.to_string())).collect();
    (config.ok_or(errors), warnings.iter().map(|warning| line(warning.to_string())).collect())
}

/// A directory with files.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// A text without the directory's name.
    fn strip(&self, text: &impl ToString) -> String {
        text.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }

    fn errors(&self, paths: &[PathBuf]) -> Vec<String> {
        let errors = load(paths).unwrap_err();
        self.strip(&errors).lines().map(str::to_owned).collect()
    }
}

const MINIMAL: &str = r#"{"plugin": "kmsg"}"#;

#[test]
fn files_are_loaded_in_their_order() {
    let files = Files::new();
    let paths = [files.add("b", MINIMAL), files.add("a", MINIMAL)];
    let loaded = load(&paths).unwrap();
    assert_eq!(loaded.system_logs.iter().map(|log| log.path.clone()).collect::<Vec<_>>(), paths);
    assert_eq!(loaded.warnings, []);
    assert!(load(&[]).unwrap().system_logs.is_empty());
}

#[test]
fn a_log_monitor_among_the_plugins_is_a_log_monitor() {
    let files = Files::new();
    let counter = files.add("counter", MINIMAL);
    let warnings = |given: &[ConfigFile]| {
        let loaded = load_files(given).unwrap();
        assert_eq!(loaded.system_logs.iter().map(|log| &log.path).collect::<Vec<_>>(), [&counter]);
        loaded.warnings.iter().map(|warning| files.strip(warning)).collect::<Vec<_>>()
    };
    let plugin = ConfigFile::custom_plugin(&counter);
    assert_eq!(
        warnings(std::slice::from_ref(&plugin)),
        ["counter: is a log monitor and is loaded as one; use --config.system-log-monitor for it"]
    );
    let twice = ["counter: is given more than once, it is loaded only once"];
    assert_eq!(warnings(&[ConfigFile::system_log(&counter), plugin]), twice);
}

#[test]
fn a_path_given_twice_is_loaded_once_with_a_warning() {
    let files = Files::new();
    let (a, b) = (files.add("a", MINIMAL), files.add("b", MINIMAL));
    let loaded = load(&[a.clone(), b, a.clone()]).unwrap();
    assert_eq!(loaded.system_logs.len(), 2);
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| files.strip(warning)).collect();
    assert_eq!(warnings, ["a: is given more than once, it is loaded only once"]);

    fs::write(&a, "").unwrap();
    assert_eq!(files.errors(&[a.clone(), a]), ["a:1:1: not valid JSON: unexpected end of JSON input"]);
}

#[test]
fn every_error_of_every_file_is_reported_in_one_run() {
    let files = Files::new();
    let paths = [
        files.path("missing"),
        files.add("list", "[]"),
        files.add("fine", MINIMAL),
        files.add("syntax", "{\n  \"plugin\": \"kmsg\",\n}"),
        files.add("two", "{\"plugin\": \"kmsg\", \"bufferSize\": -1,\n\"lookback\": \"5\"}"),
    ];
    let expected = [
        "missing: cannot be read: No such file or directory (os error 2)",
        "list:1:1: is an array, must be an object",
        "syntax:3:1: not valid JSON: invalid character '}' looking for beginning of object key string; \
         JSON allows no comma after the last one",
        "two:1:34: /bufferSize: a buffer of -1 lines is not valid, allowed: 1 to 1000 lines (0 means 10)",
        "two:2:13: /lookback: time: missing unit in duration \"5\", \
         allowed: Go durations such as 300ms, 5m or 1h30m",
    ];
    assert_eq!(files.errors(&paths), expected);
}

#[test]
fn warnings_come_with_the_errors_they_may_explain() {
    let files = Files::new();
    let path = files.add("a", r#"{"plugn": "kmsg"}"#);
    let errors = load(&[path]).unwrap_err();
    assert_eq!(files.strip(&errors.errors[0]), r#"a:1:1: "plugin" is missing, allowed: "kmsg", "filelog", "journald""#);
    let warning = r#"a:1:2: /plugn: unknown key "plugn" is ignored, did you mean "plugin"?"#;
    assert_eq!(files.strip(&errors.warnings[0]), warning);
}

#[test]
fn only_a_regular_file_is_opened() {
    let files = Files::new();
    let fifo = files.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(files.path("socket")).unwrap();
    let dangling = files.path("dangling");
    std::os::unix::fs::symlink("nowhere", &dangling).unwrap();
    let paths =
        [files.0.path().join("."), fifo, files.path("socket"), PathBuf::from("/dev/zero"), dangling, PathBuf::new()];
    let expected = [
        ": is a directory, must be a regular file",
        "fifo: is a FIFO, must be a regular file",
        "socket: is a socket, must be a regular file",
        "/dev/zero: is a device, must be a regular file",
        "dangling: cannot be read: No such file or directory (os error 2)",
        ": cannot be read: No such file or directory (os error 2)",
    ];
    let started = Instant::now();
    let errors = files.errors(&paths);
    assert!(errors[0].ends_with(expected[0]), "{}", errors[0]);
    assert_eq!(errors[1..], expected[1..]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_link_to_a_file_is_followed() {
    // A ConfigMap's files are links to links.
    let files = Files::new();
    fs::create_dir(files.path("..2026")).unwrap();
    files.add("..2026/a.json", MINIMAL);
    std::os::unix::fs::symlink("..2026", files.path("..data")).unwrap();
    std::os::unix::fs::symlink("..data/a.json", files.path("a.json")).unwrap();
    assert_eq!(load(&[files.path("a.json")]).unwrap().system_logs.len(), 1);
}

#[test]
fn a_file_of_more_than_16_mib_is_refused() {
    let files = Files::new();
    let padded = |size: usize| format!("{MINIMAL}{}", " ".repeat(size - MINIMAL.len()));
    assert!(load(&[files.add("full", padded(16 << 20))]).is_ok());
    let errors = files.errors(&[files.add("over", padded((16 << 20) + 1))]);
    assert_eq!(errors, ["over: is larger than 16 MiB, the maximum for a configuration file"]);
}

#[test]
fn a_file_name_cannot_forge_lines() {
    let files = Files::new();
    let path = files.path("a\nb: fine\u{1b}[2J\u{9b}");
    assert_eq!(
        files.errors(&[path]),
        ["a\\nb: fine\\u{1b}[2J\\u{9b}: cannot be read: No such file or directory (os error 2)"]
    );
}

/// node-problem-detector's kernel monitor: what most nodes run.
const KERNEL_MONITOR: &str = r#"{
	"plugin": "kmsg",
	"logPath": "/dev/kmsg",
	"lookback": "5m",
	"bufferSize": 10,
	"source": "kernel-monitor",
	"conditions": [
		{"type": "KernelDeadlock", "reason": "KernelHasNoDeadlock", "message": "kernel has no deadlock"},
		{"type": "XfsShutdown", "reason": "XfsHasNotShutDown", "message": "XFS has not shutdown"},
		{"type": "CperHardwareErrorFatal", "reason": "CperHardwareHasNoFatalError", "message": "CPER Hardware has no fatal error"}
	],
	"rules": [
		{"type": "temporary", "reason": "OOMKilling", "pattern": "Killed process \\d+ (.+) total-vm:\\d+kB, anon-rss:\\d+kB, file-rss:\\d+kB.*"},
		{"type": "temporary", "reason": "TaskHung", "pattern": "task [\\S ]+:\\w+ blocked for more than \\w+ seconds\\."},
		{"type": "temporary", "reason": "UnregisterNetDevice", "pattern": "unregister_netdevice: waiting for \\w+ to become free. Usage count = \\d+"},
		{"type": "temporary", "reason": "KernelOops", "pattern": "BUG: unable to handle kernel NULL pointer dereference at .*"},
		{"type": "temporary", "reason": "KernelOops", "pattern": "divide error: 0000 \\[#\\d+\\] SMP"},
		{"type": "temporary", "reason": "Ext4Error", "pattern": "EXT4-fs error .*"},
		{"type": "permanent", "condition": "XfsShutdown", "reason": "XfsHasShutdown", "pattern": "XFS .* Shutting down filesystem.?"},
		{"type": "temporary", "reason": "CperHardwareErrorCorrected", "pattern": ".*\\[Hardware Error\\]: event severity: corrected$"},
		{"type": "permanent", "condition": "CperHardwareErrorFatal", "reason": "CperHardwareErrorFatal", "pattern": ".*\\[Hardware Error\\]: event severity: fatal$"},
		{"type": "permanent", "condition": "KernelDeadlock", "reason": "DockerHung", "pattern": "task docker:\\w+ blocked for more than \\w+ seconds\\."}
	]
}
"#;

const READONLY_MONITOR: &str = r#"{
	"plugin": "kmsg",
	"logPath": "/dev/kmsg",
	"lookback": "5m",
	"bufferSize": 10,
	"source": "readonly-monitor",
	"metricsReporting": true,
	"conditions": [
		{"type": "ReadonlyFilesystem", "reason": "FilesystemIsNotReadOnly", "message": "Filesystem is not read-only"}
	],
	"rules": [
		{"type": "permanent", "condition": "ReadonlyFilesystem", "reason": "FilesystemIsReadOnly", "pattern": "Remounting filesystem read-only"}
	]
}
"#;

#[test]
fn the_files_most_nodes_run_load_without_a_word() {
    let files = Files::new();
    let paths = [files.add("kernel.json", KERNEL_MONITOR), files.add("readonly.json", READONLY_MONITOR)];
    let loaded = load(&paths).unwrap();
    assert_eq!(loaded.warnings, []);
    let [kernel, readonly] = loaded.system_logs.as_slice() else { panic!("{loaded:?}") };
    assert_eq!((&*kernel.source, kernel.conditions.len(), kernel.rules.len()), ("kernel-monitor", 3, 10));
    assert_eq!(kernel.lookback.to_string(), "5m0s");
    assert_eq!(kernel.rules[9].effect, Effect::Permanent { condition: 0 });
    assert_eq!(&*readonly.rules[0].reason, "FilesystemIsReadOnly");
}

#[test]
fn the_shipped_files_load_without_a_word() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let paths = ["kernel-monitor.json", "readonly-monitor.json"].map(|name| shipped.join(name));
    let loaded = load(&paths).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_end_in_an_answer(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..4)) {
        let mut text = KERNEL_MONITOR.as_bytes().to_vec();
        let at = at.index(text.len());
        text.splice(at..(at + 2).min(text.len()), bytes);
        let files = Files::new();
        if let Err(errors) = load(&[files.add("a", text)]) {
            prop_assert!(!errors.errors.is_empty());
            prop_assert_eq!(errors.to_string().lines().count(), errors.errors.len());
        }
    }
}
