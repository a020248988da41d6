//! Random verbs over three projects that share a tmux server: what one project is asked never shows in another.

use std::time::{Duration, Instant};

use crate::common::World;

/// For how long verbs are sent. `scripts/soak verbs` sets their number instead (ORCH_VERBS), and a file that ends them early
/// (ORCH_VERBS_UNTIL).
const FOR: Duration = Duration::from_secs(8);

/// A generator of numbers that a seed repeats (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % n as u64) as usize
    }
}

/// One of the projects, and the tasks that it was given.
struct Project {
    world: World,
    word: &'static str,
    tasks: Vec<String>,
}

impl Project {
    /// Runs a verb, and checks that nothing in its answer belongs to another project.
    fn verb(&self, words: &[&str], others: &[&Project]) -> crate::common::Output {
        let out = self.world.orch(words);
        for other in others {
            let foreign = |text: &str| {
                text.contains(other.word)
                    || other.tasks.iter().any(|id| !words.contains(&id.as_str()) && text.contains(id))
            };
            assert!(!foreign(&out.stdout) && !foreign(&out.stderr), "{} in {}: {out:#?}", other.word, self.word);
        }
        out
    }
}

#[test]
fn random_verbs_over_three_projects_never_mix_them_up() {
    let seed = std::env::var("ORCH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let number: Option<usize> = std::env::var("ORCH_VERBS").ok().and_then(|number| number.parse().ok());
    // Killed at its time limit, this would leave three fleets.
    let is_bounded = std::env::var_os("NEXTEST").is_some();
    assert!(number.is_none() || !is_bounded, "nextest ends a long test: use scripts/soak verbs");
    let until = std::env::var_os("ORCH_VERBS_UNTIL").map(std::path::PathBuf::from);
    let is_over = || until.as_ref().is_some_and(|until| until.exists());
    let mut random = Random(seed);
    let first = World::builder().name("alpha").tables("[roles.shell]\nmax = 2").build();
    let socket = first.socket.clone();
    let builder = |name: &str| {
        let world = World::builder().name(name).socket(&socket).tables("[roles.shell]\nmax = 2").build();
        // Its master has a name of its own.
        let file = world.project.join("sessions.toml");
        let text = std::fs::read_to_string(&file).expect("sessions.toml");
        let text = text.replace("[master]\n", &format!("[master]\nsession = \"{name}-master\"\n"));
        std::fs::write(&file, text.replace("[roles.shell]", "[roles.shell]\nmin = 0")).expect("sessions.toml");
        world
    };
    let mut projects = [("alpha-word", first), ("beta-word", builder("beta")), ("gamma-word", builder("gamma"))]
        .map(|(word, world)| Project { world, word, tasks: Vec::new() });
    projects.iter().for_each(|project| project.world.start());
    let began = Instant::now();
    let mut sent = 0;
    while number.map_or(began.elapsed() < FOR, |number| sent < number) && !is_over() {
        sent += 1;
        let at = random.below(3);
        let (others, own): (Vec<_>, Vec<_>) = projects.iter().enumerate().partition(|(n, _)| *n != at);
        let (own, others) = (own[0].1, others.into_iter().map(|(_, other)| other).collect::<Vec<_>>());
        let any = |random: &mut Random, of: &Project| of.tasks.get(random.below(of.tasks.len().max(1))).cloned();
        let other = others[random.below(2)];
        let (mine, theirs) = (any(&mut random, own), any(&mut random, other));
        let task = mine.as_deref().unwrap_or("@last");
        match random.below(14) {
            0..=2 => {
                let out = own.verb(&["delegate", "--role", "shell", &format!("echo {}-{sent}", own.word)], &others);
                let id = out.ok().trim().to_owned();
                projects[at].tasks.push(id);
            }
            3 => drop(own.verb(&["status"], &others)),
            4 => drop(own.verb(&["tasks", "--all"], &others)),
            5 => drop(own.verb(&["show", task], &others)),
            6 => drop(own.verb(&["why", task], &others)),
            7 => drop(own.verb(&["logs", "-n", "20"], &others)),
            8 => drop(own.verb(&["events", "-n", "20"], &others)),
            9 => drop(own.verb(&["agents"], &others)),
            10 => drop(own.verb(&["cancel", task], &others)),
            11 => drop(own.verb(&["retry", task], &others)),
            12 => drop(own.verb(&["result", "@last"], &others)),
            // A task of another project is unknown here.
            _ => {
                if let Some(theirs) = theirs {
                    let verb = ["show", "why", "cancel", "retry", "result", "wait"][random.below(6)];
                    let out = own.verb(&[verb, &theirs], &others);
                    assert!(out.code != 0 && out.stderr.contains("no task"), "{out:#?}");
                }
            }
        }
    }
    // What ran, ran where it was asked for.
    for project in &projects {
        let tasks = project.world.orch_json(&["tasks", "--all"]);
        let ids: Vec<&str> = tasks.as_array().expect("a list").iter().filter_map(|task| task["id"].as_str()).collect();
        assert!(ids.iter().all(|id| project.tasks.iter().any(|own| own == id)), "{ids:?}");
        let logs = project.world.orch(&["logs", "-n", "100000"]).ok();
        for other in projects.iter().filter(|other| other.word != project.word) {
            assert!(!logs.contains(other.word), "{} has run what {} was asked", project.word, other.word);
        }
    }
    eprintln!("{sent} verbs in {:?} with the seed {seed}, none mixed up", began.elapsed());
    projects.iter().for_each(|project| drop(project.world.orch(&["stop"]).ok()));
}
