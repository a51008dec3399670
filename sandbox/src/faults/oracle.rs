//! What the files of a moment allow: asked of the reference, which reads policies plainly
//! and knows no tables (`fw-ctl policy test --engine reference`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbox::{Error, FwCtl, Lab, Result, inventory};
use serde::Deserialize;

use super::flows::Flow;
use super::timeline::PlanId;

/// The verdicts of every plan of the run.
#[derive(Debug)]
pub struct Oracle {
    flows: PathBuf,
    count: usize,
    /// By plan and flow.
    verdicts: Vec<Vec<bool>>,
    /// What files say: by their names and texts.
    known: BTreeMap<String, Option<PlanId>>,
}

/// A line of the answer.
#[derive(Deserialize)]
struct Line {
    id: String,
    verdict: String,
}

impl Oracle {
    /// For these flows.
    ///
    /// # Errors
    /// When they cannot be written down.
    pub fn new(lab: &Lab, flows: &[Flow]) -> Result<Self> {
        let lines: String = flows.iter().map(|flow| flow.line(lab) + "\n").collect();
        Ok(Self {
            flows: lab.dir.write("flows.jsonl", &lines)?,
            count: flows.len(),
            verdicts: Vec::new(),
            known: BTreeMap::new(),
        })
    }

    /// Whether `plan` allows `flow`.
    #[must_use]
    pub fn allows(&self, plan: PlanId, flow: u16) -> bool {
        self.verdicts[plan][usize::from(flow)]
    }

    /// How many flows two plans differ in.
    #[must_use]
    pub fn differ(&self, one: PlanId, other: PlanId) -> usize {
        let pairs = self.verdicts[one].iter().zip(&self.verdicts[other]);
        pairs.filter(|(one, other)| one != other).count()
    }

    /// The plan of the files as they are now; `None`: they are refused.
    ///
    /// # Errors
    /// When the reference does not answer as it should.
    pub fn plan(&mut self, fw_ctl: &FwCtl) -> Result<Option<PlanId>> {
        let files = fw_ctl.files();
        let mut key = String::new();
        for directory in [&files.policies, &files.inventory] {
            describe(directory, &mut key);
        }
        if let Some(plan) = self.known.get(&key) {
            return Ok(*plan);
        }
        let plan = self.ask(fw_ctl)?;
        self.known.insert(key, plan);
        Ok(plan)
    }

    fn ask(&mut self, fw_ctl: &FwCtl) -> Result<Option<PlanId>> {
        let files = fw_ctl.files();
        let mut command = fw_ctl.offline_command(&["policy", "test", "--engine", "reference"]);
        command
            .args(["-o", "json", "--node", inventory::NODE, "--policies"])
            .arg(&files.policies)
            .arg("--inventory")
            .arg(&files.inventory)
            .arg("--flows")
            .arg(&self.flows);
        let output = command
            .output()
            .map_err(Error::io("run fw-ctl policy test"))?;
        let told = || String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => {}
            // Invalid, as the interface has it.
            Some(3) => return Ok(None),
            code => {
                let told = told();
                return Err(Error::Unexpected(format!(
                    "`fw-ctl policy test` exited with {code:?}: {told}"
                )));
            }
        }
        let mut verdicts = vec![None; self.count];
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line: Line = serde_json::from_str(line).map_err(|error| {
                Error::Unexpected(format!("`fw-ctl policy test` wrote `{line}`: {error}"))
            })?;
            let place = line.id.parse::<usize>().ok();
            if let Some(verdict) = place.and_then(|place| verdicts.get_mut(place)) {
                *verdict = Some(line.verdict == "allow");
            }
        }
        let verdicts: Option<Vec<bool>> = verdicts.into_iter().collect();
        let verdicts = verdicts.ok_or_else(|| {
            Error::Unexpected("`fw-ctl policy test` did not judge every flow".into())
        })?;
        let same = self.verdicts.iter().position(|known| *known == verdicts);
        Ok(Some(same.unwrap_or_else(|| {
            self.verdicts.push(verdicts);
            self.verdicts.len() - 1
        })))
    }
}

/// Names and texts of what is in a directory.
fn describe(directory: &Path, text: &mut String) {
    let listed = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match listed {
        Ok(entries) => entries,
        Err(error) => {
            writeln!(text, "{}: {error}", directory.display()).expect("a string takes it all");
            return;
        }
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let content = fs::read(&path).unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        writeln!(text, "{}\n{content}", path.display()).expect("a string takes it all");
    }
}
