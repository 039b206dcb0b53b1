//! Arranges literals for Teddy, so that it seldom stops at a place where none of them is.
//!
//! Teddy puts its strings into buckets and compares the first four bytes of all strings of a bucket at once, as sets
//! of low and high half bytes for each of the four. A bucket of unlike strings therefore stops nearly everywhere,
//! and each stop costs as much as 100 bytes of undisturbed search. Two choices are free: from which byte on a literal
//! is looked for, and which literals share a bucket. Both are made here by a small local search that keeps the
//! expected number of stops low. A bad choice costs time, never a match.

use super::literals;

/// How many bytes Teddy compares before it looks closer.
pub(super) const PRINT: usize = 4;

/// So many strings get 16 buckets, fewer get 8 (on x86-64 with AVX2).
const FEW: usize = 32;

/// Of each literal the most telling parts are tried.
const STARTS: usize = 12;

/// A literal is not cut shorter than to these bits of surprise.
const KEPT_BITS: u32 = 48;

/// Words of everyday kernel and system logs. A literal is rather not looked for by their letters.
const WORDS: &str = " device driver controller registered registers unregister loaded unloaded enabled disabled \
    enabling disabling detected available supported supports using used initialized initializing starting \
    started stopped stopping finished running reached listening on target service session socket closed accepted \
    network interface address addresses port link is up down speed full duplex bridge entered blocking \
    forwarding state promiscuous mode memory reserved resource resources mapped mapping region range window \
    bytes size pages page cache entries order table hash kernel system filesystem filesystems file mounted \
    mounting unmounting mount data block blocks queue sector logical physical attached host disk partition cdrom \
    version firmware revision command line boot init setup clocksource clock timer timers time watchdog tick \
    thread threads task process processor processors group online offline power management thermal event events \
    interrupt interrupts request requests response default maximum limit count info warning error errors failed \
    failure fatal unable could not found ignored invalid unknown missing with from the for and more than after \
    before already reset resetting timeout retry while during ";

/// How often four bytes of such a word occur, in bits.
const WORD_BITS: u32 = 9;

/// After so many rounds the arrangement hardly changes.
const ROUNDS: usize = 2;

/// What a bucket stops at.
#[derive(Clone, Copy, Default)]
struct Prints {
    /// For each of the first bytes of its strings: which low and which high half bytes occur.
    sets: [(u16, u16); PRINT],
    /// How often the first bytes of its strings themselves occur.
    own: f32,
}

/// How often bytes occur, summed up over sets of half bytes.
struct Rates {
    /// By high half byte; then for the lower and the upper eight low half bytes, by set.
    rows: Vec<[[f32; 256]; 2]>,
}

/// A part of a literal that can stand for it: all from some byte on.
#[derive(Clone, Copy)]
struct Part<'a> {
    string: &'a [u8],
    /// How often its first bytes occur.
    rate: f32,
}

/// The strings to look for instead of `literals`, in the order in which to hand them to Teddy.
pub(super) fn arrange<'a>(literals: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let count = if literals.len() > FEW { 16 } else { 8 };
    let rates = Rates::new();
    let mut sorted = literals.to_vec();
    // The short ones have the least choice.
    sorted.sort_by_key(|literal| literal.len());
    let choices: Vec<Vec<Part<'a>>> = sorted.iter().map(|literal| telling_parts(literal)).collect();

    let mut places: Vec<Option<(usize, Part<'a>)>> = vec![None; choices.len()];
    for _ in 0..ROUNDS {
        for (index, choice) in choices.iter().enumerate() {
            places[index] = None;
            places[index] = best_place(choice, &places, count, &rates);
        }
    }

    let mut arranged = Vec::with_capacity(places.len());
    let mut filled = vec![0; count];
    for (bucket, part) in places.into_iter().flatten() {
        // Teddy deals its strings to the buckets in turn.
        arranged.push((filled[bucket] * count + bucket, part.string));
        filled[bucket] += 1;
    }
    arranged.sort_by_key(|(turn, _)| *turn);
    arranged.into_iter().map(|(_, string)| string).collect()
}

/// The part and the bucket that add the fewest stops.
fn best_place<'a>(
    choice: &[Part<'a>],
    places: &[Option<(usize, Part<'a>)>],
    count: usize,
    rates: &Rates,
) -> Option<(usize, Part<'a>)> {
    let mut prints = vec![Prints::default(); count];
    let mut room: Vec<usize> = (0..count).map(|bucket| capacity(bucket, count, places.len())).collect();
    for (bucket, part) in places.iter().flatten() {
        prints[*bucket].add(part);
        room[*bucket] = room[*bucket].saturating_sub(1);
    }
    // Whatever the figures say, no literal is lost.
    let mut best = choice.first().map(|part| (0, *part));
    let mut least = f32::INFINITY;
    for bucket in (0..count).filter(|bucket| room[*bucket] > 0) {
        let before = rates.of(&prints[bucket]);
        for part in choice {
            let mut with = prints[bucket];
            with.add(part);
            let added = rates.of(&with) - before;
            if added < least {
                least = added;
                best = Some((bucket, *part));
            }
        }
    }
    best
}

/// How many of `strings`, dealt in turn, fall into a bucket.
fn capacity(bucket: usize, buckets: usize, strings: usize) -> usize {
    strings / buckets + usize::from(bucket < strings % buckets)
}

fn rate(bits: u32) -> f32 {
    (-(bits as f32)).exp2()
}

/// The parts of a literal that may be looked for, those with the rarest first bytes.
fn telling_parts(literal: &[u8]) -> Vec<Part<'_>> {
    let starts = (0..=literal.len().saturating_sub(PRINT))
        .filter(|from| *from == 0 || literals::surprise_of(&literal[*from..]) >= KEPT_BITS);
    let mut parts: Vec<Part<'_>> = starts.map(|from| Part::new(&literal[from..])).collect();
    parts.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    parts.truncate(STARTS);
    parts
}

// === impl Part ===

impl<'a> Part<'a> {
    fn new(string: &'a [u8]) -> Self {
        let print = &string[..string.len().min(PRINT)];
        let common = WORDS.as_bytes().windows(print.len().max(1)).any(|window| window == print);
        let bits = if common { WORD_BITS } else { literals::surprise_of(print) };
        Self { string, rate: rate(bits) }
    }
}

// === impl Prints ===

impl Prints {
    fn add(&mut self, part: &Part<'_>) {
        for ((low, high), byte) in self.sets.iter_mut().zip(part.string) {
            *low |= 1 << (byte & 15);
            *high |= 1 << (byte >> 4);
        }
        self.own += part.rate;
    }
}

// === impl Rates ===

impl Rates {
    fn new() -> Self {
        let mut rows = vec![[[0.0; 256]; 2]; 16];
        for (high, row) in (0u8..).zip(&mut rows) {
            for (half, sums) in (0u8..).zip(row) {
                for (set, sum) in sums.iter_mut().enumerate() {
                    let members = (0..8).filter(|low| set >> low & 1 == 1);
                    *sum = members.map(|low| rate(literals::surprise(high << 4 | half << 3 | low))).sum();
                }
            }
        }
        Self { rows }
    }

    /// How likely a bucket stops at a place of a line.
    fn of(&self, prints: &Prints) -> f32 {
        // Strings shorter than a print leave the last bytes open.
        let sets = prints.sets.iter().filter(|(low, _)| *low != 0);
        let mixed: f32 = sets.map(|(low, high)| self.byte(*low, *high)).product();
        // The bytes of a line are not independent: words come more often than their letters let expect.
        if prints.own > 0.0 { mixed + prints.own } else { 0.0 }
    }

    fn byte(&self, low: u16, high: u16) -> f32 {
        let [lower, upper] = low.to_le_bytes().map(usize::from);
        let rows = self.rows.iter().enumerate().filter(|(row, _)| high >> row & 1 == 1);
        rows.map(|(_, [first, second])| first[lower] + second[upper]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_literal_keeps_a_part_of_itself() {
        let literals: Vec<String> = (0..100).map(|n| format!("driver{n}: something rather long {n}")).collect();
        let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
        let mut arranged = arrange(&literals);
        assert_eq!(arranged.len(), literals.len());
        arranged.retain(|part| literals.iter().any(|literal| literal.ends_with(part)));
        assert_eq!(arranged.len(), literals.len());
    }

    #[test]
    fn short_literals_stay_whole() {
        assert_eq!(arrange(&[b"Xid", b"a", b"EDAC "]).into_iter().map(<[u8]>::len).sum::<usize>(), 9);
        assert!(arrange(&[]).is_empty());
    }

    #[test]
    fn alike_literals_share_a_bucket() {
        let literals: Vec<String> = (0..16).map(|n| format!("{}{n:02}", ["abcd", "XYZW"][n % 2])).collect();
        let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
        let arranged = arrange(&literals);
        let expected = |bucket: usize| arranged[bucket].first();
        for (turn, part) in arranged.iter().enumerate() {
            assert_eq!(part.first(), expected(turn % 8), "{turn}");
        }
    }

    #[test]
    fn the_rate_of_a_set_is_the_sum_of_its_bytes() {
        let set = |string: &[u8]| {
            let mut prints = Prints::default();
            for byte in string.chunks(1) {
                prints.add(&Part::new(byte));
            }
            let (low, high) = prints.sets[0];
            Rates::new().byte(low, high)
        };
        assert!((set(b"e") - 1.0 / 16.0).abs() < 1e-6);
        // e, t, d and u share their half bytes.
        assert!((set(b"et") - (2.0 / 16.0 + 1.0 / 32.0 + 1.0 / 64.0)).abs() < 1e-6);
    }

    #[test]
    fn literals_are_not_looked_for_by_everyday_words() {
        let [part] = arrange(&[b"file system corrupt, xid 7 at"])[..] else { panic!("one literal, one part") };
        assert!(!part.starts_with(b"file") && !part.starts_with(b"syst"), "{part:?}");
    }
}
