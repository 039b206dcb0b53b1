//! Which entries are wanted, compiled to `FIELD=value` pairs, each of which a journal file stores once.
//!
//! An entry is a list of offsets of such pairs. So a filter is looked up once per file and then compares numbers: the
//! fields of an unwanted entry are never read.

/// Which entries are wanted: all given ones must hold; several values of one field are alternatives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct JournalFilter {
    /// SYSLOG_IDENTIFIER.
    pub identifiers: Vec<String>,
    /// Units, with what others log about them, as `journalctl -u` shows them: what the unit's processes log
    /// (`_SYSTEMD_UNIT`), what systemd (`UNIT` of `_PID=1`) and other root daemons (`OBJECT_SYSTEMD_UNIT` of
    /// `_UID=0`) log about it, its core dumps, and for a slice all that runs in it. A name without a dot is a service.
    pub units: Vec<String>,
    /// _TRANSPORT: `kernel`, `syslog`, `stdout`, `journal`, `audit`, `driver`.
    pub transports: Vec<String>,
    /// Highest PRIORITY to read, from 0 (emergency) to 7 (debug). An entry without one counts as 6 (informational).
    pub max_priority: Option<u8>,
}

/// The compiled filter. A term is referred to by its index in `terms`.
#[derive(Debug, Default)]
pub struct Filter {
    terms: Vec<Vec<u8>>,
    /// All must hold.
    clauses: Vec<Vec<Alternative>>,
    /// Every wanted entry has at least one of these terms; empty if there are no such terms.
    leads: Vec<usize>,
    /// The terms of the wanted priorities, and those of the others.
    priorities: Option<Priorities>,
}

/// Terms that must all hold, the rarest first.
type Alternative = Vec<usize>;

#[derive(Debug)]
struct Priorities {
    wanted: Vec<usize>,
    others: Vec<usize>,
    /// Whether an entry without a priority is wanted.
    missing: bool,
}

/// The MESSAGE_ID of a core dump.
const COREDUMP: &str = "MESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1";
/// What an entry without a PRIORITY counts as.
const USUAL_PRIORITY: u8 = 6;

// === impl Filter ===

impl Filter {
    /// The fields that filters look at.
    pub const FIELDS: [&str; 11] = [
        "SYSLOG_IDENTIFIER",
        "_SYSTEMD_UNIT",
        "UNIT",
        "_PID",
        "OBJECT_SYSTEMD_UNIT",
        "_UID",
        "COREDUMP_UNIT",
        "MESSAGE_ID",
        "_SYSTEMD_SLICE",
        "_TRANSPORT",
        "PRIORITY",
    ];

    /// The filter, compiled.
    #[must_use]
    pub fn new(filter: &JournalFilter) -> Self {
        let mut compiled = Self::default();
        // The first clause leads; the fields are ordered by how rare their values are.
        compiled.clause(filter.identifiers.iter().map(|name| vec![format!("SYSLOG_IDENTIFIER={name}")]));
        compiled.clause(filter.units.iter().flat_map(|unit| about_unit(unit)));
        compiled.clause(filter.transports.iter().map(|name| vec![format!("_TRANSPORT={name}")]));
        if let Some(clause) = compiled.clauses.first() {
            compiled.leads = clause.iter().filter_map(|alternative| alternative.first().copied()).collect();
        }
        if let Some(max) = filter.max_priority.filter(|max| *max < 7) {
            let mut term = |priority| compiled.term(format!("PRIORITY={priority}"));
            let wanted = (0..=max).map(&mut term).collect();
            let others = (max + 1..=7).map(&mut term).collect();
            compiled.priorities = Some(Priorities { wanted, others, missing: max >= USUAL_PRIORITY });
        }
        compiled
    }

    /// All terms, as a journal file stores them.
    #[must_use]
    pub fn terms(&self) -> &[Vec<u8>] {
        &self.terms
    }

    /// Every wanted entry has at least one of these terms; empty if there are no such terms.
    #[must_use]
    pub fn leads(&self) -> &[usize] {
        &self.leads
    }

    /// Whether an entry is wanted. `has` returns whether it has a term.
    pub fn passes(&self, has: impl Fn(usize) -> bool) -> bool {
        self.clauses.iter().all(|clause| clause.iter().any(|alternative| alternative.iter().all(|term| has(*term))))
            && self.priorities.as_ref().is_none_or(|priorities| {
                priorities.wanted.iter().any(|term| has(*term))
                    || priorities.missing && !priorities.others.iter().any(|term| has(*term))
            })
    }

    /// The same for an entry that is not in a file. `has` returns whether it has a pair `FIELD=value`.
    pub fn wants(&self, has: impl Fn(&[u8]) -> bool) -> bool {
        self.passes(|term| has(&self.terms[term]))
    }

    fn clause(&mut self, alternatives: impl Iterator<Item = Vec<String>>) {
        let clause: Vec<Alternative> =
            alternatives.map(|terms| terms.into_iter().map(|term| self.term(term)).collect()).collect();
        if !clause.is_empty() {
            self.clauses.push(clause);
        }
    }

    fn term(&mut self, term: String) -> usize {
        let term = term.into_bytes();
        self.terms.iter().position(|known| *known == term).unwrap_or_else(|| {
            self.terms.push(term);
            self.terms.len() - 1
        })
    }
}

fn about_unit(unit: &str) -> Vec<Vec<String>> {
    let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    let terms = |terms: &[&str]| terms.iter().map(|term| (*term).to_owned()).collect::<Vec<_>>();
    let mut alternatives = vec![
        terms(&[&format!("_SYSTEMD_UNIT={unit}")]),
        terms(&[&format!("UNIT={unit}"), "_PID=1"]),
        terms(&[&format!("OBJECT_SYSTEMD_UNIT={unit}"), "_UID=0"]),
        terms(&[&format!("COREDUMP_UNIT={unit}"), "_UID=0", COREDUMP]),
    ];
    if unit.strip_suffix(".slice").is_some() {
        alternatives.push(terms(&[&format!("_SYSTEMD_SLICE={unit}")]));
    }
    alternatives
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn strings(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn passes(filter: &JournalFilter, fields: &[&str]) -> bool {
        Filter::new(filter).wants(|pair| fields.iter().any(|field| field.as_bytes() == pair))
    }

    #[test]
    fn no_filter_wants_everything() {
        assert!(passes(&JournalFilter::default(), &[]));
        assert!(passes(&JournalFilter { max_priority: Some(7), ..JournalFilter::default() }, &["PRIORITY=9"]));
    }

    #[test]
    fn values_of_one_field_are_alternatives_and_fields_must_all_hold() {
        let filter = JournalFilter {
            identifiers: strings(&["kubelet", "containerd"]),
            transports: strings(&["stdout"]),
            ..JournalFilter::default()
        };
        assert!(passes(&filter, &["SYSLOG_IDENTIFIER=containerd", "_TRANSPORT=stdout"]));
        assert!(!passes(&filter, &["SYSLOG_IDENTIFIER=containerd", "_TRANSPORT=syslog"]));
        assert!(!passes(&filter, &["_TRANSPORT=stdout"]));
    }

    #[test]
    fn a_unit_has_what_root_says_about_it_and_not_what_anybody_says() {
        let filter = JournalFilter { units: strings(&["kubelet"]), ..JournalFilter::default() };
        assert!(passes(&filter, &["_SYSTEMD_UNIT=kubelet.service"]));
        assert!(passes(&filter, &["UNIT=kubelet.service", "_PID=1"]));
        assert!(!passes(&filter, &["UNIT=kubelet.service", "_PID=2"]));
        assert!(passes(&filter, &["OBJECT_SYSTEMD_UNIT=kubelet.service", "_UID=0"]));
        assert!(!passes(&filter, &["OBJECT_SYSTEMD_UNIT=kubelet.service", "_UID=1000"]));
        assert!(passes(&filter, &["COREDUMP_UNIT=kubelet.service", "_UID=0", COREDUMP]));
        assert!(!passes(&filter, &["_SYSTEMD_UNIT=kubelet"]));
        let slice = JournalFilter { units: strings(&["kubepods.slice"]), ..JournalFilter::default() };
        assert!(passes(&slice, &["_SYSTEMD_SLICE=kubepods.slice"]));
    }

    #[test]
    fn a_missing_priority_counts_as_informational() {
        let upto = |max| JournalFilter { max_priority: Some(max), ..JournalFilter::default() };
        assert!(passes(&upto(3), &["PRIORITY=3"]));
        assert!(!passes(&upto(3), &["PRIORITY=4"]));
        assert!(!passes(&upto(5), &[]));
        assert!(passes(&upto(6), &[]));
        assert!(!passes(&upto(6), &["PRIORITY=7"]));
    }

    #[test]
    fn the_fields_that_filters_look_at_are_all_named() {
        let filter = Filter::new(&JournalFilter {
            identifiers: strings(&["a"]),
            units: strings(&["a", "b.slice"]),
            transports: strings(&["kernel"]),
            max_priority: Some(3),
        });
        let terms = filter.terms().iter().map(|term| std::str::from_utf8(term).unwrap());
        let names: BTreeSet<_> = terms.map(|term| term.split_once('=').unwrap().0).collect();
        assert_eq!(names, BTreeSet::from(Filter::FIELDS));
    }

    #[test]
    fn the_rarest_field_leads() {
        let filter = Filter::new(&JournalFilter {
            units: strings(&["a"]),
            transports: strings(&["kernel"]),
            ..JournalFilter::default()
        });
        let leads: Vec<_> = filter.leads().iter().map(|term| String::from_utf8_lossy(&filter.terms()[*term])).collect();
        assert_eq!(
            leads,
            ["_SYSTEMD_UNIT=a.service", "UNIT=a.service", "OBJECT_SYSTEMD_UNIT=a.service", "COREDUMP_UNIT=a.service"]
        );
    }
}
