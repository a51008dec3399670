//! Which fields of a flow a client wants (`google.protobuf.FieldMask`): others are left out, which
//! makes answers small.
//!
//! A path may go to any depth, but not into the elements of a list (`FieldMask` in
//! `google/protobuf/field_mask.proto`). What is left out is left out of the message as it is on
//! the wire, so that there is one table of names, [`FLOW`], and nothing to be said for each field.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use prost::Message;
use prost_types::FieldMask;
use tonic::Status;

use super::proto::flow::Flow;
use super::schema::{FLOW, Field};

/// Of a path that is not known so much is said.
const SHOWN: usize = 100;

/// What is wanted of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask(Wanted);

/// By number of the field what is wanted in it; nothing: all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wanted(BTreeMap<u32, Wanted>);

impl Mask {
    /// Of a request; `None`: everything.
    ///
    /// # Errors
    /// When a path names no field of a flow.
    pub fn of(mask: Option<&FieldMask>) -> Result<Option<Self>, Status> {
        let paths = mask.map(|mask| mask.paths.as_slice()).unwrap_or_default();
        let mut wanted = Wanted::default();
        for path in paths {
            if wanted.want(path, FLOW).is_none() {
                let path: String = path.chars().take(SHOWN).collect();
                let message = format!("field_mask: a flow has no field `{path}`");
                return Err(Status::invalid_argument(message));
            }
        }
        Ok((!paths.is_empty()).then_some(Self(wanted)))
    }

    /// Leaves out what is not wanted.
    pub fn apply(&self, flow: &Flow) -> Flow {
        let mut kept = Vec::new();
        let whole = flow.encode_to_vec();
        self.0
            .keep(&whole, &mut kept)
            .expect("what was just written can be read");
        Flow::decode(kept.as_slice()).expect("a part of a message is one")
    }
}

impl Wanted {
    /// `None`: there is no such field.
    fn want(&mut self, path: &str, of: &[Field]) -> Option<()> {
        let (name, inside) = match path.split_once('.') {
            Some((name, inside)) => (name, Some(inside)),
            None => (path, None),
        };
        let field = of.iter().find(|field| field.name == name)?;
        let Some(inside) = inside else {
            self.0.insert(field.number, Self::default());
            return Some(());
        };
        match self.0.entry(field.number) {
            // All of it is wanted already.
            Entry::Occupied(all) if all.get().0.is_empty() => {
                Self::default().want(inside, field.inside)
            }
            entry => entry.or_default().want(inside, field.inside),
        }
    }

    /// Adds what is wanted of a `message` to `kept`; `None`: it is none.
    fn keep(&self, mut message: &[u8], kept: &mut Vec<u8>) -> Option<()> {
        while !message.is_empty() {
            let (key, value, rest) = field(message)?;
            let (number, whole) = (u32::try_from(key >> 3).ok()?, message);
            message = rest;
            match self.0.get(&number) {
                None => {}
                Some(all) if all.0.is_empty() => {
                    kept.extend_from_slice(&whole[..whole.len() - rest.len()]);
                }
                Some(inside) => {
                    let mut part = Vec::new();
                    inside.keep(value, &mut part)?;
                    write_varint(key, kept);
                    write_varint(part.len() as u64, kept);
                    kept.extend(part);
                }
            }
        }
        Some(())
    }
}

/// The first field of a message: its key, what it holds, and what comes after it
/// (<https://protobuf.dev/programming-guides/encoding/>).
pub(super) fn field(message: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (key, rest) = varint(message)?;
    let (length, rest) = match key & 7 {
        0 => (rest.len() - varint(rest)?.1.len(), rest),
        1 => (8, rest),
        2 => {
            let (length, rest) = varint(rest)?;
            (usize::try_from(length).ok()?, rest)
        }
        5 => (4, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((key, value, rest))
}

pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[place + 1..]));
        }
    }
    None
}

fn write_varint(mut number: u64, to: &mut Vec<u8>) {
    while number > 0x7f {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}
