//! What faults do to the files and to the daemon; the [`World`] is told what packets may
//! meet meanwhile.

use std::process::{Child, Stdio};

use sandbox::{Answer, Daemon, Error, Result};

use super::files::write_whole;
use super::policies;
use super::timeline::PlanId;
use super::world::World;

/// What a command must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// As the reference says of the files.
    Reference,
    /// Refused, with this exit code.
    Refused(i32),
}

impl World {
    /// Writes policies that make another plan, and returns it.
    ///
    /// # Errors
    /// When they cannot be written or the reference refuses them.
    pub fn write_plan(&mut self) -> Result<PlanId> {
        loop {
            self.varying = policies::varying(&mut self.dice, &self.lab);
            write_whole(&self.varying_file(), &self.varying)?;
            let Some(plan) = self.oracle.plan(&self.fw_ctl)? else {
                return Err(Error::Unexpected(
                    "the reference refuses the policies of the run".into(),
                ));
            };
            let differs = |old: &PlanId| self.oracle.differ(*old, plan) >= 4;
            if self.in_force.iter().all(differs) {
                return Ok(plan);
            }
        }
    }

    /// The plan of the files as they are; `None`: they are refused.
    ///
    /// # Errors
    /// When the reference does not answer.
    pub fn plan_of_files(&mut self) -> Result<Option<PlanId>> {
        self.oracle.plan(&self.fw_ctl)
    }

    /// Runs a command that changes what is in force to what the files say, and holds its
    /// answer against that. Returns the answer.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn reload(&mut self, arguments: &[&str], expect: Expect) -> Result<Answer> {
        let plan = self.plan_of_files()?;
        let new = match expect {
            Expect::Refused(_) => None,
            Expect::Reference => plan,
        };
        self.in_doubt(new);
        let old = self.possible();
        let mut words = vec!["reload", "--force", "-o", "json"];
        words.extend(arguments);
        let answer = self.fw_ctl.ask(&words)?;
        let told = || {
            format!(
                "`{}`: {} {}",
                words.join(" "),
                answer.code,
                answer.stderr.trim()
            )
        };
        match (expect, plan, answer.code) {
            (Expect::Reference, Some(plan), 0) => self.settle(plan),
            (Expect::Reference, None, 3) => self.settle_any(old),
            (Expect::Refused(code), _, got) if code == got => self.settle_any(old),
            _ => {
                self.complain(format!("expected {expect:?} of {}", told()));
                if answer.code == 0 {
                    self.in_doubt(plan);
                } else {
                    let old = old.into_iter().filter(|old| Some(*old) != new);
                    let old: Vec<_> = old.collect();
                    if !old.is_empty() {
                        self.settle_any(old);
                    }
                }
            }
        }
        self.look_at_journal();
        if let (0, Some(plan)) = (answer.code, plan) {
            let told: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap_or_default();
            match told["generation"].as_u64() {
                Some(number) => self.made.push((number, plan)),
                None => self.complain(format!("reload does not say what it made: {told}")),
            }
        }
        Ok(answer)
    }

    /// Begins a change to what the files say and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn begin_reload(&mut self, arguments: &[&str]) -> Result<Child> {
        let plan = self.plan_of_files()?;
        self.in_doubt(plan);
        let mut command = self.fw_ctl.command(&["reload", "--force"]);
        command
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("start fw-ctl reload"))
    }

    /// SIGKILL. What is in force then stays, whatever it is.
    ///
    /// # Errors
    /// When there is no daemon.
    pub fn kill(&mut self) -> Result<()> {
        let none = || Error::Unexpected("the daemon does not run".into());
        self.daemon.take().ok_or_else(none)?.kill()?;
        self.nobody_changes();
        Ok(())
    }

    /// Takes the daemon away from what is known here, for the one who waits for its end.
    pub fn give_daemon(&mut self) -> Option<Daemon> {
        self.daemon.take()
    }

    /// Starts a daemon and does not wait for it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&mut self) -> Result<()> {
        let plan = self.plan_of_files()?;
        self.in_doubt(plan);
        self.daemon = Some(self.fw_ctl.spawn()?);
        Ok(())
    }

    /// Starts a daemon, waits until it answers, and finds out what is in force.
    ///
    /// # Errors
    /// When it does not come to answer.
    pub fn start(&mut self) -> Result<()> {
        let old = self.possible();
        let plan = self.plan_of_files()?;
        self.in_doubt(plan);
        self.daemon = Some(self.fw_ctl.start()?);
        let generation = self.fw_ctl.status()?.generation;
        let declared = &generation["declared"];
        match plan {
            Some(plan) if declared.is_string() && *declared == generation["kernel"] => {
                self.settle(plan);
            }
            // Held back, or refused: what was in force stays.
            _ => self.settle_any(old),
        }
        self.look_at_journal();
        Ok(())
    }

    /// [`Self::start`] where the files are not taken: what was in force stays.
    ///
    /// # Errors
    /// When it does not come to answer.
    pub fn start_beside_files(&mut self) -> Result<()> {
        self.daemon = Some(self.fw_ctl.start()?);
        Ok(())
    }
}
