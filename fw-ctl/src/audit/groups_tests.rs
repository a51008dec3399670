use super::*;
use crate::audit::SCHEMA;

fn because(policy: &str) -> Because {
    Because {
        reason: "default-deny".into(),
        policy: policy.into(),
        rule: "ingress[0]".into(),
        origin: "a.yaml:7".into(),
    }
}

fn source(name: &str, entity: Option<&str>) -> Source {
    Source {
        name: name.into(),
        entity: entity.map(str::to_owned),
        labels: Vec::new(),
    }
}

/// Of a port that somebody of the world, or `node2` where `known`, asks for.
fn entry(remote: &str, port: u16, known: bool) -> Entry {
    Entry {
        dropped: false,
        direction: Way::Ingress,
        protocol: 6,
        service: port,
        vlan: 0,
        local: "10.0.0.10".parse().unwrap(),
        remote: remote.parse().unwrap(),
        source: usize::from(known),
        class: Class::Policy,
        first: 100,
        last: 200,
        count: 2,
        passes: false,
        because: because("host"),
    }
}

fn answer(entries: Vec<Entry>) -> Answer {
    Answer {
        schema: SCHEMA,
        mode: "audit".into(),
        now: 300,
        sources: vec![
            source("world", Some("world")),
            source("node2 (remote-node)", Some("remote-node")),
        ],
        entries,
        displaced_audited: 0,
        displaced_dropped: 0,
        notes: Vec::new(),
    }
}

fn all(answer: &Answer) -> Vec<Group> {
    groups(answer, &Select::default())
}

#[test]
fn a_known_peer_is_a_row_and_a_few_strangers_are_one_each() {
    let answer = answer(vec![
        entry("10.0.0.12", 9100, true),
        Entry {
            last: 250,
            first: 50,
            because: because("other"),
            ..entry("2001:db8::12", 9100, true)
        },
        entry("192.0.2.1", 22, false),
        entry("192.0.2.2", 22, false),
        entry("192.0.2.1", 23, false),
        Entry {
            direction: Way::Egress,
            ..entry("192.0.2.1", 22, false)
        },
        Entry {
            vlan: 212,
            ..entry("192.0.2.1", 22, false)
        },
    ]);
    let rows = all(&answer);
    assert_eq!(rows.len(), 6);
    let node = &rows[0];
    assert_eq!((node.addresses.len(), node.count), (2, 4));
    assert_eq!((node.first, node.last, node.because.len()), (50, 250, 2));
    let ids: BTreeSet<_> = rows.iter().map(|row| &row.id).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(
        rows.iter()
            .any(|row| row.service() == "22/TCP ssh vlan 212")
    );
}

#[test]
fn many_strangers_are_one_row_and_each_can_be_had() {
    let strangers = |count: u8| {
        let entries = (1..=count).map(|n| entry(&format!("192.0.2.{n}"), 22, false));
        answer(entries.collect())
    };
    let apart = |count| {
        groups(
            &strangers(count),
            &Select {
                addresses: true,
                ..Select::default()
            },
        )
    };
    assert_eq!(all(&strangers(4)), apart(4));
    let many = strangers(40);
    let [sum] = &all(&many)[..] else {
        panic!("one row");
    };
    assert_eq!((sum.addresses.len(), sum.count), (40, 80));
    // A row keeps its name, whatever comes beside.
    let before: BTreeSet<_> = apart(4).into_iter().map(|row| row.id).collect();
    let after: BTreeSet<_> = apart(40).into_iter().map(|row| row.id).collect();
    assert!(before.is_subset(&after));
    assert_eq!(all(&strangers(41))[0].id, sum.id);
    // Both kinds of rows can be called, by as few digits as are clear.
    let select = Select::default();
    let one = std::slice::from_ref;
    assert_eq!(find(&many, &select, &sum.id).unwrap(), one(sum));
    for row in apart(40) {
        assert_eq!(
            find(&many, &select, &row.id.to_uppercase()).unwrap(),
            one(&row)
        );
        match find(&many, &select, &row.id[..4]) {
            Ok(found) => assert_eq!(found, [row]),
            Err(unclear) => assert!(unclear.contains("more digits"), "{unclear}"),
        }
    }
    for (called, says) in [
        ("12", "4 digits"),
        ("zzzz", "4 digits"),
        ("00000000", "no row"),
    ] {
        assert!(find(&many, &select, called).unwrap_err().contains(says));
    }
}

#[test]
fn what_was_dropped_and_what_passes_now_is_told_when_it_is_asked_for() {
    let answer = answer(vec![
        entry("192.0.2.1", 22, false),
        Entry {
            dropped: true,
            ..entry("192.0.2.2", 22, false)
        },
        Entry {
            passes: true,
            last: 290,
            ..entry("192.0.2.3", 22, false)
        },
        Entry {
            direction: Way::Egress,
            last: 290,
            ..entry("192.0.2.4", 22, false)
        },
    ]);
    let last = |select: Select| {
        let rows = groups(&answer, &select).into_iter();
        let mut last: Vec<_> = rows
            .map(|row| row.addresses.first().unwrap().to_string())
            .collect();
        last.sort();
        last
    };
    let base = Select::default();
    assert_eq!(last(base), ["192.0.2.1", "192.0.2.4"]);
    assert_eq!(
        last(Select {
            dropped: true,
            ..base
        }),
        ["192.0.2.2"]
    );
    assert_eq!(last(Select { all: true, ..base }).len(), 3);
    assert_eq!(last(Select { since: 201, ..base }), ["192.0.2.4"]);
    let direction = Some(Way::Ingress);
    assert_eq!(last(Select { direction, ..base }), ["192.0.2.1"]);
    // The same was audited and dropped: one name, and both are meant by it.
    let both = Answer {
        entries: vec![
            entry("192.0.2.1", 22, false),
            Entry {
                dropped: true,
                ..entry("192.0.2.1", 22, false)
            },
        ],
        ..answer
    };
    let id = &groups(&both, &base)[0].id;
    assert_eq!(find(&both, &base, id).unwrap().len(), 2);
    let dropped = Select {
        dropped: true,
        ..base
    };
    let found = find(&both, &dropped, id).unwrap();
    assert!(found.len() == 1 && found[0].dropped, "{found:?}");
}
