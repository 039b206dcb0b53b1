use clap::CommandFactory as _;

use super::*;

fn parse(args: &[&str]) -> Args {
    Args::try_parse_from([&["npd-agent"], args].concat()).unwrap()
}

fn list(text: &str) -> Result<Vec<String>, String> {
    text.parse().map(|CommaList(items)| items)
}

#[test]
fn the_definition_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn comma_lists_are_csv() {
    assert_eq!(list("a,b").unwrap(), ["a", "b"]);
    assert_eq!(list("").unwrap(), [""; 0]);
    assert_eq!(list("a,").unwrap(), ["a", ""]);
    assert_eq!(list(r#""a,b",c,"d""e""#).unwrap(), ["a,b", "c", "d\"e"]);
    for bad in [r#"a"b"#, r#""a"#, r#""a"b"#] {
        assert!(list(bad).is_err(), "{bad}");
    }
}

#[cfg(feature = "system-stats")]
#[test]
fn lists_can_be_repeated_and_the_last_single_value_wins() {
    let args = parse(&[
        "--enable-k8s-exporter=false",
        "--config.system-log-monitor=a,b",
        "--config.system-log-monitor",
        "c",
        "--config.system-stats-monitor=d,e",
        "--prometheus-port=1",
        "--prometheus-port=-2",
    ]);
    let (logs, stats) = (["a", "b", "c"].map(ConfigFile::system_log), ["d", "e"].map(ConfigFile::system_stats));
    assert_eq!(args.check(|_| ()).unwrap(), [&logs[..], &stats].concat());
    assert_eq!(args.prometheus_port, -2);
}

#[test]
fn booleans_follow_go() {
    for (text, value) in
        [("--enable-k8s-exporter", true), ("--enable-k8s-exporter=F", false), ("--enable-k8s-exporter=1", true)]
    {
        assert_eq!(parse(&[text]).kubernetes.enable_k8s_exporter, value, "{text}");
    }
    assert!(Args::try_parse_from(["npd-agent", "--enable-k8s-exporter=maybe"]).is_err());
}

#[test]
fn deprecated_flags_still_work_with_a_warning() {
    let checked = |args: &[&str]| {
        let mut warnings = 0;
        let files = parse(&[&["--enable-k8s-exporter=false"], args].concat()).check(|_| warnings += 1);
        files.map(|files| (files, warnings))
    };
    assert_eq!(checked(&["--system-log-monitors=a"]), Ok((vec![ConfigFile::system_log("a")], 1)));
    assert_eq!(checked(&["--custom-plugin-monitors=a"]), Ok((vec![ConfigFile::custom_plugin("a")], 1)));
    assert_eq!(checked(&["--config.custom-plugin-monitor=a"]), Ok((vec![ConfigFile::custom_plugin("a")], 0)));
    for (old, new) in [
        ("system-log-monitors", "config.system-log-monitor"),
        ("custom-plugin-monitors", "config.custom-plugin-monitor"),
    ] {
        let both = checked(&[&format!("--{old}=a"), &format!("--{new}=b")]);
        assert_eq!(both, Err(UsageError::Both { old, new }));
    }
}

#[test]
fn flags_for_what_is_not_implemented_are_refused() {
    let error = parse(&["--exporter.stackdriver=x"]).check(|_| ()).unwrap_err();
    assert!(matches!(error, UsageError::NotBuilt { flag: "exporter.stackdriver", .. }), "{error}");
    assert_eq!(parse(&["--enable-k8s-exporter=false"]).check(|_| ()), Err(UsageError::NoMonitor));
}

#[test]
fn ring_sizes_are_those_that_the_kernel_accepts() {
    assert_eq!("65536".parse(), Ok(RingSize(65536)));
    for bad in ["0", "-1", "65535", "100000", "4096", "2147483648", "4M", ""] {
        assert!(bad.parse::<RingSize>().is_err(), "{bad}");
    }
}

#[test]
fn the_nodes_name_is_the_flag_then_the_environment_then_the_host_name() {
    assert_eq!(node_name("a", Some("b".into())), "a");
    assert_eq!(node_name("", Some("b".into())), "b");
    assert!(!node_name("", Some(String::new())).is_empty());
}
