//! Follows a program that has the pane's terminal to itself: by the lines its hooks write to a file, and by its screen
//! where no hook reports. It records immediately what the program asks its user.

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
    lease::blocked_on::BlockedOn,
};
use crate::{
    drivers::{Driver, Hook, Noted, Seen},
    home::{self, Home, launch::Launch},
    model::{time::Timestamp, wait::Retry},
    mux::{self, Mux, Tags, TmuxMux, TmuxOptions},
};

/// How often the screen is read during a turn, whose end no hook may report. The screen of an idle program is not
/// read.
const LOOK: Duration = Duration::from_millis(1_500);

/// If the program itself reports that it works, its screen is read only every this many times: only the screen shows
/// that its service does not answer.
const LOOK_WHILE_WORKING: u32 = 4;

/// At most this many last lines on the screen of an ended program are reported.
const LAST_LINES: usize = 4;

/// Longest line of the hooks: an answer is at most 1 MiB, and JSON may encode a byte as six.
const LONGEST_LINE: usize = 8 << 20;

/// Follows one program.
pub(in crate::runner) struct Follow {
    hooks: Option<Hooks>,
    /// The beginning of an incomplete line of the hooks.
    line: Vec<u8>,
    screen: Option<Screen>,
    looks: Interval,
    turn: Turn,
    /// The current state, for subscribers.
    doing: watch::Sender<Doing>,
    /// The end of the limit that its last turn has reached, for subscribers.
    limit: watch::Sender<Option<Timestamp>>,
    blocked_on: BlockedOn,
    /// Whether any activity was ever seen.
    begun: bool,
    ended: bool,
}

/// What the hooks have reported: whole lines.
#[derive(Debug, Default)]
pub(in crate::runner) struct HookOutput {
    /// The lines as written.
    pub lines: Vec<u8>,
    /// The lines as parsed.
    pub hooks: Vec<Hook>,
}

/// What reading the screen has shown.
struct Look {
    seen: Seen,
    /// What it asks, if it does.
    asked: Option<String>,
    /// The error with which its last turn ended.
    failure: Option<String>,
    /// Whether it retries its service; `None`: its screen was not read.
    retry: Option<Option<Retry>>,
}

impl Look {
    fn of(seen: Seen) -> Self {
        Look { seen, asked: None, failure: None, retry: None }
    }
}

/// The screen of the runner's own pane, the program's status record, and the driver that reads both.
struct Screen {
    mux: TmuxMux,
    pane: String,
    driver: &'static dyn Driver,
    status: Option<PathBuf>,
    /// How many times in a row the program itself has reported that it works.
    said_working: u32,
}

impl Screen {
    /// Reads the program's state. That it works it reports itself, which costs nothing; for everything else the screen
    /// is more reliable.
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
            // A tmux that does not answer proves nothing about the program.
            Err(e) => {
                tracing::debug!("its screen cannot be read: {e}");
                Look::of(said)
            }
        }
    }
}

impl Follow {
    /// Prepares to follow a program that has this folder and is about to be started. Without a driver there are no
    /// hooks.
    ///
    /// # Errors
    /// Fails when the file of its hooks cannot be created.
    pub fn new(
        agent: &Agent,
        dir: &Path,
        driver: Option<&'static dyn Driver>,
        turn: Turn,
        blocked_on: BlockedOn,
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
        let (line, limit) = (Vec::new(), watch::Sender::new(None));
        Ok(Follow { hooks, line, screen, looks, turn, doing, limit, blocked_on, begun: false, ended: false })
    }

    /// Records that it was started as this process.
    pub fn has_started(&mut self, launch: &Launch, pid: Option<u32>) {
        if let (Some(screen), Some(pid)) = (&mut self.screen, pid) {
            screen.status = screen.driver.status_file(&launch.env, pid);
        }
    }

    /// Returns whether it was ever seen to work, or to wait for anything.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Returns whether it is in a turn.
    pub fn is_working(&self) -> bool {
        self.turn.doing() == Doing::Working
    }

    /// Returns whether it waits for the next prompt.
    pub fn is_idle(&self) -> bool {
        self.turn.doing() == Doing::Idle
    }

    /// Returns whether it asks its user something.
    pub fn is_asking(&self) -> bool {
        matches!(self.turn.doing(), Doing::Asking(_))
    }

    /// Returns a receiver of its state from now on.
    pub fn doing(&self) -> watch::Receiver<Doing> {
        self.doing.subscribe()
    }

    /// Returns a receiver of the end of the limit that its last turn has reached; `None`: it has reached none.
    pub fn limit(&self) -> watch::Receiver<Option<Timestamp>> {
        self.limit.subscribe()
    }

    /// Returns the next lines of the hooks. Returns an empty value immediately, each time, once the program has ended
    /// and all lines are read. Cancel safe.
    pub async fn next(&mut self) -> HookOutput {
        loop {
            let is_looked_at = self.screen.is_some() && !self.ended && self.turn.doing() != Doing::Idle;
            tokio::select! {
                piece = next_piece(&mut self.hooks, self.ended) => match piece {
                    Some(piece) => {
                        self.looks.reset();
                        let output = self.handle(&piece);
                        if !output.lines.is_empty() {
                            return output;
                        }
                    }
                    None => return HookOutput::default(),
                },
                _ = self.looks.tick(), if is_looked_at => if let Some(hook) = self.look().await {
                    let lines = Noted::line(Timestamp::now(), &hook).into_bytes();
                    return HookOutput { lines, hooks: vec![hook] };
                },
            }
        }
    }

    /// Returns the last lines that an ended program has left on the screen, which may explain why it ended. Its own
    /// drawings are ignored.
    pub async fn last_lines(&self) -> Vec<String> {
        let Some(screen) = self.shown().await else { return Vec::new() };
        let says_something = |line: &&str| line.chars().filter(|c| c.is_alphabetic()).count() > 8;
        let lines = screen.text.lines().map(str::trim).filter(says_something).rev().take(LAST_LINES);
        let mut last: Vec<String> = lines.map(str::to_owned).collect();
        last.reverse();
        last
    }

    /// Returns what the terminal shows. `None`: it cannot be read.
    pub async fn shown(&self) -> Option<mux::Screen> {
        let Screen { mux, pane, .. } = self.screen.as_ref()?;
        mux.screen(pane).await.ok()
    }

    /// Records that the program has ended: what is still read was written before.
    pub fn has_ended(&mut self) {
        self.ended = true;
        self.blocked_on.set(None);
        self.blocked_on.set_works(false);
    }

    /// Reads the terminal. Returns what no hook has reported but the screen shows: that a turn has failed.
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
            self.turn.handle(hook);
        }
        self.has_changed();
        failed
    }

    fn handle(&mut self, piece: &[u8]) -> HookOutput {
        if self.line.len() > LONGEST_LINE {
            // Not a line of ours: do not wait for its end.
            self.line.clear();
        }
        self.line.extend_from_slice(piece);
        let mut lines = std::mem::take(&mut self.line);
        let rest = lines.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.line = lines.split_off(rest);
        // Lines from other writers are ignored.
        let noted = lines.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Noted>(line).ok());
        let hooks: Vec<Hook> = noted.map(|noted| noted.hook).collect();
        hooks.iter().for_each(|hook| self.turn.handle(hook));
        self.has_changed();
        HookOutput { lines, hooks }
    }

    fn has_changed(&mut self) {
        let now = Timestamp::now();
        self.turn.set_time(now);
        self.blocked_on.set(self.turn.waits_for(now));
        let limit = self.turn.limited_until(now);
        self.limit.send_if_modified(|known| std::mem::replace(known, limit) != limit);
        let doing = self.turn.doing();
        self.blocked_on.set_works(doing == Doing::Working);
        self.begun |= doing != Doing::Starting;
        self.doing.send_if_modified(|known| std::mem::replace(known, doing) != doing);
    }
}

/// Returns the tags of the agent's session.
pub(in crate::runner) fn tags(launch: &Launch) -> Tags {
    Tags {
        namespace: Tags::world(&launch.namespace, &launch.home),
        agent: launch.agent.clone(),
        incarnation: launch.incarnation.clone(),
    }
}

/// Returns the tmux server that the agent lives on.
pub(in crate::runner) fn mux(launch: &Launch) -> TmuxMux {
    TmuxMux::new(TmuxOptions { socket: launch.tmux_socket.clone(), ..TmuxOptions::default() })
}

/// Returns what hooks have written; waits forever once the file cannot be read. `None`: the program has ended, and
/// everything was read.
async fn next_piece(hooks: &mut Option<Hooks>, ended: bool) -> Option<Vec<u8>> {
    let piece = match hooks {
        Some(file) if ended => file.rest(),
        Some(file) => file.next().await.map(Some),
        None if ended => Ok(None),
        None => std::future::pending().await,
    };
    piece.unwrap_or_else(|e| {
        tracing::warn!("the program's hooks can no longer be read: {e}");
        *hooks = None;
        Some(Vec::new())
    })
}
