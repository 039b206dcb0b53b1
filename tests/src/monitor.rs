//! System log monitors for the tests, written as node-problem-detector's config files.

use serde_json::{Value, json};

/// The reason of the rule that every [`Monitor`] has beside its own: what [`Agent::fence`](crate::agent::Agent::fence)
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
