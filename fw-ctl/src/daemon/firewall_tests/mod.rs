//! The daemon's decisions, against a kernel of memory.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use fw_common::wire::{Counter, Direction, RuleTally, Tally, VerdictWord};

use super::*;
use crate::compile::plan::Plan;
use crate::compile::plan::{DirectionPlan, PlanRule};
use crate::config::{ModeSetting, Require, XdpSetting};
use crate::control::protocol::ModeChange;
use crate::daemon::{AttachedLink, Ingress, Inputs, Trial};
use crate::datapath::flows::Pressure;
use crate::datapath::seed::{Remembered, Seed};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::{Severity, Source};
use crate::exit;
use crate::inventory::Identities;
use crate::lists::Found;
use crate::lookup::Runs;
use crate::netlink::{Address, Link, LocalAddresses, Wish};
use crate::observe::Numbered;
use crate::policy::rules::CidrMatchMode;
use crate::sockets::Sockets;

mod bans;
mod broken;
mod changes;
mod counting;
mod devices;
mod fake;
mod files;
mod guard;
mod interfaces;
mod leap;
mod lists;
mod modes;
mod numbers;
mod outlasting;
mod rollbacks;
mod trials;

use fake::{Fake, Pins};
use files::{FakeSources, Fixture, network};
