//! The escape suite: what a hostile or injected program tries, each attempt a script that runs as a task.
//!
//! With `sandbox = "bwrap"` every attempt fails. Without a sandbox, those fail that go through orch itself; the others
//! succeed there, which shows that a sandbox is what stops them. Whether an attempt has succeeded is seen from outside: a
//! file, a text that was read, a record, a process.

mod attempts;
mod files;
mod git;
mod orch;
mod processes;
mod scene;

use self::{
    attempts::{Attempt, Control, Without},
    scene::{Mode, Scene, Tried},
};

/// Makes attempts at the same time, and returns them once what the user and others do meanwhile is done, too.
fn try_all(scene: &Scene, attempts: &[&'static Attempt]) -> Vec<Tried> {
    let begun: Vec<_> = attempts.iter().map(|attempt| (*attempt, scene.begin(attempt))).collect();
    let tried = begun.into_iter().map(|(attempt, id)| scene.ended(attempt, &id)).collect();
    scene.trigger();
    tried
}

/// Asserts that none of the attempts has succeeded.
#[track_caller]
fn assert_all_failed(scene: &Scene, mode: Mode, tried: &[Tried]) {
    let succeeded: Vec<String> = tried
        .iter()
        .filter(|tried| scene.has_succeeded(tried))
        .map(|tried| format!("{}:\n{}\n{}", tried.attempt.name, tried.attempt.script, scene.log(tried)))
        .collect();
    println!("{mode:?}: {} attempts, {} succeeded", tried.len(), succeeded.len());
    assert!(succeeded.is_empty(), "{mode:?}: these have succeeded:\n{}", succeeded.join("\n\n"));
    // A verb that shows nothing proves nothing.
    let secret = tried.iter().find(|tried| tried.attempt.name == "read a secret by every verb").expect("the attempt");
    assert!(scene.read(&scene.loot(secret)).contains("planted-public"), "{}", scene.log(secret));
}

fn in_a_sandbox(mode: Mode) {
    let scene = Scene::new(mode);
    let tried = try_all(&scene, &attempts::all());
    assert!(tried.len() >= 40);
    assert_all_failed(&scene, mode, &tried);
    // The others have noticed nothing.
    for number in 1..=4 {
        scene.world.orch(&["answer", &format!("{}#{number}", scene.victim), "yes"]).ok();
    }
    std::fs::write(scene.world.project.join("loot/go"), "").expect("a file");
    assert_eq!(scene.world.wait_for(&scene.victim, "succeeded")["result"]["text"], "planted-result");
    scene.world.orch(&["stop"]).ok();
    scene.world.check_nothing_left(&["person"]);
}

#[test]
fn no_attempt_leaves_a_sandbox() {
    in_a_sandbox(Mode::Bwrap);
}

#[test]
fn no_attempt_leaves_a_sandbox_of_an_ordinary_user() {
    if nix::unistd::geteuid().is_root() {
        in_a_sandbox(Mode::BwrapAsOrdinaryUser);
    } else {
        println!("the other test has run as an ordinary user");
    }
}

#[test]
fn without_a_sandbox_no_attempt_by_orch_succeeds_and_the_others_do() {
    let scene = Scene::new(Mode::None);
    let (fail, others): (Vec<_>, Vec<_>) =
        attempts::all().into_iter().partition(|attempt| matches!(attempt.without_sandbox, Without::Fails(_)));
    let tried = try_all(&scene, &fail);
    assert_all_failed(&scene, Mode::None, &tried);

    let mut failed = Vec::new();
    for attempt in others {
        match attempt.without_sandbox {
            Without::NotTried(why) => println!("not tried without a sandbox: {}: {why}", attempt.name),
            Without::SucceedsForRoot if !nix::unistd::geteuid().is_root() => {
                println!("not tried without a sandbox, except by root: {}", attempt.name);
            }
            _ if matches!(attempt.success, attempts::Success::Ends(_)) => {
                // It may end what would report its own end, and what a former one has ended is needed.
                scene.world.start();
                scene.begin(attempt);
                let tried = Tried { attempt, task: serde_json::Value::Null };
                if !scene.succeeds_in_time(&tried) {
                    failed.push(format!("{}:\n{}", attempt.name, scene.log(&tried)));
                }
            }
            _ => {
                let tried = scene.ended(attempt, &scene.begin(attempt));
                if !scene.has_succeeded(&tried) {
                    scene.trigger();
                }
                if !scene.succeeds_in_time(&tried) {
                    failed.push(format!("{}:\n{}\n{}", attempt.name, attempt.script, scene.log(&tried)));
                }
            }
        }
    }
    assert!(
        failed.is_empty(),
        "these prove nothing, because they fail without a sandbox, too:\n{}",
        failed.join("\n\n")
    );
}

#[test]
fn what_an_agent_is_refused_a_person_can_do() {
    let scene = Scene::new(Mode::None);
    let mut failed = Vec::new();
    for attempt in attempts::all() {
        if attempt.without_sandbox == Without::Fails(Control::Person) {
            let tried = scene.by_a_person(attempt);
            if !scene.succeeds_in_time(&tried) {
                failed.push(format!("{}:\n{}\n{}", attempt.name, attempt.script, scene.log(&tried)));
            }
        }
    }
    assert!(failed.is_empty(), "these prove nothing, because a person cannot do them either:\n{}", failed.join("\n\n"));
}
