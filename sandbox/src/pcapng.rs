//! Reads captures: what a reader of pcapng needs that knows nothing of who wrote them
//! (draft-ietf-opsawg-pcapng), in little-endian, with one section.

use crate::{Error, Result};

/// A packet of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Name of the interface.
    pub interface: String,
    /// Link type: 1 Ethernet, 101 from the IP header on.
    pub link: u16,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Bytes that it had.
    pub length: u32,
    /// Its first ones.
    pub bytes: Vec<u8>,
    /// `epb_flags`: 1 in, 2 out.
    pub flags: u32,
    /// What is said of it.
    pub comment: String,
}

/// An interface of a capture.
struct Interface {
    name: String,
    link: u16,
}

fn broken(what: &str) -> Error {
    Error::Unexpected(format!("the capture is broken: {what}"))
}

fn number(bytes: &[u8], at: usize, length: usize) -> Result<u64> {
    let part = bytes.get(at..at + length);
    let part = part.ok_or_else(|| broken("a block is too short"))?;
    let number = part.iter().rev();
    Ok(number.fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// Code and value of each option.
fn options(mut bytes: &[u8]) -> Result<Vec<(u64, &[u8])>> {
    let mut options = Vec::new();
    while !bytes.is_empty() {
        let (code, length) = (number(bytes, 0, 2)?, number(bytes, 2, 2)? as usize);
        if code == 0 {
            break;
        }
        let value = bytes.get(4..4 + length);
        options.push((code, value.ok_or_else(|| broken("an option is too long"))?));
        let next = 4 + length.next_multiple_of(4);
        bytes = bytes
            .get(next..)
            .ok_or_else(|| broken("an option is not padded"))?;
    }
    Ok(options)
}

fn text(bytes: &[u8]) -> Result<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| broken("a text is not UTF-8"))
}

/// The packets of a capture that is whole, or ends after a block that is.
///
/// # Errors
/// It is no pcapng.
pub fn read(mut file: &[u8]) -> Result<Vec<Captured>> {
    let mut interfaces = Vec::new();
    let mut packets = Vec::new();
    if number(file, 0, 4)? != 0x0a0d_0d0a || number(file, 8, 4)? != 0x1a2b_3c4d {
        return Err(broken(
            "it does not begin with a section of this byte order",
        ));
    }
    while !file.is_empty() {
        let (kind, length) = (number(file, 0, 4)?, number(file, 4, 4)? as usize);
        if length % 4 != 0 || number(file, length.saturating_sub(4), 4)? != length as u64 {
            return Err(broken("a block has two lengths"));
        }
        let (block, rest) = file.split_at(length);
        let body = &block[8..length - 4];
        match kind {
            1 => interfaces.push(interface(body)?),
            6 => packets.push(packet(body, &interfaces)?),
            _ => {}
        }
        file = rest;
    }
    Ok(packets)
}

fn interface(body: &[u8]) -> Result<Interface> {
    let link = number(body, 0, 2)? as u16;
    let options = options(&body[8..])?;
    let value = |code| options.iter().find(|(is, _)| *is == code);
    if value(9).is_none_or(|(_, value)| *value != [9]) {
        return Err(broken("times are no nanoseconds"));
    }
    let name = value(2).ok_or_else(|| broken("an interface has no name"))?;
    Ok(Interface {
        name: text(name.1)?,
        link,
    })
}

fn packet(body: &[u8], interfaces: &[Interface]) -> Result<Captured> {
    let interface = interfaces.get(number(body, 0, 4)? as usize);
    let interface = interface.ok_or_else(|| broken("an interface is not described"))?;
    let captured = number(body, 12, 4)? as usize;
    let bytes = body.get(20..20 + captured);
    let bytes = bytes.ok_or_else(|| broken("a packet is too long"))?;
    let mut read = Captured {
        interface: interface.name.clone(),
        link: interface.link,
        time: number(body, 4, 4)? << 32 | number(body, 8, 4)?,
        length: number(body, 16, 4)? as u32,
        bytes: bytes.to_vec(),
        flags: 0,
        comment: String::new(),
    };
    for (code, value) in options(&body[20 + captured.next_multiple_of(4)..])? {
        match code {
            1 => read.comment = text(value)?,
            2 => read.flags = number(value, 0, 4)? as u32,
            _ => {}
        }
    }
    Ok(read)
}
