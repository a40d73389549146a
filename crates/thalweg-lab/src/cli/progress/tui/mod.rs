//! `--tui`: the terminal itself. What is shown is [`State`], how it looks is [`draw`]; this file reads keys
//! and gives the terminal back in every case.

mod chart;
mod draw;
mod look;
mod state;
#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, IsTerminal, Stderr, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::{cursor, execute, style, terminal};

use self::look::Look;
use self::state::{Move, State};
use super::super::stop;
use crate::protocol::{Job, Observer, Phase, Plan, Run, interrupt};

/// Time between two pictures.
const FRAME: Duration = Duration::from_millis(100);

/// Whether the terminal is ours.
static OPEN: AtomicBool = AtomicBool::new(false);

/// The terminal while it is ours. It is given back when this goes, and when the program panics.
pub(super) struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    look: Look,
}

impl Screen {
    /// Takes the terminal.
    pub(super) fn open() -> Result<Self, String> {
        if !io::stderr().is_terminal() {
            return Err("stderr is no terminal".to_owned());
        }
        if std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
            return Err("the terminal cannot place text (TERM=dumb)".to_owned());
        }
        let colours = console::colors_enabled_stderr();
        // crossterm looks at NO_COLOR alone, and --color outranks it.
        style::force_color_output(colours);
        close_on_panic();
        Self::take(Look::of_terminal(colours)).map_err(|e| {
            Self::close();
            format!("cannot use the terminal ({e})")
        })
    }

    fn take(look: Look) -> io::Result<Self> {
        OPEN.store(true, Ordering::SeqCst);
        terminal::enable_raw_mode()?;
        execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide)?;
        let backend = CrosstermBackend::new(BufWriter::new(io::stderr()));
        Ok(Screen { terminal: Terminal::new(backend)?, look })
    }

    /// Whether the terminal is ours.
    pub(super) fn is_open() -> bool {
        OPEN.load(Ordering::SeqCst)
    }

    /// Gives the terminal back, once.
    pub(super) fn close() {
        // The lock waits for the end of a picture that another thread is drawing.
        let mut out = io::stderr().lock();
        if OPEN.swap(false, Ordering::SeqCst) {
            // There is nobody to tell if the terminal is gone.
            let _ = terminal::disable_raw_mode();
            let _ = execute!(out, terminal::LeaveAlternateScreen, cursor::Show);
            let _ = out.flush();
        }
    }

    fn draw(&mut self, state: &State, elapsed: Duration) -> io::Result<()> {
        let _lock = io::stderr().lock();
        if Self::is_open() {
            let look = self.look;
            self.terminal.draw(|frame| draw::draw(frame, state, look, elapsed))?;
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        Self::close();
    }
}

/// Lets a panic's message appear on the terminal as it was.
fn close_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            Screen::close();
            hook(info);
        }));
    });
}

/// Shows the progress of `work` while it runs.
pub(super) fn watch<R>(screen: Screen, plan: &Plan, work: impl FnOnce(&dyn Observer) -> R) -> R {
    let watcher = Watcher {
        state: Mutex::new(State::new(plan)),
        over: AtomicBool::new(false),
        start: Instant::now(),
    };
    std::thread::scope(|scope| {
        let drawing = scope.spawn(|| watcher.show(screen));
        // The thread that draws must end when `work` panics, too: the scope waits for it.
        let over = Over(&watcher.over);
        let result = work(&watcher);
        drop(over);
        // A defect in the picture must not cost the result; its panic has been reported.
        let _ = drawing.join();
        result
    })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

struct Watcher {
    state: Mutex<State>,
    over: AtomicBool,
    start: Instant,
}

impl Watcher {
    fn with(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Draws and listens to keys until the work is over or the terminal is gone.
    fn show(&self, mut screen: Screen) {
        while !self.over.load(Ordering::SeqCst) && Screen::is_open() {
            let next = Instant::now() + FRAME;
            let mut drawn = Ok(());
            self.with(|state| {
                state.stopping = stop::state();
                drawn = screen.draw(state, self.start.elapsed());
            });
            if drawn.and_then(|()| self.listen(next)).is_err() {
                return;
            }
        }
    }

    /// Handles what comes until the next picture is due.
    fn listen(&self, until: Instant) -> io::Result<()> {
        while event::poll(until.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()? {
                self.press(key);
            }
        }
        Ok(())
    }

    fn press(&self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('c') if control => stop::request(),
            // Unlike Ctrl-C it never ends the process without a report.
            KeyCode::Char('q') if !interrupt::abandoned() => stop::request(),
            code => {
                if let Some(to) = meant(code) {
                    self.with(|state| state.go(to));
                }
            }
        }
    }
}

/// What a key asks for.
fn meant(code: KeyCode) -> Option<Move> {
    match code {
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Some(Move::NextTask),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Some(Move::PreviousTask),
        KeyCode::Down | KeyCode::Char('j') => Some(Move::Down),
        KeyCode::Up | KeyCode::Char('k') => Some(Move::Up),
        KeyCode::Char('?') => Some(Move::Help),
        KeyCode::Esc => Some(Move::Back),
        _ => None,
    }
}

impl Observer for Watcher {
    fn ended(&self, phase: Phase, run: &Run) {
        self.with(|state| state.ended(phase, run, self.start.elapsed()));
    }

    fn measured(&self, _: Phase, run: &Run) {
        self.with(|state| state.measured(run));
    }

    fn added(&self, job: &Job) {
        self.with(|state| state.added(job));
    }
}
