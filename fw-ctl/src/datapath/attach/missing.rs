//! Whether what was attached still is: pins, links and programs can be removed
//! under a running daemon (`rm`, `bpftool link detach`).

use std::collections::BTreeSet;

use fw_common::wire::Direction;

use super::{Attached, Ingress, LinkRef, present, query, tc, xdp};
use crate::datapath::error::DatapathError;
use crate::datapath::pins::{Pins, link_name};

/// What is missing of `attached`, as a clause about the interface; `None` when the
/// kernel has all of it, and its programs are among `ids`, where these are known. An
/// interface that has gone misses nothing.
#[must_use]
pub fn missing(pins: &Pins, attached: &Attached, ids: Option<&BTreeSet<u32>>) -> Option<String> {
    let link = &attached.link;
    if query::name(link.index).as_ref() != Some(&link.name) {
        return None;
    }
    let ingress = match attached.ingress {
        Ingress::XdpNative | Ingress::XdpGeneric => missing_xdp(pins, link),
        Ingress::Tc => missing_tc(pins, link, Direction::Ingress),
    };
    let missing = ingress.and_then(|ingress| match ingress {
        None => missing_tc(pins, link, Direction::Egress),
        some => Ok(some),
    });
    let missing = missing.and_then(|missing| match (missing, ids) {
        (None, Some(ids)) => replaced(pins, link, ids),
        (missing, _) => Ok(missing),
    });
    missing.unwrap_or_else(|error| {
        let text = error.to_string();
        let what = text.lines().next().unwrap_or_default();
        Some(format!("it cannot be told whether it is filtered: {what}"))
    })
}

/// Whether somebody has put another program into a link of ours.
fn replaced(
    pins: &Pins,
    link: &LinkRef,
    ids: &BTreeSet<u32>,
) -> Result<Option<String>, DatapathError> {
    for pin in pins
        .all_links()?
        .iter()
        .filter(|pin| pin.index == link.index)
    {
        if let Some(id) = present::program_at(pin, link)?
            && !ids.contains(&id)
        {
            let hook = present::words(&pin.hook);
            return Ok(Some(format!(
                "another program ({id}) is in its {hook} link"
            )));
        }
    }
    Ok(None)
}

fn missing_xdp(pins: &Pins, link: &LinkRef) -> Result<Option<String>, DatapathError> {
    Ok(match pins.find_link(&link_name(link.index, xdp::HOOK))? {
        None => Some("the pin of its XDP program was removed".into()),
        Some(path) if xdp::is_live(link, &path)? => None,
        Some(_) => Some("its XDP program was detached".into()),
    })
}

fn missing_tc(
    pins: &Pins,
    link: &LinkRef,
    direction: Direction,
) -> Result<Option<String>, DatapathError> {
    let pin = |hook| pins.find_link(&link_name(link.index, hook));
    let word = direction.name();
    if let Some(path) = pin(tc::link_hook(direction))? {
        let live = tc::is_live(link, direction, &path)?;
        return Ok((!live).then(|| format!("its TC {word} program was detached")));
    }
    Ok(match pin(tc::filter_hook(direction))? {
        Some(_) if tc::has_filter(link, direction)? => None,
        Some(_) => Some(format!("its TC {word} filter was removed")),
        None => Some(format!("the pin of its TC {word} program was removed")),
    })
}
