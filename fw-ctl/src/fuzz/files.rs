//! Files: of the operator, of a provider of lists, and those that the daemon keeps.

use std::path::Path;
use std::sync::Arc;

use fw_common::wire::RuleTally;
use sha2::{Digest, Sha256};

use crate::config::{self, Config};
use crate::daemon::sources::compile;
use crate::daemon::{
    Ban, BanStore, Compiled, ConfirmedStore, HeldStore, Inputs, Journal, Ledger, LedgerStore,
    ModeStore, RuleId, TallyStore, Wrong,
};
use crate::diagnostic::{Diagnostic, Source};
use crate::inventory;
use crate::lists::List;
use crate::policy::load::load_sources;

const NODE: &str = "node-1";
/// Asks an inventory and a list for whatever they say.
const POLICY: &str = "\
apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: all}
spec:
  nodeSelector: {}
  ingress:
  - fromEndpoints: [{matchLabels: {app: web}}]
  - fromNodes: [{}]
  - fromCIDRSet: [{cidrGroupRef: feed}]
  - fromEntities: [cluster]
  ingressDeny:
  - fromCIDRSet: [{cidrGroupSelector: {matchExpressions: [{key: kind, operator: Exists}]}}]
";

fn source(name: &str, text: &str) -> Arc<Source> {
    Arc::new(Source {
        name: name.to_owned(),
        text: text.to_owned(),
    })
}

/// A plan of these texts, or why there is none, in words.
pub(super) fn compiled(policies: &str, inventory: &str, lists: Vec<Arc<List>>) -> Option<Compiled> {
    let inputs = Inputs {
        config: Config::default(),
        node: NODE.into(),
        ssh_ports: [22].into(),
        policies: vec![source("policy.yaml", policies)],
        inventory: vec![source("inventory.yaml", inventory)],
        lists,
        expired: 0,
    };
    match compile(Arc::new(inputs), Vec::new()) {
        Ok(compiled) => Some(compiled),
        Err(wrong) => {
            check_refusal(&wrong);
            None
        }
    }
}

fn check_refusal(wrong: &Wrong) {
    let lines = wrong.lines();
    assert!(!lines.is_empty(), "refused without a word");
    assert!(lines.iter().all(|line| !line.is_empty()), "{lines:?}");
}

/// What is said of a text has its place within the text, and can be printed.
fn check_findings(findings: &[Diagnostic], name: &str, text: &str) {
    // The end of a text is a place, too; and to YAML a carriage return alone ends a line.
    let lines = text.split(['\n', '\r']).count();
    for found in findings {
        if let Some(span) = found.span {
            let within = span.start <= span.end && span.end <= text.len();
            assert!(within, "{found}: {span:?}");
            let place = (1..=lines).contains(&span.line) && span.column >= 1;
            assert!(place, "{found}: {span:?}");
        }
        assert!(!found.message.is_empty());
        assert!(found.render(false).contains(name), "{found}");
    }
}

/// A text of policies.
pub(super) fn policies(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let loaded = load_sources([source("t.yaml", &text)]);
    check_findings(&loaded.diagnostics, "t.yaml", &text);
    let complained = loaded.diagnostics.iter().any(Diagnostic::is_error);
    assert_eq!(complained, loaded.has_errors());
    if !complained {
        compiled(&text, "", Vec::new());
    }
}

/// A text of an inventory.
pub(super) fn inventories(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let loaded = inventory::load_sources([source("t.yaml", &text)]);
    check_findings(&loaded.diagnostics, "t.yaml", &text);
    if loaded.diagnostics.is_empty() {
        compiled(POLICY, &text, Vec::new());
    }
}

/// What a feed hands out.
pub(super) fn lists(bytes: &[u8]) {
    match List::parse("feed.txt", bytes) {
        Ok(list) => {
            let list = Arc::new(list);
            assert!(
                compiled(POLICY, "", vec![list]).is_some(),
                "a list is taken or refused"
            );
        }
        Err(errors) => assert!(errors.iter().all(|error| !error.message.is_empty())),
    }
}

/// A configuration in TOML.
pub(super) fn configuration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match config::load_text(&text) {
        Ok(loaded) => {
            check_findings(&loaded.warnings, "fw-ctl.toml", &text);
            // It is kept with the plan that it led to.
            let kept = serde_json::to_string(&loaded.config).expect("it can be written");
            let read: Config = serde_json::from_str(&kept).expect("and read again");
            assert_eq!(read, loaded.config);
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            check_findings(&errors, "fw-ctl.toml", &text);
        }
    }
}

/// Files of the state directory: the first byte says which, and whether its checksums
/// are right.
pub(super) fn state(bytes: &[u8]) {
    let Some((&kind, content)) = bytes.split_first() else {
        return;
    };
    let directory = Directory::new();
    let (name, content) = match kind % 13 {
        0 => ("confirmed.json", content.to_vec()),
        1 => ("confirmed.json", sealed(2, content)),
        2 => ("confirmed.json.old", sealed(1, content)),
        3 => ("bans.json", content.to_vec()),
        4 => ("bans.json", sealed(1, content)),
        5 => ("bans.journal", content.to_vec()),
        6 => ("bans.journal", journal(content)),
        7 => ("mode.json", content.to_vec()),
        8 => ("journal/00000003-ab-cd.json", content.to_vec()),
        9 => (
            "journal/00000003-ab-cd.unconfirmed.json",
            sealed(2, content),
        ),
        10 => ("held.json", content.to_vec()),
        11 => ("audit.json", sealed(1, content)),
        _ => ("rules.json", sealed(1, content)),
    };
    let path = directory.0.join(name);
    let folder = path.parent().expect("it is in the directory");
    std::fs::create_dir_all(folder).expect("a directory of the state");
    std::fs::write(&path, content).expect("a file of the state");
    let kept = ConfirmedStore::new(&directory.0).load();
    let journal = Journal::new(&directory.0);
    let entries = journal.entries();
    assert_eq!(entries.len(), usize::from(name.starts_with("journal")));
    let entries = entries.iter().map(|entry| journal.load(entry));
    for confirmed in entries.chain(kept.confirmed.map(Ok)) {
        match confirmed {
            Ok(confirmed) => {
                if let Err(wrong) = compile(confirmed.inputs, Vec::new()) {
                    check_refusal(&wrong);
                }
            }
            Err(why) => assert!(!why.is_empty()),
        }
    }
    let held = HeldStore::open(&directory.0);
    assert!(held.get().is_none() || !held.is_damaged());
    assert_eq!(held.is_damaged(), held.trouble().is_some());
    let mode = ModeStore::open(&directory.0);
    assert!(mode.get().is_none() || mode.damaged().is_none());
    check_bans(&directory.0);
    check_ledger(&directory.0);
    check_counters(&directory.0);
}

/// Whatever was stored: rows that can be, and the same again, or it is said that there are
/// none.
fn check_ledger(directory: &Path) {
    let (store, ledger) = LedgerStore::open(directory);
    for (_, row) in ledger.audited.sorted().chain(ledger.dropped.sorted()) {
        assert!(row.first <= row.last);
    }
    if store.notes().next().is_some() {
        assert_eq!(ledger, Ledger::default());
    }
    let (again, same) = LedgerStore::open(directory);
    let keys = |ledger: &Ledger| {
        let rows = ledger.audited.sorted().chain(ledger.dropped.sorted());
        rows.map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(keys(&same), keys(&ledger));
    assert_eq!(again.notes().next(), None, "it was set aside");
}

/// Whatever was stored: what is counted from now on is kept.
fn check_counters(directory: &Path) {
    let rule = RuleId([0x5a; 16]);
    let mut store = TallyStore::open(directory);
    let before = store
        .sums
        .of(&rule)
        .map_or(0, |counted| counted.tally.packets);
    store.sums.installed(u64::MAX, vec![rule], 1);
    let tally = RuleTally {
        packets: 3,
        ..RuleTally::default()
    };
    store.take(u64::MAX, &[tally], 2);
    store.save();
    let kept = TallyStore::open(directory).sums.of(&rule).copied();
    let kept = kept.expect("it was stored").tally.packets;
    assert_eq!(kept, before.saturating_add(3));
}

/// Whatever was stored: a new ban is kept, with those that could be read.
fn check_bans(directory: &Path) {
    let mut store = BanStore::open(directory);
    let mut expected = store.all().clone();
    let ban = Ban {
        address: [192, 0, 2, 1].into(),
        since: 1,
        until: None,
        reason: "kept".into(),
    };
    expected.insert(ban.address, ban.clone());
    store.insert(ban);
    store.save();
    assert_eq!(store.trouble(), None);
    let mut again = BanStore::open(directory);
    assert_eq!(again.trouble(), None);
    assert_eq!(again.all(), &expected);
}

/// The bytes as the second line of a file that says that they are whole.
fn sealed(schema: u32, body: &[u8]) -> Vec<u8> {
    let body = String::from_utf8_lossy(body);
    // The first line ends where the second begins, and white space behind is no part.
    let body = body.trim_end();
    let sum = checksum(body.as_bytes());
    format!(
        "{{\"schema\":{schema},\"version\":\"0\",\"sha256\":\"{sum}\",\"journal\":\"j\"}}\n{body}\n"
    )
    .into_bytes()
}

/// Each line with its checksum, behind a first line that is right.
fn journal(lines: &[u8]) -> Vec<u8> {
    let header: &[u8] = br#"{"schema":1,"version":"0","name":"j"}"#;
    let lines = std::iter::once(header).chain(lines.split(|byte| *byte == b'\n'));
    let mut out = Vec::new();
    for line in lines {
        out.extend(format!("{} ", checksum(line)).into_bytes());
        out.extend(line);
        out.push(b'\n');
    }
    out
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of this thread, gone in the end.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Self {
        let thread = std::thread::current().id();
        let name = format!("fw-ctl-fuzz-{}-{thread:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What a run that was killed left there.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a directory for the state");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
