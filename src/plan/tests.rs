//! Plans as people write them, well and badly.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    graph::{self, Drawn},
    rank::{self, Work},
    *,
};
use crate::model::edge::{OnFailure, When};

const ROLES: &[(&str, u32)] = &[("shell", 2), ("backend", 1)];

fn read(document: &str) -> Reading {
    super::read(document, Place::default(), ROLES, &[], None)
}

fn told(document: &str) -> Vec<String> {
    read(document).mistakes.iter().map(|mistake| mistake.located(document).to_string()).collect()
}

const GOOD: &str = r#"
name = "checkout"
text = "Build the cart"
on_failure = "skip"

[vars]
api = "v2"

[tasks.api]
role = "backend"
text = "Design {{vars.api}}: {{plan.text}}"
timeout = "10m"

[tasks.mocks]
text = "Write mocks"

[tasks.ui]
after = ["api", { task = "mocks", when = "ended" }]
text = "Build the page. The API: {{results.api.text}}"
priority = "high"
retries = 0
labels = { sprint = "42" }
"#;

#[test]
fn a_plan_is_read_with_its_edges() {
    let plan = read(GOOD).plan.unwrap();
    assert_eq!((plan.name.as_str(), plan.text.as_str()), ("checkout", "Build the cart"));
    assert_eq!(plan.tasks.iter().map(|t| t.key.as_str()).collect::<Vec<_>>(), ["api", "mocks", "ui"]);
    let edge = |when, on_failure| Edge { when, on_failure };
    let (skip, ended) = (edge(When::Succeeded, OnFailure::Skip), edge(When::Ended, OnFailure::Skip));
    assert_eq!(plan.tasks[2].after, [(0, skip), (1, ended)]);
    assert_eq!(plan.tasks[0].text(|_| None), "Design v2: Build the cart");
    let id = TaskId::random();
    let text = plan.tasks[2].text(|key| (key == "api").then(|| id.clone()));
    assert_eq!(text, format!("Build the page. The API: {{{{results.{id}.text}}}}"));
    assert_eq!(plan.tasks[0].terms.timeout, Some(Duration::from_secs(600)));
}

#[test]
fn the_same_in_json_is_the_same_plan() {
    let json = r#"{"name": "checkout", "text": "Build the cart", "on_failure": "skip", "vars": {"api": "v2"}, "tasks": {
        "api": {"role": "backend", "text": "Design {{vars.api}}: {{plan.text}}", "timeout": "10m"},
        "mocks": {"text": "Write mocks"},
        "ui": {"after": ["api", {"task": "mocks", "when": "ended"}], "priority": "high", "retries": 0,
            "text": "Build the page. The API: {{results.api.text}}", "labels": {"sprint": "42"}}}}"#;
    let without_places = |plan: Option<Plan>| {
        plan.map(|plan| plan.tasks.into_iter().map(|task| Task { at: 0, ..task }).collect::<Vec<_>>())
    };
    assert_eq!(without_places(read(json).plan), without_places(read(GOOD).plan));
    assert!(read(GOOD).plan.is_some());
}

#[test]
fn every_mistake_is_told_with_its_line_and_column() {
    let bad = "name = 'x'\nonfailure = 'skip'\n[tasks.a]\ntext = 'x {{vars.b}}'\nrole = 'shel'\nafter = ['c', 'b', 'b']\n\
               [tasks.b]\ntext = 7\npriority = 'hihg'\ntimeout = '10'\nretries = -1\n[tasks.'ä']\ntext = ' '\n";
    let expected = [
        "2:1: onfailure is not a known key; did you mean on_failure?",
        "4:8: tasks.a.text names {{vars.b}}, which is not a known field",
        "5:8: tasks.a.role names an unknown role 'shel'; did you mean shell?",
        "6:10: tasks.a.after names 'c', which is no task of the plan",
        "6:20: tasks.a.after names b twice",
        "8:8: tasks.b.text must be a text, not a number",
        "9:12: tasks.b.priority is 'hihg', and must be one of low, normal, high; did you mean high?",
        "10:11: tasks.b.timeout is no duration",
        "11:11: tasks.b.retries must be a whole number",
        "12:8: tasks.ä must be 1 to 64 letters",
        "13:8: tasks.ä.text must have 1 to",
    ];
    let told = told(bad);
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}\n{expected}");
    }
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    assert!(read(bad).plan.is_none());
}

#[test]
fn a_cycle_is_told_with_its_path() {
    let plan = "name = 'x'\n[tasks.a]\ntext = 'x'\nafter = ['c']\n[tasks.b]\ntext = 'x'\nafter = ['a']\n[tasks.c]\n\
                text = 'x'\nafter = ['b']\n[tasks.d]\ntext = 'x'\nafter = ['a']\n";
    let told = told(plan);
    assert_eq!(told, ["2:8: tasks.a.after is part of a cycle: a -> b -> c -> a"]);
    assert!(self::told("name = 'x'\n[tasks.a]\ntext = 'x'\nafter = 'a'\n")[0].ends_with("a -> a"));
    let other = "[tasks.x]\ntext = 'x'\nafter = ['y', 'a']\n[tasks.y]\ntext = 'x'\nafter = ['x']\n";
    let both = self::told(&format!("{plan}{other}"));
    assert_eq!(both.len(), 2, "{both:?}");
    assert_eq!(both[1], "14:8: tasks.x.after is part of a cycle: x -> y -> x");
}

#[test]
fn a_result_is_inserted_only_after_its_task() {
    let text = "name = 'x'\n[tasks.a]\ntext = 'x'\n[tasks.b]\ntext = '{{results.a.text}}'\n";
    assert!(told(text)[0].contains("does not come after it"));
    let behind = "[tasks.c]\ntext = 'x'\nafter = 'a'\n[tasks.d]\nafter = 'c'\ntext = '{{results.a.text}}'\n";
    assert_eq!(
        told(&text.replace("{{results.a.text}}", "y").replace("[tasks.b]", &format!("{behind}[tasks.b]"))),
        [""; 0]
    );
}

#[test]
fn variables_that_are_given_stand_instead_of_those_written() {
    let given = [("api".to_owned(), "{{vars.api}}".to_owned())];
    let plan = super::read(GOOD, Place::default(), ROLES, &given, Some("other")).plan.unwrap();
    assert_eq!(plan.tasks[0].text(|_| None), "Design {{vars.api}}: other");
    let given = [("apj".to_owned(), String::new())];
    let mistakes = super::read(GOOD, Place::default(), ROLES, &given, None).mistakes;
    assert!(mistakes[0].what.contains("did you mean api?"), "{mistakes:?}");
}

#[test]
fn a_template_stands_within_a_document_and_need_not_name_itself() {
    let document = "[roles.shell]\n\n[plans.release.tasks.a]\ntext = '{{plan.name}}: {{plan.text}}'\nrole = 'shel'\n";
    let place = Place { tables: &["plans", "release"], name: Some("release") };
    let read = |document: &str, place| super::read(document, place, ROLES, &[], Some("v2"));
    let wrong: Vec<String> =
        read(document, place).mistakes.iter().map(|mistake| mistake.located(document).to_string()).collect();
    assert_eq!(wrong, ["5:8: tasks.a.role names an unknown role 'shel'; did you mean shell?"]);
    let plan = read(&document.replace("shel'", "shell'"), place).plan.unwrap();
    assert_eq!((plan.name.as_str(), plan.tasks[0].text(|_| None)), ("release", "release: v2".to_owned()));
    let missing = read(document, Place { tables: &["plans", "other"], name: None }).mistakes;
    assert_eq!(missing[0].located(document).to_string(), "1:1: plans.other is missing");
}

#[test]
fn a_plan_has_tasks_and_not_too_many() {
    assert!(told("name = 'x'")[0].contains("tasks is missing"));
    assert!(told("name = 'x'\n[tasks]\n")[0].contains("has 0 tasks"));
    let many: String = (0..100_000).map(|n| format!("[tasks.t{n}]\ntext='x'\n")).collect();
    assert!(told(&format!("name = 'x'\n{many}"))[0].contains("has 100000 tasks"));
    assert!(told("tasks = 3")[0].contains("name is missing"));
}

#[test]
fn a_role_that_is_too_narrow_is_remarked() {
    let tasks: String = (0..3).map(|n| format!("[tasks.t{n}]\nrole = 'shell'\ntext='x'\n")).collect();
    let reading = read(&format!("name = 'x'\n{tasks}"));
    assert!(reading.plan.is_some());
    assert!(reading.remarks[0].what.contains("up to 3 tasks of role shell"), "{:?}", reading.remarks);
}

/// Counting its paths would take for ever.
#[test]
fn a_lattice_of_300_layers_is_read_in_bounded_time() {
    let mut document = "name = 'x'\n".to_owned();
    for layer in 0..300 {
        for n in 0..3 {
            document += &format!("[tasks.l{layer}-{n}]\ntext = 'x'\n");
            if layer > 0 {
                document += &format!("after = ['l{0}-0', 'l{0}-1', 'l{0}-2']\n", layer - 1);
            }
        }
    }
    let plan = read(&document).plan.unwrap();
    let path = rank::path(&plan.predecessors(), &vec![1; plan.tasks.len()]);
    assert_eq!((path.length, path.critical(&plan.predecessors()).len()), (300, 300));
}

#[test]
fn the_longest_way_has_no_slack() {
    // 0 -> 1 -> 3, 0 -> 2 -> 3, and 4 by itself.
    let predecessors = vec![vec![], vec![0], vec![0], vec![1, 2], vec![]];
    let path = rank::path(&predecessors, &[5, 10, 3, 1, 7]);
    assert_eq!((path.length, path.critical(&predecessors)), (16, vec![0, 1, 3]));
    assert_eq!((path.rank, path.slack), (vec![16, 11, 4, 1, 7], vec![0, 0, 7, 0, 9]));
}

#[test]
fn a_simulation_runs_as_many_as_there_are_places() {
    let work = |duration| Work { role: 0, duration, runs: false };
    let all = vec![work(10); 5];
    let none = vec![Vec::new(); 5];
    assert_eq!(rank::simulate(&none, &all, &[2], &[1; 5]), Some(30));
    assert_eq!(rank::simulate(&none, &all, &[0], &[1; 5]), None);
    let running: Vec<Work> = all.iter().map(|work| Work { runs: true, ..work.clone() }).collect();
    assert_eq!(rank::simulate(&none, &running, &[2], &[1; 5]), Some(10), "what runs already needs no place");
}

#[test]
fn a_graph_is_written_for_other_programs() {
    let task = |key: &str, after| Drawn { key: key.into(), state: "ready".into(), critical: true, after };
    let tasks = [task("a", vec![]), task("b\"", vec![(0, "ended".into())])];
    assert!(graph::dot("x", &tasks).contains("\"a\" -> \"b'\" [label=\"ended\"];"));
    assert!(graph::mermaid(&tasks).contains("t0 ==>|ended| t1"));
}

#[test]
fn edges_are_drawn_in_columns() {
    let drawn = |predecessors: &[Vec<usize>]| {
        let signs: Vec<char> = (0..predecessors.len()).map(|at| char::from(b'a' + at as u8)).collect();
        let lines = graph::lines(predecessors, &signs, 8).unwrap();
        lines.into_iter().flat_map(|line| line.above.into_iter().chain([line.node])).collect::<Vec<_>>()
    };
    // A diamond, and a task by itself.
    assert_eq!(drawn(&[vec![], vec![0], vec![0], vec![1, 2], vec![]]), ["a", "├─┐", "│ b", "c │", "├─┘", "d", "e"]);
    assert_eq!(drawn(&[vec![], vec![], vec![], vec![0, 2]]), ["a", "│ b", "│ c", "├─┘", "d"]);
    assert_eq!(drawn(&[vec![], vec![], vec![0], vec![0, 1]]), ["a", "│ b", "├─┼─┐", "│ │ c", "├─┘", "d"]);
    let wide: Vec<Vec<usize>> = (0..9).map(|_| Vec::new()).chain([(0..9).collect()]).collect();
    assert_eq!(graph::lines(&wide, &[], 8), None);
}

/// Tasks that come after earlier ones only, with their durations.
fn any_graph() -> impl Strategy<Value = (Vec<Vec<usize>>, Vec<u64>)> {
    (1..30usize).prop_flat_map(|n| {
        let before =
            (0..n).map(|place| prop::collection::btree_set(0..place.max(1), 0..=place.min(3))).collect::<Vec<_>>();
        (before, prop::collection::vec(1..100u64, n)).prop_map(|(before, durations)| {
            let before: Vec<Vec<usize>> = before
                .into_iter()
                .enumerate()
                .map(|(place, set)| set.into_iter().filter(|first| *first < place).collect())
                .collect();
            (before, durations)
        })
    })
}

proptest! {
    /// With enough agents it takes as long as its longest way; with few, at least as long as the work divided by them, and by
    /// list scheduling less than twice the larger of both.
    #[test]
    fn a_simulation_stays_within_its_bounds((before, durations) in any_graph(), agents in 1..5u32) {
        let path = rank::path(&before, &durations);
        let work: Vec<Work> = durations.iter().map(|d| Work { role: 0, duration: *d, runs: false }).collect();
        prop_assert_eq!(rank::simulate(&before, &work, &[1000], &path.rank), Some(path.length));
        let least = path.length.max(durations.iter().sum::<u64>().div_ceil(u64::from(agents)));
        let took = rank::simulate(&before, &work, &[agents], &path.rank).unwrap();
        prop_assert!(took >= least && took < 2 * least + 1, "{} for at least {}", took, least);
        for place in rank::order(&before) {
            prop_assert!(before[place].iter().all(|first| path.rank[*first] > path.rank[place]));
        }
    }

    #[test]
    fn no_document_breaks_the_reader(document in "\\PC{0,80}", table in "[\\[\\]{}a-z=\"'., \n0-9:]{0,120}") {
        let _ = read(&document);
        let _ = read(&table);
        let _ = read(&format!("{{\"name\": {table}"));
    }
}

#[test]
fn tasks_beside_each_other_that_lock_the_same_are_remarked() {
    let plan = |after: &str| {
        format!(
            "name = \"p\"\n[tasks.a]\ntext = \"x\"\nwrites = [\"src/api/**\"]\n[tasks.b]\ntext = \"x\"\n{after}\n\
             reads = [\"src/*/mod.rs\", \"docs\"]\n[tasks.c]\ntext = \"x\"\nreads = [\"docs\"]\n"
        )
    };
    let remarks = |document: &str| {
        let all = read(document).remarks;
        all.into_iter().filter(|one| one.what.contains("overlaps")).map(|one| one.what).collect::<Vec<_>>()
    };
    let beside = remarks(&plan(""));
    assert_eq!(beside.len(), 1, "{beside:?}");
    assert!(beside[0].contains("overlaps with a in src/*/mod.rs"), "{beside:?}");
    assert!(remarks(&plan("after = [\"a\"]")).is_empty());
    let mut wide = plan("");
    for n in 0..5 {
        wide += &format!("[tasks.t{n}]\ntext = \"x\"\nwrites = [\"f{n}\"]\n");
    }
    wide += "[tasks.all]\ntext = \"x\"\nwrites = [\"**\"]\n";
    assert!(remarks(&wide).iter().any(|what| what.contains("overlaps with 8 of the 8 tasks")), "{:?}", remarks(&wide));
    let wrong = told("name = \"p\"\n[tasks.a]\ntext = \"x\"\nwrites = [\"../x\", \"a\\\\b\"]\n");
    assert!(wrong.len() == 2 && wrong[0].starts_with("4:11: tasks.a.writes"), "{wrong:?}");
    assert!(wrong[1].starts_with("4:19: tasks.a.writes is no pattern: 'a\\\\b'"), "{wrong:?}");
}
