//! What the policy says: the reference engine, which reads the policy's text and
//! shares no table with the datapath.

use std::collections::BTreeMap;

use sandbox::{Error, FwCtl, Result, inventory};
use serde::Deserialize;

use super::row::Row;

/// One line of `fw-ctl policy test -o json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    id: String,
    verdict: String,
    policy: Option<String>,
    rule: Option<String>,
    reason: Option<String>,
}

impl Answer {
    /// Whether the policy allows it.
    #[must_use]
    pub fn allows(&self) -> bool {
        self.verdict == "allow"
    }
}

impl std::fmt::Display for Answer {
    /// `allow  rke2-web ingress[0]`, `deny   default-deny`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<5}", self.verdict)?;
        if !self.allows()
            && let Some(reason) = &self.reason
        {
            return write!(f, " {reason}");
        }
        for part in [&self.policy, &self.rule].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        Ok(())
    }
}

/// Asks the reference engine about every row, in the order of the rows.
///
/// # Errors
/// When `fw-ctl policy test` fails or leaves a row out.
pub fn ask_reference(fw_ctl: &FwCtl, rows: &[Row]) -> Result<Vec<Answer>> {
    let files = fw_ctl.files();
    let flows = files.config.with_file_name("flows.jsonl");
    let text: String = rows.iter().map(|row| format!("{}\n", row.flow())).collect();
    std::fs::write(&flows, text).map_err(Error::io(format!("write {}", flows.display())))?;
    let mut arguments = vec!["policy", "test", "--engine", "reference", "-o", "json"];
    let (policies, inventory) = (
        files.policies.to_string_lossy(),
        files.inventory.to_string_lossy(),
    );
    let flows = flows.to_string_lossy();
    arguments.extend(["--policies", &policies, "--inventory", &inventory]);
    arguments.extend(["--node", inventory::NODE, "--flows", &flows]);
    let answer = fw_ctl.ask_offline(&arguments)?;
    if answer.code != 0 {
        return Err(Error::Unexpected(format!(
            "`fw-ctl policy test` exited with {}: {}",
            answer.code,
            answer.stderr.trim()
        )));
    }
    in_order(&answer.stdout, rows)
}

fn in_order(lines: &str, rows: &[Row]) -> Result<Vec<Answer>> {
    let mut by_id = BTreeMap::new();
    for line in lines.lines() {
        let answer: Answer = serde_json::from_str(line).map_err(|error| {
            Error::Unexpected(format!("`fw-ctl policy test` wrote `{line}`: {error}"))
        })?;
        by_id.insert(answer.id.clone(), answer);
    }
    rows.iter()
        .map(|row| {
            by_id.remove(&row.id.to_string()).ok_or_else(|| {
                Error::Unexpected(format!("`fw-ctl policy test` left out flow {}", row.id))
            })
        })
        .collect()
}
