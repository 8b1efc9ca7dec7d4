//! The live view on a terminal.
//!
//! Drawing is a function of the state and of the user's place in it, so that it can be tested
//! without a terminal; `cli::watch` has the terminal and the keys.

use super::{Row, Sorting, Watched, route_name};
use meshsniff::report::problems::Described;
use meshsniff::statistics::Severity;
use meshsniff::statistics::routes::Micros;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row as TableRow, Table, TableState, Wrap};
use std::time::Duration;

/// A key with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `q`, Escape where nothing is open, Ctrl-C: the end.
    Quit,
    /// Escape.
    Back,
    /// Up, or `k`.
    Up,
    /// Down, or `j`.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home, or `g`.
    First,
    /// Tab.
    Other,
    /// Enter.
    Open,
    /// `s`.
    Sort,
    /// Blank, or `p`.
    Pause,
    /// `c`.
    Clear,
    /// `?` or `h`.
    Help,
}

/// The user's place in the view.
#[derive(Debug, Default)]
pub struct View {
    sorting: Sorting,
    /// Whether the list of problems has the keys, rather than the routes.
    in_problems: bool,
    routes: TableState,
    problems: TableState,
    open: Open,
    /// Whether the figures stand still.
    pub paused: bool,
    /// Whether the counts are to begin anew.
    pub clear: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Problem,
    Help,
}

const PAGE: usize = 10;

const KEYS: [(&str, &str); 9] = [
    ("q, Ctrl-C", "end the capture and report"),
    ("↑ ↓, j k", "move"),
    ("PgUp PgDn, g", "move by ten, to the first"),
    ("Tab", "from the routes to the problems and back"),
    ("Enter", "what happened, in full"),
    ("s", "sort the routes by rate, not ok, response p99, name"),
    ("space, p", "stand still, go on"),
    ("c", "count anew (the report counts all)"),
    ("Esc", "close this"),
];

impl View {
    /// Handles a key; `true` if the end is asked for.
    pub fn key(&mut self, key: Key) -> bool {
        let opened = self.open != Open::Nothing;
        match key {
            Key::Quit => return true,
            Key::Back if opened => self.open = Open::Nothing,
            Key::Back => self.in_problems = false,
            Key::Help => self.open = if opened { Open::Nothing } else { Open::Help },
            Key::Open => {
                let chosen = self.in_problems && self.problems.selected().is_some();
                self.open = if opened || !chosen {
                    Open::Nothing
                } else {
                    Open::Problem
                };
            }
            Key::Other => {
                self.in_problems = !self.in_problems;
                let state = self.state();
                if state.selected().is_none() {
                    state.select(Some(0));
                }
            }
            Key::Sort => self.sorting = self.sorting.next(),
            Key::Pause => self.paused = !self.paused,
            Key::Clear => self.clear = true,
            Key::Up => self.step(|at| at.saturating_sub(1)),
            Key::Down => self.step(|at| at.saturating_add(1)),
            Key::PageUp => self.step(|at| at.saturating_sub(PAGE)),
            Key::PageDown => self.step(|at| at.saturating_add(PAGE)),
            Key::First => self.step(|_| 0),
        }
        false
    }

    fn state(&mut self) -> &mut TableState {
        if self.in_problems {
            &mut self.problems
        } else {
            &mut self.routes
        }
    }

    fn step(&mut self, to: impl Fn(usize) -> usize) {
        let state = self.state();
        let at = state.selected().map_or(0, to);
        state.select(Some(at));
    }

    /// Draws the state.
    pub fn draw(&mut self, frame: &mut Frame<'_>, watched: &Watched, since: Duration) {
        let area = frame.area();
        let [head, routes, problems, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Min(4),
            Constraint::Length((area.height / 3).max(4)),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(self.head(watched, since), head);
        self.draw_routes(frame, routes, watched);
        self.draw_problems(frame, problems, watched);
        frame.render_widget(foot_line(watched), foot);
        match self.open {
            Open::Nothing => {}
            Open::Problem => {
                let chosen = self.problems.selected().unwrap_or(0);
                if let Some(problem) = watched.problems().get(chosen) {
                    draw_problem(frame, problem);
                }
            }
            Open::Help => draw_help(frame),
        }
    }

    fn head(&self, watched: &Watched, since: Duration) -> Paragraph<'static> {
        let sum = watched.sum();
        let seconds = since.as_secs();
        let mut first = vec![
            Span::styled(watched.title.clone(), bold()),
            Span::raw(format!("   {}:{:02}", seconds / 60, seconds % 60)),
        ];
        if self.paused {
            first.push(Span::styled(
                "   stands still (space goes on)",
                Style::new().fg(Color::Yellow),
            ));
        }
        let mut second = vec![
            Span::raw(format!(
                "{} exchanges, {:.1}/s, ",
                sum.exchanges,
                sum.rate()
            )),
            Span::styled(format!("✓ {} ok", sum.ok), Style::new().fg(Color::Green)),
            Span::raw(", "),
            Span::styled(
                format!("✗ {} gave up, {} failed", sum.gave_up, sum.failed),
                bad(sum.gave_up + sum.failed > 0),
            ),
        ];
        if watched.dropped > 0 {
            let lost = format!(", {} packets lost", watched.dropped);
            second.push(Span::styled(lost, Style::new().fg(Color::Yellow)));
        }
        Paragraph::new(vec![Line::from(first), Line::from(second)])
    }

    fn draw_routes(&mut self, frame: &mut Frame<'_>, area: Rect, watched: &Watched) {
        let rows = watched.routes(self.sorting);
        clamp(&mut self.routes, rows.len());
        let several = {
            let mut servers = rows.iter().map(|(route, _)| route.server);
            let first = servers.next();
            servers.any(|server| Some(server) != first)
        };
        let shown = rows.iter().map(|(route, row)| {
            let mut name = route_name(route);
            if several {
                name.push_str("   ");
                name.push_str(&watched.server(route));
            }
            route_row(name, row)
        });
        let widths = [
            Constraint::Fill(1),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(8),
            Constraint::Length(7),
            Constraint::Length(17),
            Constraint::Length(17),
            Constraint::Length(17),
        ];
        let head = [
            "route",
            "rate/s",
            "ok",
            "gave up",
            "failed",
            "response p50/p99",
            "total p50/p99",
            "close p50/p99",
        ];
        let head = head.into_iter().enumerate().map(|(index, name)| {
            let text = Line::raw(name);
            Cell::from(if index == 0 {
                text
            } else {
                text.right_aligned()
            })
        });
        let table = Table::new(shown, widths)
            .header(TableRow::new(head).style(Style::new().add_modifier(Modifier::DIM)))
            .row_highlight_style(highlight(!self.in_problems))
            .block(Block::bordered().title(format!(" routes, by {} (ms) ", self.sorting.name())));
        frame.render_stateful_widget(table, area, &mut self.routes);
    }

    fn draw_problems(&mut self, frame: &mut Frame<'_>, area: Rect, watched: &Watched) {
        clamp(&mut self.problems, watched.problems().len());
        let rows = watched.problems().iter().map(|described| {
            let problem = &described.problem;
            // The time of day is what a log beside it has, too.
            let last = problem
                .last
                .map(|last| last.to_string())
                .unwrap_or_default();
            let last = last.get(11..23).unwrap_or_default().to_owned();
            let count = match problem.of {
                Some(of) => format!("{} of {of}", problem.count),
                None => problem.count.to_string(),
            };
            TableRow::new([
                Cell::from(last),
                Cell::from(Line::raw(count).right_aligned()),
                Cell::from(Span::styled(problem.kind.name(), ink(problem.severity))),
                Cell::from(Line::raw(described.figures.clone()).right_aligned()),
                Cell::from(described.sentence.clone()),
            ])
        });
        let widths = [
            Constraint::Length(12),
            Constraint::Length(12),
            Constraint::Length(25),
            Constraint::Length(16),
            Constraint::Fill(1),
        ];
        let title = match watched.problems().len() {
            0 => " nothing went wrong so far ".to_owned(),
            1 => " one problem (Tab, Enter) ".to_owned(),
            count => format!(" {count} problems, the worst first (Tab, Enter) "),
        };
        let table = Table::new(rows, widths)
            .row_highlight_style(highlight(self.in_problems))
            .block(Block::bordered().title(title));
        frame.render_stateful_widget(table, area, &mut self.problems);
    }
}

/// Keeps the selected row inside a table that has become shorter.
fn clamp(state: &mut TableState, rows: usize) {
    if let Some(at) = state.selected() {
        state.select(rows.checked_sub(1).map(|last| at.min(last)));
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn bad(is: bool) -> Style {
    if is {
        Style::new().fg(Color::Red)
    } else {
        Style::new()
    }
}

fn highlight(active: bool) -> Style {
    if active {
        Style::new().add_modifier(Modifier::REVERSED)
    } else {
        Style::new()
    }
}

fn route_row(name: String, row: &Row) -> TableRow<'static> {
    let right = |text: String| Cell::from(Line::raw(text).right_aligned());
    let count = |count: u64, style: Style| {
        let text = if count == 0 {
            "–".to_owned()
        } else {
            count.to_string()
        };
        Cell::from(Line::styled(text, style).right_aligned())
    };
    TableRow::new([
        Cell::from(name),
        right(format!("{:.1}", row.rate())),
        count(row.ok, Style::new()),
        count(row.gave_up, bad(row.gave_up > 0)),
        count(row.failed, bad(row.failed > 0)),
        right(percentiles(&row.response)),
        right(percentiles(&row.total)),
        right(percentiles(&row.close)),
    ])
}

/// `0.61 / 12.3`, in milliseconds.
fn percentiles(values: &Micros) -> String {
    if values.count() == 0 {
        return "–".to_owned();
    }
    let shown = |percent| {
        let millis = values.percentile(percent).as_millis();
        if millis < 10.0 {
            format!("{millis:.2}")
        } else if millis < 1_000.0 {
            format!("{millis:.1}")
        } else {
            format!("{millis:.0}")
        }
    };
    format!("{} / {}", shown(50), shown(99))
}

const KEY_LINE: &str = concat!(
    "q ends and reports   s sorts   Tab problems   ",
    "Enter what happened   space stands still   ? keys"
);

fn foot_line(watched: &Watched) -> Paragraph<'static> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    match watched.last_message() {
        Some(message) => Paragraph::new(message.to_owned()).style(Style::new().fg(Color::Yellow)),
        None => Paragraph::new(KEY_LINE).style(dim),
    }
}

fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

fn draw_problem(frame: &mut Frame<'_>, described: &Described) {
    let area = middle(frame.area(), 100, 16);
    let problem = &described.problem;
    let mut lines = vec![
        Line::styled(problem.kind.name(), ink(problem.severity)),
        Line::default(),
        Line::raw(described.sentence.clone()),
    ];
    if !described.more.is_empty() {
        lines.push(Line::raw(described.more.clone()));
    }
    if !described.display_filter.is_empty() {
        lines.push(Line::default());
        lines.push(Line::raw(format!(
            "Wireshark: {}",
            described.display_filter
        )));
    }
    let text = Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .block(Block::bordered().title(" what happened (Esc closes) "));
    frame.render_widget(Clear, area);
    frame.render_widget(text, area);
}

const fn ink(severity: Severity) -> Style {
    Style::new().fg(match severity {
        Severity::Error => Color::Red,
        Severity::Warning => Color::Yellow,
        Severity::Note => Color::Cyan,
    })
}

fn draw_help(frame: &mut Frame<'_>) {
    let area = middle(frame.area(), 70, KEYS.len() as u16 + 2);
    let lines = KEYS.map(|(keys, what)| {
        Line::from(vec![
            Span::styled(format!("{keys:<14}"), bold()),
            Span::raw(what),
        ])
    });
    let text = Paragraph::new(Vec::from(lines)).block(Block::bordered().title(" keys "));
    frame.render_widget(Clear, area);
    frame.render_widget(text, area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use meshsniff::testing::fixtures;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn shown(view: &mut View, watched: &Watched, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| view.draw(frame, watched, Duration::from_secs(83)))
            .unwrap();
        terminal.backend().to_string()
    }

    fn watched() -> Watched {
        let mut watched = Watched::new("shop/catalog-7d9f", false);
        for _ in 0..3 {
            watched.exchange(&fixtures::ok());
        }
        watched.exchange(&fixtures::gave_up());
        watched.look();
        watched
    }

    #[test]
    fn routes_and_problems_are_on_the_screen() {
        let text = shown(&mut View::default(), &watched(), 120, 24);
        for expected in [
            "shop/catalog-7d9f   1:23",
            "4 exchanges",
            "✓ 3 ok",
            "✗ 1 gave up, 0 failed",
            "GET /items",
            "501.8 / 501.8",
            "client-gave-up",
            "501.7 ms",
            "q ends and reports",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn keys_move_open_and_close() {
        let (mut view, watched) = (View::default(), watched());
        for key in [Key::Down, Key::Other, Key::Down, Key::Down, Key::Open] {
            assert!(!view.key(key));
            shown(&mut view, &watched, 120, 24);
        }
        let text = shown(&mut view, &watched, 120, 24);
        assert!(
            text.contains("gave up on 1 of 4 requests after 501.7 ms"),
            "{text}"
        );
        assert!(text.contains("ip.addr == 127.0.0.6"), "{text}");
        view.key(Key::Back);
        assert!(!shown(&mut view, &watched, 120, 24).contains("what happened (Esc"));
        view.key(Key::Help);
        assert!(shown(&mut view, &watched, 120, 24).contains("count anew"));
        view.key(Key::Help);
        view.key(Key::Sort);
        assert!(shown(&mut view, &watched, 120, 24).contains("by not ok"));
        view.key(Key::Pause);
        assert!(view.paused && shown(&mut view, &watched, 120, 24).contains("stands still"));
        assert!(view.key(Key::Quit));
    }

    #[test]
    fn a_small_terminal_is_no_panic() {
        for (width, height) in [(1, 1), (20, 5), (40, 10), (300, 100)] {
            let mut view = View::default();
            shown(&mut view, &watched(), width, height);
            view.key(Key::Help);
            shown(&mut view, &watched(), width, height);
            view.key(Key::Back);
            view.key(Key::Other);
            view.key(Key::Open);
            shown(&mut view, &watched(), width, height);
        }
        shown(&mut View::default(), &Watched::default(), 80, 24);
    }

    #[test]
    fn what_came_from_the_wire_moves_no_cursor() {
        let mut exchange = fixtures::gave_up();
        exchange.path = Some("/\u{1b}[2J\u{9b}31m\u{202e}x\n".into());
        let mut watched = Watched::new("a\u{1b}[31m", false);
        watched.exchange(&exchange);
        watched.look();
        watched.message("b\u{1b}c");
        let mut view = View::default();
        view.key(Key::Other);
        view.key(Key::Open);
        let text = shown(&mut view, &watched, 120, 30);
        let bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!text.contains(bad), "{text:?}");
        assert!(text.contains("\\x1b[2J"), "{text}");
    }
}
