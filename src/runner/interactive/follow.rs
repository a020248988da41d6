//! Follows a program that has the pane's terminal to itself: by what its hooks leave in a file, and by its screen where no
//! hook tells. It notes what the program asks its user as soon as it is known.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior},
};

use crate::runner::{
    Agent,
    interactive::hooks::Hooks,
    interactive::turn::{Doing, Turn},
    lease::blocked_on::Waits,
};
use crate::{
    drivers::{Driver, Hook, Noted, Seen},
    home::{self, Home, launch::Launch},
    model::{time::Timestamp, wait::Retry},
    mux::{Mux, TmuxMux, TmuxOptions},
};

/// How often a program is looked at that is in a turn, of which no hook may tell the end. One that is idle is not.
const LOOK: Duration = Duration::from_millis(1_500);

/// One that says itself that it works is looked at only every so many times: that its service does not answer stands on its
/// screen alone.
const LOOK_WHILE_WORKING: u32 = 4;

/// Of what an ended program has left on the screen, so many lines are told.
const LAST_LINES: usize = 4;

/// A line of the hooks is never longer: an answer is at most 1 MiB, and JSON may write a character as six.
const LONGEST_LINE: usize = 8 << 20;

/// Follows one program.
pub(in crate::runner) struct Follow {
    hooks: Option<Hooks>,
    /// The beginning of a line of theirs.
    line: Vec<u8>,
    screen: Option<Screen>,
    looks: Interval,
    turn: Turn,
    /// What it does, for whoever wants to hear of it.
    doing: watch::Sender<Doing>,
    waits: Waits,
    /// Whether it was ever known to do anything.
    begun: bool,
    ended: bool,
}

/// What the hooks have told: whole lines.
#[derive(Debug, Default)]
pub(in crate::runner) struct Heard {
    /// As they came.
    pub lines: Vec<u8>,
    /// As they are understood.
    pub hooks: Vec<Hook>,
}

/// What a look at a program has shown.
struct Look {
    seen: Seen,
    /// What it asks, if it does.
    asked: Option<String>,
    /// The error with which its last turn has ended.
    failure: Option<String>,
    /// Whether it tries its service again; `None`: its screen was not looked at.
    retry: Option<Option<Retry>>,
}

impl Look {
    fn of(seen: Seen) -> Self {
        Look { seen, asked: None, failure: None, retry: None }
    }
}

/// The screen of the own pane, what the program writes about itself, and who can read it.
struct Screen {
    mux: TmuxMux,
    pane: String,
    driver: &'static dyn Driver,
    status: Option<PathBuf>,
    /// How often in a row it has said itself that it works.
    said_working: u32,
}

impl Screen {
    /// What the program is seen to do. That it works it says itself, which costs nothing; of all else the screen knows more.
    async fn see(&mut self) -> Look {
        let said = self.status.as_deref().and_then(home::read_json);
        let said = said.map_or(Seen::Unknown, |said| self.driver.read_status(&said));
        self.said_working = if said == Seen::Working { self.said_working + 1 } else { 0 };
        if said == Seen::Working && !self.said_working.is_multiple_of(LOOK_WHILE_WORKING) {
            return Look::of(said);
        }
        match self.mux.screen(&self.pane).await {
            Ok(screen) if said == Seen::Working => {
                Look { retry: Some(self.driver.retrying(&screen.text)), ..Look::of(said) }
            }
            Ok(screen) => match self.driver.see(&screen.title, &screen.text) {
                Seen::Unknown => Look::of(said),
                seen => Look {
                    seen,
                    asked: self.driver.asked(&screen.text).filter(|_| matches!(seen, Seen::Asking(_))),
                    failure: self.driver.failure(&screen.text),
                    retry: Some(self.driver.retrying(&screen.text)),
                },
            },
            // A tmux that does not answer says nothing about the program.
            Err(e) => {
                tracing::debug!("its screen can't be looked at: {e}");
                Look::of(said)
            }
        }
    }
}

impl Follow {
    /// A program that has this folder and is about to be started. One without a driver has no hooks.
    ///
    /// # Errors
    /// The file of its hooks can't be made.
    pub fn new(
        agent: &Agent,
        dir: &Path,
        driver: Option<&'static dyn Driver>,
        turn: Turn,
        waits: Waits,
    ) -> io::Result<Self> {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pane = std::env::var("TMUX_PANE").ok();
        let screen = driver.zip(pane).map(|(driver, pane)| Screen {
            mux: mux(&agent.launch),
            pane,
            driver,
            status: None,
            said_working: 0,
        });
        let hooks = driver.map(|_| Hooks::of_new_program(&Home::hooks(dir))).transpose()?;
        let doing = watch::Sender::new(turn.doing());
        Ok(Follow { hooks, line: Vec::new(), screen, looks, turn, doing, waits, begun: false, ended: false })
    }

    /// It runs, as this process.
    pub fn has_started(&mut self, launch: &Launch, pid: Option<u32>) {
        if let (Some(screen), Some(pid)) = (&mut self.screen, pid) {
            screen.status = screen.driver.status_file(&launch.env, pid);
        }
    }

    /// Whether it was ever known to work, or to wait for anything.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether it is in a turn.
    pub fn is_working(&self) -> bool {
        self.turn.doing() == Doing::Working
    }

    /// Whether it asks its user something.
    pub fn is_asking(&self) -> bool {
        matches!(self.turn.doing(), Doing::Asking(_))
    }

    /// What it does, from now on.
    pub fn doing(&self) -> watch::Receiver<Doing> {
        self.doing.subscribe()
    }

    /// The next that the hooks tell. Nothing, at once and for ever, when the program has ended and all is told. May be
    /// cancelled.
    pub async fn next(&mut self) -> Heard {
        loop {
            let is_looked_at = self.screen.is_some() && !self.ended && self.turn.doing() != Doing::Idle;
            tokio::select! {
                piece = next_piece(&mut self.hooks, self.ended) => match piece {
                    Some(piece) => {
                        self.looks.reset();
                        let heard = self.hear(&piece);
                        if !heard.lines.is_empty() {
                            return heard;
                        }
                    }
                    None => return Heard::default(),
                },
                _ = self.looks.tick(), if is_looked_at => if let Some(hook) = self.look().await {
                    let lines = Noted::line(Timestamp::now(), &hook).into_bytes();
                    return Heard { lines, hooks: vec![hook] };
                },
            }
        }
    }

    /// The last lines that an ended program has left on the screen: they may say why. What it has drawn there says nothing.
    pub async fn last_lines(&self) -> Vec<String> {
        let Some(Screen { mux, pane, .. }) = &self.screen else { return Vec::new() };
        let Ok(screen) = mux.screen(pane).await else { return Vec::new() };
        let says_something = |line: &&str| line.chars().filter(|c| c.is_alphabetic()).count() > 8;
        let lines = screen.text.lines().map(str::trim).filter(says_something).rev().take(LAST_LINES);
        let mut last: Vec<String> = lines.map(str::to_owned).collect();
        last.reverse();
        last
    }

    /// Nobody is left who could tell more: what comes is what was told already.
    pub fn has_ended(&mut self) {
        self.ended = true;
        self.waits.set(None);
    }

    /// Looks at the terminal. What no hook has told, and it says as well: that a turn has failed.
    pub async fn look(&mut self) -> Option<Hook> {
        let Look { seen, asked, failure, retry } = self.screen.as_mut()?.see().await;
        let was_idle = self.turn.doing() == Doing::Idle;
        self.turn.see(seen, asked.as_deref());
        if let Some(retry) = retry {
            self.turn.see_retry(retry);
        }
        let ends_here = !was_idle && self.turn.doing() == Doing::Idle;
        let failed = failure.filter(|_| ends_here).map(|why| Hook::Failed { why });
        if let Some(hook) = &failed {
            self.turn.hear(hook);
        }
        self.has_changed();
        failed
    }

    fn hear(&mut self, piece: &[u8]) -> Heard {
        if self.line.len() > LONGEST_LINE {
            // Nothing of ours: its end is not waited for.
            self.line.clear();
        }
        self.line.extend_from_slice(piece);
        let mut lines = std::mem::take(&mut self.line);
        let rest = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.line = lines.split_off(rest);
        // Whoever writes there otherwise says nothing to us.
        let noted = lines.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Noted>(line).ok());
        let hooks: Vec<Hook> = noted.map(|noted| noted.hook).collect();
        hooks.iter().for_each(|hook| self.turn.hear(hook));
        self.has_changed();
        Heard { lines, hooks }
    }

    fn has_changed(&mut self) {
        self.waits.set(self.turn.waits_for());
        let doing = self.turn.doing();
        self.begun |= doing != Doing::Starting;
        self.doing.send_if_modified(|known| std::mem::replace(known, doing) != doing);
    }
}

/// The tmux server that the agent lives on.
pub(in crate::runner) fn mux(launch: &Launch) -> TmuxMux {
    TmuxMux::new(TmuxOptions { socket: launch.tmux_socket.clone(), ..TmuxOptions::default() })
}

/// What hooks have told; never again once the file can't be read. `None`: the program has ended, and that was all.
async fn next_piece(hooks: &mut Option<Hooks>, ended: bool) -> Option<Vec<u8>> {
    let piece = match hooks {
        Some(file) if ended => file.rest(),
        Some(file) => file.next().await.map(Some),
        None if ended => Ok(None),
        None => std::future::pending().await,
    };
    piece.unwrap_or_else(|e| {
        tracing::warn!("what the program's hooks tell is not heard any more: {e}");
        *hooks = None;
        Some(Vec::new())
    })
}
