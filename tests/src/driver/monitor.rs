//! System log monitors for the tests, written as node-problem-detector's config files.

use std::path::Path;

use serde_json::{Value, json};

/// The reason of the rule that every [`Monitor`] has beside its own: what [`Agent::fence`](crate::driver::agent::Agent::fence)
/// waits for.
pub const FENCE: &str = "NpdTestFence";

/// A config file in the making.
#[derive(Clone, Debug)]
pub struct Monitor {
    config: Value,
}

// === impl Monitor ===

impl Monitor {
    /// A monitor of the kernel log with the given source name, without lookback.
    #[must_use]
    pub fn kernel(source: &str) -> Self {
        let fence = json!({ "type": "temporary", "reason": FENCE, "pattern": "npd-fence \\w+" });
        Self {
            config: json!({
                "plugin": "kmsg", "logPath": "/dev/kmsg", "lookback": "0", "bufferSize": 10,
                "source": source, "conditions": [], "rules": [fence],
            }),
        }
    }

    /// A monitor of a log file with lines such as `2026-11-24T09:00:00.5Z node app: text`.
    #[must_use]
    pub fn file(source: &str, path: &Path) -> Self {
        let plugin = json!({
            "timestamp": "^\\S+", "timestampFormat": "2006-01-02T15:04:05.999999999Z07:00", "message": "^\\S+ \\S+ app: (.*)",
        });
        Self {
            config: json!({
                "plugin": "filelog", "logPath": path, "lookback": "1h", "source": source, "pluginConfig": plugin,
                "conditions": [], "rules": [],
            }),
        }
    }

    /// A monitor of a journal in a folder of its own.
    #[must_use]
    pub fn journal(source: &str, folder: &Path, identifier: &str) -> Self {
        Self {
            config: json!({
                "plugin": "journald", "logPath": folder, "lookback": "1h", "source": source,
                "pluginConfig": { "source": identifier }, "conditions": [], "rules": [],
            }),
        }
    }

    /// Adds a rule with any keys.
    #[must_use]
    pub fn with_rule(self, rule: Value) -> Self {
        self.add("rules", rule)
    }

    /// Sets one top-level key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// Adds a temporary rule.
    #[must_use]
    pub fn rule(self, reason: &str, pattern: &str) -> Self {
        self.add("rules", json!({ "type": "temporary", "reason": reason, "pattern": pattern }))
    }

    /// Adds a permanent rule for a condition.
    #[must_use]
    pub fn permanent(self, condition: &str, reason: &str, pattern: &str) -> Self {
        let rule = json!({ "type": "permanent", "condition": condition, "reason": reason, "pattern": pattern });
        self.add("rules", rule)
    }

    /// Declares a condition, with the reason and message that it has while all is well.
    #[must_use]
    pub fn condition(self, kind: &str, reason: &str, message: &str) -> Self {
        self.add("conditions", json!({ "type": kind, "reason": reason, "message": message }))
    }

    /// The file's content.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.config.to_string()
    }

    fn add(mut self, list: &str, entry: Value) -> Self {
        if let Some(list) = self.config[list].as_array_mut() {
            list.push(entry);
        }
        self
    }
}
