//! Large fields are compressed: zstd (systemd 246 and later), LZ4 before. XZ, of systemd 219 and older, is not read.
//!
//! Only the beginning of a field is needed, and the sizes in a damaged file are not trusted: LZ4's blocks
//! are decoded here, because the libraries want the whole output at once; a zstd frame with a window larger than
//! journald ever uses is rejected before its decoder sees it.

use std::io::{self, Read};

use ruzstd::decoding::StreamingDecoder;

/// How a field is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Lz4,
    Zstd,
}

/// zstd's window is 2 MiB at journald's level.
const MAX_WINDOW: u64 = 8 << 20;
/// LZ4 needs its input in memory: enough for two mebibytes of incompressible text and the overhead.
const MAX_LZ4_INPUT: u64 = (2 << 20) + (16 << 10);

/// Writes the start of the field to `out`, up to `limit` bytes, if the field starts with `prefix`.
///
/// Returns whether it does.
pub(super) fn decompress(
    compression: Compression,
    mut source: impl Read,
    prefix: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    out.clear();
    match compression {
        Compression::Zstd => {
            let (header, size) = frame_header(&mut source)?;
            let head = header.get(..size).unwrap_or_default();
            let mut decoder = StreamingDecoder::new(head.chain(source)).map_err(io::Error::other)?;
            (&mut decoder).take(prefix.len() as u64).read_to_end(out)?;
            if out != prefix {
                return Ok(false);
            }
            decoder.take(limit.saturating_sub(prefix.len()) as u64).read_to_end(out)?;
        }
        Compression::Lz4 => {
            // The size of the output, which is not part of the block.
            source.read_exact(&mut [0; 8])?;
            let mut block = Vec::new();
            // For most fields the first few bytes decide.
            source.by_ref().take(64).read_to_end(&mut block)?;
            lz4(&block, prefix.len(), out);
            if !out.starts_with(prefix) {
                return Ok(false);
            }
            source.take(MAX_LZ4_INPUT).read_to_end(&mut block)?;
            out.clear();
            if !lz4(&block, limit, out) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "damaged LZ4 block"));
            }
        }
    }
    Ok(true)
}

/// Decodes a block up to `limit` bytes of output. Returns `false` if the block is damaged or ends early.
fn lz4(mut block: &[u8], limit: usize, out: &mut Vec<u8>) -> bool {
    // A length of 15 in the token continues in the following bytes, as long as they are 255.
    fn length(nibble: u8, block: &mut &[u8]) -> Option<usize> {
        let mut length = usize::from(nibble);
        if nibble == 15 {
            loop {
                let (more, rest) = block.split_first()?;
                *block = rest;
                length += usize::from(*more);
                if *more != 255 {
                    break;
                }
            }
        }
        Some(length)
    }
    while let Some((token, rest)) = block.split_first() {
        block = rest;
        let Some(literals) = length(token >> 4, &mut block) else { return false };
        let wanted = literals.min(limit - out.len());
        out.extend_from_slice(&block[..wanted.min(block.len())]);
        if out.len() == limit {
            return true;
        }
        let Some(rest) = block.get(literals..) else { return false };
        let Some((offset, rest)) = rest.split_first_chunk() else { return rest.is_empty() };
        block = rest;
        let offset = usize::from(u16::from_le_bytes(*offset));
        let Some(matched) = length(token & 15, &mut block) else { return false };
        let Some(mut from) = out.len().checked_sub(offset).filter(|_| offset != 0) else { return false };
        let mut left = (matched + 4).min(limit - out.len());
        while left > 0 {
            // The match may overlap what it writes.
            let piece = left.min(out.len() - from);
            out.extend_from_within(from..from + piece);
            (from, left) = (from + piece, left - piece);
        }
        if out.len() == limit {
            return true;
        }
    }
    false
}

/// Reads a frame's header and rejects frames that need much memory. Returns the bytes read.
fn frame_header(source: &mut impl Read) -> io::Result<([u8; 18], usize)> {
    let refused = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    let mut header = [0; 18];
    source.read_exact(&mut header[..5])?;
    if header[..4] != [0x28, 0xb5, 0x2f, 0xfd] {
        return refused("not a zstd frame");
    }
    let descriptor = header[4];
    let single_segment = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content_size = match descriptor >> 6 {
        0 => usize::from(single_segment),
        size => 1 << size,
    };
    let fixed = 5 + usize::from(!single_segment) + dictionary;
    let size = fixed + content_size;
    source.read_exact(&mut header[5..size])?;
    let window = if single_segment {
        let mut bytes = [0; 8];
        bytes[..content_size].copy_from_slice(&header[fixed..size]);
        u64::from_le_bytes(bytes)
    } else {
        let base = 1_u64 << (10 + (header[5] >> 3));
        base + base / 8 * u64::from(header[5] & 7)
    };
    if window > MAX_WINDOW {
        return refused("a zstd frame with a window larger than journald uses");
    }
    Ok((header, size))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lz4_field(text: &[u8]) -> Vec<u8> {
        let mut field = (text.len() as u64).to_le_bytes().to_vec();
        field.extend_from_slice(&lz4_flex::block::compress(text));
        field
    }

    fn zstd_field(text: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
    }

    #[test]
    fn a_frame_that_asks_for_a_giant_window_is_refused() {
        let mut out = Vec::new();
        // One RLE block of 128 KiB after the other, in a window of 4 GiB: ruzstd 0.8 would
        // keep it all.
        let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xb0];
        bomb.extend_from_slice(&[0x02, 0x00, 0x10, b'M'].repeat(10_000));
        let error = decompress(Compression::Zstd, &bomb[..], b"M", 100, &mut out).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(out.is_empty());
    }

    #[test]
    fn other_fields_are_not_decompressed() {
        let mut out = Vec::new();
        let text = b"COREDUMP=".repeat(100_000);
        assert!(!decompress(Compression::Zstd, &zstd_field(&text)[..], b"MESSAGE=", 1 << 20, &mut out).unwrap());
        assert!(!decompress(Compression::Lz4, &lz4_field(&text)[..], b"MESSAGE=", 1 << 20, &mut out).unwrap());
        assert!(out.len() <= 8);
    }

    #[test]
    fn a_long_run_is_cut_at_the_limit() {
        let mut out = Vec::new();
        let text = vec![b'x'; 10 << 20];
        assert!(decompress(Compression::Lz4, &lz4_field(&text)[..], b"x", 2 << 20, &mut out).unwrap());
        assert_eq!(out.len(), 2 << 20);
        // The encoder of the test says the size of the content, so that the window is as large.
        assert!(decompress(Compression::Zstd, &zstd_field(&text[..4 << 20])[..], b"x", 2 << 20, &mut out).unwrap());
        assert_eq!(out.len(), 2 << 20);
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(
            words in proptest::collection::vec("[a-c]{0,20}", 0..200), limit in 1_usize..5000,
        ) {
            let text = format!("MESSAGE={}", words.concat());
            let limit = limit.max(8);
            let expected = &text.as_bytes()[..limit.min(text.len())];
            let mut out = Vec::new();
            for (compression, field) in [
                (Compression::Lz4, lz4_field(text.as_bytes())),
                (Compression::Zstd, zstd_field(text.as_bytes())),
            ] {
                prop_assert!(decompress(compression, &field[..], b"MESSAGE=", limit, &mut out).unwrap());
                prop_assert_eq!(&out[..], expected);
            }
        }

        #[test]
        fn no_bytes_make_the_decoders_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..300) {
            let mut out = Vec::new();
            for compression in [Compression::Lz4, Compression::Zstd] {
                drop(decompress(compression, &bytes[..], b"", 4096, &mut out));
                prop_assert!(out.len() <= 4096);
            }
            // A real frame with some of its bytes replaced gets further.
            let mut field = zstd_field(&b"MESSAGE=some words, and some words again".repeat(9));
            let at = at % field.len();
            let end = field.len().min(at + bytes.len() % 8);
            field[at..end].copy_from_slice(&bytes[..end - at]);
            drop(decompress(Compression::Zstd, &field[..], b"", 4096, &mut out));
            prop_assert!(out.len() <= 4096);
        }
    }
}
