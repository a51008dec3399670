//! Kubernetes objects: of each the few fields that say who has an address.

use std::net::IpAddr;
use std::sync::Arc;

use super::explicit;
use super::fields::{Field, Result};
use super::{Endpoint, Inventory, Place, Placed, Pod};
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
        "Pod" => pod(inventory, object)?,
        "CiliumNode" => cilium_node(inventory, object)?,
        "CiliumEndpoint" => cilium_endpoint(inventory, object)?,
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
            let name = object.text(["metadata", "name"])?.unwrap_or_default();
            let place = place(inventory, object, explicit::KIND, name.to_owned());
            inventory.explicit.extend(explicit::entries(object, place)?);
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

/// `metadata.namespace/metadata.name`, in `default` where it says none.
fn full_name(object: &Field<'_>) -> Result<String> {
    let name = name(object)?;
    let namespace = object.text(["metadata", "namespace"])?;
    Ok(format!("{}/{name}", namespace.unwrap_or("default")))
}

/// Notes where an object stands.
fn place(inventory: &mut Inventory, object: &Field<'_>, kind: &'static str, name: String) -> Place {
    let objects = Arc::make_mut(&mut inventory.objects);
    objects.add(&object.source.name, kind, name, object.node.span.line)
}

/// `status.addresses` also has host names: only what is an address counts.
fn node(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let name = name(object)?;
    let place = place(inventory, object, "Node", name.clone());
    let node = inventory.nodes.entry(name).or_default();
    node.labels.extend(object.labels(["metadata", "labels"])?);
    for address in object.list(["status", "addresses"])? {
        let is_name = address
            .text(["type"])?
            .is_some_and(|kind| kind == "Hostname" || kind.ends_with("DNS"));
        if !is_name {
            node.addresses
                .extend(placed(address.address(["address"])?, place));
        }
    }
    Ok(())
}

fn cilium_node(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let name = name(object)?;
    let place = place(inventory, object, "CiliumNode", name.clone());
    let node = inventory.nodes.entry(name).or_default();
    node.labels.extend(object.labels(["metadata", "labels"])?);
    for address in object.list(["spec", "addresses"])? {
        node.addresses
            .extend(placed(address.address(["ip"])?, place));
    }
    for family in ["ipv4", "ipv6"] {
        let health = object.address(["spec", "health", family])?;
        node.health.extend(placed(health, place));
        let ingress = object.address(["spec", "ingress", family])?;
        node.ingress.extend(placed(ingress, place));
    }
    Ok(())
}

fn placed(address: Option<IpAddr>, place: Place) -> Option<Placed> {
    Some((address?, place))
}

/// Leaves out pods without an address of their own: those of the host's network,
/// those without address, and those that have ended (another pod may have it).
fn pod(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let name = full_name(object)?;
    let host_network = object
        .at(["spec", "hostNetwork"])?
        .is_some_and(|field| field.node.as_bool() == Some(true));
    let phase = object.text(["status", "phase"])?;
    if host_network || matches!(phase, Some("Succeeded" | "Failed")) {
        return Ok(());
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    addresses.extend(object.address(["status", "podIP"])?);
    for entry in object.list(["status", "podIPs"])? {
        addresses.extend(entry.address(["ip"])?);
    }
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() {
        return Ok(());
    }
    let namespace = object.text(["metadata", "namespace"])?;
    let account = object.text(["spec", "serviceAccountName"])?;
    let pod = Pod {
        namespace: namespace.unwrap_or("default").to_owned(),
        labels: object.labels(["metadata", "labels"])?,
        service_account: account.unwrap_or("default").to_owned(),
        addresses,
        place: place(inventory, object, "Pod", name),
    };
    inventory.pods.push(pod);
    Ok(())
}

fn cilium_endpoint(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let name = full_name(object)?;
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
    if !addresses.is_empty() && !labels.as_slice().is_empty() {
        let endpoint = Endpoint {
            addresses,
            labels: Arc::new(labels),
            place: place(inventory, object, "CiliumEndpoint", name),
        };
        inventory.endpoints.push(endpoint);
    }
    Ok(())
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
        let place = place(inventory, object, "EndpointSlice", full_name(object)?);
        for endpoint in object.list(["endpoints"])? {
            for address in endpoint.list(["addresses"])? {
                inventory
                    .api_server
                    .extend(placed(address.address([])?, place));
            }
        }
    }
    Ok(())
}

fn endpoints(inventory: &mut Inventory, object: &Field<'_>) -> Result<()> {
    let is_default = object.text(["metadata", "namespace"])? == Some("default");
    if name(object)? == "kubernetes" && is_default {
        let place = place(inventory, object, "Endpoints", full_name(object)?);
        for subset in object.list(["subsets"])? {
            for address in subset.list(["addresses"])? {
                inventory
                    .api_server
                    .extend(placed(address.address(["ip"])?, place));
            }
        }
    }
    Ok(())
}
