//! The terminal of the demo's user: types into it, waits for text on it, and records every change of it.

use std::{
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::common::World;

pub const COLUMNS: usize = 100;
pub const ROWS: usize = 24;

/// The interval between two captures of the terminal.
const LOOK: Duration = Duration::from_millis(70);
/// The delay between two keys.
const KEY: Duration = Duration::from_millis(35);
const PATIENCE: Duration = Duration::from_secs(60);

/// What the terminal showed, and for how long.
pub struct Frame {
    pub at: Duration,
    /// The output of `capture-pane -e`: one line per row, with colours.
    pub text: String,
    /// Column and row of the cursor, if it is visible.
    pub cursor: Option<(usize, usize)>,
}

/// The terminal, in a tmux server of its own.
pub struct Screen {
    tmux: Tmux,
    frames: Arc<Mutex<Vec<Frame>>>,
    closing: Arc<AtomicBool>,
    watch: Option<JoinHandle<()>>,
}

/// Makes commands for its tmux server.
struct Tmux {
    world: Arc<dyn Fn() -> Command + Send + Sync>,
}

impl Tmux {
    fn new(world: &World) -> Self {
        let made = world.command("tmux");
        let socket = world.file("screen.sock");
        let (program, folder) = (made.get_program().to_owned(), world.project.clone());
        let env: Vec<_> = made.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        Tmux {
            world: Arc::new(move || {
                let mut command = Command::new(&program);
                command.env_clear().envs(env.iter().cloned()).current_dir(&folder);
                command.args(["-u", "-f", "/dev/null", "-S"]).arg(&socket);
                command
            }),
        }
    }

    fn call(&self, args: &[&str]) -> String {
        let output = (self.world)().args(args).output().expect("tmux");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Screen {
    /// Opens it with a shell in the project's folder.
    pub fn open(world: &World) -> Screen {
        let tmux = Tmux::new(world);
        let size = (COLUMNS.to_string(), ROWS.to_string());
        let shell = "PS1='\\[\\e[1;32m\\]~/shop\\[\\e[0m\\] $ ' exec bash --norc --noprofile";
        tmux.call(&["new-session", "-d", "-s", "screen", "-x", &size.0, "-y", &size.1, shell]);
        // The prefix key belongs to the inner sessions.
        for option in [["status", "off"], ["prefix", "None"]] {
            tmux.call(&["set", "-g", option[0], option[1]]);
        }
        tmux.call(&["resize-window", "-t", "screen", "-x", &size.0, "-y", &size.1]);
        let (frames, closing) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let watch = thread::spawn({
            let (frames, closing, tmux) = (frames.clone(), closing.clone(), Tmux { world: tmux.world.clone() });
            move || watch(&tmux, &frames, &closing)
        });
        let screen = Screen { tmux, frames, closing, watch: Some(watch) };
        screen.shows("~/shop $");
        screen
    }

    /// Types a line at the shell's prompt, and waits until `until` is on the screen and the prompt is back or a program
    /// has taken the screen.
    pub fn runs(&self, line: &str, until: &str) {
        self.types(line);
        thread::sleep(Duration::from_millis(300));
        self.key("Enter");
        self.shows(until);
    }

    /// Types these characters.
    pub fn types(&self, text: &str) {
        for character in text.chars() {
            self.tmux.call(&["send-keys", "-t", "screen", "-l", "--", &character.to_string()]);
            thread::sleep(KEY);
        }
    }

    /// Presses a key.
    pub fn key(&self, name: &str) {
        self.tmux.call(&["send-keys", "-t", "screen", name]);
    }

    /// Detaches from the inner session.
    pub fn leaves(&self) {
        self.key("C-b");
        self.key("d");
        self.shows("[detached");
    }

    /// Clears the screen except for a prompt.
    pub fn clears(&self) {
        self.key("C-l");
        self.until("the screen is empty", |text| text.trim_end().lines().count() == 1);
    }

    /// Waits until this is on the screen.
    pub fn shows(&self, words: &str) {
        self.until(words, |text| text.contains(words));
    }

    fn until(&self, what: &str, condition: impl Fn(&str) -> bool) {
        let began = Instant::now();
        loop {
            let text = self.tmux.call(&["capture-pane", "-p", "-t", "screen"]);
            if condition(&text) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "not on the screen: {what}\n{text}");
            thread::sleep(LOOK);
        }
    }

    /// Closes the terminal, and returns everything that it showed.
    pub fn close(mut self) -> Vec<Frame> {
        self.closing.store(true, SeqCst);
        if let Some(watch) = self.watch.take() {
            watch.join().expect("the watch");
        }
        self.tmux.call(&["kill-server"]);
        std::mem::take(&mut *self.frames.lock().expect("frames"))
    }
}

fn watch(tmux: &Tmux, frames: &Mutex<Vec<Frame>>, closing: &AtomicBool) {
    let began = Instant::now();
    while !closing.load(SeqCst) {
        let text = tmux.call(&["capture-pane", "-p", "-e", "-N", "-t", "screen"]);
        let cursor = tmux.call(&["display-message", "-p", "-t", "screen", "#{cursor_flag} #{cursor_x} #{cursor_y}"]);
        let mut numbers = cursor.split_whitespace().map(|word| word.parse::<usize>().unwrap_or(0));
        let cursor = match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(1), Some(x), Some(y)) => Some((x, y)),
            _ => None,
        };
        let mut frames = frames.lock().expect("frames");
        if frames.last().is_none_or(|last: &Frame| last.text != text || last.cursor != cursor) {
            frames.push(Frame { at: began.elapsed(), text, cursor });
        }
        drop(frames);
        thread::sleep(LOOK);
    }
}
