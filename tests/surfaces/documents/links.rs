//! No link between the documents is dead, and the book has every page.

use std::path::{Component, Path, PathBuf};

use super::{markdown, pages, read, root};

/// The path `target` means in a page of the folder `from`, without `.` and `..`.
fn resolved(from: &Path, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in from.join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{target} leaves the project"),
            Component::CurDir => {}
            part => path.push(part),
        }
    }
    path
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut followed = 0;
    for page in pages() {
        let text = read(&page);
        for (number, line) in markdown::prose(&text) {
            for target in markdown::targets(line) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let at = format!("{}:{number}: {target}", page.display());
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = match file {
                    "" => page.clone(),
                    file => resolved(page.parent().unwrap(), file),
                };
                assert!(root().join(&path).exists(), "{at}: there is no {}", path.display());
                assert!(
                    !page.starts_with("docs/src") || path.starts_with("docs/src"),
                    "{at}: the built book has only what lies in docs/src"
                );
                if !heading.is_empty() {
                    let anchors = markdown::anchors(&read(&path));
                    assert!(anchors.iter().any(|anchor| anchor == heading), "{at}: no such heading among {anchors:?}");
                }
                followed += 1;
            }
        }
    }
    assert!(followed > 30, "only {followed} links were found");
}

#[test]
fn the_book_lists_every_page_once() {
    let summary = read("docs/src/SUMMARY.md");
    for page in pages().iter().filter(|page| page.starts_with("docs/src")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        let listed = summary.matches(&format!("]({name})")).count();
        assert_eq!(listed, usize::from(name != "SUMMARY.md"), "{name} in docs/src/SUMMARY.md");
    }
}

#[test]
fn the_front_page_is_short() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 130, "README.md has {lines} lines; what does not fit belongs in docs/");
}
