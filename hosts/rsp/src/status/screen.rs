//! The live table on a terminal.

use std::io;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Cell, Paragraph, Row as TableRow, Table, TableState};
use ratatui::{DefaultTerminal, Frame};
use rserpool::csp::{ComponentId, ComponentKind, Liveness, MonitorSocket};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::listening_failed;
use super::row::{Row, ago, association, clock, percent, rows, summary};
use crate::failure::Failure;

/// Shows the components until a key or a signal says that it is enough.
pub(super) async fn show(
    socket: MonitorSocket,
    stopped: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let broken = |error: io::Error| Failure::failed(format!("the terminal refuses: {error}"));
    let terminal = ratatui::try_init().map_err(broken)?;
    let result = run(terminal, socket, stopped).await;
    ratatui::restore();
    result
}

async fn run(
    mut terminal: DefaultTerminal,
    mut socket: MonitorSocket,
    stopped: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let address = socket.local_address().map_err(|error| listening_failed(&error))?;
    let mut screen = Screen { place: format!("UDP {address}"), ..Screen::default() };
    let mut keys = keys();
    let mut frames = tokio::time::interval(FRAME_INTERVAL);
    frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => return Ok(()),
            step = socket.step() => step.map_err(|error| listening_failed(&error))?,
            key = keys.recv() => match key {
                Some(key) if screen.on_key(key) => draw(&mut terminal, &mut screen)?,
                _ => return Ok(()),
            },
            _ = frames.tick() => {
                let (monitor, now) = socket.view();
                screen.update(rows(monitor, now));
                draw(&mut terminal, &mut screen)?;
            }
        }
    }
}

fn draw(terminal: &mut DefaultTerminal, screen: &mut Screen) -> Result<(), Failure> {
    let drawn = terminal.draw(|frame| screen.draw(frame));
    drawn.map(drop).map_err(|error| Failure::failed(format!("the terminal refuses: {error}")))
}

/// Keys as they are pressed. The thread that waits for them ends with the process.
fn keys() -> mpsc::Receiver<KeyCode> {
    let (sender, keys) = mpsc::channel(KEY_COUNT_MAX);
    std::thread::spawn(move || {
        while let Ok(event) = event::read() {
            let Event::Key(key) = event else { continue };
            if key.kind == KeyEventKind::Release {
                continue;
            }
            let is_interrupt = key.modifiers.contains(KeyModifiers::CONTROL)
                && matches!(key.code, KeyCode::Char('c'));
            let code = if is_interrupt { KeyCode::Esc } else { key.code };
            if sender.blocking_send(code).is_err() {
                return;
            }
        }
    });
    keys
}

/// What is on the screen.
#[derive(Debug, Default)]
struct Screen {
    place: String,
    rows: Vec<Row>,
    /// The component whose associations are shown.
    chosen: Option<ComponentId>,
    table: TableState,
}

impl Screen {
    /// Shows these from now on. The same component stays chosen.
    fn update(&mut self, rows: Vec<Row>) {
        self.rows = rows;
        let place = self.rows.iter().position(|row| Some(row.id) == self.chosen);
        self.choose(place.unwrap_or(self.table.selected().unwrap_or(0)));
    }

    fn choose(&mut self, index: usize) {
        let index = index.min(self.rows.len().saturating_sub(1));
        self.chosen = self.rows.get(index).map(|row| row.id);
        self.table.select(self.chosen.map(|_| index));
    }

    /// Does what a key stands for; false if it ends the program.
    fn on_key(&mut self, key: KeyCode) -> bool {
        let index = self.table.selected().unwrap_or(0);
        match key {
            KeyCode::Esc | KeyCode::Char('q') => return false,
            KeyCode::Up | KeyCode::Char('k') => self.choose(index.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(index + 1),
            KeyCode::PageUp => self.choose(index.saturating_sub(PAGE)),
            KeyCode::PageDown => self.choose(index + PAGE),
            KeyCode::Home => self.choose(0),
            KeyCode::End => self.choose(usize::MAX),
            _ => {}
        }
        true
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let chosen = self.table.selected().and_then(|index| self.rows.get(index));
        let detail = match chosen {
            Some(row) if frame.area().height >= DETAIL_HEIGHT_MIN => detail(row),
            _ => Vec::new(),
        };
        let detail_height = match detail.len() as u16 {
            0 => 0,
            lines => (lines + 1).min(frame.area().height / 3),
        };
        let [title, body, below, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Min(2),
            Constraint::Length(detail_height),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_title(frame, title);
        match self.rows.is_empty() {
            true => frame.render_widget(Paragraph::new(nothing(&self.place)), body),
            false => frame.render_stateful_widget(table(&self.rows), body, &mut self.table),
        }
        let rule = Block::new().borders(ratatui::widgets::Borders::TOP).border_style(FAINT);
        frame.render_widget(Paragraph::new(detail).block(rule), below);
        frame.render_widget(Line::styled(KEYS, FAINT), foot);
    }

    fn draw_title(&self, frame: &mut Frame<'_>, area: Rect) {
        let left = Line::from(vec![
            Span::styled("RSerPool components", Modifier::BOLD),
            Span::styled(format!("  at {}", self.place), FAINT),
        ]);
        frame.render_widget(left, area);
        let right = Line::from(summary(&self.rows)).alignment(Alignment::Right);
        frame.render_widget(right, area);
    }
}

fn table(rows: &[Row]) -> Table<'_> {
    let heads = ["TYPE", "ID", "LOCATION", "STATUS", "UP", "LOAD", "ASSOC", "SEEN"];
    let id_width = rows.iter().map(|row| row.id.to_string().len()).max().unwrap_or_default();
    let up_width = rows.iter().map(|row| clock(row.uptime).len()).max().unwrap_or_default();
    let widths = [
        Constraint::Length(4),
        Constraint::Length(id_width as u16),
        Constraint::Fill(4),
        Constraint::Fill(5),
        Constraint::Length(up_width.max(2) as u16),
        Constraint::Length(BAR_LEN as u16 + 6),
        Constraint::Length(5),
        Constraint::Length(7),
    ];
    Table::new(rows.iter().map(table_row), widths)
        .header(TableRow::new(heads).style(FAINT))
        .column_spacing(1)
        .row_highlight_style(Modifier::REVERSED)
}

fn table_row(row: &Row) -> TableRow<'static> {
    let color = match row.id.kind() {
        ComponentKind::REGISTRAR => Color::Magenta,
        ComponentKind::POOL_ELEMENT => Color::Cyan,
        ComponentKind::POOL_USER => Color::Green,
        _ => Color::Yellow,
    };
    let name = Style::new().fg(color).add_modifier(Modifier::BOLD);
    let seen = match row.liveness {
        Liveness::Alive => Style::new(),
        Liveness::Silent => Style::new().fg(Color::Yellow),
        Liveness::Stopped => FAINT,
    };
    let right = |text: String| Text::from(text).alignment(Alignment::Right);
    let cells = [
        Cell::new(row.id.kind().to_string()).style(name),
        Cell::new(row.id.to_string()).style(name),
        Cell::new(row.location.clone()),
        Cell::new(row.status.clone()),
        Cell::new(right(clock(row.uptime))),
        Cell::new(load(row.workload)),
        Cell::new(right(row.association_count.to_string())),
        Cell::new(right(ago(row.seen))).style(seen),
    ];
    match row.liveness {
        Liveness::Alive => TableRow::new(cells),
        Liveness::Silent => TableRow::new(cells).style(Modifier::DIM),
        Liveness::Stopped => TableRow::new(cells).style(FAINT),
    }
}

/// A workload as a bar and a number.
fn load(workload: Option<f64>) -> Line<'static> {
    let Some(fraction) = workload else { return Line::default() };
    let color = match fraction {
        0.9.. => Color::Red,
        0.6.. => Color::Yellow,
        _ => Color::Green,
    };
    let eighths = (fraction * (BAR_LEN * 8) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    bar.extend(["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"].get(eighths % 8).copied());
    Line::from(vec![
        Span::styled(format!("{bar:<BAR_LEN$}"), Style::new().fg(color)),
        Span::raw(format!(" {:>5}", percent(workload))),
    ])
}

/// The chosen component: all of its texts, and its associations.
fn detail(row: &Row) -> Vec<Line<'static>> {
    let name = format!("{} {}", row.id.kind(), row.id);
    let mut lines = vec![Line::from(vec![
        Span::styled(name, Modifier::BOLD),
        Span::raw(format!("  {}  ", row.location)),
        Span::styled(row.status.clone(), Modifier::ITALIC),
    ])];
    lines.extend(
        row.associations.iter().map(|with| Line::from(format!("  {}", association(with)))),
    );
    let more = row.association_count.saturating_sub(row.associations.len());
    if more > 0 {
        lines.push(Line::styled(format!("  and {more} more"), FAINT));
    }
    lines
}

fn nothing(place: &str) -> Vec<Line<'static>> {
    vec![
        Line::default(),
        Line::from("  Nobody has reported yet."),
        Line::styled(
            format!("  Components report to {place} if they are started with --csp-server."),
            FAINT,
        ),
    ]
}

const FAINT: Style = Style::new().fg(Color::DarkGray);
const KEYS: &str = " ↑ ↓ choose   q quit";

/// How many rows a page key moves.
const PAGE: usize = 10;

/// On fewer lines the table alone is shown.
const DETAIL_HEIGHT_MIN: u16 = 12;

/// Letters of a full bar.
const BAR_LEN: usize = 8;

/// How often the screen is drawn.
const FRAME_INTERVAL: Duration = Duration::from_millis(200);

/// Keys that may wait.
const KEY_COUNT_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::row::tests::monitor;
    use super::*;

    fn drawn(screen: &mut Screen, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        let text = terminal.backend().to_string();
        text.lines().map(|line| line.trim_matches('"').trim_end().to_owned()).collect()
    }

    fn screen() -> Screen {
        let (monitor, now) = monitor();
        let mut screen = Screen { place: "UDP 0.0.0.0:2960".into(), ..Screen::default() };
        screen.update(rows(&monitor, now));
        screen
    }

    #[test]
    fn the_table_shows_everybody_and_below_it_the_chosen_one() {
        let mut screen = screen();
        assert!(screen.on_key(KeyCode::Down));
        let lines = drawn(&mut screen, 100, 14);
        assert!(lines[0].starts_with("RSerPool components  at UDP 0.0.0.0:2960"));
        assert!(lines[0].ends_with("1 registrar, 1 element, 1 user"));
        assert!(lines[3].starts_with("PR   0x11111111 10.77.0.11:3863"), "{}", lines[3]);
        assert!(lines[4].contains("██████    75 %     1   0.0 s"), "{}", lines[4]);
        assert!(lines[5].starts_with("PU   0x00c0ffee"));
        assert!(lines[11].contains("PE 0xaaaa0001  10.77.0.21  2 Sessions"), "{lines:#?}");
        assert!(lines[12].contains("PR not known yet ASAP 0:00:12"));
        assert!(lines[13].contains("q quit"));
    }

    #[test]
    fn a_small_screen_shows_the_table_alone() {
        let lines = drawn(&mut screen(), 60, 6);
        assert!(lines[3].starts_with("PR   0x11111111"), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("not known yet")));
        let lines = drawn(&mut screen(), 1, 1);
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn an_empty_table_says_how_to_fill_it() {
        let lines = drawn(&mut Screen::default(), 80, 10);
        assert!(lines.iter().any(|line| line.contains("--csp-server")), "{lines:#?}");
    }

    #[test]
    fn the_chosen_one_stays_chosen_while_others_come_and_go() {
        let mut screen = screen();
        assert!(screen.on_key(KeyCode::End));
        let user = screen.chosen;
        let rest = screen.rows[1..].to_vec();
        screen.update(rest.clone());
        assert_eq!((screen.chosen, screen.table.selected()), (user, Some(1)));
        screen.update(rest[..1].to_vec());
        assert_eq!(screen.table.selected(), Some(0));
        screen.update(Vec::new());
        assert_eq!((screen.chosen, screen.table.selected()), (None, None));
        assert!(screen.on_key(KeyCode::Down));
        assert!(!screen.on_key(KeyCode::Char('q')));
    }
}
