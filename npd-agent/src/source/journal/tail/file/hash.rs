//! The two hash functions of a journal file's table: SipHash-2-4 keyed with the file's id (systemd 246 and later), and
//! before that Bob Jenkins' lookup3 (`hashlittle2`, public domain), as systemd's JOURNAL_FILE_FORMAT says.

use std::hash::Hasher;

/// The hash of files with the flag KEYED_HASH.
pub(super) fn keyed(file_id: &[u8; 16], data: &[u8]) -> u64 {
    let mut hasher = siphasher::sip::SipHasher24::new_with_key(file_id);
    hasher.write(data);
    hasher.finish()
}

/// The hash of older files.
pub(super) fn jenkins(data: &[u8]) -> u64 {
    let start = 0xdead_beef_u32.wrapping_add(data.len() as u32);
    let mut state = [start; 3];
    // The last block, of 1 to 12 bytes, is mixed differently.
    let whole = data.len().saturating_sub(1) / 12;
    let (blocks, rest) = data.split_at(whole * 12);
    for block in blocks.chunks_exact(12) {
        add(&mut state, block);
        mix(&mut state);
    }
    if !rest.is_empty() {
        add(&mut state, rest);
        last(&mut state);
    }
    u64::from(state[2]) << 32 | u64::from(state[1])
}

/// Adds up to 12 bytes as three little-endian words, padded with zeros.
fn add(state: &mut [u32; 3], block: &[u8]) {
    for (word, bytes) in state.iter_mut().zip(block.chunks(4)) {
        let mut padded = [0; 4];
        padded[..bytes.len()].copy_from_slice(bytes);
        *word = word.wrapping_add(u32::from_le_bytes(padded));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: &mut u32, z: u32, by: u32| {
        *x = x.wrapping_sub(*y) ^ y.rotate_left(by);
        *y = y.wrapping_add(z);
    };
    step(a, c, *b, 4);
    step(b, a, *c, 6);
    step(c, b, *a, 8);
    step(a, c, *b, 16);
    step(b, a, *c, 19);
    step(c, b, *a, 4);
}

fn last([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: u32, by: u32| *x = (*x ^ y).wrapping_sub(y.rotate_left(by));
    step(c, *b, 14);
    step(a, *c, 11);
    step(b, *a, 25);
    step(c, *b, 16);
    step(a, *c, 4);
    step(b, *a, 14);
    step(c, *b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of lookup3.c's own self-test: `driver5` with `hashlittle2`, seeds 0.
    #[test]
    fn lookup3_gives_its_authors_values() {
        assert_eq!(jenkins(b""), 0xdead_beef_dead_beef);
        assert_eq!(jenkins(b"Four score and seven years ago"), 0x1777_0551_ce72_26e6);
    }
}
