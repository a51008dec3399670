//! What netlink tells of interfaces beyond [`Network`]: MTU, bonds, programs.

use futures_util::TryStreamExt;
use fw_common::wire::Direction;
use netlink_packet_route::link::{
    InfoBond, InfoData, LinkAttribute, LinkInfo, LinkMessage, LinkXdp,
};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcMessage, TcOption};
use rtnetlink::Handle;

use crate::netlink::{Network, Watcher};
use crate::why::why;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Its index.
    pub index: u32,
    /// Its MTU.
    pub mtu: u32,
    /// The mode, if it is a bond.
    pub bond: Option<String>,
    /// Mode and id of the XDP program on it.
    pub xdp: Option<(&'static str, u32)>,
    /// Programs of the filters of its `clsact`, in the order in which they run.
    pub filters: Vec<(Direction, u32, String)>,
}

/// Everything there is in this network namespace.
///
/// # Errors
/// A sentence: what cannot be listed, and why.
pub fn list() -> Result<(Network, Vec<Details>), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot ask the kernel: {}", why(&error)))?;
    runtime.block_on(async {
        let watcher = Watcher::open().map_err(|error| error.to_string())?;
        let network = watcher.network().await.map_err(|error| error.to_string())?;
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|error| format!("cannot open a netlink socket: {}", why(&error)))?;
        tokio::spawn(connection);
        let links: Vec<_> = handle
            .link()
            .get()
            .execute()
            .map_ok(|message| details(&message))
            .try_collect()
            .await
            .map_err(|error| format!("cannot list the links: {error}"))?;
        let mut all = Vec::new();
        for mut link in links {
            for direction in [Direction::Ingress, Direction::Egress] {
                link.filters
                    .extend(filters(&handle, link.index, direction).await);
            }
            all.push(link);
        }
        Ok((network, all))
    })
}

fn details(message: &LinkMessage) -> Details {
    let mut details = Details {
        index: message.header.index,
        ..Details::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Mtu(mtu) => details.mtu = *mtu,
            LinkAttribute::Xdp(xdp) => details.xdp = xdp.iter().find_map(program),
            LinkAttribute::LinkInfo(infos) => details.bond = infos.iter().find_map(mode),
            _ => {}
        }
    }
    details
}

fn program(xdp: &LinkXdp) -> Option<(&'static str, u32)> {
    match xdp {
        LinkXdp::DrvProgId(id) => Some(("native", *id)),
        LinkXdp::SkbProgId(id) => Some(("generic", *id)),
        LinkXdp::HwProgId(id) => Some(("hardware", *id)),
        _ => None,
    }
}

fn mode(info: &LinkInfo) -> Option<String> {
    let LinkInfo::Data(InfoData::Bond(infos)) = info else {
        return None;
    };
    infos.iter().find_map(|info| match info {
        InfoBond::Mode(mode) => Some(mode.to_string()),
        _ => None,
    })
}

/// The programs of the filters on one hook; none where there is no `clsact`, which the kernel
/// answers with an error.
async fn filters(
    handle: &Handle,
    index: u32,
    direction: Direction,
) -> Vec<(Direction, u32, String)> {
    let request = handle.traffic_filter(index.cast_signed()).get();
    let request = match direction {
        Direction::Ingress => request.ingress(),
        Direction::Egress => request.egress(),
    };
    let messages: Vec<TcMessage> = request.execute().try_collect().await.unwrap_or_default();
    let programs = messages.iter().filter_map(of_filter);
    programs.map(|(id, name)| (direction, id, name)).collect()
}

/// Id and name of the program of a filter, if it is one of BPF.
fn of_filter(filter: &TcMessage) -> Option<(u32, String)> {
    let options = filter
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Options(options) => Some(options),
            _ => None,
        })?;
    let mut id = None;
    let mut name = String::new();
    for option in options {
        match option {
            TcOption::Bpf(TcFilterBpfOption::ProgId(number)) => id = Some(*number),
            TcOption::Bpf(TcFilterBpfOption::ProgName(text)) => name.clone_from(text),
            _ => {}
        }
    }
    Some((id?, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_device_is_listed_with_its_mtu() {
        let (network, details) = list().unwrap();
        let lo = network.links.iter().find(|link| link.name == "lo").unwrap();
        let lo = details
            .iter()
            .find(|details| details.index == lo.index)
            .unwrap();
        assert_eq!((lo.mtu, lo.bond.as_deref()), (65_536, None));
    }
}
