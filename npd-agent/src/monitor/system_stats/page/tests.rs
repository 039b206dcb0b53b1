use prometheus::TextEncoder;

use super::*;
use crate::config::{self, ConfigFile};

const LOAD: MetricId = MetricId::CpuLoad1;

fn config(file: &str, name: &str) -> SystemStatsConfig {
    let text = format!(
        r#"{{"cpu":{{"metricsConfigs":{{"cpu/load_1m":{{"displayName":"{name}"}}}}}},"invokeInterval":"30s"}}"#
    );
    config::load_text(&ConfigFile::system_stats(file), text.as_bytes()).unwrap().system_stats.remove(0)
}

fn load(value: f64) -> Samples {
    let mut samples = Samples::new([LOAD]);
    samples.add(LOAD, [], value);
    samples
}

fn seconds(seconds: u64) -> Monotonic {
    Monotonic::from_nanos(seconds * 1_000_000_000)
}

/// The lines of the page that are no comments.
fn lines(page: &StatsPage, now: u64) -> String {
    let families: Vec<_> = page.families(seconds(now)).into_iter().filter(|f| !f.get_metric().is_empty()).collect();
    let text = TextEncoder::new().encode_to_string(&families).unwrap();
    text.split_inclusive('\n').filter(|line| !line.starts_with('#') && !line.contains("duration")).collect()
}

fn measured(page: &StatsPage, config: &SystemStatsConfig, value: f64) {
    page.put(config, [Section::Cpu].into_iter());
    page.begin(&config.path, Section::Cpu, seconds(0));
    page.end(&config.path, Section::Cpu, load(value), true, seconds(1));
}

#[test]
fn of_two_monitors_that_measure_the_same_the_first_one_counts() {
    let page = StatsPage::default();
    measured(&page, &config("a", "load"), 1.0);
    measured(&page, &config("b", "load"), 2.0);
    measured(&page, &config("c", "other"), 3.0);
    let success = |file| format!("npd_collector_success{{collector=\"cpu\",file=\"{file}\"}} 1\n");
    let expected =
        [&success("a"), &success("b"), &success("c"), "load 1\n", "other 3\n"].map(ToString::to_string).concat();
    assert_eq!(lines(&page, 1), expected);
}

#[test]
fn while_a_collector_hangs_only_that_is_told_of_its_monitor() {
    let page = StatsPage::default();
    let (hanging, other) = (config("a", "load"), config("b", "other"));
    measured(&page, &other, 3.0);
    page.put(&hanging, [Section::Cpu, Section::Memory, Section::Net].into_iter());
    page.end(&hanging.path, Section::Cpu, load(1.0), true, seconds(1));
    page.begin(&hanging.path, Section::Memory, seconds(30));
    let success = |collector, file, value| {
        format!("npd_collector_success{{collector=\"{collector}\",file=\"{file}\"}} {value}\n")
    };
    let before = [success("cpu", "b", 1), success("cpu", "a", 1), "load 1\nother 3\n".to_owned()].concat();
    assert_eq!(lines(&page, 60), before, "it has an interval's time");
    let meanwhile =
        [success("cpu", "b", 1), success("cpu", "a", 0), success("memory", "a", 0), "other 3\n".to_owned()].concat();
    assert_eq!(lines(&page, 61), meanwhile, "the first waits for it, the last was never read");
    page.end(&hanging.path, Section::Memory, Samples::default(), true, seconds(62));
    assert!(lines(&page, 62).ends_with("load 1\nother 3\n"));
}

#[test]
fn a_changed_config_takes_the_place_of_the_one_before() {
    let page = StatsPage::default();
    measured(&page, &config("a", "before"), 1.0);
    page.put(&config("a", "after"), [Section::Cpu].into_iter());
    assert_eq!(lines(&page, 2), "", "nothing of it was measured yet");
    measured(&page, &config("a", "after"), 2.0);
    assert!(lines(&page, 2).ends_with("after 2\n"));
}

#[test]
fn what_came_of_a_collector_is_remembered_until_its_config_changes() {
    let page = StatsPage::default();
    let config = config("a", "load");
    page.put(&config, [Section::Cpu].into_iter());
    let success = || page.was_success(&config.path, Section::Cpu);
    assert_eq!(success(), None);
    page.end(&config.path, Section::Cpu, load(1.0), false, seconds(1));
    assert_eq!(success(), Some(false));
    page.put(&config, [Section::Cpu].into_iter());
    assert_eq!(success(), None);
}
