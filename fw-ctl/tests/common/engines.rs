//! Every engine beside the reference, with the programs loaded once.

use std::cell::RefCell;

use fw_ctl::compile::plan::Plan;
use fw_ctl::datapath::Hook;
use fw_ctl::engine::{Datapath, Engine, Flow, Judgement, Table};

/// The compiled tables, looked up and run: on the host, in XDP, in TC.
pub struct Engines {
    datapaths: Vec<(&'static str, Datapath)>,
}

thread_local! {
    static LOADED: RefCell<Option<Engines>> = const { RefCell::new(None) };
}

/// Judges `flows` by `plan` with every engine that runs here. Loading programs
/// takes a moment, so each thread keeps them.
pub fn judge_with_all(plan: Plan, flows: &[Flow]) -> Vec<(&'static str, Vec<Judgement>)> {
    LOADED.with_borrow_mut(|loaded| {
        let engines = loaded.get_or_insert_with(|| Engines::load(&plan));
        engines.judge(plan, flows)
    })
}

impl Engines {
    fn load(plan: &Plan) -> Self {
        let mut datapaths = vec![("model", Datapath::model(plan.clone()))];
        for (name, ingress) in [("xdp", Hook::Xdp), ("tc", Hook::TcIngress)] {
            match Datapath::kernel(plan.clone(), ingress) {
                Ok(engine) => datapaths.push((name, engine)),
                Err(why) if std::env::var("FW_KERNEL_TESTS").is_ok_and(|v| v == "require") => {
                    panic!("{name}: {why}")
                }
                Err(why) => println!("skipped: {name}: {}", why.to_string().replace('\n', "; ")),
            }
        }
        Self { datapaths }
    }

    fn judge(&mut self, plan: Plan, flows: &[Flow]) -> Vec<(&'static str, Vec<Judgement>)> {
        let mut all = Vec::new();
        for (name, engine) in &mut self.datapaths {
            engine
                .replace_plan(plan.clone())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            all.push((*name, said(name, engine, flows)));
        }
        all.push(("table", said("table", &mut Table::new(plan), flows)));
        all
    }
}

fn said(name: &str, engine: &mut dyn Engine, flows: &[Flow]) -> Vec<Judgement> {
    engine
        .judge(flows)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}
