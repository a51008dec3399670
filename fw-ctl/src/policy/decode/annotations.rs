//! The annotations of a policy that are ours, `fw-ctl.io/…`.
//!
//! One that is not known is an error, like a field that is not: nobody shall believe
//! in a limit that is misspelt.

use super::cursor::{Decoder, Object};
use super::hints;
use crate::diagnostic::Spanned;
use crate::policy::rate::{ANNOTATION as RATE, Rate, RateError};
use crate::policy::schema::Spec;
use crate::printable::quoted;
use crate::vlans::{ANNOTATION as VLANS, VlanError, VlanSet};

/// What the keys of ours begin with; Kubernetes compares them without case.
const OURS: &str = "fw-ctl.io/";
/// All of them.
const KNOWN: [&str; 2] = [RATE, VLANS];

/// What they say.
#[derive(Default)]
pub(super) struct Annotations {
    pub(super) rate: Option<Spanned<Rate>>,
    pub(super) vlans: Option<Spanned<VlanSet>>,
}

/// Reads those of `object`, a policy with `specs`.
pub(super) fn annotations(cx: &mut Decoder, object: &Object<'_>, specs: &[Spec]) -> Annotations {
    let mut found = Annotations::default();
    let Some(annotations) = written(cx, object) else {
        return found;
    };
    for (key, _) in annotations.entries() {
        let ours = key
            .value
            .get(..OURS.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(OURS));
        if key.value == RATE {
            found.rate = rate(cx, &annotations, specs);
        } else if key.value == VLANS {
            found.vlans = vlans(cx, &annotations);
        } else if ours {
            let near = hints::nearest(&key.value, KNOWN.into_iter());
            let error = cx.error_at_key(
                &annotations,
                &key.value,
                format!("fw-ctl has no annotation {}", quoted(&key.value)),
            );
            if let Some(near) = near {
                error.label(format!("did you mean {near}?"));
            }
            error.help(format!("of `{OURS}…` there are {}", KNOWN.join(" and ")));
        }
    }
    found
}

fn written<'n>(cx: &mut Decoder, object: &Object<'n>) -> Option<Object<'n>> {
    let metadata = cx.open_object(&object.get("metadata")?)?;
    cx.open_object(&metadata.get("annotations")?)
}

fn vlans(cx: &mut Decoder, annotations: &Object<'_>) -> Option<Spanned<VlanSet>> {
    let at = annotations.get(VLANS)?;
    // Whether it is a string has been said where all annotations are read.
    match at.node.as_str()?.parse() {
        Ok(value) => Some(Spanned {
            value,
            span: at.span(),
        }),
        Err(VlanError { message, help }) => {
            cx.error(&at, message).help(help);
            None
        }
    }
}

fn rate(cx: &mut Decoder, annotations: &Object<'_>, specs: &[Spec]) -> Option<Spanned<Rate>> {
    let at = annotations.get(RATE)?;
    // Whether it is a string has been said where all annotations are read.
    let text = at.node.as_str()?;
    match text.parse() {
        Ok(value) => {
            if specs.iter().all(|spec| spec.ingress.is_empty()) {
                cx.error(
                    &at,
                    "a rate limits what ingress rules allow, and there are none",
                )
                .help("put it on the policy with the `ingress` rules that it is to limit");
            } else if specs.iter().any(|spec| !spec.egress.is_empty()) {
                cx.error(
                    &at,
                    "a rate limits ingress only, and the policy has egress rules",
                )
                .help("put the `egress` rules into a policy of their own, without the annotation");
            }
            Some(Spanned {
                value,
                span: at.span(),
            })
        }
        Err(RateError { message, help }) => {
            cx.error(&at, message).help(help);
            None
        }
    }
}
