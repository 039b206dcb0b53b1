//! One rule of a file, checked.

use std::path::Path;

use super::raw::RawRule;
use super::{CheckConfig, Effect, PluginRule, Settings, check_interval, check_timeout};
use crate::config::decode::Element;
use crate::config::json::Value;
use crate::config::report::{Findings, Notice, Problem};
use crate::config::system_log::{Conditions, check_effect, check_label};

/// What a rule is checked against.
pub(super) struct Context<'a, 'd> {
    pub(super) conditions: &'a Conditions<'d>,
    pub(super) metrics_reporting: bool,
    pub(super) settings: &'a Settings,
}

pub(super) fn check<'d>(
    element: &Element<'d, RawRule<'d>>,
    context: &Context<'_, 'd>,
    findings: &mut Findings,
) -> Option<PluginRule> {
    let (rule, at) = (&element.value, element.at);
    if element.null {
        findings.error(at, Problem::Null("a rule"));
    }
    if element.null || element.refused {
        return None;
    }
    let effect = check_effect((&rule.kind, &rule.condition), at, context.conditions, findings);
    if context.metrics_reporting {
        check_label(&rule.reason, at, findings);
        if matches!(effect, Some(Effect::Permanent { .. })) {
            check_label(&rule.condition, at, findings);
        }
    }
    if rule.reason.get() == Some("") {
        findings.notice(rule.reason.at(at), Notice::NoReason);
    }
    let interval = check_interval(&rule.invoke_interval, at, findings).unwrap_or(context.settings.interval);
    let most = context.settings.timeout;
    let timeout = check_timeout(&rule.timeout, at, findings).unwrap_or(most);
    if timeout > most {
        let given = rule.timeout.0.get().unwrap_or_default();
        let allowed = format!("up to the {most:?} of \"pluginConfig\"");
        findings.error(rule.timeout.0.at(at), Problem::value(format!("a timeout of {given}"), allowed));
    }
    let check = check_program(rule, at, findings);
    Some(PluginRule { effect: effect?, reason: rule.reason.get()?.into(), check: check?, interval, timeout })
}

/// What is to run. Where node-problem-detector does not start without it, npd watches everything else meanwhile.
fn check_program<'d>(rule: &RawRule<'d>, owner: Value<'d>, findings: &mut Findings) -> Option<CheckConfig> {
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
