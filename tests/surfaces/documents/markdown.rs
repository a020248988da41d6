//! As much of Markdown as the checks need.

/// One line outside code blocks, with its number from 1.
pub type Line<'a> = (usize, &'a str);

/// Returns the lines of `text` outside code blocks.
pub fn prose(text: &str) -> Vec<Line<'_>> {
    split(text).0
}

/// Returns the lines of `text` in code blocks that show commands: those of the languages sh and console.
pub fn commands(text: &str) -> Vec<Line<'_>> {
    split(text).1
}

fn split(text: &str) -> (Vec<Line<'_>>, Vec<Line<'_>>) {
    let (mut prose, mut commands, mut fence) = (Vec::new(), Vec::new(), None);
    for (number, line) in (1..).zip(text.lines()) {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (None, Some("sh" | "console")) => commands.push((number, line)),
            (None, Some(_)) => {}
            (None, None) => prose.push((number, line)),
        }
    }
    (prose, commands)
}

/// Returns the targets of all links and pictures of a line of prose.
pub fn targets(line: &str) -> Vec<&str> {
    // Code spans hold brackets that are no links.
    let outside: Vec<(usize, &str)> = line.split('`').enumerate().filter(|(at, _)| at % 2 == 0).collect();
    let inline =
        outside.iter().flat_map(|(_, text)| text.split("](").skip(1)).filter_map(|rest| rest.split(')').next());
    let html = line.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next());
    inline.chain(html).collect()
}

/// Returns the anchor of every heading, as the book and code hosts make them.
pub fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len()).then_some(title.trim())
    });
    headings.map(anchor).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
}

#[test]
fn an_anchor_is_made_of_a_headings_words() {
    assert_eq!(anchor("What does `orch stop` do?"), "what-does-orch-stop-do");
    assert_eq!(targets("see [a](b.md#c), `[x](y)` and [d](e)"), ["b.md#c", "e"]);
}
