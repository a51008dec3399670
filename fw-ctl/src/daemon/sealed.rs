//! Files of two lines, of which the first tells whether the second is what was
//! written: so a disk that was full or a hand that slipped is noticed.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::kept_lists::hex;

const DAMAGED: &str = "the file is damaged";

/// First line of a file; the second is its body, in JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    schema: u32,
    /// Of the program that wrote it.
    version: String,
    /// Of the second line, in hex.
    sha256: String,
    /// Other files that belong to it, so that nobody has to read the second line to
    /// know.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) lists: BTreeSet<String>,
    /// Name of the changes since it was written, which are in another file; no two
    /// files that were written have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    journal: Option<String>,
}

/// A file with this body, which needs the `lists`.
pub(super) fn seal<B: Serialize>(
    schema: u32,
    lists: BTreeSet<String>,
    body: &B,
) -> serde_json::Result<String> {
    file(schema, lists, None, body)
}

/// A file with this body, whose changes will be those of `journal`.
pub(super) fn seal_before<B: Serialize>(
    schema: u32,
    journal: String,
    body: &B,
) -> serde_json::Result<String> {
    file(schema, BTreeSet::new(), Some(journal), body)
}

fn file<B: Serialize>(
    schema: u32,
    lists: BTreeSet<String>,
    journal: Option<String>,
    body: &B,
) -> serde_json::Result<String> {
    let body = serde_json::to_string(body)?;
    let header = serde_json::to_string(&Header {
        schema,
        version: env!("CARGO_PKG_VERSION").into(),
        sha256: hex(&Sha256::digest(&body)),
        lists,
        journal,
    })?;
    Ok(format!("{header}\n{body}\n"))
}

/// The body of a file that was written by one of the `schemas`.
///
/// # Errors
/// What is wrong with the file, in words.
pub(super) fn body<'a>(text: &'a str, schemas: &RangeInclusive<u32>) -> Result<&'a str, String> {
    let (header, body) = text.split_once('\n').unwrap_or((text, ""));
    // How a parser puts it helps nobody: such a file is not mended by hand.
    let header: Header = serde_json::from_str(header).map_err(|_| DAMAGED)?;
    if !schemas.contains(&header.schema) {
        let Header {
            schema, version, ..
        } = header;
        let known = schemas.end();
        return Err(format!(
            "version {version} wrote them by schema {schema}, not {known}"
        ));
    }
    let body = body.trim_end();
    if header.sha256 != hex(&Sha256::digest(body)) {
        return Err(DAMAGED.into());
    }
    Ok(body)
}

/// The [`body`], read.
///
/// # Errors
/// Likewise.
pub(super) fn read<'a, B: Deserialize<'a>>(
    text: &'a str,
    schemas: &RangeInclusive<u32>,
) -> Result<B, String> {
    // It is what was written, but this version wrote something else.
    serde_json::from_str(body(text, schemas)?)
        .map_err(|_| "another version of fw-ctl has written it in a way unknown to this one".into())
}

/// The journal of a file that was sealed [with one](seal_before).
pub(super) fn journal(text: &str) -> Option<String> {
    let header: Header = serde_json::from_str(text.lines().next()?).ok()?;
    header.journal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_read_and_nothing_else() {
        let text = seal(2, ["a".to_owned()].into(), &[1, 2]).unwrap();
        assert_eq!(read(&text, &(1..=2)), Ok(vec![1, 2]));
        assert_eq!(journal(&text), None);
        let before = seal_before(2, "7".into(), &[1, 2]).unwrap();
        assert_eq!(read(&before, &(1..=2)), Ok(vec![1, 2]));
        assert_eq!(journal(&before), Some("7".into()));
        let header: Header = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(header.lists, ["a".to_owned()].into());
        for (text, reason) in [
            (text.replace("[1,2]", "[1,3]"), "damaged"),
            (text[..text.len() - 2].to_owned(), "damaged"),
            (
                text.replace("\"schema\":2", "\"schema\":7"),
                "schema 7, not 2",
            ),
            (String::new(), "damaged"),
            ("{".to_owned(), "damaged"),
        ] {
            let told = read::<Vec<u8>>(&text, &(1..=2)).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }
}
