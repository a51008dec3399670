//! What a driver says of its interface, as `ethtool -i`, `-k` and `-l` print it: plain values
//! of what decides about XDP and VLAN tags. Nobody has to be root for it, and nothing is
//! changed.
//!
//! Asked by the ioctl and not by the younger netlink family: every kernel from 5.10 on answers
//! it for every driver.

mod call;

use std::io;

use call::{Interface, Request};

/// Index of the features among the sets of names (`ETH_SS_FEATURES`).
const FEATURE_NAMES: u32 = 4;
/// Bytes of a name (`ETH_GSTRING_LEN`).
const NAME: usize = 32;

/// A feature of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// It is in use.
    pub on: bool,
    /// Nobody can change it: `[fixed]` of `ethtool -k`.
    pub fixed: bool,
}

/// Features of an interface; `None` where the kernel does not know the feature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// `large-receive-offload`: the driver joins packets of a connection into one.
    pub lro: Option<Switch>,
    /// `rx-gro-hw`: the NIC does. For virtio: the host hands over large packets.
    pub gro_hw: Option<Switch>,
    /// `rx-vlan-offload`: the NIC takes 802.1Q tags out of the frame, so that native XDP does
    /// not see them.
    pub rx_vlan: Option<Switch>,
    /// `rx-vlan-stag-hw-parse`: the same for 802.1ad tags.
    pub rx_vlan_stag: Option<Switch>,
    /// `tcp-segmentation-offload`: packets to be sent are larger than the MTU.
    pub tso: Option<Switch>,
}

/// Numbers of queues, used and possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channels {
    /// Queues that receive.
    pub rx: u32,
    /// Queues that send.
    pub tx: u32,
    /// Most queues that can receive.
    pub max_rx: u32,
    /// Most queues that can send.
    pub max_tx: u32,
}

/// The features of the interface `name`.
///
/// # Errors
/// There is no such interface in this network namespace, or the kernel does not tell.
pub fn features(name: &str) -> io::Result<Features> {
    let interface = Interface::new(name)?;
    let names = feature_names(&interface)?;
    let blocks = interface.ask(Request::Features {
        blocks: names.len().div_ceil(u32::BITS as usize),
    })?;
    Ok(Features::of(&names, &blocks))
}

/// The name of the driver: `ixgbe`, `virtio_net`, `veth`; `None` where there is no such
/// interface or it names none.
#[must_use]
pub fn driver(name: &str) -> Option<String> {
    let answer = Interface::new(name).ok()?.ask(Request::Driver).ok()?;
    let name = text(&bytes(&answer)[..NAME]);
    (!name.is_empty()).then_some(name)
}

/// The queues of the interface `name`; `None`: its driver does not tell, as most virtual ones.
#[must_use]
pub fn channels(name: &str) -> Option<Channels> {
    let answer = Interface::new(name).ok()?.ask(Request::Channels).ok()?;
    Channels::of(&answer)
}

/// The names of all features, each at its number.
fn feature_names(interface: &Interface) -> io::Result<Vec<String>> {
    let set = FEATURE_NAMES;
    let lengths = interface.ask(Request::Lengths { set })?;
    let count = lengths.last().copied().unwrap_or_default() as usize;
    let answer = interface.ask(Request::Names { set, count })?;
    Ok(bytes(&answer).chunks(NAME).map(text).collect())
}

impl Features {
    /// Reads `struct ethtool_get_features_block` (linux/ethtool.h): of every 32 features the
    /// words available, requested, active and never changed.
    fn of(names: &[String], blocks: &[u32]) -> Self {
        let switch = |wanted: &str| {
            let number = names.iter().position(|name| name == wanted)?;
            let block = blocks.chunks_exact(4).nth(number / 32)?;
            let has = |word: u32| word & (1 << (number % 32)) != 0;
            Some(Switch {
                on: has(block[2]),
                fixed: has(block[3]) || !has(block[0]),
            })
        };
        Self {
            lro: switch("rx-lro"),
            gro_hw: switch("rx-gro-hw"),
            rx_vlan: switch("rx-vlan-hw-parse"),
            rx_vlan_stag: switch("rx-vlan-stag-hw-parse"),
            tso: switch("tx-tcp-segmentation"),
        }
    }
}

impl Channels {
    /// Reads `struct ethtool_channels` (linux/ethtool.h) behind its first word.
    fn of(words: &[u32]) -> Option<Self> {
        let &[max_rx, max_tx, _, max_both, rx, tx, _, both] = words else {
            return None;
        };
        Some(Self {
            rx: rx.saturating_add(both),
            tx: tx.saturating_add(both),
            max_rx: max_rx.max(max_both),
            max_tx: max_tx.max(max_both),
        })
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Up to the first zero byte.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_at_the_places_of_their_names() {
        let mut names = vec![String::new(); 40];
        names[3] = "rx-vlan-hw-parse".into();
        names[33] = "rx-lro".into();
        names[34] = "rx-gro-hw".into();
        // available, requested, active, never changed
        let blocks = [1 << 3, 0, 1 << 3, 0, 0b10, 0, 0b100, 0];
        let switch = |on, fixed| Some(Switch { on, fixed });
        let expected = Features {
            lro: switch(false, false),
            gro_hw: switch(true, true),
            rx_vlan: switch(true, false),
            ..Features::default()
        };
        assert_eq!(Features::of(&names, &blocks), expected);
        // A kernel that tells of fewer than it names.
        let shorter = Features::of(&names, &blocks[..4]);
        assert_eq!((shorter.lro, shorter.rx_vlan), (None, switch(true, false)));
    }

    #[test]
    fn queues_that_do_both_count_as_both() {
        let words = [0, 0, 1, 8, 0, 0, 1, 4];
        let expected = Channels {
            rx: 4,
            tx: 4,
            max_rx: 8,
            max_tx: 8,
        };
        assert_eq!(Channels::of(&words), Some(expected));
        assert_eq!(Channels::of(&words[..3]), None);
    }

    /// `NETIF_F_HW_VLAN_CTAG_RX` and LRO never belong to the loopback device, and its
    /// segmentation is always there (drivers/net/loopback.c).
    #[test]
    fn the_loopback_device_answers() {
        let features = features("lo").unwrap();
        let on = |switch: Option<Switch>| switch.map(|switch| switch.on);
        assert_eq!(on(features.tso), Some(true), "{features:?}");
        assert_eq!(on(features.lro), Some(false), "{features:?}");
        assert_eq!(on(features.rx_vlan), Some(false), "{features:?}");
        assert_eq!(channels("lo"), None);
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let error = features("fwctl-none0").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
        assert_eq!(driver("fwctl-none0"), None);
        assert_eq!(channels("fwctl-none0"), None);
        for name in ["", "a-name-of-16-byt", "l\0o"] {
            let error = features(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
