//! The layout of a classic tracepoint's record, as this kernel publishes it.
//!
//! `events/<group>/<name>/format` names each field with its offset and size. They differ between kernels (the
//! common fields alone take 8 bytes, 12 on 6.1-rt), so none is assumed.

/// The fields of one tracepoint's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    name: String,
    offset: usize,
    size: usize,
    kind: FieldKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(any(feature = "ebpf", test)), expect(dead_code, reason = "only probes have layouts"))]
enum FieldKind {
    Number {
        signed: bool,
    },
    /// Offset and length of a string elsewhere in the record.
    DataLoc,
    Characters,
}

// === impl Layout ===

impl Layout {
    /// Reads the layout of a tracepoint from tracefs.
    #[cfg(feature = "ebpf")]
    pub(crate) fn read(tracefs: &std::path::Path, group: &str, name: &str) -> std::io::Result<Self> {
        let path = tracefs.join("events").join(group).join(name).join("format");
        Ok(Self::parse(&std::fs::read_to_string(path)?))
    }

    /// Parses the text of a `format` file; lines that are not fields are skipped.
    #[cfg(any(feature = "ebpf", test))]
    #[must_use]
    pub(crate) fn parse(text: &str) -> Self {
        Self { fields: text.lines().filter_map(Field::parse).collect() }
    }

    /// The offset of a field in bytes.
    #[cfg(any(feature = "ebpf", test))]
    #[must_use]
    pub(crate) fn offset(&self, name: &str) -> Option<usize> {
        self.field(name).map(|field| field.offset)
    }

    /// An integer field; an unsigned one above `i64::MAX` wraps.
    #[must_use]
    pub(crate) fn number(&self, record: &[u8], name: &str) -> Option<i64> {
        let field = self.field(name)?;
        let FieldKind::Number { signed } = field.kind else { return None };
        let bytes = record.get(field.offset..field.offset.checked_add(field.size)?)?;
        let mut word = [0; 8];
        word.get_mut(..bytes.len())?.copy_from_slice(bytes);
        let value = u64::from_le_bytes(word).cast_signed();
        let unused = 64 - 8 * u32::try_from(bytes.len()).ok()?;
        Some(if signed && unused < 64 { value << unused >> unused } else { value })
    }

    /// A string field, up to its NUL; what is not UTF-8 is replaced.
    #[must_use]
    pub(crate) fn string(&self, record: &[u8], name: &str) -> Option<String> {
        let field = self.field(name)?;
        let bytes = match field.kind {
            FieldKind::Number { .. } => return None,
            FieldKind::Characters => record.get(field.offset..field.offset.checked_add(field.size)?)?,
            FieldKind::DataLoc => {
                let loc = record.get(field.offset..)?.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes))?;
                let start = (loc & 0xffff) as usize;
                let end = start + (loc >> 16) as usize;
                record.get(start..end.min(record.len()))?
            }
        };
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

// === impl Field ===

#[cfg(any(feature = "ebpf", test))]
impl Field {
    /// One line: `field:__data_loc char[] comm; offset:8; size:4; signed:0;`, with tabs.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.trim().split(';').map(str::trim);
        let declaration = parts.next()?.strip_prefix("field:")?;
        let (mut offset, mut size, mut signed) = (None, None, false);
        for part in parts {
            match part.split_once(':') {
                Some(("offset", value)) => offset = value.parse().ok(),
                Some(("size", value)) => size = value.parse().ok(),
                Some(("signed", value)) => signed = value == "1",
                _ => {}
            }
        }
        let (kind, name) = declaration.rsplit_once([' ', '*'])?;
        let (name, array) = name.split_once('[').map_or((name, false), |(name, _)| (name, true));
        let kind = if declaration.starts_with("__data_loc") {
            FieldKind::DataLoc
        } else if array && kind.contains("char") {
            FieldKind::Characters
        } else {
            FieldKind::Number { signed }
        };
        Some(Self { name: name.to_owned(), offset: offset?, size: size?, kind })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK_VICTIM: &str = "name: mark_victim
ID: 609
format:
	field:unsigned short common_type;	offset:0;	size:2;	signed:0;
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:int pid;	offset:8;	size:4;	signed:1;
	field:__data_loc char[] comm;	offset:12;	size:4;	signed:0;
	field:unsigned long total_vm;	offset:16;	size:8;	signed:0;
	field:short oom_score_adj;	offset:24;	size:2;	signed:1;
	field:char rwbs[4];	offset:26;	size:4;	signed:0;
	field:const char * function;	offset:32;	size:8;	signed:0;

print fmt: \"pid=%d\", REC->pid
";

    #[test]
    fn fields_are_read_where_the_kernel_says() {
        let layout = Layout::parse(MARK_VICTIM);
        let mut record = vec![0; 48];
        record[8..12].copy_from_slice(&77_i32.to_le_bytes());
        record[12..16].copy_from_slice(&((5_u32 << 16) | 0x28).to_le_bytes());
        record[16..24].copy_from_slice(&123_456_u64.to_le_bytes());
        record[24..26].copy_from_slice(&(-998_i16).to_le_bytes());
        record[26..30].copy_from_slice(b"WS\0\0");
        record[40..46].copy_from_slice(b"java\0x");
        assert_eq!(layout.number(&record, "pid"), Some(77));
        assert_eq!(layout.string(&record, "comm").as_deref(), Some("java"));
        assert_eq!(layout.number(&record, "total_vm"), Some(123_456));
        assert_eq!(layout.number(&record, "oom_score_adj"), Some(-998));
        assert_eq!(layout.string(&record, "rwbs").as_deref(), Some("WS"));
        assert_eq!(layout.offset("function"), Some(32));
        assert_eq!(layout.number(&record, "uid"), None);
    }

    proptest! {
        #[test]
        fn no_format_and_no_record_make_the_decoder_panic(
            text in "(\tfield:[a-z_ ]{0,12}(char)?[*a-z ]{0,8}(\\[[0-9]*\\])?;\toffset:[0-9]{0,20};\tsize:[0-9]{0,20};\tsigned:[01];\n){0,4}",
            record in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let layout = Layout::parse(&text);
            for field in &layout.fields {
                let _ = (layout.number(&record, &field.name), layout.string(&record, &field.name));
            }
        }
    }
}
