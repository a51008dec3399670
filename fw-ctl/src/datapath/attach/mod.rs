//! The programs on the interfaces of the node.
//!
//! Egress is TC. Ingress is native XDP where the driver can, else TC, and generic
//! XDP only when it is asked for. Every attachment is a link that is pinned, so
//! that it stays when the process goes; a later process replaces the program in
//! the link. There is no moment without a filter, neither at a restart nor when
//! the hook of an interface changes.

mod missing;
mod namespace;
mod present;
mod query;
mod tc;
mod xdp;

use std::time::Duration;

use fw_common::wire::Direction;
use serde::{Deserialize, Serialize};

use super::error::DatapathError;
use super::host::TcKind;
use super::pins::{Pins, unpin};
use super::programs::Programs;
use crate::netlink::Framing;
pub use missing::missing;
pub use present::{AttachedProgram, programs};
use query::XdpState;

/// How long all attaching of a process waits for programs of a datapath whose pins
/// were removed: the kernel lets go of them some time after.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkRef {
    /// Its index in this network namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
}

/// `interfaces.xdp` of the configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpWish {
    /// Native XDP, else TC.
    #[default]
    Auto,
    /// Native XDP or an error.
    Native,
    /// Generic XDP or an error.
    Generic,
    /// TC.
    Off,
}

impl XdpWish {
    fn mode(self) -> Option<xdp::Mode> {
        match self {
            Self::Auto | Self::Native => Some(xdp::Mode::Native),
            Self::Generic => Some(xdp::Mode::Generic),
            Self::Off => None,
        }
    }
}

/// Where ingress is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ingress {
    /// XDP in the driver.
    XdpNative,
    /// XDP after the kernel made a socket buffer: slower than TC for most traffic.
    XdpGeneric,
    /// TC ingress.
    Tc,
}

impl Ingress {
    /// `xdp-native`, `xdp-generic`, `tc`: in `status`, and in its JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XdpNative => "xdp-native",
            Self::XdpGeneric => "xdp-generic",
            Self::Tc => "tc",
        }
    }
}

/// What is attached to an interface. Egress is always TC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// The interface.
    pub link: LinkRef,
    /// Where ingress is judged.
    pub ingress: Ingress,
    /// Why it is not native XDP although that was wished.
    pub note: Option<String>,
}

/// What attaching needs.
pub struct Attacher<'a> {
    /// The loaded programs.
    pub programs: &'a mut Programs,
    /// Where links are kept.
    pub pins: &'a Pins,
    /// How programs get onto the TC hooks.
    pub tc: TcKind,
    /// How long may be waited yet, see [`PATIENCE`].
    pub patience: &'a mut Duration,
}

/// Attaches to `link`, or puts the present programs into the links that are there.
///
/// # Errors
/// The interface has gone, another fw-ctl filters it, or the forced mode cannot be
/// had, be it for a foreign XDP program. What was attached before stays.
pub fn attach(
    attacher: &mut Attacher<'_>,
    link: &LinkRef,
    wish: XdpWish,
) -> Result<Attached, DatapathError> {
    loop {
        let result = attach_now(attacher, link, wish);
        let in_the_way = matches!(&result, Err(DatapathError::OtherInstance { .. }));
        if !in_the_way || attacher.patience.is_zero() {
            return result;
        }
        std::thread::sleep(PAUSE);
        *attacher.patience = attacher.patience.saturating_sub(PAUSE);
    }
}

fn attach_now(
    attacher: &mut Attacher<'_>,
    link: &LinkRef,
    wish: XdpWish,
) -> Result<Attached, DatapathError> {
    let pins = attacher.pins;
    let query::LinkState {
        xdp: state,
        framing,
    } = query::state(link)?;
    let own = xdp::own(pins, link, &state)?;
    // XDP is for Ethernet.
    let wish = match framing {
        Framing::Ethernet => wish,
        Framing::None | Framing::Other => XdpWish::Off,
    };
    for direction in [Direction::Egress, Direction::Ingress] {
        tc::refuse_other_instance(pins, link, direction)?;
    }
    let foreign = state.program().filter(|_| own.is_none());
    if let Some(id) = foreign
        && wish != XdpWish::Off
        && xdp::is_fw_ctls(id)
    {
        return Err(DatapathError::OtherInstance {
            interface: link.name.clone(),
            id,
            hook: "XDP",
        });
    }
    // Egress first: it remembers the connections whose replies ingress must know.
    let mut onto = Onto {
        attacher,
        link,
        framing,
    };
    onto.attach_tc(Direction::Egress)?;
    let (ingress, note) = match (foreign, wish.mode()) {
        (Some(id), Some(mode)) => onto.attach_behind(id, wish, mode)?,
        _ => onto.attach_ingress(wish, own.as_ref(), &state)?,
    };
    Ok(Attached {
        link: link.clone(),
        ingress,
        note,
    })
}

/// An interface with what is put onto it.
struct Onto<'a, 'b> {
    attacher: &'a mut Attacher<'b>,
    link: &'a LinkRef,
    framing: Framing,
}

impl Onto<'_, '_> {
    fn attach_tc(&mut self, direction: Direction) -> Result<(), DatapathError> {
        let Attacher {
            programs, pins, tc, ..
        } = self.attacher;
        let program = match self.framing {
            Framing::Ethernet => programs.tc_mut(direction)?,
            Framing::None | Framing::Other => programs.headerless_mut(direction)?,
        };
        tc::attach(program, pins, self.link, direction, *tc)
    }

    /// Behind the XDP program `id` of somebody else, which is never displaced.
    fn attach_behind(
        &mut self,
        id: u32,
        wish: XdpWish,
        mode: xdp::Mode,
    ) -> Result<(Ingress, Option<String>), DatapathError> {
        let link = self.link;
        let why = xdp::foreign(link, id);
        if wish != XdpWish::Auto {
            return Err(xdp::Failure::Unsupported(why).into_error(link, mode));
        }
        self.attach_tc(Direction::Ingress)?;
        let note = format!("no native XDP: {why}");
        Ok((Ingress::Tc, Some(note)))
    }

    fn attach_ingress(
        &mut self,
        wish: XdpWish,
        own: Option<&xdp::Own>,
        state: &XdpState,
    ) -> Result<(Ingress, Option<String>), DatapathError> {
        let (link, pins) = (self.link, self.attacher.pins);
        let mode = wish.mode();
        if let (Some(mode), Some(own)) = (mode, own)
            && state.mode() == Some(mode)
        {
            xdp::update(self.attacher.programs, pins, link, own)?;
            tc::detach(pins, link, Direction::Ingress)?;
            return Ok((mode.ingress(), None));
        }
        let mut note = None;
        if let Some(mode) = mode {
            if let Some(own) = own {
                // Another mode than before: TC filters while XDP is changed.
                self.attach_tc(Direction::Ingress)?;
                unpin(&own.path)?;
            }
            match xdp::attach(self.attacher.programs, pins, link, mode) {
                Ok(()) => {
                    tc::detach(pins, link, Direction::Ingress)?;
                    return Ok((mode.ingress(), None));
                }
                Err(xdp::Failure::Unsupported(why)) if wish == XdpWish::Auto => {
                    note = Some(format!("no native XDP: {why}"));
                }
                Err(failure) => return Err(failure.into_error(link, mode)),
            }
        }
        self.attach_tc(Direction::Ingress)?;
        if let (None, Some(own)) = (mode, own) {
            unpin(&own.path)?;
        }
        Ok((Ingress::Tc, note))
    }
}

/// What a former process left attached and still filters. Pins of interfaces
/// that have vanished, or that hold a link without interface, are removed.
///
/// # Errors
/// A pin cannot be read or removed, or all that filters does so in another network
/// namespace.
pub fn adopt(pins: &Pins) -> Result<Vec<Attached>, DatapathError> {
    namespace::refuse_another(pins)?;
    let mut attached: Vec<Attached> = Vec::new();
    for pin in pins.all_links()? {
        let link = match query::name(pin.index) {
            Some(name) => LinkRef {
                index: pin.index,
                name,
            },
            None => {
                unpin(&pin.path)?;
                continue;
            }
        };
        let ingress = match pin.hook.as_str() {
            "xdp" => {
                let state = query::xdp(&link)?;
                match xdp::own(pins, &link, &state)? {
                    Some(_) => state.mode().map(xdp::Mode::ingress),
                    None => None,
                }
            }
            "tc-ingress" if tc::is_live(&link, Direction::Ingress, &pin.path)? => Some(Ingress::Tc),
            "filter-ingress" => Some(Ingress::Tc),
            _ => continue,
        };
        // While a mode is changed both hooks filter; XDP is the one that counts.
        let known = attached.iter_mut().find(|known| known.link == link);
        match (ingress, known) {
            (Some(ingress), None) => attached.push(Attached {
                link,
                ingress,
                note: None,
            }),
            (Some(ingress), Some(known)) if ingress != Ingress::Tc => known.ingress = ingress,
            (Some(_), Some(_)) => {}
            (None, _) => unpin(&pin.path)?,
        }
    }
    Ok(attached)
}

/// Detaches everything of ours from the interface `index`.
///
/// # Errors
/// A pin cannot be removed.
pub fn detach(pins: &Pins, index: u32) -> Result<(), DatapathError> {
    for pin in pins.all_links()? {
        if pin.index == index {
            remove(&pin)?;
        }
    }
    Ok(())
}

/// Removes one attachment: the link with its pin, or the filter that the pin
/// stands for.
///
/// # Errors
/// The pin cannot be removed.
pub fn remove(pin: &super::pins::PinnedName) -> Result<(), DatapathError> {
    if let (Some(direction), Some(name)) = (tc::filter_direction(&pin.hook), query::name(pin.index))
    {
        tc::remove_filter(&name, direction);
    }
    unpin(&pin.path)
}

/// Name of the interface that a pin is about, if it can be told from here.
///
/// An index means something in one network namespace only, and this process may
/// be in another than the daemon was: so the name is told only if the interface
/// of that index really has the program in the pinned link. (A filter from before
/// TCX has no link that could be compared; there, the index must do.)
#[must_use]
pub fn interface_of(pin: &super::pins::PinnedName) -> Option<String> {
    query::name(pin.index).filter(|name| {
        let link = LinkRef {
            index: pin.index,
            name: name.clone(),
        };
        is_on(pin, &link)
    })
}

fn is_on(pin: &super::pins::PinnedName, link: &LinkRef) -> bool {
    let live = |direction| tc::is_live(link, direction, &pin.path).unwrap_or(false);
    match pin.hook.as_str() {
        "xdp" => xdp::is_live(link, &pin.path).unwrap_or(false),
        "tc-ingress" => live(Direction::Ingress),
        "tc-egress" => live(Direction::Egress),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_names_of_the_text() {
        for ingress in [Ingress::XdpNative, Ingress::XdpGeneric, Ingress::Tc] {
            assert_eq!(serde_json::to_value(ingress).unwrap(), ingress.name());
        }
    }
}
