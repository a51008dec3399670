//! `AddressIdentities`: our own list of who has which address. Nothing else reads
//! it, so unknown fields are mistakes.

use std::sync::Arc;

use ipnet::IpNet;

use super::fields::{Field, Result};
use super::{Claim, Place};
use crate::policy::label::{Label, LabelSet};

/// The only version there is.
pub(super) const API_VERSION: &str = "fw-ctl.io/v1";
/// The kind.
pub(super) const KIND: &str = "AddressIdentities";

/// Reads the entries, in order; `place` is that of the document.
pub(super) fn entries(document: &Field<'_>, place: Place) -> Result<Vec<Claim>> {
    document.only(&["apiVersion", "kind", "metadata", "spec"])?;
    if let Some(metadata) = document.get("metadata")? {
        metadata.only(&["name", "labels", "annotations"])?;
    }
    let Some(spec) = document.get("spec")? else {
        return Err(document.error("`spec` is missing"));
    };
    spec.only(&["entries"])?;
    let entries = spec.list(["entries"])?;
    entries.iter().map(|at| entry(at, place)).collect()
}

fn entry(entry: &Field<'_>, place: Place) -> Result<Claim> {
    entry.only(&["prefix", "labels"])?;
    let Some(prefix) = entry.get("prefix")? else {
        return Err(entry.error("`prefix` is missing"));
    };
    let text = prefix.str()?;
    let parsed: IpNet = text.parse().map_err(|_| {
        let mut error = prefix.error(format!("`{text}` is no prefix"));
        error.help = Some(match text.parse::<std::net::IpAddr>() {
            Ok(address) => format!("write `{}`", IpNet::from(address)),
            Err(_) => "write an address and a length, as in 10.0.0.3/32".to_owned(),
        });
        error
    })?;
    let Some(labels) = entry.get("labels")? else {
        return Err(entry.error("`labels` is missing; without an entry an address is world"));
    };
    let labels = labels
        .items()?
        .iter()
        .map(label)
        .collect::<Result<LabelSet>>()?;
    Ok(Claim {
        prefix: parsed.trunc(),
        labels: Arc::new(labels),
        place: place.on(entry.node.span.line),
    })
}

fn label(field: &Field<'_>) -> Result<Label> {
    let text = field.str()?;
    let label = Label::parse(text);
    if label.key.is_empty() {
        let mut error = field.error(format!("`{text}` has no key"));
        error.help = Some("write source:key=value, as in k8s:app=web or reserved:host".to_owned());
        return Err(error);
    }
    Ok(label)
}
