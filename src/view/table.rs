//! Tables that fit, and names with their values. Rows are never wrapped: on a narrow terminal, the least important
//! columns are left out first, then long texts are cut.

use std::fmt::Display;

use super::{
    View,
    style::{Style, paint},
    text::{line, pad, safe, width},
};

const GAP: usize = 2;

/// One column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    title: &'static str,
    /// 0: always shown; of the others the highest is left out first.
    expendable: u8,
    right: bool,
    /// The width to which it may be cut.
    at_least: Option<usize>,
    /// The width to which it may be cut where nothing else helps.
    at_worst: Option<usize>,
}

impl Column {
    /// A column that is always shown whole.
    pub const fn new(title: &'static str) -> Self {
        Column { title, expendable: 0, right: false, at_least: None, at_worst: None }
    }
    /// The same, left out where there is no room; the highest number first.
    pub const fn expendable(self, rank: u8) -> Self {
        Column { expendable: rank, ..self }
    }
    /// The same, aligned to the right: for numbers.
    pub const fn right(self) -> Self {
        Column { right: true, ..self }
    }
    /// The same, cut to that width where there is no room.
    pub const fn at_least(self, columns: usize) -> Self {
        Column { at_least: Some(columns), ..self }
    }
    /// The same, cut to that width where there is no room even after everything else was cut or left out.
    pub const fn at_worst(self, columns: usize) -> Self {
        Column { at_worst: Some(columns), ..self }
    }
}

/// One cell.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// Our own text, kept unchanged: the branches of a tree begin with blanks.
    lead: String,
    text: String,
    style: Style,
}

impl Cell {
    /// The first line of a text from anywhere, made safe.
    pub fn new(text: impl AsRef<str>, style: Style) -> Self {
        Cell { lead: String::new(), text: line(text.as_ref(), usize::MAX), style }
    }
    /// The same after `lead`.
    pub fn led_by(self, lead: String) -> Self {
        Cell { lead, ..self }
    }
    fn width(&self) -> usize {
        width(&self.lead) + width(&self.text)
    }
    fn cut_to(&self, columns: usize) -> String {
        format!("{}{}", self.lead, line(&self.text, columns.saturating_sub(width(&self.lead))))
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::new(text, Style::Plain)
    }
}

/// Columns and rows. A column that is empty in every row is not shown.
#[derive(Debug)]
pub struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub fn new(columns: [Column; N]) -> Self {
        Table { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// The table with a line of titles. Each line ends with a newline. Empty without rows.
    pub fn render(&self, view: &View) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let widths = self.fit(view.width);
        let titles = self.columns.map(|c| Cell::new(c.title, Style::Dim));
        let mut out = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (cell, (column, shown)) in row.iter().zip(self.columns.iter().zip(&widths)) {
                let Some(columns) = *shown else { continue };
                let text = cell.cut_to(columns);
                let rest = columns.saturating_sub(width(&text));
                let (before, after) = if column.right { (rest, 0) } else { (0, rest) };
                line.push_str(&pad("", before));
                line.push_str(&paint(&text, cell.style, view.colour));
                line.push_str(&pad("", after + GAP));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// The width of each column; `None`: left out.
    fn fit(&self, limit: Option<usize>) -> [Option<usize>; N] {
        let natural: [usize; N] = std::array::from_fn(|i| self.rows.iter().map(|r| r[i].width()).max().unwrap_or(0));
        let mut widths: [Option<usize>; N] =
            std::array::from_fn(|i| (natural[i] > 0).then(|| natural[i].max(width(self.columns[i].title))));
        let Some(limit) = limit else { return widths };
        let least = |i: usize, w: usize| self.columns[i].at_least.map_or(w, |least| w.min(least));
        let total = |widths: &[Option<usize>; N], of: &dyn Fn(usize, usize) -> usize| {
            let shown = widths.iter().enumerate().filter_map(|(i, w)| w.map(|w| of(i, w)));
            shown.fold(0, |sum, w| sum + w + GAP).saturating_sub(GAP)
        };
        while total(&widths, &least) > limit {
            let expendable = |i: &usize| widths[*i].is_some() && self.columns[*i].expendable > 0;
            match (0..N).filter(expendable).max_by_key(|i| self.columns[*i].expendable) {
                Some(i) => widths[i] = None,
                None => break,
            }
        }
        let worst = |i: usize, w: usize| self.columns[i].at_worst.map_or(w, |worst| w.min(worst));
        let mut excess = total(&widths, &|_, w| w).saturating_sub(limit);
        for bound in [&least as &dyn Fn(usize, usize) -> usize, &worst] {
            for i in (0..N).rev() {
                if let Some(w) = widths[i].as_mut() {
                    let cut = excess.min(*w - bound(i, *w));
                    *w -= cut;
                    excess -= cut;
                }
            }
        }
        widths
    }
}

/// Names and values, one per line. An empty value is left out.
pub struct Fields<'a> {
    view: &'a View,
    out: String,
}

impl<'a> Fields<'a> {
    /// The longest name and two spaces.
    const NAME: usize = 12;

    /// Nothing yet.
    pub fn new(view: &'a View) -> Self {
        Fields { view, out: String::new() }
    }
    /// What the page is about, and its state.
    pub fn heading(&mut self, what: &str, state: &str, style: Style) {
        let what = self.view.paint(&safe(what), Style::Bold);
        self.out.push_str(&format!("{what}  {}\n", self.view.paint(state, style)));
    }
    /// A value, which may have several lines.
    pub fn add(&mut self, name: &str, value: &str) {
        let mut lead = self.view.paint(&pad(name, Self::NAME), Style::Dim);
        for line in safe(value).trim_end().lines() {
            self.out.push_str(format!("{lead}{line}").trim_end());
            self.out.push('\n');
            lead = pad("", Self::NAME);
        }
    }
    /// A value that may be absent.
    pub fn option(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, &value.to_string());
        }
    }
    /// The lines.
    pub fn finish(self) -> String {
        self.out
    }
}
