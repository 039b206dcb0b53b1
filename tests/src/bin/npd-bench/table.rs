//! The table.

use std::fmt;

/// One line of the table.
#[derive(Debug, Default)]
pub(crate) struct Row {
    what: String,
    ours: String,
    compared: String,
    ratio: String,
    goal: String,
    met: Option<bool>,
}

/// All lines of the table. Displays as Markdown.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
}

// === impl Row ===

impl Row {
    /// A measured figure.
    pub(crate) fn new(what: impl Into<String>, ours: impl Into<String>) -> Self {
        Self { what: what.into(), ours: ours.into(), ..Self::default() }
    }

    /// A section that could not be measured, and why.
    pub(crate) fn failed(section: &str, error: &anyhow::Error) -> Self {
        let what = format!("{section}: {error:#}").replace(['\n', '|'], " ");
        Self { what, met: Some(false), ..Self::default() }
    }

    /// What the same costs in another way, and how many times more.
    pub(crate) fn against(mut self, way: &str, figure: &str, ours: f64, theirs: f64) -> Self {
        self.compared = format!("{figure} ({way})");
        if ours > 0.0 && theirs > 0.0 {
            self.ratio = format!("{:.1}×", theirs / ours);
        }
        self
    }

    /// What it should be, and whether it is.
    pub(crate) fn goal(mut self, goal: impl Into<String>, met: bool) -> Self {
        self.goal = goal.into();
        self.met = Some(met);
        self
    }
}

// === impl Table ===

impl Table {
    /// Adds rows.
    pub(crate) fn extend(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// Whether everything could be measured. A missed goal is a figure, and the machine may have been busy.
    pub(crate) fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.met != Some(false) || !row.goal.is_empty())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | npd | compared with | ratio | goal | met |")?;
        writeln!(f, "|---|---|---|---|---|---|")?;
        for Row { what, ours, compared, ratio, goal, met } in &self.rows {
            let met = match met {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            writeln!(f, "| {what} | {ours} | {compared} | {ratio} | {goal} | {met} |")?;
        }
        Ok(())
    }
}
