//! The alert rules as a resource of the Prometheus operator.

use anyhow::{Context, Result};

const HEAD: &str = "# Written by `cargo xtask codegen`: deploy/prometheus-rules.yaml for the Prometheus operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: npd
  namespace: npd
  labels:
    app.kubernetes.io/name: npd
spec:
";

pub(super) fn write(rules: &str) -> Result<String> {
    let groups = rules.find("groups:\n").context("the rules have no groups")?;
    let lines = rules[groups..].lines();
    let indented = lines.map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
    Ok(HEAD.to_owned() + &indented.collect::<String>())
}
