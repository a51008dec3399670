//! Kubernetes objects: of each the few fields that say who has an address.

use std::net::IpAddr;
use std::sync::Arc;

use super::explicit;
use super::fields::{Field, Result};
use super::{Inventory, Pod};
use crate::diagnostic::Diagnostic;
use crate::policy::decode;
use crate::policy::label::{Label, LabelSet};
use crate::policy::schema::CidrGroup;

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken in.
    Known,
    /// Its kind says nothing about addresses.
    Unknown(String),
}

/// Takes one object in; a `List` item by item.
pub(super) fn add(
    inventory: &mut Inventory,
    object: &Field<'_>,
    notes: &mut Vec<(String, usize)>,
) -> Result<()> {
    let Some(kind) = object.text(["kind"])? else {
        return Err(object.error("`kind` is missing: this is no Kubernetes object"));
    };
    if kind == "List" || kind.ends_with("List") && object.node.get("items").is_some() {
        for item in object.list(["items"])? {
            let typed = kind.strip_suffix("List").unwrap_or_default();
            add_one(inventory, &item, typed, notes)?;
        }
        return Ok(());
    }
    add_one(inventory, object, kind, notes)
}

/// Takes one object in; `kind` where it does not say its own, as in a `PodList`.
fn add_one(
    inventory: &mut Inventory,
    object: &Field<'_>,
    kind: &str,
    notes: &mut Vec<(String, usize)>,
) -> Result<()> {
    let kind = object.text(["kind"])?.unwrap_or(kind);
    match add_kind(inventory, object, kind)? {
        Outcome::Known => {}
        Outcome::Unknown(kind) => notes.push((kind, object.node.span.line)),
    }
    Ok(())
}

fn add_kind(inventory: &mut Inventory, object: &Field<'_>, kind: &str) -> Result<Outcome> {
    match kind {
        "Node" => node(inventory, object)?,
        "Namespace" => {
            let labels = object.labels(["metadata", "labels"])?;
            inventory.namespaces.insert(name(object)?, labels);
        }
        "Pod" => inventory.pods.extend(pod(object)?),
        "CiliumNode" => cilium_node(inventory, object)?,
        "CiliumEndpoint" => inventory.endpoints.extend(cilium_endpoint(object)?),
        "CiliumCIDRGroup" => inventory.cidr_groups.push(Arc::new(cidr_group(object)?)),
        "EndpointSlice" => endpoint_slice(inventory, object)?,
        "Endpoints" => endpoints(inventory, object)?,
        // Known, because `kubectl get` dumps have them; what they say of
        // addresses (virtual ones) is never seen on a wire.
        "Service" => {
            name(object)?;
        }
        explicit::KIND => {
            let version = object.text(["apiVersion"])?;
            if version != Some(explicit::API_VERSION) {
                let field = object.get("apiVersion")?;
                let mut error = field.as_ref().unwrap_or(object).error(format!(
                    "`apiVersion` of {} must be {}",
                    explicit::KIND,
                    explicit::API_VERSION
                ));
                error.help = Some(format!("write `apiVersion: {}`", explicit::API_VERSION));
                return Err(error);
            }
            inventory.explicit.extend(explicit::entries(object)?);
        }
        other => return Ok(Outcome::Unknown(other.to_owned())),
    }
    Ok(Outcome::Known)
}

fn name(object: &Field<'_>) -> Result<String> {
    match object.text(["metadata", "name"])? {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(object.error("`metadata.name` is missing")),
    }
}

/// `status.addresses` also has host names: only what is an address counts.
fn node(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let node = inventory.nodes.entry(name(object)?).or_default();
    node.labels.extend(object.labels(["metadata", "labels"])?);
    for address in object.list(["status", "addresses"])? {
        let is_name = address
            .text(["type"])?
            .is_some_and(|kind| kind == "Hostname" || kind.ends_with("DNS"));
        if !is_name {
            node.addresses.extend(address.address(["address"])?);
        }
    }
    Ok(())
}

fn cilium_node(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let node = inventory.nodes.entry(name(object)?).or_default();
    node.labels.extend(object.labels(["metadata", "labels"])?);
    for address in object.list(["spec", "addresses"])? {
        node.addresses.extend(address.address(["ip"])?);
    }
    for (family, list) in [("ipv4", "health"), ("ipv6", "health")] {
        node.health.extend(object.address(["spec", list, family])?);
    }
    for (family, list) in [("ipv4", "ingress"), ("ipv6", "ingress")] {
        node.ingress.extend(object.address(["spec", list, family])?);
    }
    Ok(())
}

/// `None` for pods without an address of their own: those of the host's network,
/// those without address, and those that have ended (another pod may have it).
fn pod(object: &Field<'_>) -> Result<Option<Pod>> {
    name(object)?;
    let host_network = object
        .at(["spec", "hostNetwork"])?
        .is_some_and(|field| field.node.as_bool() == Some(true));
    let phase = object.text(["status", "phase"])?;
    if host_network || matches!(phase, Some("Succeeded" | "Failed")) {
        return Ok(None);
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    addresses.extend(object.address(["status", "podIP"])?);
    for entry in object.list(["status", "podIPs"])? {
        addresses.extend(entry.address(["ip"])?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Ok(None);
    }
    let namespace = object.text(["metadata", "namespace"])?;
    let account = object.text(["spec", "serviceAccountName"])?;
    Ok(Some(Pod {
        namespace: namespace.unwrap_or("default").to_owned(),
        labels: object.labels(["metadata", "labels"])?,
        service_account: account.unwrap_or("default").to_owned(),
        addresses,
    }))
}

fn cilium_endpoint(object: &Field<'_>) -> Result<Option<(Vec<IpAddr>, Arc<LabelSet>)>> {
    name(object)?;
    let mut addresses = Vec::new();
    for pair in object.list(["status", "networking", "addressing"])? {
        addresses.extend(pair.address(["ipv4"])?);
        addresses.extend(pair.address(["ipv6"])?);
    }
    let labels = object
        .list(["status", "identity", "labels"])?
        .iter()
        .map(|label| Ok(Label::parse(label.str()?)))
        .collect::<Result<LabelSet>>()?;
    // Without labels the endpoint is not ready; the pod says more.
    let ready = !addresses.is_empty() && !labels.as_slice().is_empty();
    Ok(ready.then(|| (addresses, Arc::new(labels))))
}

/// As in a policy file: strict.
fn cidr_group(object: &Field<'_>) -> Result<CidrGroup> {
    let (group, found) = decode::cidr_group(object.source, object.node);
    if let Some(error) = found.into_iter().find(Diagnostic::is_error) {
        return Err(Box::new(error));
    }
    group.ok_or_else(|| object.error("this CiliumCIDRGroup cannot be read"))
}

/// The API server's are those of the service `default/kubernetes`.
fn endpoint_slice(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let own_name = name(object)?;
    let labels = object.labels(["metadata", "labels"])?;
    let service = labels.get("kubernetes.io/service-name");
    let kubernetes = service.map_or(own_name == "kubernetes", |service| service == "kubernetes");
    if kubernetes && object.text(["metadata", "namespace"])? == Some("default") {
        for endpoint in object.list(["endpoints"])? {
            for address in endpoint.list(["addresses"])? {
                inventory.api_server.extend(address.address([])?);
            }
        }
    }
    Ok(())
}

fn endpoints(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let is_default = object.text(["metadata", "namespace"])? == Some("default");
    if name(object)? == "kubernetes" && is_default {
        for subset in object.list(["subsets"])? {
            for address in subset.list(["addresses"])? {
                inventory.api_server.extend(address.address(["ip"])?);
            }
        }
    }
    Ok(())
}
