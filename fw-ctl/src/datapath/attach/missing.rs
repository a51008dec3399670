//! Whether what was attached still is: pins, links and programs can be removed
//! under a running daemon (`rm`, `bpftool link detach`).

use fw_common::wire::Direction;

use super::{Attached, Ingress, LinkRef, query, tc, xdp};
use crate::datapath::error::DatapathError;
use crate::datapath::pins::{Pins, link_name};

/// What is missing of `attached`, as a clause about the interface; `None` when the
/// kernel has all of it. An interface that has gone misses nothing.
#[must_use]
pub fn missing(pins: &Pins, attached: &Attached) -> Option<String> {
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
    missing.unwrap_or_else(|error| {
        let text = error.to_string();
        let what = text.lines().next().unwrap_or_default();
        Some(format!("it cannot be told whether it is filtered: {what}"))
    })
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
    let word = tc::word(direction);
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
