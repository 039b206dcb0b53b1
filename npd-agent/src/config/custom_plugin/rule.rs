//! One rule of a file, checked.

use std::path::Path;

use super::{CheckConfig, PluginRule, Settings, check_interval, check_timeout, raw::RawRule};
use crate::{
    config::{
        decode::{Element, Field},
        report::{Findings, Notice, Problem},
        system_log::{Conditions, rule::RuleHead},
    },
    go::json::Value,
    health::built_in::{BuiltIn, BuiltInError},
};

/// What a rule is checked against.
pub(super) struct Context<'a, 'd> {
    pub(super) conditions: &'a Conditions<'d>,
    pub(super) metrics_reporting: bool,
    pub(super) settings: &'a Settings,
    /// Whether rules name checks of the agent's own, and no programs.
    pub(super) built_in: bool,
}

pub(super) fn check<'d>(
    element: &Element<'d, RawRule<'d>>,
    context: &Context<'_, 'd>,
    findings: &mut Findings,
) -> Option<PluginRule> {
    let (rule, at) = element.given("a rule", findings)?;
    let head = RuleHead { kind: &rule.kind, condition: &rule.condition, reason: &rule.reason };
    let effect = head.check(at, context.conditions, context.metrics_reporting, findings);
    let interval = check_interval(&rule.invoke_interval, at, findings).unwrap_or(context.settings.interval);
    let most = context.settings.timeout;
    let timeout = check_timeout(&rule.timeout, at, findings).unwrap_or(most);
    if timeout > most {
        let given = rule.timeout.0.get().unwrap_or_default();
        let allowed = format!("up to the {most:?} of \"pluginConfig\"");
        findings.error(rule.timeout.0.at(at), Problem::value(format!("a timeout of {given}"), allowed));
    }
    let check = if context.built_in { check_built_in(rule, at, findings) } else { check_program(rule, at, findings) };
    Some(PluginRule { effect: effect?, reason: rule.reason.get()?.into(), check: check?, interval, timeout })
}

/// A check of the agent's own.
fn check_built_in<'d>(rule: &RawRule<'d>, owner: Value<'d>, findings: &mut Findings) -> Option<CheckConfig> {
    if let Field::Present { .. } = rule.path {
        findings.error(rule.path.at(owner), Problem::PluginKey { key: "path", plugin: "custom", instead: "check" });
    }
    let name = rule.check.get()?;
    let args: Option<Vec<_>> = rule.args.elements().iter().map(|arg| arg.value.get().map(str::to_owned)).collect();
    let args = args?;
    match BuiltIn::parse(name, &args) {
        Ok(check) => Some(CheckConfig::BuiltIn { name: name.to_owned(), args, check }),
        Err(error) => {
            let at = if matches!(error, BuiltInError::Name(_)) { rule.check.at(owner) } else { owner };
            findings.error(at, Problem::BuiltIn(crate::error::chain(&error)));
            None
        }
    }
}

/// What is to run. Where node-problem-detector does not start without it, npd watches everything else meanwhile.
fn check_program<'d>(rule: &RawRule<'d>, owner: Value<'d>, findings: &mut Findings) -> Option<CheckConfig> {
    if let Field::Present { .. } = rule.check {
        findings.error(rule.check.at(owner), Problem::PluginKey { key: "check", plugin: "health", instead: "path" });
    }
    let text = rule.path.get()?;
    let at = rule.path.at(owner);
    if text.is_empty() {
        findings.error(at, Problem::NoPluginPath);
        return None;
    }
    let args: Vec<_> = rule.args.elements().iter().map(|arg| arg.value.get().map(str::to_owned)).collect();
    let has_nul = |text: &str| text.contains('\0');
    if has_nul(text) || args.iter().flatten().any(|arg| has_nul(arg)) {
        findings.error(at, Problem::PluginNul);
        return None;
    }
    let path = Path::new(text);
    if path.metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        findings.notice(at, Notice::NoProgram(text.to_owned()));
    }
    Some(CheckConfig::Program { path: path.to_owned(), args: args.into_iter().collect::<Option<_>>()? })
}
