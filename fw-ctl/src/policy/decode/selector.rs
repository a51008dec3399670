//! Label selectors: `matchLabels` and `matchExpressions`.
//! Source: Kubernetes' `LabelSelector` with the keys of Cilium `pkg/labels`.

use super::cursor::{Decoder, Field, Object};
use super::names::{is_label_value, is_qualified_name};
use crate::diagnostic::{Severity, Span, Spanned};
use crate::policy::label::LabelKey;
use crate::policy::schema::{LabelSelector, Operator, Requirement};
use crate::printable::quoted;

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// The fields of a selector.
const FIELDS: [&str; 2] = ["matchLabels", "matchExpressions"];

/// Reads a selector whose keys may have a source (`k8s:app`); `any` without one.
///
/// `host`: of a policy for nodes. There an unknown field, such as a label that
/// slipped out of `matchLabels`, is an error: the selector would match more than
/// was meant. In policies for pods, which Cilium's own examples contain such
/// slips in and its agent accepts, it is a warning.
pub(super) fn label_selector(
    cx: &mut Decoder,
    at: &Field<'_>,
    host: bool,
) -> Option<LabelSelector> {
    let object = cx.open_object(at)?;
    let severity = if host {
        Severity::Error
    } else {
        Severity::Warning
    };
    cx.unknown_fields(&object, &FIELDS, severity);
    Some(requirements(cx, &object, &LabelKey::parse))
}

/// Reads a selector over the labels of `CiliumCIDRGroup`s: Cilium puts the source
/// `cidrgroup` before every key, whatever is written.
pub(super) fn cidr_group_selector(cx: &mut Decoder, at: &Field<'_>) -> Option<LabelSelector> {
    let object = cx.object(at, &FIELDS)?;
    let key = |text: &str| LabelKey {
        source: "cidrgroup".to_owned(),
        key: text.to_owned(),
    };
    Some(requirements(cx, &object, &key))
}

/// Reads a list of selectors.
pub(super) fn label_selectors(
    cx: &mut Decoder,
    at: &Field<'_>,
    host: bool,
) -> Option<Vec<LabelSelector>> {
    let items = cx.list(at)?;
    Some(
        items
            .iter()
            .filter_map(|item| label_selector(cx, item, host))
            .collect(),
    )
}

fn requirements(
    cx: &mut Decoder,
    object: &Object<'_>,
    key_of: &dyn Fn(&str) -> LabelKey,
) -> LabelSelector {
    let mut requirements = Vec::new();
    if let Some(labels) = object.get("matchLabels") {
        for (key, value) in cx.string_map(&labels) {
            let span = Span {
                end: value.span().end,
                ..key.span
            };
            let key_at = Field {
                node: value.node,
                path: value.path.clone(),
            };
            let key = checked_key(cx, &key_at, key, key_of);
            let text = checked_value(cx, &value);
            if let (Some(key), Some(text)) = (key, text) {
                requirements.push(Requirement {
                    key,
                    operator: Operator::In(vec![text]),
                    span,
                });
            }
        }
    }
    if let Some(list) = object.get("matchExpressions") {
        for item in cx.list(&list).unwrap_or_default() {
            requirements.extend(expression(cx, &item, key_of));
        }
    }
    LabelSelector {
        span: object.field.span(),
        requirements,
    }
}

fn expression(
    cx: &mut Decoder,
    at: &Field<'_>,
    key_of: &dyn Fn(&str) -> LabelKey,
) -> Option<Requirement> {
    let object = cx.object(at, &["key", "operator", "values"])?;
    let key = cx.required(&object, "key");
    let key = key.and_then(|key| {
        let text = cx.spanned_text(&key)?;
        checked_key(cx, &key, &text, key_of)
    });
    let operator = cx.required(&object, "operator");
    let operator = operator.and_then(|at| cx.one_of(&at, "the operator", &OPERATORS));
    let mut values = Vec::new();
    let values_at = object.get("values");
    for value in values_at
        .as_ref()
        .and_then(|at| cx.list(at))
        .unwrap_or_default()
    {
        values.extend(checked_value(cx, &value));
    }
    let none_written = values_at
        .as_ref()
        .is_none_or(|at| at.node.items().is_some_and(<[_]>::is_empty));
    let operator = match operator? {
        name @ ("In" | "NotIn") => {
            if none_written {
                cx.error_at_key(
                    &object,
                    "values",
                    format!("{name} needs at least one of `values`"),
                )
                .help("to ask only whether the label is there, use Exists or DoesNotExist");
            }
            if name == "In" {
                Operator::In(values)
            } else {
                Operator::NotIn(values)
            }
        }
        name => {
            if !none_written {
                cx.error_at_key(&object, "values", format!("{name} takes no `values`"))
                    .help("leave them out, or use In or NotIn");
            }
            if name == "Exists" {
                Operator::Exists
            } else {
                Operator::DoesNotExist
            }
        }
    };
    Some(Requirement {
        key: key?,
        operator,
        span: at.span(),
    })
}

/// Cilium writes the source before the key with a dot, and asks Kubernetes whether
/// that is the name of a label.
fn checked_key(
    cx: &mut Decoder,
    at: &Field<'_>,
    written: &Spanned<String>,
    key_of: &dyn Fn(&str) -> LabelKey,
) -> Option<LabelKey> {
    let key = key_of(&written.value);
    if is_qualified_name(&format!("{}.{}", key.source, key.key)) {
        return Some(key);
    }
    let found = cx.error(
        at,
        format!("{} is not the key of a label", quoted(&written.value)),
    );
    found.span = Some(written.span);
    found.help(
        "letters, digits, `-`, `_` and `.`, a `domain/` before it if need be, and a source \
         before that: k8s:app.kubernetes.io/name",
    );
    None
}

fn checked_value(cx: &mut Decoder, at: &Field<'_>) -> Option<String> {
    let text = cx.text(at)?;
    if is_label_value(text) {
        return Some(text.to_owned());
    }
    cx.error(at, format!("{} is not the value of a label", quoted(text)))
        .help("at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit");
    None
}
