//! A monitor that lines are played to, as time goes by.

use anyhow::{Context, Result, ensure};
use npd_agent::{
    monitor::system_log::SystemLog,
    problem::{ConditionStatus, Fields, Status},
    record::{Place, Record},
    time::{BootTimes, Timestamp},
};

use crate::{HOUR, NOW, SECOND, shipped::Shipped};

/// A monitor on a node that was booted an hour ago.
pub(crate) struct Node {
    pub(crate) monitor: SystemLog,
    pub(crate) now: Timestamp,
}

// === impl Node ===

impl Node {
    pub(crate) fn new(name: &str, shipped: &Shipped) -> Result<Self> {
        Self::booted(name, shipped, HOUR)
    }

    pub(crate) fn booted(name: &str, shipped: &Shipped, ago: i64) -> Result<Self> {
        let config = shipped.get(name).with_context(|| format!("there is no config/{name}"))?.clone();
        let times = BootTimes { now: NOW, boot: NOW.shift(-ago * SECOND) };
        Ok(Self { monitor: SystemLog::new(config, times), now: NOW })
    }

    /// Each line is a record, all of one moment.
    pub(crate) fn prints(&mut self, lines: &[&str]) -> Vec<Status> {
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

    pub(crate) fn wait(&mut self, seconds: i64) -> Vec<Status> {
        self.now = self.now.shift(seconds * SECOND);
        let mut found = Vec::new();
        self.monitor.advance(self.now, &mut |status| found.push(status));
        found
    }

    /// The conditions that are true.
    pub(crate) fn problems(&self) -> Vec<String> {
        let conditions = self.monitor.initial_status().conditions.into_iter();
        let bad = conditions.filter(|condition| condition.status != ConditionStatus::False);
        bad.map(|condition| condition.kind.to_string()).collect()
    }

    pub(crate) fn expect(&self, problems: &[&str], when: &str) -> Result<()> {
        let found = self.problems();
        ensure!(found == problems, "{when}: {found:?} in place of {problems:?}");
        Ok(())
    }
}
