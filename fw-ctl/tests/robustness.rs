//! No text, however broken, makes the reader of policies panic, and whatever it
//! says has its place within the text.

use fw_ctl::diagnostic::{Diagnostic, Source};
use fw_ctl::policy::load::load_sources;
use proptest::prelude::*;

const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: web
  annotations: &a {note: \"größer\"}
  labels: *a
spec:
  nodeSelector:
    matchLabels: {role: edge}
    matchExpressions:
    - {key: \"k8s:zone\", operator: NotIn, values: [a, 'b']}
  ingress:
  - fromCIDRSet:
    - cidr: 10.0.0.0/8
      except: [10.1.0.0/16]
    toPorts:
    - ports:
      - port: \"8000\"
        endPort: 8080
        protocol: TCP
  - icmps:
    - fields: [{type: EchoRequest, family: IPv6}]
  egress:
  - toFQDNs:
    - matchPattern: |-
        *.example.com
    toPorts: [{ports: [{port: \"53\"}], rules: {dns: [{matchName: ü.de}]}}]
";

/// Pieces that a text is changed with.
const PIECES: [&str; 30] = [
    "\t", "\n", "  ", "- ", ": ", "\"", "'", "[", "]", "{", "}", "|", ">", "&a ", "*a", "!x ",
    "<<: *a", "#", "---\n", "ü", "€", "\u{feff}", "\r\n", "0x", "_", "/", "%", ",", "? ", "-1",
];

fn check(text: String) {
    let length = text.len();
    let lines = text.lines().count().max(1);
    let loaded = load_sources([Source {
        name: "t.yaml".to_owned(),
        text,
    }]);
    for found in &loaded.diagnostics {
        if let Some(span) = found.span {
            assert!(
                span.start <= span.end && span.end <= length,
                "{found}: {span:?}"
            );
            assert!(
                (1..=lines).contains(&span.line) && span.column >= 1,
                "{found}: {span:?}"
            );
        }
        assert!(!found.message.is_empty());
        assert!(found.render(false).contains("t.yaml"), "{found}");
    }
    let complained = loaded.diagnostics.iter().any(Diagnostic::is_error);
    assert!(complained == loaded.has_errors());
}

proptest! {
    #[test]
    fn changed_policies(changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, prop::sample::select(&PIECES[..])), 1..6)) {
        let mut text: Vec<char> = POLICY.chars().collect();
        for (at, removed, piece) in changes {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            text.splice(at..end, piece.chars());
        }
        check(text.into_iter().collect());
    }

    #[test]
    fn arbitrary_texts(text in "(\\PC|[\n\t:{}\\[\\]\"'&*!|>-]){0,200}") {
        check(text);
    }
}

#[test]
fn the_unchanged_policy_is_read() {
    let source = Source {
        name: "t.yaml".to_owned(),
        text: POLICY.to_owned(),
    };
    let loaded = load_sources([source]);
    let errors: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|found| found.is_error())
        .map(ToString::to_string)
        .collect();
    // On purpose: the note is no label value, the DNS name is not ASCII.
    assert_eq!(errors.len(), 2, "{errors:?}");
}
