//! The text of a list: one address or prefix a line.
//!
//! ```text
//! # comment              ; another one, as Spamhaus writes them
//! 192.0.2.7
//! 198.51.100.0/24        ; SBL256894
//! 2001:db8::/32 until=2026-12-01T00:00:00Z
//! ```

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::address;
use super::moment::{self, Moment, NEVER};
use super::prefixes::{Entry, Prefixes};
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::policy::decode::prefix_of;
use crate::ranges::Number;

/// Errors that are shown; the others are counted. A picture has a million of them.
const SHOWN: usize = 5;
/// Bytes of a wrong line that are shown behind its beginning and behind the place.
const CONTEXT: usize = 160;
/// Bytes of a line that is no comment. After a power cut, a file may be of zeros only.
const LINE: usize = 1 << 16;
/// Bytes of a word that may be an address or a prefix.
const WORD: usize = 64;
/// Bits that say of an address of IPv6 that it is mapped from IPv4.
const MAPPED: u8 = 96;

/// What a text says.
pub(super) struct Parsed {
    pub(super) prefixes: Prefixes,
    /// Errors, after which `prefixes` must not be used, and warnings.
    pub(super) findings: Vec<Diagnostic>,
}

/// Reads a text; `name` is what messages call it by.
pub(super) fn parse(name: &str, text: &[u8]) -> Parsed {
    let mut reader = Reader {
        name,
        line: 0,
        v4: Vec::new(),
        v6: Vec::new(),
        findings: Vec::new(),
        errors: 0,
        masked: 0,
    };
    let mut rest = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = &rest[(line.len() + 1).min(rest.len())..];
        reader.line += 1;
        if let Err(wrong) = reader.read(line) {
            reader.refuse(line, wrong);
        }
    }
    reader.finish()
}

/// What is wrong with a line, and where: a part of it.
struct Wrong<'a> {
    place: &'a [u8],
    message: String,
    help: Option<String>,
}

struct Reader<'n> {
    name: &'n str,
    /// Number of the present line, from 1.
    line: u32,
    v4: Vec<Entry<u32>>,
    v6: Vec<Entry<u128>>,
    findings: Vec<Diagnostic>,
    errors: usize,
    /// Prefixes with bits behind their length.
    masked: usize,
}

/// A prefix as it was written.
enum Written {
    V4(u32, u8),
    V6(u128, u8),
}

impl Reader<'_> {
    fn read<'a>(&mut self, line: &'a [u8]) -> Result<(), Wrong<'a>> {
        let text = behind_blanks(line);
        if ends(text) {
            return Ok(());
        }
        if line.len() > LINE {
            return Err(Wrong {
                place: &line[..1],
                message: format!("a line of {} bytes", line.len()),
                help: Some("is this a list of addresses, one a line?".to_owned()),
            });
        }
        let (written, rest) = match prefix(text) {
            Some(found) => found,
            None => slowly(text)?,
        };
        let until = until(rest)?;
        match written {
            Written::V4(address, length) => {
                let entry = self.entry(line, address, length, until);
                self.v4.push(entry);
            }
            Written::V6(address, length) => {
                let entry = self.entry(line, address, length, until);
                self.v6.push(entry);
            }
        }
        Ok(())
    }

    fn entry<N: Number>(&mut self, line: &[u8], address: N, length: u8, until: Moment) -> Entry<N> {
        let (first, _) = address.around(length);
        if first != address {
            self.masked += 1;
            if self.masked == 1 {
                let entry = format!("{}/{length}", first.address());
                self.warn_masked(line, &entry);
            }
        }
        Entry {
            first,
            until,
            line: self.line,
            length,
        }
    }

    fn warn_masked(&mut self, line: &[u8], read_as: &str) {
        let place = word(behind_blanks(line));
        let message = format!("this is read as {read_as}: bits behind the length do not count");
        let mut warning = self.finding(Severity::Warning, line, place, message);
        warning.help("write the first address of the prefix, or /32 (IPv6: /128) for one address");
        self.findings.push(warning);
    }

    fn refuse(&mut self, line: &[u8], wrong: Wrong<'_>) {
        self.errors += 1;
        if self.errors > SHOWN {
            return;
        }
        let mut error = self.finding(Severity::Error, line, wrong.place, wrong.message);
        error.help = wrong.help;
        self.findings.push(error);
    }

    /// About a part of the present line. Of the text only this line is kept.
    fn finding(
        &self,
        severity: Severity,
        line: &[u8],
        place: &[u8],
        message: String,
    ) -> Diagnostic {
        let before = &line[..place.as_ptr() as usize - line.as_ptr() as usize];
        let from = before.len().min(line.len());
        let shown = &line[..line.len().min(from + CONTEXT)];
        let lossy = String::from_utf8_lossy;
        let start = lossy(before).len();
        let span = Span {
            start,
            end: start + lossy(&shown[from..(from + place.len()).min(shown.len())]).len(),
            line: self.line as usize,
            column: lossy(before).chars().count() + 1,
        };
        let source = Source {
            name: self.name.to_owned(),
            text: lossy(shown).into_owned(),
        };
        Diagnostic::new(severity, &Arc::new(source), Some(span), "", message)
    }

    fn finish(mut self) -> Parsed {
        let about_all = |severity, message: String| {
            let source = Arc::new(Source {
                name: self.name.to_owned(),
                text: String::new(),
            });
            Diagnostic::new(severity, &source, None, "", message)
        };
        if let Some(more @ 2..) = Some(self.masked) {
            let message = format!("bits behind the length do not count in {more} lines");
            self.findings.push(about_all(Severity::Warning, message));
        }
        if let Some(more @ 1..) = self.errors.checked_sub(SHOWN) {
            let lines = if more == 1 { "line is" } else { "lines are" };
            let mut error = about_all(Severity::Error, format!("{more} more {lines} wrong"));
            error.help("is this a list of addresses, one a line?");
            self.findings.push(error);
        }
        Parsed {
            prefixes: Prefixes::new(self.v4, self.v6),
            findings: self.findings,
        }
    }
}

/// An address or a prefix, as nearly every line has one; `None` if it has to be
/// looked at more closely.
fn prefix(text: &[u8]) -> Option<(Written, &[u8])> {
    if let Some((address, rest)) = address::v4(text) {
        let (length, rest) = length(rest, 32)?;
        return Some((Written::V4(address, length), rest));
    }
    let (address, rest) = address::v6(text)?;
    let (length, rest) = length(rest, 128)?;
    let is_mapped = length > MAPPED && Ipv6Addr::from_bits(address).to_ipv4_mapped().is_some();
    (!is_mapped).then_some((Written::V6(address, length), rest))
}

/// A prefix of addresses that are mapped from IPv4 (RFC 4291 §2.5.5.2), as programs write
/// them that listen to both families: what is meant is IPv4. Not all of them: in a list of
/// bogons that is a prefix of IPv6 and does not mean every address of IPv4.
fn mapped(word: &str) -> Option<Written> {
    let (address, length) = word.split_once('/').unwrap_or((word, "128"));
    let address = address.parse::<Ipv6Addr>().ok()?.to_ipv4_mapped()?;
    let length = length.parse::<u8>().ok().filter(|length| *length <= 128)?;
    let longer = length > MAPPED;
    longer.then(|| Written::V4(address.to_bits(), length - MAPPED))
}

/// The length of a prefix, or `most` where none is written, and what follows it.
fn length(rest: &[u8], most: u8) -> Option<(u8, &[u8])> {
    let (length, rest) = match rest.strip_prefix(b"/") {
        Some(digits) => address::decimal(digits)?,
        None => (u32::from(most), rest),
    };
    let length = u8::try_from(length).ok().filter(|length| *length <= most)?;
    let separate = ends(rest) || is_blank(rest[0]);
    separate.then_some((length, rest))
}

/// The same by the rules, and with the words, of policies.
fn slowly(text: &[u8]) -> Result<(Written, &[u8]), Wrong<'_>> {
    let place = word(text);
    let word = String::from_utf8_lossy(place);
    if place.len() > WORD {
        return Err(Wrong {
            place: &place[..WORD],
            message: format!(
                "{} is no address and no prefix: it has {} bytes",
                short(&word),
                place.len()
            ),
            help: None,
        });
    }
    if let Some(written) = mapped(&word) {
        return Ok((written, &text[place.len()..]));
    }
    let with_length: Cow<'_, str> = match word.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => format!("{word}/32").into(),
        Ok(IpAddr::V6(_)) => format!("{word}/128").into(),
        Err(_) => word.as_ref().into(),
    };
    match prefix_of(&with_length) {
        Ok(IpNet::V4(net)) => {
            let written = Written::V4(net.addr().to_bits(), net.prefix_len());
            Ok((written, &text[place.len()..]))
        }
        Ok(IpNet::V6(net)) => {
            let written = Written::V6(net.addr().to_bits(), net.prefix_len());
            Ok((written, &text[place.len()..]))
        }
        Err(why) => Err(Wrong {
            place,
            message: format!(
                "{} is no address and no prefix: {}",
                short(&word),
                why.problem
            ),
            help: why.help,
        }),
    }
}

/// What stands behind the prefix: nothing, a comment, or when it expires.
fn until(text: &[u8]) -> Result<Moment, Wrong<'_>> {
    let rest = behind_blanks(text);
    if ends(rest) {
        return Ok(NEVER);
    }
    let place = word(rest);
    let wrong = |place, message, help: &str| Wrong {
        place,
        message,
        help: Some(help.to_owned()),
    };
    let found = String::from_utf8_lossy(place);
    let Some(date) = found.strip_prefix("until=") else {
        let message = format!("{} stands behind the prefix", short(&found));
        let help = "write one prefix a line; behind it may stand `until=DATE`, or a comment \
                    that begins with # or ;";
        return Err(wrong(place, message, help));
    };
    let Some(moment) = moment::parse(date) else {
        let message = format!("{} is no date", short(date));
        let help = "write `until=2026-12-01T00:00:00Z` (RFC 3339), or `until=2026-12-01`";
        return Err(wrong(place, message, help));
    };
    let rest = behind_blanks(&rest[place.len()..]);
    if !ends(rest) {
        let message = format!(
            "{} stands behind the date",
            short(&String::from_utf8_lossy(word(rest)))
        );
        let help = "a comment begins with # or ;";
        return Err(wrong(word(rest), message, help));
    }
    Ok(moment)
}

/// Whether nothing but a comment is left.
fn ends(text: &[u8]) -> bool {
    matches!(text, [] | [b'#' | b';', ..])
}

/// The carriage return of Windows' lines is one, too.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

fn behind_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().position(|byte| !is_blank(*byte));
    &text[blanks.unwrap_or(text.len())..]
}

/// The first word, up to a blank or a comment.
fn word(text: &[u8]) -> &[u8] {
    let end = |byte: &u8| is_blank(*byte) || matches!(byte, b'#' | b';');
    let length = text.iter().position(end);
    &text[..length.unwrap_or(text.len())]
}

/// In quotes, and cut where it is long.
fn short(text: &str) -> String {
    const LONG: usize = 60;
    match text.char_indices().nth(LONG) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
