//! Required literals: a set of strings such that every text a pattern matches contains at least one of them.
//!
//! A line without any of them cannot be hit, and looking for a few strings is far cheaper than running an automaton.
//! The literals are only necessary, never sufficient, and they hold on the raw bytes of a line: a string with U+FFFD
//! is cut there, because the regex sees U+FFFD where the raw line has an invalid byte. They never contain a newline,
//! because they are looked for in one line at a time.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::rules::gram_index::{GRAM, GramSet, LONG};

/// The literals of one pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Required {
    /// The strings; none is empty, none contains `\n`.
    pub(super) any_of: Vec<Vec<u8>>,
    /// Where they stand.
    pub(super) place: Place,
}

/// Where the required literals of a match stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the newest line: nothing after them can match a newline.
    Newest,
    /// In any buffered line that the match covers.
    Anywhere,
}

/// The strings of a candidate and how often a line is expected to contain one; lower is better.
#[derive(Clone)]
struct Candidate {
    strings: Vec<Vec<u8>>,
    cost: u64,
}

/// More strings than these for one place in a pattern are not spelt out: `(?i)` doubles them with each letter.
const MAX_STRINGS: usize = 16;
/// An alternation may need more, one for each branch.
const MAX_BRANCHES: usize = 64;
/// Longer strings are not more selective.
const MAX_LEN: usize = 96;
/// Repetitions such as `-{3}` are spelt out up to here.
const MAX_REPEAT: u32 = 16;
/// Bits of surprise beyond which a string is as good as any other.
const ENOUGH_BITS: u32 = 56;
/// As many bits a string counts less for each byte that it is shorter than `LONG`: then the search for it and the
/// others needs more places of the line.
const SHORT_BITS: u32 = 2;
/// A set that is expected at more than one position in 2^8 saves less than it costs.
const LEAST_BITS: u32 = 8;

/// Words of everyday kernel and system logs: they are less selective than their letters suggest.
const WORDS: &[u8] = b" device driver controller registered registers unregister loaded unloaded enabled disabled \
    enabling disabling detected available supported support supports using used initialized initializing starting \
    started stopped stopping finished running reached listening on target service session socket closed accepted \
    network interface address addresses port link is up down speed full duplex bridge entered blocking \
    forwarding state promiscuous mode memory reserved resource resources mapped mapping region range window \
    bytes size pages page cache entries order table hash kernel system filesystem filesystems file mounted \
    mounting unmounting Mounting Unmounting mount data block blocks queue sector logical physical attached host disk \
    partition cdrom version firmware revision command line boot init setup clocksource clock timer timers time \
    watchdog tick thread threads task process processor processors group online offline power management thermal \
    event events interrupt interrupts request requests response default maximum limit count info warning error \
    errors failed failure fatal unable could not found ignored invalid unknown missing with from the for and more \
    than after before already reset resetting timeout retry while during client server operation status protocol \
    journal journald flush control mounted monitor track check correct corrected recovery recovered recover \
    continuing over exceeded cause because allocate allocated allocation lowering suppressed adding waiting pending \
    ending creating writing reading written read write cached local remote parent parameter parameters this that \
    will would have has been into only also when same set get new old free empty full queued locked unlocked \
    Hardware Error Intel Corporation NETDEV CPU CONFIG reserved usable RAM Linux Detected Device \
    number connect disconnect disconnected product manufacturer security assignment audit: type= name= pid= comm= \
    systemd[1]: EXT4-fs ( XFS ( BTRFS info (device BTRFS: device F2FS-fs ( FAT-fs ( device-mapper: nvme nvme0: \
    usb 1-1: pci 0000:00: ACPI: IPv6: TCP: NET: PCI: CPU BIOS SCSI sd 0:0:0:0: [sda] ata1: ata1.00: scsi host0: \
    eth0: NIC Link is Up Full Duplex, ";

/// The grams of `WORDS`.
static COMMON: GramSet = {
    let mut set = GramSet::new();
    let mut rest = WORDS;
    while let Some((gram, _)) = rest.split_first_chunk::<GRAM>() {
        set.insert(u32::from_le_bytes(*gram));
        rest = rest.split_at(1).1;
    }
    set
};

/// How often a gram of `WORDS` occurs, and how selective a further byte of the same word is, in bits.
const WORD_BITS: (u32, u32) = (9, 2);

/// The best required literals of `hir`, if it has any that are worth looking for.
pub(super) fn required(hir: &Hir) -> Option<Required> {
    let tail = newest_line_part(hir);
    let newest = best(&tail).filter(Candidate::is_worthwhile);
    let (found, place) = match newest {
        Some(candidate) => (candidate, Place::Newest),
        None => (best(hir).filter(Candidate::is_worthwhile)?, Place::Anywhere),
    };
    Some(Required { any_of: found.strings, place })
}

/// Whether some match of `hir` contains a newline.
pub(super) fn may_match_newline(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => false,
        HirKind::Literal(literal) => literal.0.contains(&b'\n'),
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|r| r.start() <= '\n' && '\n' <= r.end()),
        HirKind::Class(Class::Bytes(class)) => class.iter().any(|r| r.start() <= b'\n' && b'\n' <= r.end()),
        HirKind::Repetition(repetition) => repetition.max != Some(0) && may_match_newline(&repetition.sub),
        HirKind::Capture(capture) => may_match_newline(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(may_match_newline),
    }
}

/// How rare a byte is in log lines, in bits of surprise: a coarse rank, taken from kernel logs.
fn byte_rarity_bits(byte: u8) -> u32 {
    match byte {
        b' ' | b'0' => 3,
        b'e' | b'o' | b't' | b'a' | b's' | b'r' | b'i' | b'n' => 4,
        b'c' | b'l' | b':' | b'd' | b'p' | b'f' | b'_' => 5,
        b'a'..=b'y' | b'1'..=b'9' | b'-' => 6,
        b'P' | b'R' | b'C' | b'I' | b'A' | b'/' | b',' | b'.' => 7,
        b'S' | b'T' | b'B' | b'E' | b'M' | b'D' | b'=' | b'(' | b')' => 8,
        _ => 9,
    }
}

/// How rare a string is in log lines, in bits, as if its bytes and everyday words were independent of each other.
pub(super) fn rarity_bits(string: &[u8]) -> u32 {
    // The bits of as many bytes from the start, for the latest `GRAM` lengths.
    let mut before = [0; GRAM];
    for (at, byte) in string.iter().enumerate() {
        let last = before[GRAM - 1];
        let mut bits = last + byte_rarity_bits(*byte);
        if let Some(gram) = string[..=at].last_chunk()
            && COMMON.contains(u32::from_le_bytes(*gram))
        {
            bits = bits.min(before[0] + WORD_BITS.0).min(last + WORD_BITS.1);
        }
        before = [before[1], before[2], before[3], bits];
    }
    before[GRAM - 1]
}

/// What of `hir` must stand in the last line of a match: everything after the last part that can match a newline.
fn newest_line_part(hir: &Hir) -> Hir {
    if !may_match_newline(hir) {
        return hir.clone();
    }
    match hir.kind() {
        HirKind::Literal(literal) => {
            let after = literal.0.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            Hir::literal(&literal.0[after..])
        }
        HirKind::Capture(capture) => newest_line_part(&capture.sub),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(newest_line_part).collect()),
        HirKind::Concat(parts) => {
            let last = parts.iter().rposition(may_match_newline).unwrap_or(0);
            let mut tail = vec![newest_line_part(&parts[last])];
            tail.extend_from_slice(&parts[last + 1..]);
            Hir::concat(tail)
        }
        _ => Hir::empty(),
    }
}

/// The best set of strings such that every match of `hir` contains one of them.
fn best(hir: &Hir) -> Option<Candidate> {
    match hir.kind() {
        HirKind::Capture(capture) => best(&capture.sub),
        HirKind::Concat(parts) => best_of_sequence(parts),
        HirKind::Repetition(repetition) if repetition.min > 0 => better(best_exact(hir), best(&repetition.sub)),
        HirKind::Alternation(branches) => better(best_exact(hir), best_of_branches(&[], branches)),
        _ => best_exact(hir),
    }
}

fn best_exact(hir: &Hir) -> Option<Candidate> {
    Candidate::new(&exact(hir)?)
}

/// The best set for one of `branches`, each right after `head`.
fn best_of_branches(head: &[u8], branches: &[Hir]) -> Option<Candidate> {
    let mut strings: Vec<Vec<u8>> = Vec::new();
    for branch in branches {
        strings.extend(better(best(branch), best_start(head, branch))?.strings);
        if strings.len() > MAX_BRANCHES {
            return None;
        }
    }
    Candidate::new(&strings)
}

/// `head` with as much of the start of `hir` as can be spelt out.
fn best_start(head: &[u8], hir: &Hir) -> Option<Candidate> {
    let parts = if let HirKind::Concat(parts) = hir.kind() { parts.as_slice() } else { std::slice::from_ref(hir) };
    let mut run = vec![head.to_vec()];
    for part in parts {
        let Some(longer) = exact(part).and_then(|exact| product(&run, &exact)) else { break };
        run = longer;
    }
    Candidate::new(&run)
}

/// The best of a part of a sequence; `head` is what is spelt out right before it.
fn best_after(head: &[u8], hir: &Hir) -> Option<Candidate> {
    match hir.kind() {
        HirKind::Capture(capture) => best_after(head, &capture.sub),
        HirKind::Alternation(branches) => best_of_branches(head, branches),
        _ => best(hir),
    }
}

/// The best of what each part requires and of every run of parts that can be spelt out.
fn best_of_sequence(parts: &[Hir]) -> Option<Candidate> {
    let exacts: Vec<_> = parts.iter().map(exact).collect();
    let mut winner: Option<Candidate> = None;
    let mut head = Vec::new();
    for (from, part) in parts.iter().enumerate() {
        let Some(own) = &exacts[from] else {
            winner = better(winner, best_after(&head, part));
            head.clear();
            continue;
        };
        match own.as_slice() {
            [only] => head.extend_from_slice(only),
            _ => head.clear(),
        }
        let mut run = vec![Vec::new()];
        for exact in exacts[from..].iter().map_while(Option::as_ref) {
            let Some(longer) = product(&run, exact) else { break };
            winner = better(winner, Candidate::new(&longer));
            run = longer;
        }
    }
    winner
}

/// All strings that `hir` matches, when they are few and short.
fn exact(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        // An assertion only narrows what is matched.
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(class) => exact_class(class),
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Repetition(repetition) => exact_repetition(repetition),
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |prefixes, part| product(&prefixes, &exact(part)?))
        }
        HirKind::Alternation(branches) => {
            let mut strings = Vec::new();
            for branch in branches {
                strings.extend(exact(branch)?);
                if strings.len() > MAX_STRINGS {
                    return None;
                }
            }
            Some(strings)
        }
    }
}

fn exact_class(class: &Class) -> Option<Vec<Vec<u8>>> {
    let Class::Unicode(class) = class else { return None };
    let members: usize = class.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
    if members > MAX_STRINGS {
        return None;
    }
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    Some(chars.map(|c| c.to_string().into_bytes()).collect())
}

fn exact_repetition(repetition: &Repetition) -> Option<Vec<Vec<u8>>> {
    let max = repetition.max.filter(|max| *max <= MAX_REPEAT)?;
    let once = exact(&repetition.sub)?;
    let mut times = vec![Vec::new()];
    let mut all = Vec::new();
    for count in 0..=max {
        if count >= repetition.min {
            all.extend(times.iter().cloned());
        }
        if count < max {
            times = product(&times, &once)?;
        }
        if all.len() > MAX_STRINGS {
            return None;
        }
    }
    Some(all)
}

/// Every string of `heads` followed by every string of `tails`, when they stay few and short.
fn product(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    if heads.len() * tails.len() > MAX_STRINGS {
        return None;
    }
    let longest = |strings: &[Vec<u8>]| strings.iter().map(Vec::len).max().unwrap_or(0);
    let (head, tail) = (longest(heads), longest(tails));
    // A literal that the pattern spells out itself may be of any length.
    if head > 0 && tail > 0 && head + tail > MAX_LEN {
        return None;
    }
    Some(heads.iter().flat_map(|h| tails.iter().map(move |t| [h.as_slice(), t].concat())).collect())
}

fn better(a: Option<Candidate>, b: Option<Candidate>) -> Option<Candidate> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.cost < a.cost { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// The most telling part of `string` between newlines and replacement characters.
fn cut(string: &[u8]) -> &[u8] {
    let replacement = '\u{fffd}'.to_string().into_bytes();
    let mut rest = string;
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < rest.len() {
        let gap = if rest[at] == b'\n' { 1 } else { usize::from(rest[at..].starts_with(&replacement)) * 3 };
        if gap == 0 {
            at += 1;
        } else {
            pieces.push(&rest[..at]);
            rest = &rest[at + gap..];
            at = 0;
        }
    }
    pieces.push(rest);
    pieces.into_iter().max_by_key(|piece| worth(piece)).unwrap_or_default()
}

/// How much a string is worth looking for, in bits.
fn worth(string: &[u8]) -> u32 {
    rarity_bits(string).saturating_sub(LONG.saturating_sub(string.len()) as u32 * SHORT_BITS)
}

// === impl Candidate ===

impl Candidate {
    /// `None` if a match need not contain any of the strings.
    fn new(strings: &[Vec<u8>]) -> Option<Self> {
        let mut strings: Vec<Vec<u8>> = strings.iter().map(|s| cut(s).to_vec()).collect();
        strings.sort_unstable();
        strings.dedup();
        if strings.first().is_none_or(Vec::is_empty) {
            return None;
        }
        let cost = strings.iter().map(|s| 1u64 << (ENOUGH_BITS - worth(s).min(ENOUGH_BITS))).sum();
        Some(Self { strings, cost })
    }

    fn is_worthwhile(&self) -> bool {
        self.cost <= 1 << (ENOUGH_BITS - LEAST_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Option<(Vec<String>, Place)> {
        let found = required(&regex_syntax::parse(pattern).unwrap())?;
        Some((found.any_of.into_iter().map(|s| String::from_utf8(s).unwrap()).collect(), found.place))
    }

    fn newest(literals: &[&str]) -> (Vec<String>, Place) {
        (literals.iter().map(ToString::to_string).collect(), Place::Newest)
    }

    #[test]
    fn the_most_telling_literal_wins() {
        assert_eq!(
            of(r"task [\S ]+:[a-z]+ blocked for more than [a-z]+ seconds\."),
            Some(newest(&[" blocked for more than "]))
        );
        assert_eq!(of("EXT4-fs error .*"), Some(newest(&["EXT4-fs error "])));
        assert_eq!(of("(foo)bar(.*)"), Some(newest(&["foobar"])));
    }

    #[test]
    fn every_branch_gives_its_literal() {
        assert_eq!(of("nvme[0-9]+: I/O .* timeout|sd[a-z]: rejecting .*"), Some(newest(&[": I/O ", ": rejecting "])));
        assert_eq!(of("(?:soft|hard): L"), Some(newest(&["hard: L", "soft: L"])));
        assert_eq!(of("(?:soft|hard) LOCKUP DETECTED"), Some(newest(&[" LOCKUP DETECTED"])));
        assert_eq!(of("oops: .*|[a-z]+"), None);
    }

    #[test]
    fn what_stands_before_an_alternation_belongs_to_its_branches() {
        let pattern = r"BUG: (?:Bad .*|(using) [a-z]+|[a-z]+ leaked)";
        assert_eq!(of(pattern), Some(newest(&[" leaked", "BUG: Bad ", "BUG: using "])));
    }

    #[test]
    fn everyday_words_tell_less_than_their_letters() {
        assert!(rarity_bits(b" filesystem") < rarity_bits(b"xyzzy"));
        assert_eq!(rarity_bits(b"Xid"), 9 + 4 + 5);
        assert_eq!(of("error loading .* xyzzy"), Some(newest(&[" xyzzy"])));
    }

    #[test]
    fn case_insensitive_letters_are_spelt_out_in_the_best_window() {
        let (literals, _) = of("(?i)NVRM: Xid").unwrap();
        assert!(literals.len() <= MAX_STRINGS, "{literals:?}");
        assert!(literals.iter().all(|l| "nvrm: xid".contains(&l.to_lowercase())), "{literals:?}");
    }

    #[test]
    fn the_kelvin_sign_and_the_long_s_are_among_the_spellings() {
        let (literals, _) = of("(?i)12sk34").unwrap();
        assert!(literals.contains(&"12\u{17f}\u{212a}34".to_string()), "{literals:?}");
    }

    #[test]
    fn a_literal_after_the_last_newline_stands_in_the_newest_line() {
        assert_eq!(of("first line A\nsecond line B"), Some(newest(&["second line B"])));
        assert_eq!(of(r"BUG: .*(?s:.*)RIP: [a-z]+"), Some(newest(&["RIP: "])));
        assert_eq!(of(r"abcdef\n|ghijkl"), Some((vec!["abcdef".into(), "ghijkl".into()], Place::Anywhere)));
    }

    #[test]
    fn a_literal_before_a_newline_may_stand_in_an_earlier_line() {
        assert_eq!(of("kernel panic(?s:.*)"), Some((vec!["kernel panic".into()], Place::Anywhere)));
        assert_eq!(of("one\ntwo four\n"), Some((vec!["two four".into()], Place::Anywhere)));
    }

    #[test]
    fn replacement_characters_are_never_looked_for() {
        assert_eq!(of("abc\u{fffd}defgh"), Some(newest(&["defgh"])));
        assert_eq!(of("\u{fffd}\u{fffd}\u{fffd}\u{fffd}"), None);
    }

    #[test]
    fn patterns_that_match_nearly_everything_have_none() {
        for pattern in ["", ".*", "[a-z]+:", "a?b?", "(?:|xyzzyx)", "^", "x{0}", ":"] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }

    #[test]
    fn newlines_are_found_wherever_they_can_hide() {
        for pattern in [r"\n", r"[^a]", r"(?:a|b\s)", r"(?s).", r"x(?:\W)+", "a\nb"] {
            assert!(may_match_newline(&regex_syntax::parse(pattern).unwrap()), "{pattern}");
        }
        for pattern in [r".*", r"[\S ]+", r"(?m)^a$", r"\bz\b", r"\A\z"] {
            assert!(!may_match_newline(&regex_syntax::parse(pattern).unwrap()), "{pattern}");
        }
    }
}
