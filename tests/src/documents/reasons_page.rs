//! `docs/reasons.md`.

use std::collections::BTreeMap;

use super::{
    reasons::{Area, Catalogue, Level, Place, Problem},
    rules::OWN,
};

const INTRODUCTION: &str = "# What npd reports, and what to do

<!-- Written by `cargo xtask codegen` from docs/reasons.yaml, config/ and tests/corpus/. -->

A reason is part of an Event (`kubectl get events --field-selector reason=OOMKilling`), of a condition of the Node (`kubectl describe node`), in npd's
log, and in `problem_counter{reason}` and `problem_gauge{type,reason}`. This page lists those that the files in `config/` or npd itself can report. Your own
rules have their own.

Commands are for a root shell on the node: `kubectl debug node/NAME -it --image=debian --profile=sysadmin -- chroot /host`, or ssh. *Drain* means
`kubectl drain NODE --ignore-daemonsets --delete-emptydir-data`, after checking whether other nodes have problems too: draining a second node does not
help the first. Before a reboot, save what it erases: `dmesg -T > /var/tmp/dmesg`.

**Alerts** are in [deploy/prometheus-rules.yaml](../deploy/prometheus-rules.yaml), each named `Node` followed by the reason: look at *critical* now,
at *warning* today; *info* needs no action. The alert of an event lasts for a quarter of an hour after the last one; an event from before Prometheus first
scraped the agent has none.
";

const HEALTHY: &str = "
## Reasons of healthy conditions

A condition that is False has one of these reasons. An Event of type Normal with one of these reasons reports that a problem is over.

| reason | condition | means |
|---|---|---|
";

const OWN_HEAD: &str = "
## Alerts about npd itself

| alert | level | when | what to do |
|---|---|---|---|
";

/// Maximum length of an example line in bytes; longer lines are cut.
const EXAMPLE_MAX: usize = 240;

pub(super) fn write(catalogue: &Catalogue) -> String {
    let mut page = INTRODUCTION.to_owned() + "\n| of | reasons |\n|---|---|\n";
    page.extend(Area::ALL.map(|area| {
        let links = catalogue.problems.iter().filter(|problem| problem.area == area).map(link);
        format!("| {} | {} |\n", area.name(), links.collect::<Vec<_>>().join(", "))
    }));
    page.extend(catalogue.problems.iter().map(|problem| section(catalogue, problem)));
    page += HEALTHY;
    page.extend(catalogue.healthy.iter().map(|healthy| {
        let kinds: Vec<_> = by_kind(healthy.places.iter()).into_keys().map(|kind| format!("`{kind}`")).collect();
        format!("| `{}` | {} | {} |\n", healthy.reason, kinds.join(", "), healthy.meaning)
    }));
    page += OWN_HEAD;
    page.extend(OWN.iter().map(|own| {
        let step = link_reasons(catalogue, "", own.step);
        format!("| `{}` | {} | {} | {step} |\n", own.name, own.level, own.meaning)
    }));
    page
}

fn link(problem: &Problem) -> String {
    format!("[{}](#{})", problem.reason, problem.anchor())
}

fn section(catalogue: &Catalogue, problem: &Problem) -> String {
    let linked = |text: &str| link_reasons(catalogue, &problem.reason, text);
    let example = problem.example.as_deref().map(example).unwrap_or_default();
    let causes = problem.causes.iter().map(|cause| format!("* {}", linked(cause)));
    let steps = (1..).zip(&problem.steps).map(|(number, step)| format!("{number}. {}", linked(step)));
    format!(
        "\n## {}\n\n{}.\n\n{}\n{example}\nLikely causes:\n\n{}\n\nWhat to do:\n\n{}\n\n*Shows as:* {}. *Alert:* {}.\n",
        problem.reason,
        problem.title,
        linked(&problem.meaning),
        causes.collect::<Vec<_>>().join("\n"),
        steps.collect::<Vec<_>>().join("\n"),
        shows(problem),
        alert(problem),
    )
}

fn example(line: &str) -> String {
    let cut = line.floor_char_boundary(EXAMPLE_MAX);
    let rest = if cut < line.len() { "…" } else { "" };
    format!("\n```\n{}{rest}\n```\n", &line[..cut])
}

fn shows(problem: &Problem) -> String {
    let files = |of: fn(&Place) -> Option<&String>| {
        problem.places.iter().filter_map(of).map(|file| format!("`{file}`")).collect::<Vec<_>>().join(", ")
    };
    let mut ways = Vec::new();
    let events = files(|place| match place {
        Place::Event { file } => Some(file),
        _ => None,
    });
    if !events.is_empty() {
        ways.push(format!("event (Warning) of {events}"));
    }
    let thresholds = files(|place| match place {
        Place::Threshold { file } => Some(file),
        _ => None,
    });
    if !thresholds.is_empty() {
        ways.push(format!("event (Warning) of a threshold in {thresholds}"));
    }
    for (kind, files) in by_kind(problem.places.iter()) {
        ways.push(format!("condition `{kind}` of {}", files.join(", ")));
    }
    ways.extend(problem.places.iter().filter_map(|place| match place {
        Place::Code(words) => Some((*words).to_owned()),
        _ => None,
    }));
    ways.join("; ")
}

/// The files of each condition type.
fn by_kind<'p>(places: impl Iterator<Item = &'p Place>) -> BTreeMap<&'p str, Vec<String>> {
    let mut kinds = BTreeMap::<_, Vec<_>>::new();
    for place in places {
        if let Place::Condition { kind, file } | Place::Healthy { kind, file } = place {
            kinds.entry(kind.as_str()).or_default().push(format!("`{file}`"));
        }
    }
    kinds
}

fn alert(problem: &Problem) -> String {
    match (problem.alert, problem.above) {
        (Level::None, _) => "none".to_owned(),
        (level, 0) => level.to_string(),
        (level, above) => format!("{level}, if there are more than {above} events in 15 minutes"),
    }
}

/// Turns the names of other reasons into links, except within code.
fn link_reasons(catalogue: &Catalogue, from: &str, text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        // Between two backticks is code.
        if index % 2 == 1 { part.to_owned() } else { link_words(catalogue, from, part) }
    });
    parts.collect::<Vec<_>>().join("`")
}

fn link_words(catalogue: &Catalogue, from: &str, text: &str) -> String {
    let words = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()).map(|piece| {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let other = catalogue.problems.iter().find(|problem| problem.reason == word && word != from);
        other.map_or_else(|| piece.to_owned(), |other| format!("{}{}", link(other), &piece[word.len()..]))
    });
    words.collect()
}
