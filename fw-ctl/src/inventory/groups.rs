//! CIDR groups of every origin, by their names.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{Inventory, Labels};
use crate::diagnostic::{Diagnostic, Severity, Source};
use crate::lists::List;
use crate::lists::moment::Moment;
use crate::policy::schema::CidrGroup;

impl Inventory {
    /// Takes lists in: each is a group without labels, of which counts what has not
    /// expired `now`.
    pub fn add_lists<'l>(&mut self, lists: impl IntoIterator<Item = &'l Arc<List>>, now: Moment) {
        let groups = lists.into_iter().map(|list| CidrGroup {
            name: list.name.clone(),
            labels: Labels::new(),
            file: list.file.as_str().into(),
            line: None,
            prefixes: Arc::clone(&list.prefixes),
            now,
        });
        self.cidr_groups.extend(groups.map(Arc::new));
    }

    /// The groups of policies and those of the inventory, and an error for each list
    /// that another group has the name of: which of them is meant, nobody can tell.
    #[must_use]
    pub fn groups_with(
        &self,
        mut groups: Vec<Arc<CidrGroup>>,
    ) -> (Vec<Arc<CidrGroup>>, Vec<Diagnostic>) {
        groups.extend(self.cidr_groups.iter().cloned());
        let mut first: HashMap<&str, &CidrGroup> = HashMap::new();
        let mut errors = Vec::new();
        for group in &groups {
            let other: &CidrGroup = first.entry(&group.name).or_insert(group);
            let same = std::ptr::eq(other, group.as_ref());
            match (group.line, other.line) {
                _ if same => {}
                (None, _) => errors.push(twice(group, other)),
                (Some(_), None) => errors.push(twice(other, group)),
                (Some(_), Some(_)) => {}
            }
        }
        (groups, errors)
    }
}

fn twice(list: &CidrGroup, other: &CidrGroup) -> Diagnostic {
    let source = Arc::new(Source {
        name: list.file.to_string(),
        text: String::new(),
    });
    let kind = match other.line {
        Some(_) => "a CiliumCIDRGroup",
        None => "another list",
    };
    let message = format!(
        "this list is the CIDR group `{}`, and so is {kind} in {}",
        list.name,
        other.place()
    );
    let mut error = Diagnostic::new(Severity::Error, &source, None, "", message);
    let suffix = Path::new(list.file.as_ref()).extension();
    let suffix = suffix.and_then(|suffix| suffix.to_str()).unwrap_or("cidr");
    error.help(format!(
        "rename one of them, as `{}-2.{suffix}`, or remove it",
        list.name
    ));
    error
}

#[cfg(test)]
mod tests {
    use super::super::load::from_text;
    use super::*;

    fn list(file: &str) -> Arc<List> {
        Arc::new(List::parse(file, b"192.0.2.0/24\n").unwrap())
    }

    #[test]
    fn a_list_is_a_group_and_shares_its_name_with_none() {
        let group = "kind: CiliumCIDRGroup\napiVersion: cilium.io/v2\nmetadata: {name: a}\n\
                     spec: {externalCIDRs: [10.0.0.0/8]}\n";
        let mut inventory = from_text(group).inventory;
        inventory.add_lists([&list("x/b.cidr"), &list("x/c.netset")], 0);
        let (groups, errors) = inventory.groups_with(Vec::new());
        let names: Vec<_> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.place()))
            .collect();
        let place = |text: &str| text.to_owned();
        assert_eq!(
            names,
            [
                ("a", place("i.yaml:1")),
                ("b", place("x/b.cidr")),
                ("c", place("x/c.netset"))
            ]
        );
        assert!(errors.is_empty());

        inventory.add_lists([&list("y/a.cidr"), &list("y/b.ipset")], 0);
        // And one that is in a file of policies: it comes first.
        let policies = vec![Arc::new(CidrGroup {
            name: "c".into(),
            line: Some(7),
            ..CidrGroup::clone(&groups[0])
        })];
        let (_, errors) = inventory.groups_with(policies);
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "x/c.netset: this list is the CIDR group `c`, and so is a CiliumCIDRGroup in i.yaml:7",
                "y/a.cidr: this list is the CIDR group `a`, and so is a CiliumCIDRGroup in i.yaml:1",
                "y/b.ipset: this list is the CIDR group `b`, and so is another list in x/b.cidr",
            ]
        );
    }
}
