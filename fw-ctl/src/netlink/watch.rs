//! Reading links, addresses and local routes from the kernel, and hearing of
//! changes (rtnetlink(7)).
//!
//! A notification only says that something changed; then everything is listed
//! anew. So lost notifications, bursts and races need no care of their own.

use std::os::fd::AsRawFd;

use futures_util::stream::{Stream, TryStreamExt};
use futures_util::{FutureExt, StreamExt};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp,
};
use netlink_sys::AsyncSocket;
use rtnetlink::{Handle, MulticastGroup};

use super::{Address, Framing, Link, Network, routes};
use crate::ethtool::{self, Switch};
use crate::why::why;

/// What keeps us from seeing the links.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket.
    #[error(
        "cannot open a netlink socket: {why}; try: allow AF_NETLINK in the service's RestrictAddressFamilies",
        why = why(.0)
    )]
    Socket(std::io::Error),
    /// A request.
    #[error("cannot list the {what} of this network namespace: {error}")]
    List {
        /// `links`, `addresses` or `local routes`.
        what: &'static str,
        /// What the kernel or the decoder says.
        error: rtnetlink::Error,
    },
}

type Notifications = std::pin::Pin<Box<dyn Stream<Item = ()> + Send>>;

/// A connection that lists and listens. Lives in the network namespace in which
/// it was opened.
pub struct Watcher {
    handle: Handle,
    changes: Notifications,
}

impl Watcher {
    /// Opens the socket and starts to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn open() -> Result<Self, NetlinkError> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
        ];
        let (mut connection, handle, messages) =
            rtnetlink::new_multicast_connection(&groups).map_err(NetlinkError::Socket)?;
        let socket = connection.socket_mut().socket_mut();
        socket
            .set_netlink_get_strict_chk(true)
            .and_then(|()| routes::ignore_other_routes(socket.as_raw_fd()))
            .map_err(NetlinkError::Socket)?;
        tokio::spawn(connection);
        Ok(Self {
            handle,
            changes: Box::pin(messages.map(|_| ())),
        })
    }

    /// Everything there is now.
    ///
    /// # Errors
    /// When the kernel refuses or answers what cannot be read.
    pub async fn network(&self) -> Result<Network, NetlinkError> {
        let failed = |what| move |error| NetlinkError::List { what, error };
        let links = self.handle.link().get().execute();
        let mut links: Vec<Link> = links
            .map_ok(|message| link(&message))
            .try_collect()
            .await
            .map_err(failed("links"))?;
        links.sort_by_key(|link| link.index);
        let addresses = self.handle.address().get().execute();
        let mut addresses: Vec<Address> = addresses
            .try_filter_map(|message| std::future::ready(Ok(address(&message))))
            .try_collect()
            .await
            .map_err(failed("addresses"))?;
        addresses.sort();
        let mut local_routes = Vec::new();
        for (family, kind) in routes::WANTED {
            let listed = self.handle.route().get(routes::request(family, kind));
            let listed: Vec<_> = listed
                .execute()
                .try_filter_map(|message| std::future::ready(Ok(routes::destination(&message))))
                .try_collect()
                .await
                .map_err(failed("local routes"))?;
            local_routes.extend(listed);
        }
        local_routes.sort_unstable();
        local_routes.dedup();
        Ok(Network {
            links,
            addresses,
            local_routes,
        })
    }

    /// Waits for a change. Changes that have piled up count as one.
    ///
    /// Returns `false` when the kernel will not report changes any more.
    pub async fn changed(&mut self) -> bool {
        if self.changes.next().await.is_none() {
            return false;
        }
        while let Some(piled_up) = self.changes.next().now_or_never() {
            if piled_up.is_none() {
                return false;
            }
        }
        true
    }
}

fn link(message: &LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        framing: Framing::of(message.header.link_layer_type),
        loopback: message.header.flags.contains(LinkFlags::Loopback),
        up: message.header.flags.contains(LinkFlags::Up),
        ..Link::default()
    };
    let mut parent_is_elsewhere = false;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Controller(index) => link.master = Some(*index).filter(|i| *i != 0),
            LinkAttribute::Link(index) => link.parent = Some(*index).filter(|i| *i != 0),
            LinkAttribute::LinkNetNsId(_) => parent_is_elsewhere = true,
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::Xdp(xdp) => link.xdp = xdp.iter().find_map(program),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Kind(kind) => link.kind = kind.to_string(),
                        LinkInfo::Data(InfoData::Vlan(of)) => link.vlan = of.iter().find_map(id),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if parent_is_elsewhere {
        link.parent = None;
    }
    ask_driver(&mut link);
    link
}

fn id(of: &InfoVlan) -> Option<u16> {
    match of {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    }
}

fn program(xdp: &LinkXdp) -> Option<u32> {
    match xdp {
        LinkXdp::DrvProgId(id) | LinkXdp::SkbProgId(id) | LinkXdp::HwProgId(id) => Some(*id),
        _ => None,
    }
}

/// What only the driver knows. Asked of what receives from a wire only: all others have
/// the tags of their carrier. Whose driver does not tell has no such offload.
fn ask_driver(link: &mut Link) {
    let is_wire =
        link.framing == Framing::Ethernet && matches!(link.kind.as_str(), "" | "veth" | "tun");
    if !is_wire {
        return;
    }
    let Ok(found) = ethtool::features(&link.name) else {
        return;
    };
    let is_on = |switch: Option<Switch>| switch.is_some_and(|switch| switch.on);
    link.offloads.strips_tags = is_on(found.rx_vlan) || is_on(found.rx_vlan_stag);
    // Called LRO before Linux 5.15. Other drivers switch it off or say what is in the way.
    let joins = is_on(found.gro_hw) || is_on(found.lro);
    link.offloads.takes_segments =
        joins && ethtool::driver(&link.name).as_deref() == Some("virtio_net");
}

fn address(message: &AddressMessage) -> Option<Address> {
    let mut own = None;
    let mut local = None;
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(address) => own = Some(*address),
            // On a point-to-point link IFA_ADDRESS is the peer's.
            AddressAttribute::Local(address) => local = Some(*address),
            _ => {}
        }
    }
    Some(Address {
        link: message.header.index,
        address: local.or(own)?,
        global: matches!(
            message.header.scope,
            AddressScope::Universe | AddressScope::Site
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_loopback_device_is_seen_with_its_address() {
        let watcher = Watcher::open().unwrap();
        let network = watcher.network().await.unwrap();
        let lo = network.links.iter().find(|link| link.name == "lo").unwrap();
        assert!(lo.loopback && lo.framing == Framing::Ethernet);
        assert!(
            network
                .addresses
                .iter()
                .all(|entry| network.link(entry.link).is_some())
        );
    }
}
