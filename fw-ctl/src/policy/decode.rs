//! From a tree of values to policy documents, or everything that is wrong with them.
//!
//! What is accepted is what a Kubernetes API server with strict field validation
//! (the schema of Cilium's CRDs) and Cilium's agent (`Sanitize`) accept together.
//! Each module below reads one part of the schema, and names its source.
//!
//! Where the two disagree, or we differ from both:
//! - The protocols GRE, IPIP, IPV6, ESP and AH, and the entities `world-ipv4`,
//!   `world-ipv6` and `cluster-mesh`, are in Cilium's code but not in its CRDs: accepted.
//! - Extended protocols are a flag in Cilium and always on here: `port` may be absent.
//! - An ICMP type beyond 255 is accepted by both, as a number; it matches nothing.
//! - A null value of a label, which one of them prunes and the other reads as empty,
//!   is an error: the selector would match more than was meant.
//! - An unknown field of a label selector is an error in policies for nodes, a
//!   warning in those for pods.
//! - `apiVersion` in another case is a warning: one of Cilium's examples has it.

mod annotations;
mod cidr;
mod cursor;
mod hints;
mod icmp;
mod item;
mod l7;
mod metadata;
mod names;
mod peer;
mod port;
mod selector;
mod spec;

use std::sync::Arc;

pub(crate) use self::cidr::parse as prefix_of;
use self::cursor::{Decoder, Field, Object};
pub(crate) use self::names::{is_dns_subdomain, is_label_value, is_qualified_name};
pub(crate) use self::peer::ENTITIES;
use super::schema::{CidrGroup, PolicyDocument, PolicyKind};
use super::yaml::Node;
use crate::diagnostic::{Diagnostic, Severity, Source, Span};
use crate::printable::quoted;

const API_VERSION: &str = "apiVersion";

/// One object of a text, decoded.
#[derive(Debug)]
pub struct Decoded {
    /// Number of the document in its text, from 0; the same for all items of a `List`.
    pub index: usize,
    /// Of an item of a `List`, which one: `items[2]`; else empty.
    pub item: String,
    /// Where the object begins.
    pub span: Span,
    /// Its `kind`, empty if it has none.
    pub kind: String,
    /// Its `metadata.name`, empty if it has none.
    pub name: String,
    /// What it is.
    pub body: Body,
    /// Errors and warnings, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// What an object turned out to be.
#[derive(Debug)]
pub enum Body {
    /// A policy without errors.
    Policy(Box<PolicyDocument>),
    /// A group of address prefixes without errors.
    CidrGroup(CidrGroup),
    /// A kind that is no policy.
    Other,
    /// It has errors.
    Invalid,
}

/// Decodes the document number `index` of `source`. A `List` gives its items.
#[must_use]
pub fn decode(source: &Arc<Source>, index: usize, node: &Node) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    decode_into(&mut decoded, source, index, node, "", None);
    decoded
}

/// Decodes a `CiliumCIDRGroup`; `None` if it has errors.
#[must_use]
pub fn cidr_group(source: &Arc<Source>, node: &Node) -> (Option<CidrGroup>, Vec<Diagnostic>) {
    let mut cx = Decoder::new(source, "");
    let at = Field {
        node,
        path: String::new(),
    };
    let group = cidr::group(&mut cx, &at).filter(|_| !cx.has_errors());
    (group, cx.finish())
}

/// `default_kind`: of an item of a typed list, which may leave its kind out.
fn decode_into(
    decoded: &mut Vec<Decoded>,
    source: &Arc<Source>,
    index: usize,
    node: &Node,
    prefix: &str,
    default_kind: Option<&str>,
) {
    let mut cx = Decoder::new(source, prefix);
    let at = Field {
        node,
        path: String::new(),
    };
    let text = |node: Option<&Node>| node.and_then(Node::as_str).unwrap_or_default().to_owned();
    let mut kind = text(node.get("kind"));
    if kind.is_empty() {
        default_kind.unwrap_or_default().clone_into(&mut kind);
    }
    let name = text(
        node.get("metadata")
            .and_then(|metadata| metadata.get("name")),
    );

    if let Some(items) = list_items(&mut cx, &at, &kind) {
        let diagnostics = cx.finish();
        if !diagnostics.is_empty() {
            decoded.push(Decoded {
                index,
                item: prefix.trim_end_matches('.').to_owned(),
                span: node.span,
                kind: kind.clone(),
                name,
                body: Body::Invalid,
                diagnostics,
            });
        }
        let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
        for (i, item) in items.iter().enumerate() {
            let prefix = format!("{prefix}items[{i}].");
            decode_into(decoded, source, index, item, &prefix, item_kind);
        }
        return;
    }

    let is_item = default_kind.is_some();
    let body = body(&mut cx, source, index, &at, &kind, is_item);
    let body = body.filter(|_| !cx.has_errors()).unwrap_or(Body::Invalid);
    decoded.push(Decoded {
        index,
        item: prefix.trim_end_matches('.').to_owned(),
        span: node.span,
        kind,
        name,
        body,
        diagnostics: cx.finish(),
    });
}

fn body(
    cx: &mut Decoder,
    source: &Arc<Source>,
    index: usize,
    at: &Field<'_>,
    kind: &str,
    is_item: bool,
) -> Option<Body> {
    let kinds: [(&str, Option<PolicyKind>, &[&str]); 3] = [
        (
            "CiliumNetworkPolicy",
            Some(PolicyKind::Namespaced),
            &["cilium.io/v2"],
        ),
        (
            "CiliumClusterwideNetworkPolicy",
            Some(PolicyKind::Clusterwide),
            &["cilium.io/v2"],
        ),
        (
            "CiliumCIDRGroup",
            None,
            &["cilium.io/v2", "cilium.io/v2alpha1"],
        ),
    ];
    let object = cx.open_object(at)?;
    if kind.is_empty() {
        match object.get("kind") {
            Some(kind) => {
                if cx.text(&kind).is_some() {
                    cx.error(&kind, "the kind is empty");
                }
            }
            None => {
                cx.error(at, "this is no Kubernetes object: `kind` is missing")
                    .help(
                        "a policy for hosts begins with `apiVersion: cilium.io/v2` and \
                     `kind: CiliumClusterwideNetworkPolicy`",
                    );
            }
        }
        return None;
    }
    let Some((_, policy, versions)) = kinds.iter().find(|(known, _, _)| *known == kind) else {
        return other(cx, &object, kind, kinds.map(|(known, _, _)| known));
    };
    api_version(cx, &object, kind, versions, is_item);
    match policy {
        Some(policy) => policy_document(cx, source, index, at, kind, *policy)
            .map(|document| Body::Policy(Box::new(document))),
        None => cidr::group(cx, at).map(Body::CidrGroup),
    }
}

/// The items, if this is a list of objects: of the kind `List`, or of one that ends
/// so and has `items`. Null and absent are the empty list, as for Kubernetes; a
/// misspelt `items` is an error, lest a file of policies be taken for an empty one.
fn list_items<'n>(cx: &mut Decoder, at: &Field<'n>, kind: &str) -> Option<&'n [Node]> {
    let typed = kind.ends_with("List") && at.node.get("items").is_some();
    if kind != "List" && !typed {
        return None;
    }
    let object = cx.object(at, &[API_VERSION, "kind", "metadata", "items"])?;
    let Some(items) = object.get("items") else {
        return Some(&[]);
    };
    cx.list(&items);
    Some(items.node.items().unwrap_or_default())
}

/// A kind that is not ours, unless it looks like one of ours misspelt.
fn other(cx: &mut Decoder, object: &Object<'_>, kind: &str, known: [&str; 3]) -> Option<Body> {
    let version = object.get("apiVersion");
    let ours = version
        .as_ref()
        .and_then(|at| at.node.as_str())
        .is_some_and(|v| v.starts_with("cilium.io/"));
    if ours && let Some(near) = hints::nearest(kind, known.into_iter()) {
        cx.error_at_value(
            object,
            "kind",
            format!("{} is not a kind of Cilium", quoted(kind)),
        )
        .label(format!("did you mean {near}?"));
        return None;
    }
    Some(Body::Other)
}

fn api_version(
    cx: &mut Decoder,
    object: &Object<'_>,
    kind: &str,
    versions: &[&str],
    is_item: bool,
) {
    let written = object.entries().iter().map(|(key, _)| key.value.as_str());
    let key = written
        .filter(|key| key.eq_ignore_ascii_case(API_VERSION))
        .max();
    let Some(key) = key.or((!is_item).then_some(API_VERSION)) else {
        return;
    };
    if key != API_VERSION {
        cx.warn_at_key(object, key, format!("`{key}` is taken for `{API_VERSION}`"))
            .help("Cilium's agent reads it, kubectl does not: write apiVersion");
    }
    let Some(at) = cx.required(object, key) else {
        return;
    };
    let Some(text) = cx.text(&at) else { return };
    if !versions.contains(&text) {
        let wanted = versions[0];
        cx.error(&at, format!("there is no {kind} in {}", quoted(text)))
            .label(format!("write {wanted}"));
    }
}

/// The fields of every object, with `more` of its kind. `apiVersion` in another
/// case, as in one of Cilium's examples, is not unknown: see [`api_version`].
fn object_fields<'k>(object: &Object<'k>, more: &[&'k str]) -> Vec<&'k str> {
    let mut known = vec![API_VERSION, "kind", "metadata", "status"];
    known.extend(more);
    let written = object.entries().iter().map(|(key, _)| key.value.as_str());
    known
        .extend(written.filter(|key| *key != API_VERSION && key.eq_ignore_ascii_case(API_VERSION)));
    known
}

fn policy_document(
    cx: &mut Decoder,
    source: &Arc<Source>,
    index: usize,
    at: &Field<'_>,
    kind: &str,
    policy: PolicyKind,
) -> Option<PolicyDocument> {
    let object = cx.open_object(at)?;
    let known = object_fields(&object, &["spec", "specs"]);
    cx.unknown_fields(&object, &known, Severity::Error);
    let metadata = metadata::metadata(cx, &object, kind, policy == PolicyKind::Namespaced);
    if let Some(status) = object.get("status") {
        cx.open_object(&status);
    }
    let mut specs = Vec::new();
    if let Some(one) = object.get("spec") {
        specs.extend(spec::spec(cx, &one, policy));
    }
    if let Some(many) = object.get("specs") {
        let entries = cx.list(&many).unwrap_or_default();
        if entries.is_empty() && object.get("spec").is_none() {
            cx.warn_at_key(&object, "specs", "the policy has no rule: it does nothing");
        }
        specs.extend(
            entries
                .iter()
                .filter_map(|entry| spec::spec(cx, entry, policy)),
        );
    }
    if object.get("spec").is_none() && object.get("specs").is_none() {
        cx.error(at, "the policy has neither `spec` nor `specs`")
            .help("add `spec:` with a `nodeSelector` and the rules");
    }
    let ours = annotations::annotations(cx, &object, &specs);
    let metadata = metadata?;
    Some(PolicyDocument {
        source: Arc::clone(source),
        index,
        kind: policy,
        name: metadata.name,
        namespace: metadata.namespace,
        labels: metadata.labels,
        annotations: metadata.annotations,
        rate: ours.rate,
        vlans: ours.vlans,
        span: at.span(),
        specs,
    })
}
