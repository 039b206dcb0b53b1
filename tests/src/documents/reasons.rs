//! The catalogue of reasons: `docs/reasons.yaml` is what an operator has to know of each, `config/` and the code say where
//! it shows, and the corpus has a line of each.

mod examples;
mod place;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

pub use self::place::Place;

/// All reasons, sorted.
#[derive(Debug)]
pub struct Catalogue {
    /// What goes wrong.
    pub problems: Vec<Problem>,
    /// What is said while nothing does.
    pub healthy: Vec<Healthy>,
}

/// A problem.
#[derive(Debug)]
pub struct Problem {
    /// The reason.
    pub reason: String,
    /// What it is a problem of.
    pub area: Area,
    /// In one phrase.
    pub title: String,
    /// What has happened.
    pub meaning: String,
    /// What may be behind it.
    pub causes: Vec<String>,
    /// What to do.
    pub steps: Vec<String>,
    /// Whether somebody is told.
    pub alert: Level,
    /// How long a condition lasts before.
    pub hold: Option<String>,
    /// More than so many events within a quarter of an hour.
    pub above: u32,
    /// Where it shows.
    pub places: BTreeSet<Place>,
    /// A line that is reported with it.
    pub example: Option<String>,
}

/// The reason of a condition that is False.
#[derive(Debug)]
pub struct Healthy {
    /// The reason.
    pub reason: String,
    /// What it is about.
    pub area: Area,
    /// What is well.
    pub meaning: String,
    /// Where it shows.
    pub places: BTreeSet<Place>,
}

/// What is affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation's")]
pub enum Area {
    Memory,
    Stalls,
    Kernel,
    Network,
    FileSystems,
    Disks,
    Hardware,
    Gpus,
    Limits,
    Services,
    Programs,
    Npd,
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nobody is told.
    None,
    /// To know.
    Info,
    /// To be looked at today.
    Warning,
    /// To be looked at now.
    Critical,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    reason: String,
    area: Area,
    healthy: Option<String>,
    title: Option<String>,
    meaning: Option<String>,
    #[serde(default)]
    causes: Vec<String>,
    #[serde(default)]
    steps: Vec<String>,
    alert: Option<Level>,
    r#for: Option<String>,
    above: Option<u32>,
}

// === impl Catalogue ===

impl Catalogue {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// All that is wrong with it at once: a reason that is missing, surplus or out of order, or has no text.
    pub fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reasons.yaml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text, &place::all()?).context("docs/reasons.yaml is wrong")
    }

    fn parse(text: &str, places: &BTreeMap<String, BTreeSet<Place>>) -> Result<Self> {
        let entries: Vec<Entry> = serde_saphyr::from_str(text)?;
        let mut wrong = Vec::new();
        for pair in entries.windows(2) {
            if pair[0].reason >= pair[1].reason {
                wrong.push(format!("{} does not belong before {}", pair[0].reason, pair[1].reason));
            }
        }
        let known: BTreeSet<_> = entries.iter().map(|entry| entry.reason.as_str()).collect();
        wrong.extend(places.keys().filter(|r| !known.contains(r.as_str())).map(|r| format!("{r} is missing")));
        let examples = examples::all()?;
        let mut catalogue = Self { problems: Vec::new(), healthy: Vec::new() };
        for entry in entries {
            let reason = entry.reason.clone();
            let Some(places) = places.get(&reason) else {
                wrong.push(format!("{reason}: nothing reports it"));
                continue;
            };
            let is_healthy = places.iter().any(|place| matches!(place, Place::Healthy { .. }));
            let added = if is_healthy {
                entry.healthy(places).map(|healthy| catalogue.healthy.push(healthy))
            } else {
                let example = examples.get(&reason).cloned();
                entry.problem(places, example).map(|problem| catalogue.problems.push(problem))
            };
            if let Err(error) = added {
                wrong.push(format!("{reason}: {error}"));
            }
        }
        if !wrong.is_empty() {
            bail!("{}", wrong.join("\n"));
        }
        Ok(catalogue)
    }
}

// === impl Entry ===

impl Entry {
    fn healthy(self, places: &BTreeSet<Place>) -> Result<Healthy> {
        let Self { reason, area, healthy, title, meaning, causes, steps, alert, r#for, above } = self;
        let others = title.is_some() || meaning.is_some() || alert.is_some() || r#for.is_some() || above.is_some();
        if others || !causes.is_empty() || !steps.is_empty() {
            bail!("a reason of a healthy condition has only `healthy`");
        }
        Ok(Healthy { reason, area, meaning: sentence("healthy", healthy)?, places: places.clone() })
    }

    fn problem(self, places: &BTreeSet<Place>, example: Option<String>) -> Result<Problem> {
        let Self { reason, area, healthy, title, meaning, causes, steps, alert, r#for: hold, above } = self;
        if healthy.is_some() {
            bail!("`healthy` is for the reasons of conditions that are False");
        }
        for (key, texts) in [("causes", &causes), ("steps", &steps)] {
            if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
                bail!("`{key}` is empty");
            }
        }
        let alert = alert.context("`alert` is missing: none, info, warning or critical")?;
        let is = |test: fn(&Place) -> bool| places.iter().any(test);
        let is_lasting = is(|place| matches!(place, Place::Condition { .. }));
        if hold.is_some() && (alert == Level::None || !is_lasting) {
            bail!("`for` is for alerts of conditions; of a threshold its own counts");
        }
        if above.is_some() && (alert == Level::None || !is(|place| matches!(place, Place::Event { .. }))) {
            bail!("`above` is for alerts of events");
        }
        let title = title.filter(|title| !title.trim().is_empty() && !title.ends_with('.'));
        let title = title.context("`title` is missing, or ends with a full stop")?;
        let problem = Problem {
            meaning: sentence("meaning", meaning)?,
            above: above.unwrap_or_default(),
            places: places.clone(),
            reason,
            area,
            title,
            causes,
            steps,
            alert,
            hold,
            example,
        };
        // Alerts have templates in them.
        if [&problem.title, &problem.meaning].iter().any(|text| text.contains("{{")) {
            bail!("`{{{{` would be taken for a template");
        }
        Ok(problem)
    }
}

fn sentence(key: &str, text: Option<String>) -> Result<String> {
    let text = text.unwrap_or_default().trim().to_owned();
    if !text.ends_with('.') {
        bail!("`{key}` is missing, or ends without a full stop");
    }
    Ok(text)
}

// === impl Problem ===

impl Problem {
    /// The conditions that have it.
    #[must_use]
    pub fn conditions(&self) -> BTreeSet<&str> {
        let kinds = self.places.iter().filter_map(|place| match place {
            Place::Condition { kind, .. } => Some(kind.as_str()),
            _ => None,
        });
        kinds.collect()
    }

    /// Where it stands in docs/reasons.md.
    #[must_use]
    pub fn anchor(&self) -> String {
        self.reason.to_lowercase()
    }
}

// === impl Area ===

impl Area {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Memory,
        Self::Stalls,
        Self::Kernel,
        Self::Network,
        Self::FileSystems,
        Self::Disks,
        Self::Hardware,
        Self::Gpus,
        Self::Limits,
        Self::Services,
        Self::Programs,
        Self::Npd,
    ];

    /// A heading.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "Memory",
            Self::Stalls => "Tasks and CPUs that hang",
            Self::Kernel => "The kernel itself",
            Self::Network => "Network",
            Self::FileSystems => "File systems",
            Self::Disks => "Disks",
            Self::Hardware => "Hardware",
            Self::Gpus => "GPUs",
            Self::Limits => "Limits of the node",
            Self::Services => "Services of the node",
            Self::Programs => "Programs",
            Self::Npd => "npd itself",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "
- {reason: A, area: memory, title: a, meaning: A., causes: [c], steps: [s], alert: warning, for: 1m}
- {reason: B, area: memory, healthy: b.}
- {reason: C, area: memory, title: c, meaning: C., causes: [c], steps: [s], alert: info, above: 2}
";

    fn wrong(text: &str) -> String {
        let file = String::from("x.json");
        let places = [
            ("A", Place::Condition { kind: "T".into(), file: file.clone() }),
            ("B", Place::Healthy { kind: "T".into(), file: file.clone() }),
            ("C", Place::Event { file }),
        ];
        let places = places.map(|(reason, place)| (reason.to_owned(), BTreeSet::from([place]))).into();
        Catalogue::parse(text, &places).err().map(|error| format!("{error:#}")).unwrap_or_default()
    }

    #[test]
    fn a_catalogue_is_whole_sorted_and_has_no_empty_text() {
        assert_eq!(wrong(GOOD), "");
        for (from, to, complaint) in [
            ("reason: C", "reason: D", "C is missing\nD: nothing reports it"),
            ("reason: C", "reason: A", "B does not belong before A"),
            ("meaning: A.", "meaning: ''", "A: `meaning` is missing"),
            ("causes: [c], steps: [s], alert: warning", "causes: [c], alert: warning", "A: `steps` is empty"),
            ("steps: [s], alert: warning", "steps: [''], alert: warning", "A: `steps` is empty"),
            ("alert: info, above: 2", "", "C: `alert` is missing"),
            ("alert: info, above: 2", "alert: info, for: 1m", "C: `for` is for alerts of conditions"),
            ("for: 1m", "above: 1", "A: `above` is for alerts of events"),
            ("healthy: b.", "healthy: b., alert: info", "B: a reason of a healthy condition"),
            ("title: a", "title: 'a {{ b }}'", "A: `{{` would be taken for a template"),
        ] {
            let found = wrong(&GOOD.replacen(from, to, 1));
            assert!(found.contains(complaint), "{from} → {to}: {found}");
        }
        assert!(wrong(&GOOD.replacen("area: memory", "area: moon", 1)).contains("moon"));
    }
}
