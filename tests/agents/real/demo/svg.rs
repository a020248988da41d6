//! Captures of a terminal as one animated SVG: a film strip that moves by one frame at each change.
//!
//! Each distinct line is drawn once, and used by every frame that shows it. The SVG has no script, no font and no
//! external resource: it plays wherever images are shown, on light and on dark pages.

use std::{collections::HashMap, fmt::Write, time::Duration};

use super::screen::{COLUMNS, Frame, ROWS};

/// The size of one character, in pixels.
const WIDTH: f64 = 8.4;
const HEIGHT: f64 = 18.0;
/// The margin around the text, and the space above it for the window's title.
const MARGIN: f64 = 14.0;
const TITLE: f64 = 34.0;
/// The longest time for which a frame is shown, so that pauses are short.
const LONGEST: Duration = Duration::from_millis(2600);
/// The shortest time for which a frame is shown; faster changes are merged into one frame.
const SHORTEST: Duration = Duration::from_millis(90);
/// How long the last frame is shown before the animation starts again.
const LAST: Duration = Duration::from_millis(5000);

const TEXT: &str = "#d4dae1";
const BACKGROUND: &str = "#151a21";
/// The 16 colours of the terminal.
const PALETTE: [&str; 16] = [
    "#3b434d", "#f2777a", "#8fd18a", "#e5c07b", "#7ab0f5", "#c79bf0", "#6fd0d6", "#d4dae1", "#7d8794", "#ff9a9a",
    "#abe6a4", "#f5d88f", "#9cc6ff", "#dcb8ff", "#93e6eb", "#ffffff",
];

/// The style of a part of a line.
#[derive(Debug, Clone, PartialEq, Default)]
struct Style {
    text: Option<String>,
    background: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underlined: bool,
    inverse: bool,
}

/// Characters of the same style, with the column in which they begin.
#[derive(Debug, PartialEq)]
struct Span {
    column: usize,
    text: String,
    style: Style,
}

/// Returns the frames as one animated SVG.
pub fn animation(frames: &[Frame]) -> String {
    let shown = timed(frames);
    let total: f64 = shown.iter().map(|(_, time)| time.as_secs_f64()).sum();
    let (width, height) = (COLUMNS as f64 * WIDTH, ROWS as f64 * HEIGHT);
    let (outer_width, outer_height) = (width + 2.0 * MARGIN, height + TITLE + MARGIN);

    let mut lines: HashMap<String, usize> = HashMap::new();
    let (mut defs, mut strip, mut steps) = (String::new(), String::new(), String::new());
    let mut at = 0.0;
    for (number, (frame, time)) in shown.iter().enumerate() {
        let _ = write!(steps, "{:.2}%{{transform:translateX({:.0}px)}}", at / total * 100.0, -(number as f64) * width);
        at += time.as_secs_f64();
        let _ = write!(strip, "<g transform=\"translate({:.0})\">", number as f64 * width);
        for (row, line) in frame.text.lines().take(ROWS).enumerate() {
            let drawn = draw(&spans(line));
            if drawn.is_empty() {
                continue;
            }
            let next = lines.len();
            let id = *lines.entry(drawn).or_insert_with_key(|drawn| {
                let _ = write!(defs, "<g id=\"l{next}\">{drawn}</g>");
                next
            });
            let _ = write!(strip, "<use href=\"#l{id}\" y=\"{:.0}\"/>", row as f64 * HEIGHT);
        }
        if let Some((x, y)) = frame.cursor {
            let _ = write!(strip, "<use href=\"#c\" x=\"{:.1}\" y=\"{:.0}\"/>", x as f64 * WIDTH, y as f64 * HEIGHT);
        }
        strip.push_str("</g>");
    }
    let last = shown.len().saturating_sub(1) as f64 * width;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {outer_width:.0} {outer_height:.0}\" \
         width=\"{outer_width:.0}\" height=\"{outer_height:.0}\" role=\"img\">\
         <title>A session with orch: two agents at work, one is killed, and its task still succeeds</title><style>\
         text{{font:14px ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',Consolas,monospace;fill:{TEXT};\
         white-space:pre}}.b{{font-weight:bold}}.d{{opacity:.6}}.i{{font-style:italic}}.u{{text-decoration:underline}}\
         .f{{animation:f {total:.1}s steps(1,end) infinite}}@keyframes f{{{steps}}}\
         @media(prefers-reduced-motion){{.f{{animation:none;transform:translateX(-{last:.0}px)}}}}</style>\
         <defs><rect id=\"c\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"{TEXT}\" opacity=\".5\"/>{defs}</defs>\
         <rect x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"9\" fill=\"{BACKGROUND}\" stroke=\"#444c56\"/>\
         <circle cx=\"20\" cy=\"18\" r=\"5.5\" fill=\"#f2777a\"/><circle cx=\"39\" cy=\"18\" r=\"5.5\" fill=\"#e5c07b\"/>\
         <circle cx=\"58\" cy=\"18\" r=\"5.5\" fill=\"#8fd18a\"/>\
         <svg x=\"{MARGIN}\" y=\"{TITLE}\" width=\"{width:.0}\" height=\"{height:.0}\"><g class=\"f\">{strip}</g></svg></svg>\n",
        outer_width - 1.0,
        outer_height - 1.0,
    )
}

/// Returns the frames to show and their durations: pauses are shortened, and flicker is removed.
fn timed(frames: &[Frame]) -> Vec<(&Frame, Duration)> {
    let mut shown: Vec<(&Frame, Duration)> = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let time = frames.get(number + 1).map_or(LAST, |next| (next.at - frame.at).min(LONGEST));
        match shown.last_mut() {
            Some(last) if last.1 < SHORTEST => *last = (frame, last.1 + time),
            _ => shown.push((frame, time)),
        }
    }
    shown
}

/// Returns one line as SVG; empty if nothing is visible.
fn draw(spans: &[Span]) -> String {
    let mut drawn = String::new();
    for span in spans {
        let (x, columns) = (span.column as f64 * WIDTH, span.text.chars().count() as f64);
        let (mut text, mut background) = (span.style.text.as_deref(), span.style.background.as_deref());
        if span.style.inverse {
            (text, background) = (Some(background.unwrap_or(BACKGROUND)), Some(text.unwrap_or(TEXT)));
        }
        if let Some(colour) = background {
            let _ = write!(
                drawn,
                "<rect x=\"{x:.1}\" width=\"{:.1}\" height=\"{HEIGHT}\" fill=\"{colour}\"/>",
                columns * WIDTH
            );
        }
        if span.text.trim().is_empty() {
            continue;
        }
        let leading = span.text.chars().take_while(|c| *c == ' ').count();
        let text_of = span.text.trim();
        let classes =
            [(span.style.bold, "b"), (span.style.dim, "d"), (span.style.italic, "i"), (span.style.underlined, "u")];
        let classes: Vec<&str> = classes.iter().filter_map(|(is, class)| is.then_some(*class)).collect();
        let class = if classes.is_empty() { String::new() } else { format!(" class=\"{}\"", classes.join(" ")) };
        let fill = text.map_or(String::new(), |colour| format!(" style=\"fill:{colour}\""));
        // `textLength` keeps the columns aligned in any font.
        let length = text_of.chars().count() as f64 * WIDTH;
        let _ = write!(
            drawn,
            "<text x=\"{:.1}\" y=\"13.5\" textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\"{class}{fill}>{}</text>",
            x + leading as f64 * WIDTH,
            escaped(text_of)
        );
    }
    drawn
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Returns the spans of one captured line.
fn spans(line: &str) -> Vec<Span> {
    let (mut spans, mut style, mut column) = (Vec::<Span>::new(), Style::default(), 0);
    let mut rest = line;
    while let Some(character) = rest.chars().next() {
        if let Some(sequence) = rest.strip_prefix("\x1b[") {
            let end = sequence.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(sequence.len());
            if sequence[end..].starts_with('m') {
                restyle(&mut style, &sequence[..end]);
            }
            rest = sequence.get(end + 1..).unwrap_or_default();
        } else if let Some(command) = rest.strip_prefix("\x1b]") {
            // A link: its text is outside of the sequence.
            rest = command.split_once("\x1b\\").map_or("", |(_, after)| after);
        } else if character == '\x1b' {
            rest = rest.get(2..).unwrap_or_default();
        } else {
            match spans.last_mut() {
                Some(span) if span.style == style => span.text.push(character),
                _ => spans.push(Span { column, text: character.to_string(), style: style.clone() }),
            }
            column += 1;
            rest = &rest[character.len_utf8()..];
        }
    }
    spans
}

/// Applies a sequence of SGR parameters to a style.
fn restyle(style: &mut Style, parameters: &str) {
    let mut numbers = parameters.split([';', ':']).map(|n| n.parse::<usize>().unwrap_or(0));
    while let Some(number) = numbers.next() {
        match number {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            3 => style.italic = true,
            4 => style.underlined = true,
            7 => style.inverse = true,
            22 => (style.bold, style.dim) = (false, false),
            23 => style.italic = false,
            24 => style.underlined = false,
            27 => style.inverse = false,
            30..=37 => style.text = Some(PALETTE[number - 30].to_owned()),
            90..=97 => style.text = Some(PALETTE[number - 82].to_owned()),
            40..=47 => style.background = Some(PALETTE[number - 40].to_owned()),
            100..=107 => style.background = Some(PALETTE[number - 92].to_owned()),
            38 => style.text = extended(&mut numbers),
            48 => style.background = extended(&mut numbers),
            39 => style.text = None,
            49 => style.background = None,
            _ => {}
        }
    }
}

/// Returns a colour of the palette of 256, or one of red, green and blue.
fn extended(numbers: &mut impl Iterator<Item = usize>) -> Option<String> {
    match numbers.next()? {
        5 => Some(match numbers.next()? {
            n @ 0..=15 => PALETTE[n].to_owned(),
            n @ 16..=231 => {
                let level = |n: usize| if n == 0 { 0 } else { 55 + 40 * n };
                let n = n - 16;
                format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6))
            }
            n => format!("#{0:02x}{0:02x}{0:02x}", 8 + 10 * (n.min(255) - 232)),
        }),
        2 => Some(format!("#{:02x}{:02x}{:02x}", numbers.next()?, numbers.next()?, numbers.next()?)),
        _ => None,
    }
}

#[test]
fn a_captured_line_is_drawn_in_its_columns_and_colours() {
    let spans = spans("a \x1b[1;32mb<\x1b[0m");
    assert_eq!((spans[1].column, spans[1].text.as_str(), spans[1].style.bold), (2, "b<", true));
    let drawn = draw(&spans);
    assert!(drawn.contains("x=\"16.8\"") && drawn.contains("b&lt;") && drawn.contains(PALETTE[2]), "{drawn}");
}
