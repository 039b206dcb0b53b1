//! Reads the fields of an entry that the source passes on.

use std::io::Read;

use super::{
    FileError,
    compression::decompress,
    objects::{Objects, Payload},
    unwanted::Unwanted,
};
use crate::source::journal::tail::entry_fields::{EntryFields, Field, MAX_MESSAGE};

const MESSAGE: &[u8] = b"MESSAGE=";

/// The result of reading.
#[derive(Debug)]
pub(super) struct FieldsRead {
    /// Whether the entry can be delivered.
    pub(super) usable: bool,
    /// The first field that could not be read.
    pub(super) fault: Option<FileError>,
}

/// Reads the fields at `items` that are of interest.
pub(super) fn read(objects: &Objects, items: &[u64], unwanted: &mut Unwanted, fields: &mut EntryFields) -> FieldsRead {
    fields.clear();
    let (mut fault, mut has_message) = (None, false);
    let mut buffer = [0; 512];
    for offset in items {
        if unwanted.contains(*offset) {
            continue;
        }
        let field = objects.payload(*offset, &mut buffer).and_then(|payload| {
            let message = !has_message && read_message(objects, &payload, fields)?;
            has_message |= message;
            Ok(message || read_short(&payload, fields))
        });
        match field {
            Ok(true) => {}
            Ok(false) => unwanted.add(*offset),
            Err(error) => {
                fault.get_or_insert(error);
            }
        }
    }
    // An entry may well have no message; but if its message cannot be read, it is not delivered without it.
    FieldsRead { usable: has_message || fault.is_none(), fault }
}

/// Reads the message, if this field is the message.
fn read_message(objects: &Objects, payload: &Payload<'_>, fields: &mut EntryFields) -> Result<bool, FileError> {
    let message = &mut fields.message;
    if let Some(compression) = payload.compression {
        let limit = MESSAGE.len() + MAX_MESSAGE;
        let is_message = decompress(compression, objects.stored(payload), MESSAGE, limit, message);
        if matches!(is_message, Ok(true)) {
            message.drain(..MESSAGE.len());
        } else {
            message.clear();
        }
        return Ok(is_message?);
    }
    let Some(start) = payload.bytes.strip_prefix(MESSAGE) else { return Ok(false) };
    if payload.bytes.len() as u64 == payload.size {
        message.extend_from_slice(start);
        return Ok(true);
    }
    let limit = (MESSAGE.len() + MAX_MESSAGE) as u64;
    objects.stored(payload).take(limit).read_to_end(message)?;
    message.drain(..MESSAGE.len().min(message.len()));
    if (MESSAGE.len() + message.len()) as u64 != payload.size.min(limit) {
        message.clear();
        return Err(FileError::Damaged { offset: payload.offset, what: "the file ends too early" });
    }
    Ok(true)
}

/// Stores the value of a short field, if it is of interest.
fn read_short(payload: &Payload<'_>, fields: &mut EntryFields) -> bool {
    if payload.compression.is_some() {
        return false;
    }
    let Some(equals) = payload.bytes.iter().position(|byte| *byte == b'=') else { return false };
    let (name, value) = (&payload.bytes[..equals], &payload.bytes[equals + 1..]);
    let Some(field) = Field::named(name) else { return false };
    fields.set(field, value);
    true
}
