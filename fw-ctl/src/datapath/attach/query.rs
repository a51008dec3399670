//! Asking the kernel what is on an interface.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use fw_common::wire::Direction;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_packet_route::tc::{
    TcAttribute, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::LinkRef;
use super::xdp::Mode;
use crate::datapath::error::DatapathError;
use crate::netlink::Framing;

/// What an interface is, as far as attaching depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkState {
    /// Its XDP programs.
    pub xdp: XdpState,
    /// What its frames begin with.
    pub framing: Framing,
}

/// The XDP programs of an interface, by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct XdpState {
    native: Option<u32>,
    generic: Option<u32>,
    hardware: Option<u32>,
}

impl XdpState {
    /// Some program that is attached; native and generic exclude each other.
    pub fn program(&self) -> Option<u32> {
        self.native.or(self.generic).or(self.hardware)
    }

    /// In which of our modes it is attached.
    pub fn mode(&self) -> Option<Mode> {
        match self {
            Self {
                native: Some(_), ..
            } => Some(Mode::Native),
            Self {
                generic: Some(_), ..
            } => Some(Mode::Generic),
            _ => None,
        }
    }

    fn from_attributes(attributes: &[LinkAttribute]) -> Self {
        let mut state = Self::default();
        let xdp = attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::Xdp(xdp) => Some(xdp),
            _ => None,
        });
        for attribute in xdp.flatten() {
            match attribute {
                LinkXdp::DrvProgId(id) => state.native = Some(*id),
                LinkXdp::SkbProgId(id) => state.generic = Some(*id),
                LinkXdp::HwProgId(id) => state.hardware = Some(*id),
                _ => {}
            }
        }
        state
    }
}

/// Name of the interface `index` in this network namespace.
pub fn name(index: u32) -> Option<String> {
    nix::net::if_::if_indextoname(index)
        .ok()
        .and_then(|name| name.into_string().ok())
        // nix 0.31 answers with an empty name where there is no interface.
        .filter(|name| !name.is_empty())
}

/// What XDP programs are on the interface.
///
/// # Errors
/// As [`state`].
pub fn xdp(link: &LinkRef) -> Result<XdpState, DatapathError> {
    Ok(state(link)?.xdp)
}

/// What the interface is.
///
/// # Errors
/// There is no such interface, or the kernel cannot be asked.
pub fn state(link: &LinkRef) -> Result<LinkState, DatapathError> {
    match get_link(link.index) {
        Ok(message) => Ok(LinkState {
            xdp: XdpState::from_attributes(&message.attributes),
            framing: Framing::of(message.header.link_layer_type),
        }),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            Err(DatapathError::NoInterface {
                name: link.name.clone(),
            })
        }
        Err(error) => Err(DatapathError::io(
            format!("interface {}: asking what it is", link.name),
            &error,
        )),
    }
}

/// One `RTM_GETLINK`, answered by one message.
fn get_link(index: u32) -> io::Result<LinkMessage> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    let answer = ask(RouteNetlinkMessage::GetLink(message))?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    match answer.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Ok(link),
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an answer of another kind",
        )),
    }
}

/// Id of the program that the filter in this place of a `clsact` hook runs; `None`: there
/// is no filter.
///
/// # Errors
/// The kernel cannot be asked.
pub fn filter(
    link: &LinkRef,
    direction: Direction,
    priority: u16,
    handle: (u16, u16),
) -> Result<Option<u32>, DatapathError> {
    /// `ETH_P_ALL`, in network order.
    const ALL: u32 = 3_u16.to_be() as u32;
    let minor = match direction {
        Direction::Ingress => TcHandle::MIN_INGRESS,
        Direction::Egress => TcHandle::MIN_EGRESS,
    };
    let header = TcHeader {
        index: link.index.cast_signed(),
        handle: TcHandle {
            major: handle.0,
            minor: handle.1,
        },
        parent: TcHandle {
            major: TcHandle::CLSACT.major,
            minor,
        },
        info: u32::from(priority) << 16 | ALL,
        ..TcHeader::default()
    };
    let message = TcMessage::from_parts(header, Vec::new());
    let answer = ask(RouteNetlinkMessage::GetTrafficFilter(message)).and_then(|answer| {
        NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    });
    let failed = |error: &io::Error| {
        let what = format!("interface {}: asking for its TC filters", link.name);
        DatapathError::io(what, error)
    };
    match answer.map_err(|error| failed(&error))?.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewTrafficFilter(filter)) => {
            Ok(Some(program_of(&filter)))
        }
        NetlinkPayload::Error(error) => match error.to_io() {
            // No such filter; no `clsact` at all.
            error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => Ok(None),
            error => Err(failed(&error)),
        },
        _ => Ok(None),
    }
}

/// Id of the program of a filter; 0, which no program has, if it is none of BPF.
fn program_of(filter: &TcMessage) -> u32 {
    let options = filter
        .attributes
        .iter()
        .filter_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        });
    let id = options.flatten().find_map(|option| match option {
        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => Some(*id),
        _ => None,
    });
    id.unwrap_or(0)
}

/// Why the interface takes no XDP program, in the words of the kernel or the driver.
///
/// It is tried with the program in the way that is answered in words (attaching by a
/// link is not). Should it be taken, it is removed at once, and there is no reason.
pub fn why_no_xdp(link: &LinkRef, program: BorrowedFd<'_>, mode: Mode) -> Option<String> {
    /// `XDP_FLAGS_*` (`linux/if_link.h`).
    const UPDATE_IF_NOEXIST: u32 = 1;
    const SKB_MODE: u32 = 2;
    const DRV_MODE: u32 = 4;
    let mode = match mode {
        Mode::Native => DRV_MODE,
        Mode::Generic => SKB_MODE,
    };
    let set = |program: RawFd, flags: u32| {
        let mut message = LinkMessage::default();
        message.header.index = link.index;
        let xdp = vec![LinkXdp::Fd(program), LinkXdp::Flags(flags)];
        message.attributes.push(LinkAttribute::Xdp(xdp));
        ask(RouteNetlinkMessage::SetLink(message))
    };
    let answer = set(program.as_raw_fd(), mode | UPDATE_IF_NOEXIST).ok()?;
    let (error, text) = refusal(&answer)?;
    if error == 0 {
        let _ = set(-1, mode);
    }
    text
}

/// Error number and text of an acknowledgement: `struct nlmsgerr` behind a head, which
/// holds the head of the question only (`NETLINK_CAP_ACK`), then attributes.
fn refusal(answer: &[u8]) -> Option<(i32, Option<String>)> {
    const HEAD: usize = 16;
    const TEXT: u16 = 1;
    let field = |at: usize| answer.get(at..at + 4)?.try_into().ok();
    let kind = answer.get(4..6)?.try_into().ok().map(u16::from_ne_bytes)?;
    if kind != libc::NLMSG_ERROR as u16 {
        return None;
    }
    let error = field(HEAD).map(i32::from_ne_bytes)?;
    let mut at = HEAD + 4 + HEAD;
    while let Some([l0, l1, k0, k1]) = field(at) {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = answer.get(at + 4..at + length.max(4))?;
        if u16::from_ne_bytes([k0, k1]) == TEXT {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some((error, Some(String::from_utf8_lossy(text).into_owned())));
        }
        at += length.max(4).next_multiple_of(4);
    }
    Some((error, None))
}

/// Asks one question that is answered by one message.
fn ask(question: RouteNetlinkMessage) -> io::Result<Vec<u8>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    socket.set_ext_ack(true)?;
    socket.set_cap_ack(true)?;
    let changes = matches!(question, RouteNetlinkMessage::SetLink(_));
    let mut request = NetlinkMessage::from(question);
    request.header.flags = NLM_F_REQUEST | if changes { NLM_F_ACK } else { 0 };
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_the_one_of_the_program_that_is_there() {
        let state = |xdp: Vec<LinkXdp>| XdpState::from_attributes(&[LinkAttribute::Xdp(xdp)]);
        let none = state(vec![]);
        assert_eq!((none.program(), none.mode()), (None, None));
        let native = state(vec![LinkXdp::DrvProgId(7), LinkXdp::ProgId(7)]);
        assert_eq!(
            (native.program(), native.mode()),
            (Some(7), Some(Mode::Native))
        );
        let generic = state(vec![LinkXdp::SkbProgId(8)]);
        assert_eq!(
            (generic.program(), generic.mode()),
            (Some(8), Some(Mode::Generic))
        );
        let hardware = state(vec![LinkXdp::HwProgId(9)]);
        assert_eq!((hardware.program(), hardware.mode()), (Some(9), None));
    }

    #[test]
    fn the_words_of_a_refusal_are_found() {
        let answer = |attributes: &[u8]| {
            let mut bytes = vec![0; 16 + 4 + 16];
            bytes[4..6].copy_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
            bytes[16..20].copy_from_slice(&(-95_i32).to_ne_bytes());
            bytes.extend(attributes);
            bytes
        };
        // An offset (2), padded to four bytes, then the text (1).
        let mut attributes = [7_u16.to_ne_bytes(), 2_u16.to_ne_bytes()].concat();
        attributes.extend(*b"abc\0");
        attributes.extend([8_u16.to_ne_bytes(), 1_u16.to_ne_bytes()].concat());
        attributes.extend(*b"why\0");
        assert_eq!(
            refusal(&answer(&attributes)),
            Some((-95, Some("why".into())))
        );
        assert_eq!(refusal(&answer(&attributes[..10])), Some((-95, None)));
        assert_eq!(refusal(&answer(&[])), Some((-95, None)));
        assert_eq!(refusal(&[0; 40]), None);
        assert_eq!(refusal(&[2]), None);
    }

    #[test]
    fn the_loopback_interface_is_found_and_another_is_not() {
        let index = nix::net::if_::if_nametoindex("lo").unwrap();
        let lo = LinkRef {
            index,
            name: name(index).unwrap(),
        };
        assert_eq!(lo.name, "lo");
        xdp(&lo).unwrap();
        assert_eq!(super::name(2_000_000), None);
        let gone = LinkRef {
            index: 2_000_000,
            name: "gone0".into(),
        };
        let error = xdp(&gone).unwrap_err().to_string();
        assert!(
            error.starts_with("interface gone0: there is no such"),
            "{error}"
        );
    }
}
