//! XDP on an interface, by a pinned link.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpLinkId};
use aya::programs::{ProgramError, Xdp, XdpMode, loaded_programs};

use super::query::{self, XdpState};
use super::{Ingress, LinkRef};
use crate::datapath::error::{DatapathError, io_cause, words};
use crate::datapath::pins::{Pins, link_name, unpin};
use crate::datapath::programs::{self, Programs};

/// In the name of a pin.
pub const HOOK: &str = "xdp";

/// Where in the kernel XDP runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the driver.
    Native,
    /// In the stack.
    Generic,
}

impl Mode {
    /// As it is reported.
    pub fn ingress(self) -> Ingress {
        match self {
            Self::Native => Ingress::XdpNative,
            Self::Generic => Ingress::XdpGeneric,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }

    /// Never `XdpMode::Default`: it silently becomes generic.
    fn aya(self) -> XdpMode {
        match self {
            Self::Native => XdpMode::Driver,
            Self::Generic => XdpMode::Skb,
        }
    }
}

/// Our link on the interface.
pub struct Own {
    /// Its pin.
    pub path: PathBuf,
}

/// Why XDP was not attached.
pub enum Failure {
    /// Driver or kernel cannot, and said why.
    Unsupported(String),
    /// Anything else.
    Other(DatapathError),
}

impl Failure {
    /// For who insists on `mode`.
    pub fn into_error(self, link: &LinkRef, mode: Mode) -> DatapathError {
        match self {
            Self::Unsupported(why) => DatapathError::NoXdp {
                interface: link.name.clone(),
                mode: mode.name(),
                why,
            },
            Self::Other(error) => error,
        }
    }
}

/// Our link, if the program that the interface runs is the one in it. The pin of
/// a link that lost its interface (its index may be another's now) is removed.
pub fn own(pins: &Pins, link: &LinkRef, state: &XdpState) -> Result<Option<Own>, DatapathError> {
    let Some(path) = pins.find_link(&link_name(link.index, HOOK))? else {
        return Ok(None);
    };
    if runs(state, link, &path)? {
        return Ok(Some(Own { path }));
    }
    unpin(&path)?;
    Ok(None)
}

/// Whether the link pinned at `path` is on the interface.
///
/// # Errors
/// The kernel cannot be asked.
pub fn is_live(link: &LinkRef, path: &Path) -> Result<bool, DatapathError> {
    runs(&query::xdp(link)?, link, path)
}

fn runs(state: &XdpState, link: &LinkRef, path: &Path) -> Result<bool, DatapathError> {
    let program = PinnedLink::from_pin(path)
        .and_then(|pinned| FdLink::from(pinned).info())
        .map_err(adopting(link))?
        .program_id();
    Ok(state.program() == Some(program))
}

/// Puts the present program into our link: no packet passes between the two.
pub fn update(
    programs: &mut Programs,
    pins: &Pins,
    link: &LinkRef,
    own: &Own,
) -> Result<(), DatapathError> {
    let replaced = |error: &(dyn std::error::Error + 'static)| {
        DatapathError::aya(
            format!("interface {}: replacing its XDP program", link.name),
            error,
        )
    };
    let pinned = PinnedLink::from_pin(&own.path).map_err(|error| replaced(&error))?;
    let old = XdpLink::try_from(FdLink::from(pinned)).map_err(|error| replaced(&error))?;
    let program = programs.xdp_mut()?;
    let id = program
        .attach_to_link(old)
        .map_err(|error| replaced(&error))?;
    // The pin keeps the link; our descriptor of it is not needed.
    drop(program.take_link(id).map_err(|error| replaced(&error))?);
    pins.take_over(&own.path, &link_name(link.index, HOOK))
}

/// Attaches and pins.
pub fn attach(
    programs: &mut Programs,
    pins: &Pins,
    link: &LinkRef,
    mode: Mode,
) -> Result<(), Failure> {
    let program = programs.xdp_mut().map_err(Failure::Other)?;
    let id = match program.attach_to_if_index(link.index, mode.aya()) {
        Ok(id) => id,
        Err(error) => return Err(refused(program, link, mode, &error)),
    };
    pin(programs, pins, link, id).map_err(Failure::Other)
}

fn pin(
    programs: &mut Programs,
    pins: &Pins,
    link: &LinkRef,
    id: XdpLinkId,
) -> Result<(), DatapathError> {
    let what = || format!("interface {}: keeping its XDP program", link.name);
    let taken = programs
        .xdp_mut()?
        .take_link(id)
        .map_err(|error| DatapathError::aya(what(), &error))?;
    let taken = FdLink::try_from(taken).map_err(|error| DatapathError::aya(what(), &error))?;
    let path = pins.links().join(link_name(link.index, HOOK));
    taken
        .pin(&path)
        .map_err(|error| DatapathError::aya(what(), &error))?;
    Ok(())
}

fn refused(program: &Xdp, link: &LinkRef, mode: Mode, error: &ProgramError) -> Failure {
    let what = || format!("interface {}: attaching {} XDP", link.name, mode.name());
    let Some(cause) = io_cause(error) else {
        let reason = quoted(&error.to_string());
        let without = || "the kernel refused without a reason".to_owned();
        return Failure::Unsupported(reason.unwrap_or_else(without));
    };
    let told = || {
        let reason = quoted(&error.to_string());
        // A link is refused without a word; the older way has words.
        reason.or_else(|| query::why_no_xdp(link, program.fd().ok()?.as_fd(), mode))
    };
    let or_plainly = |plain: String| match told() {
        Some(text) => format!("the kernel says: {text}"),
        None => plain,
    };
    match cause.raw_os_error() {
        // Somebody came first; or, the program of a bond is on its members, too.
        Some(libc::EBUSY | libc::EEXIST) => {
            let found = query::xdp(link).ok().and_then(|state| state.program());
            Failure::Unsupported(match found {
                Some(id) => foreign(link, id),
                None => or_plainly(words(cause)),
            })
        }
        Some(libc::EPERM | libc::EACCES | libc::ENODEV | libc::ENOMEM) => {
            Failure::Other(DatapathError::aya(what(), error))
        }
        Some(libc::EOPNOTSUPP) => Failure::Unsupported(or_plainly(match mode {
            Mode::Native => "the driver of this interface has none".into(),
            Mode::Generic => "this kind of interface has none".into(),
        })),
        _ => Failure::Unsupported(or_plainly(words(cause))),
    }
}

/// What the driver said (the kernel's extended acknowledgement), which aya hands
/// over in quotes inside its message.
fn quoted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('"')?;
    let (quoted, _) = rest.rsplit_once('"')?;
    (!quoted.is_empty()).then(|| quoted.to_owned())
}

/// Whether the program `id` has the name of ours.
pub fn is_fw_ctls(id: u32) -> bool {
    loaded_programs()
        .flatten()
        .any(|program| program.id() == id && program.name_as_str() == Some(programs::XDP))
}

/// Why the program `id` of somebody else rules ours out.
pub fn foreign(link: &LinkRef, id: u32) -> String {
    let name = loaded_programs()
        .flatten()
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty());
    let named = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!(
        "the XDP program {id}{named}, which is not ours, is attached, and fw-ctl never displaces \
         one: it sees packets first (bpftool prog show id {id}; ip link set dev {} xdp off \
         removes it)",
        link.name
    )
}

fn adopting(link: &LinkRef) -> impl Fn(LinkError) -> DatapathError {
    let name = link.name.clone();
    move |error| DatapathError::aya(format!("interface {name}: adopting its XDP link"), &error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_own_words_are_found() {
        let text = "netlink error: [\"veth: Peer MTU is too large to set XDP\"]";
        assert_eq!(
            quoted(text).as_deref(),
            Some("veth: Peer MTU is too large to set XDP")
        );
        assert_eq!(quoted("netlink error: []"), None);
    }
}
