//! Reloads on their way: who waits for which look at the files.
//!
//! One look is taken at a time. Who asks meanwhile waits for the next one, because
//! the present one may have read the files before they were changed. Where nobody has
//! asked, but lists have changed, it is a look at the lists only.

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{ListLook, Look};
use crate::control::protocol::{Change, Failure};
use crate::exit;

type Value = Result<serde_json::Value, Failure>;

/// Who wants a reload, and how.
pub struct Asker {
    /// Where the answer goes; nobody waits for that of a signal.
    answer: Option<oneshot::Sender<Value>>,
    wish: Wish,
}

/// How a reload is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How to make the change.
    pub change: Change,
    /// For the journal.
    pub cause: &'static str,
}

impl Wish {
    /// Of nobody.
    pub fn none() -> Self {
        Asker::signal("reload").wish
    }
}

impl Asker {
    /// The start of the daemon, or a signal.
    pub fn signal(cause: &'static str) -> Self {
        Self {
            answer: None,
            wish: Wish {
                change: Change::default(),
                cause,
            },
        }
    }

    /// A client of the control socket.
    pub fn client(answer: oneshot::Sender<Value>, change: Change) -> Self {
        let cause = "reload";
        Self {
            answer: Some(answer),
            wish: Wish { change, cause },
        }
    }

    /// Answers. A client that did not wait for its answer needs none.
    pub fn tell(self, value: Value) {
        if let Some(answer) = self.answer {
            let _ = answer.send(value);
        }
    }
}

/// A look that was taken.
pub enum Taken {
    /// At everything.
    All(Box<Look>),
    /// At lists.
    Lists(Box<ListLook>),
}

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// Lists.
    Lists,
}

/// Those who wait, and the look that is being taken.
#[derive(Default)]
pub struct Reloads {
    look: Option<JoinHandle<Taken>>,
    asked: Vec<Asker>,
    /// For the look after this one.
    later: Vec<Asker>,
    /// Lists have changed.
    lists: bool,
    /// The node was opened after the look was asked for.
    opened: bool,
    /// The node was opened after the later one was asked for.
    opened_later: bool,
}

impl Reloads {
    /// Somebody wants a reload; [`Self::next`] begins the look if none is taken.
    pub fn ask(&mut self, asker: Asker) {
        self.later.push(asker);
        self.opened_later = false;
    }

    /// Lists have changed, or may have.
    pub fn lists_changed(&mut self) {
        self.lists = true;
    }

    /// Begins the next look, if there is a reason for one and none is taken.
    pub fn next(&mut self, look: impl FnOnce(Scope) -> Taken + Send + 'static) {
        let scope = match (self.later.is_empty(), self.lists) {
            (false, _) => Scope::All,
            (true, true) => Scope::Lists,
            (true, false) => return,
        };
        if self.look.is_some() {
            return;
        }
        self.lists = false;
        // Who wants it done in another way waits for a look of his own.
        let first = self.later.first().map(|asker| asker.wish.clone());
        let (now, later) = std::mem::take(&mut self.later)
            .into_iter()
            .partition(|asker| Some(&asker.wish) == first.as_ref());
        (self.asked, self.later) = (now, later);
        self.opened = self.opened_later;
        self.opened_later &= !self.later.is_empty();
        self.look = Some(spawn_blocking(move || look(scope)));
    }

    /// How those want their reload who wait for another one to be over.
    pub fn waiting(&self) -> impl Iterator<Item = &Change> {
        self.later.iter().map(|asker| &asker.wish.change)
    }

    /// Whether nobody waits for anything.
    pub fn idle(&self) -> bool {
        self.look.is_none() && self.later.is_empty()
    }

    /// The node is opened: what was asked for before must not close it again.
    pub fn leave_open(&mut self) {
        self.opened = true;
        self.opened_later = true;
    }

    /// Waits for the look; for ever while none is taken. May be dropped and called again.
    pub async fn look(&mut self) -> Result<Taken, Failure> {
        let Some(look) = &mut self.look else {
            return std::future::pending().await;
        };
        let look = look.await;
        self.look = None;
        look.map_err(|_| {
            Failure::new(
                exit::UNREACHABLE,
                "reading the files ended without a result; nothing has changed",
            )
            .help("report this as a bug, with the journal of fw-ctl")
        })
    }

    /// Those who waited for the look that has ended, how they want it, and whether a node
    /// that was opened is closed by it.
    pub fn take(&mut self) -> (Vec<Asker>, Option<Wish>, bool) {
        let attach = !std::mem::take(&mut self.opened);
        let asked = std::mem::take(&mut self.asked);
        let wish = asked.first().map(|asker| asker.wish.clone());
        (asked, wish, attach)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{Seen, Wrong};
    use super::*;

    fn look(name: &str) -> impl FnOnce(Scope) -> Taken + Send + use<> {
        let seen = Seen::Config(vec![name.into()]);
        move |scope| {
            assert_eq!(scope, Scope::All);
            Taken::All(Box::new(Look {
                seen,
                outcome: Err(Arc::new(Wrong::Files(Vec::new()))),
                held: Vec::new(),
                again: false,
                took: Duration::ZERO,
            }))
        }
    }

    async fn ended(reloads: &mut Reloads) -> (String, usize, bool) {
        let Ok(Taken::All(look)) = reloads.look().await else {
            panic!("the look was at everything");
        };
        let Seen::Config(names) = look.seen else {
            panic!("the look was of the configuration");
        };
        let (asked, _, attach) = reloads.take();
        (names.concat(), asked.len(), attach)
    }

    #[tokio::test]
    async fn who_asks_during_a_look_waits_for_the_next() {
        let mut reloads = Reloads::default();
        assert!(reloads.idle());
        let (go, wait) = std::sync::mpsc::channel::<()>();
        reloads.ask(Asker::signal("start"));
        reloads.next(move |scope| {
            wait.recv().unwrap();
            look("first")(scope)
        });
        for _ in 0..2 {
            reloads.ask(Asker::signal("start"));
            reloads.next(look("too early"));
        }
        go.send(()).unwrap();
        assert_eq!(ended(&mut reloads).await, ("first".into(), 1, true));
        reloads.next(look("second"));
        assert_eq!(ended(&mut reloads).await, ("second".into(), 2, true));
        reloads.next(look("unasked"));
        assert!(reloads.idle());
    }

    #[tokio::test]
    async fn what_was_asked_before_the_node_was_opened_leaves_it_open() {
        let mut reloads = Reloads::default();
        reloads.ask(Asker::signal("start"));
        reloads.next(look("before"));
        reloads.leave_open();
        reloads.ask(Asker::signal("start"));
        assert!(!ended(&mut reloads).await.2);
        reloads.next(look("after"));
        assert!(ended(&mut reloads).await.2);
    }

    #[tokio::test]
    async fn who_asks_gets_everything_also_when_lists_have_changed() {
        let mut reloads = Reloads::default();
        reloads.lists_changed();
        reloads.ask(Asker::signal("start"));
        reloads.next(look("all"));
        assert_eq!(ended(&mut reloads).await, ("all".into(), 1, true));
        reloads.next(look("not again"));
        assert!(reloads.idle());
        reloads.lists_changed();
        let (tell, told) = std::sync::mpsc::channel();
        reloads.next(move |scope| {
            tell.send(scope).unwrap();
            look("lists")(Scope::All)
        });
        assert_eq!(ended(&mut reloads).await.1, 0);
        assert_eq!(told.recv().unwrap(), Scope::Lists);
    }

    #[tokio::test]
    async fn who_wants_it_done_in_another_way_waits_for_his_own() {
        let mut reloads = Reloads::default();
        let change = Change {
            confirm: Some(60),
            ..Change::default()
        };
        let client = |change: &Change| Asker::client(oneshot::channel().0, change.clone());
        reloads.ask(client(&change));
        reloads.ask(Asker::signal("SIGHUP"));
        reloads.ask(client(&change));
        reloads.next(look("both"));
        drop(reloads.look().await);
        let (asked, wish, _) = reloads.take();
        assert_eq!((asked.len(), wish.unwrap().change), (2, change));
        assert!(!reloads.idle());
        reloads.next(look("the other"));
        drop(reloads.look().await);
        let (asked, wish, _) = reloads.take();
        assert_eq!((asked.len(), wish.unwrap().cause), (1, "SIGHUP"));
        assert!(reloads.idle());
    }

    #[tokio::test]
    async fn a_look_that_breaks_is_told() {
        let mut reloads = Reloads::default();
        let (answer, answered) = oneshot::channel();
        reloads.ask(Asker::client(answer, Change::default()));
        reloads.next(|_| panic!("broken"));
        let failure = reloads.look().await.map(drop).unwrap_err();
        assert_eq!(failure.exit, exit::UNREACHABLE);
        for asker in reloads.take().0 {
            asker.tell(Err(failure.clone()));
        }
        assert_eq!(answered.await.unwrap(), Err(failure));
    }
}
