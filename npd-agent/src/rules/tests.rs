//! Rules as a whole: node-problem-detector's observable behaviour, and agreement with the plainest engine.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use regex_automata::{Input, meta};
use regex_syntax::hir::{Hir, Look};

use super::{Hit, Pattern, Rules};
use crate::{go::regex, time::Timestamp};

mod go;

/// The contract, word by word: join the lines, run each regex in turn, take the lines from the match start on.
struct Reference {
    regexes: Vec<meta::Regex>,
    size: usize,
    lines: Vec<(String, Timestamp)>,
}

impl Reference {
    fn new(patterns: &[String], size: usize) -> Self {
        let regexes = patterns
            .iter()
            .map(|pattern| {
                let hir = Hir::concat(vec![regex::parse(pattern).unwrap(), Hir::look(Look::End)]);
                meta::Regex::builder().build_from_hir(&hir).unwrap()
            })
            .collect();
        Self { regexes, size, lines: Vec::new() }
    }

    fn push(&mut self, line: &[u8], at: Timestamp, matched: bool) -> Vec<Hit> {
        let mut text = String::new();
        for chunk in line.utf8_chunks() {
            text.push_str(chunk.valid());
            for _ in chunk.invalid() {
                text.push('\u{fffd}');
            }
        }
        self.lines.push((text, at));
        let filled = &self.lines[self.lines.len().saturating_sub(self.size)..];
        let mut all = vec![""; self.size - filled.len()];
        all.extend(filled.iter().map(|(text, _)| text.as_str()));
        let joined = all.join("\n");
        let mut hits = Vec::new();
        for (rule, regex) in self.regexes.iter().enumerate().filter(|_| matched) {
            let mut slots = vec![None; regex.group_info().slot_len()];
            if regex.search_slots(&Input::new(&joined), &mut slots).is_none() {
                continue;
            }
            let span = |group: usize| Some(slots[group * 2]?.get()..slots[group * 2 + 1]?.get());
            let mut missing = joined.len() - span(0).unwrap().start;
            let mut first = filled.len();
            loop {
                first -= 1;
                let length = filled[first].0.len() + 1;
                if length >= missing || first == 0 {
                    break;
                }
                missing -= length;
            }
            let message: Vec<&str> = filled[first..].iter().map(|(text, _)| text.as_str()).collect();
            let names = regex.group_info().pattern_names(regex_automata::PatternID::ZERO);
            let captures = names
                .enumerate()
                .filter_map(|(group, name)| Some((name?.into(), joined[span(group)?].to_string())))
                .collect();
            hits.push(Hit { rule, timestamp: filled[first].1, message: message.join("\n"), captures });
        }
        hits
    }
}

fn rules(patterns: &[&str], size: usize) -> Rules {
    let patterns = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
    Rules::new(patterns, NonZeroUsize::new(size).unwrap())
}

fn push(rules: &mut Rules, line: impl AsRef<[u8]>, at: i64) -> Vec<Hit> {
    let mut hits = Vec::new();
    rules.push(line.as_ref(), Timestamp::from_unix_nanos(at), &mut |hit| hits.push(hit));
    hits
}

/// The rules that each of `lines` hits.
fn hit_rules(patterns: &[&str], size: usize, lines: &[&str]) -> Vec<Vec<usize>> {
    let mut rules = rules(patterns, size);
    lines.iter().map(|line| push(&mut rules, line, 0).into_iter().map(|hit| hit.rule).collect()).collect()
}

/// The kernel monitor's rules as node-problem-detector ships them.
const KERNEL: [&str; 14] = [
    r"Killed process \d+ (.+) total-vm:\d+kB, anon-rss:\d+kB, file-rss:\d+kB.*",
    r"task [\S ]+:\w+ blocked for more than \w+ seconds\.",
    r"unregister_netdevice: waiting for \w+ to become free. Usage count = \d+",
    r"BUG: unable to handle kernel NULL pointer dereference at .*",
    r"divide error: 0000 \[#\d+\] SMP",
    r"EXT4-fs error .*",
    r"EXT4-fs warning .*",
    r"Buffer I/O error .*",
    r"XFS .* Shutting down filesystem.?",
    r"CE memory read error .*",
    r".*\[Hardware Error\]: event severity: corrected$",
    r".*\[Hardware Error\]: event severity: recoverable$",
    r".*\[Hardware Error\]: event severity: fatal$",
    r"task docker:\w+ blocked for more than \w+ seconds\.",
];

#[test]
fn the_shipped_kernel_rules_hit_the_lines_they_hit_in_node_problem_detector() {
    let oom = "Memory cgroup out of memory: Killed process 4249 (python) total-vm:1409184kB, anon-rss:1000112kB, \
               file-rss:8192kB, shmem-rss:0kB, UID:0 pgtables:2048kB oom_score_adj:994";
    let table: [(&str, &[usize]); 24] = [
        (oom, &[0]),
        ("BUG: unable to handle kernel NULL pointer dereference at 0000000000000078", &[3]),
        ("BUG: kernel NULL pointer dereference, address: 0000000000000000", &[]),
        ("BUG: unable to handle page fault for address: ffffdeadbeef0000", &[]),
        ("divide error: 0000 [#1] SMP", &[4]),
        ("divide error: 0000 [#1] SMP NOPTI", &[]),
        ("Oops: divide error: 0000 [#1] PREEMPT SMP PTI", &[]),
        ("INFO: task docker:7 blocked for more than 120 seconds.", &[1, 13]),
        ("INFO: task docker:7 blocked for more than 300 seconds.", &[1, 13]),
        ("INFO: task containerd-shim:7 blocked for more than 120 seconds.", &[1]),
        ("INFO: task kworker/u16:3:1234 blocked for more than 120 seconds.", &[1]),
        ("INFO: task jbd2/dm-3-8:1234 blocked for more than 120 seconds.", &[1]),
        ("unregister_netdevice: waiting for lo to become free. Usage count = 1", &[2]),
        ("unregister_netdevice: waiting for veth-abc to become free. Usage count = 1", &[]),
        ("unregister_netdevice: waiting for eth0.100 to become free. Usage count = 1", &[]),
        ("watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [stress:1234]", &[]),
        ("mce: [Hardware Error]: Machine check events logged", &[]),
        ("BTRFS info (device sda1: state E): forced readonly", &[]),
        ("EDAC MC0: 1 CE memory read error on CPU_SrcID#0", &[9]),
        ("XFS (dm-0): Log I/O Error Detected. Shutting down filesystem", &[8]),
        ("{1}[Hardware Error]: event severity: fatal", &[12]),
        ("{1}[Hardware Error]: event severity: corrected", &[10]),
        ("EXT4-fs error (device loop0): ext4_lookup:1785: inode #2: comm ls: deleted inode", &[5]),
        ("Buffer I/O error on dev dm-0, logical block 0, lost async page write", &[7]),
    ];
    let mut rules = rules(&KERNEL, 10);
    for (line, expected) in table {
        let hits = push(&mut rules, line, 0);
        assert!(hits.iter().all(|hit| hit.message == line), "{hits:?}");
        assert_eq!(hits.iter().map(|hit| hit.rule).collect::<Vec<_>>(), expected, "{line}");
    }
}

#[test]
fn every_occurrence_of_a_line_hits_again() {
    let hung = "INFO: task docker:7 blocked for more than 300 seconds.";
    assert_eq!(hit_rules(&KERNEL, 10, &[hung, "x", hung]), [vec![1, 13], vec![], vec![1, 13]]);
}

#[test]
fn both_branches_of_an_alternation_must_reach_the_end() {
    let lines = ["alt-one", "other", "alt-two", "alt-one and more", "other"];
    assert_eq!(hit_rules(&["alt-one|alt-two"], 10, &lines), [vec![0], vec![], vec![0], vec![], vec![]]);
}

#[test]
fn a_pattern_over_two_lines_hits_once_with_both_lines_and_the_time_of_the_first() {
    let mut rules = rules(&[r"first line A\nsecond line B"], 10);
    assert_eq!(push(&mut rules, "x first line A", 1), []);
    let hit = Hit {
        rule: 0,
        timestamp: Timestamp::from_unix_nanos(1),
        message: "x first line A\nsecond line B".into(),
        captures: vec![],
    };
    assert_eq!(push(&mut rules, "second line B", 2), [hit]);
    assert_eq!(push(&mut rules, "second line B", 3), []);
}

#[test]
fn lines_that_left_the_buffer_are_forgotten() {
    let lines = ["kernel panic", "a", "b", "c", "d"];
    assert_eq!(hit_rules(&["kernel panic(?s:.*)"], 3, &lines), [vec![0], vec![0], vec![0], vec![], vec![]]);
}

#[test]
fn a_record_with_dictionary_lines_is_one_line_of_the_buffer() {
    let record = "acpi PNP0A08:00: _OSC: OS supports\n SUBSYSTEM=acpi\n DEVICE=+acpi:PNP0A08:00";
    let mut rules = rules(&["acpi PNP0A08:00: .*", "(?s)acpi PNP0A08:00: .*", " DEVICE=.*"], 10);
    let hits = push(&mut rules, record, 0);
    assert_eq!(hits.iter().map(|hit| (hit.rule, hit.message.as_str())).collect::<Vec<_>>(), [(1, record), (2, record)]);
}

#[test]
fn the_empty_pattern_hits_every_line() {
    assert_eq!(hit_rules(&[""], 10, &["", "a", "b"]), [[0], [0], [0]]);
}

#[test]
fn a_start_anchor_is_the_start_of_the_whole_buffer() {
    assert_eq!(hit_rules(&["^oops", "(?m)^oops"], 1, &["oops"]), [[0, 1]]);
    assert_eq!(hit_rules(&["^oops", "(?m)^oops"], 2, &["oops", "oops"]), [[1], [1]]);
    assert_eq!(hit_rules(&[r"^oops\noops", r"^\noops"], 2, &["oops", "oops"]), [[1], [0]]);
}

#[test]
fn a_match_that_starts_with_the_newline_belongs_to_the_line_after_it() {
    let mut rules = rules(&[r"\n\nb", r"\nb"], 10);
    push(&mut rules, "a", 1);
    push(&mut rules, "", 2);
    let hits = push(&mut rules, "b", 3);
    assert_eq!(hits.iter().map(|hit| hit.message.as_str()).collect::<Vec<_>>(), ["\nb", "b"]);
}

#[test]
fn a_match_does_not_report_lines_that_have_not_come_yet() {
    let mut rules = rules(&["(?s).*oops"], 10);
    push(&mut rules, "a", 1);
    let hits = push(&mut rules, "oops", 2);
    assert_eq!((hits[0].message.as_str(), hits[0].timestamp), ("a\noops", Timestamp::from_unix_nanos(1)));
}

#[test]
fn an_invalid_byte_is_a_replacement_character_to_the_pattern_and_in_the_message() {
    let mut rules = rules(&["\u{fffd}{2}end here", "task .x", "a[^b]c"], 10);
    let hits = push(&mut rules, b"a\xe2\x82end here", 0);
    assert_eq!(
        hits.iter().map(|hit| (hit.rule, hit.message.as_str())).collect::<Vec<_>>(),
        [(0, "a\u{fffd}\u{fffd}end here")]
    );
    assert_eq!(push(&mut rules, b"task \xffx", 0)[0].rule, 1);
    assert_eq!(push(&mut rules, b"a\xffc", 0)[0].rule, 2);
}

#[test]
fn named_groups_come_with_the_hit() {
    let mut rules = rules(&[r"task (?P<comm>[\S ]+):(?P<pid>\d+) blocked for more than \w+ seconds\."], 10);
    let hits = push(&mut rules, "INFO: task dd:77 blocked for more than 120 seconds.", 0);
    assert_eq!(hits[0].captures, [("comm".into(), "dd".to_string()), ("pid".into(), "77".to_string())]);
}

#[test]
fn an_unmatched_line_hits_nothing_but_can_start_a_match() {
    let mut rules = rules(&["kernel panic(?s:.*)end"], 3);
    rules.push_unmatched(b"kernel panic end", Timestamp::from_unix_nanos(5));
    assert_eq!(push(&mut rules, "the end", 6)[0].timestamp, Timestamp::from_unix_nanos(5));
}

#[test]
fn two_hundred_rules_do_not_mix_up_their_hits() {
    let patterns: Vec<String> = (0..200).map(|n| format!(r"driver{n}: fault \d+ on (port|lane) {n}\b.*")).collect();
    let mut rules = rules(&patterns.iter().map(String::as_str).collect::<Vec<_>>(), 10);
    for n in 0..200 {
        let hits = push(&mut rules, format!("[x] driver{n}: fault 7 on lane {n} again"), 0);
        assert_eq!(hits.iter().map(|hit| hit.rule).collect::<Vec<_>>(), [n]);
    }
}

/// Pieces that make literals, near misses and every kind of assertion likely.
fn piece() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "task ", "oops", "Xid", "panic", "end", "a", "b", " ", ":", "é", "\u{fffd}", r"\n", "oo", "k", "S",
    ]);
    let special = prop::sample::select(vec![
        ".",
        ".*",
        r"\w+",
        r"\d*",
        r"\s",
        r"\s*",
        "[^a]",
        r"[\S ]+",
        "(?s:.)",
        "(?s:.*)",
        "^",
        "$",
        "(?m:^)",
        "(?m:$)",
        r"\b",
        r"\B",
        r"\A",
        r"\z",
        "(?i:oops)",
        "(?i:task )",
        "(?i:kS)",
        "",
        "a?",
        "o{2}",
        "(?:ab|Xid)",
        "(?P<n>o+)",
    ]);
    prop_oneof![3 => plain, 2 => special].prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> {
    let leaf = prop::collection::vec(piece(), 0..5).prop_map(|pieces| pieces.concat());
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(|branches| format!("(?:{})", branches.join("|"))),
            prop::collection::vec(inner.clone(), 2..4).prop_map(|branches| branches.join("|")),
            inner.clone().prop_map(|p| format!("({p})?")),
            inner.clone().prop_map(|p| format!("(?:{p})+")),
            inner.clone().prop_map(|p| format!("(?:{p}){{2}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}){b}")),
            inner.prop_map(|p| format!("(?i:{p})")),
        ]
    })
    // A name may occur once only in the reference engine.
    .prop_map(|p| match p.split_once("(?P<n>") {
        Some((head, tail)) => format!("{head}(?P<n>{}", tail.replace("(?P<n>", "(")),
        None => p,
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let words = |words: &[&'static str]| prop::sample::select(words.to_vec()).prop_map(|w| w.as_bytes().to_vec());
    let piece = prop_oneof![
        4 => words(&["task ", "oops", "OOPS", "Xid", "panic", "end", "a", "b", "k", "S", " ", ":", "7"]),
        1 => words(&["é", "\u{fffd}", "\u{212a}", "\u{17f}", "\n"]),
        1 => prop::sample::select(vec![&b"\xff"[..], b"\xe2\x82", b"\xed\xa0\x80", b"\xc3"]).prop_map(<[u8]>::to_vec),
        1 => words(&["nothing of that kind, and rather long so that it fills vectors"]),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn rules_agree_with_running_each_regex_on_the_joined_buffer(
        patterns in prop::collection::vec(pattern(), 0..9),
        lines in prop::collection::vec((line(), prop::bool::weighted(0.9)), 1..20),
        size in 1usize..=12,
    ) {
        let mut reference = Reference::new(&patterns, size);
        let mut rules = rules(&patterns.iter().map(String::as_str).collect::<Vec<_>>(), size);
        for (at, (line, matched)) in (1..).zip(&lines) {
            let expected = reference.push(line, Timestamp::from_unix_nanos(at), *matched);
            let hits = if *matched {
                push(&mut rules, line, at)
            } else {
                rules.push_unmatched(line, Timestamp::from_unix_nanos(at));
                vec![]
            };
            prop_assert_eq!(hits, expected, "line {} {:?}", at, String::from_utf8_lossy(line));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_line_makes_the_rules_panic(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut rules = rules(&KERNEL, 10);
        for line in &lines {
            push(&mut rules, line, 0);
        }
    }
}
