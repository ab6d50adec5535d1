//! The effects of keys: changes of the screen, and requests to the host.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::screen::{Action, Flamed, Mode, Screen};

/// The request that results from a key.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Nothing,
    Quit,
    /// Show the stacks of a worker.
    Stacks(String),
    /// Show the last lines of a worker.
    Logs(String),
    /// Profile a worker or a whole pool.
    Flame(Flamed),
    Act(Action),
}

/// Rows of a page.
const PAGE: isize = 20;

/// Longest filter in bytes.
const FILTER: usize = 200;

impl Screen {
    /// Applies a key in the current mode.
    pub(super) fn key(&mut self, key: KeyEvent) -> Ask {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Ask::Quit,
                _ => Ask::Nothing,
            };
        }
        self.notice = None;
        match std::mem::take(&mut self.mode) {
            Mode::Normal => self.choose(key.code),
            Mode::Filter(before) => {
                self.edit(key.code, before);
                Ask::Nothing
            }
            Mode::Confirm(action) => match key.code {
                KeyCode::Char('y') => Ask::Act(action),
                _ => Ask::Nothing,
            },
            Mode::Panel(mut panel) => {
                let last = panel.lines.len().saturating_sub(1);
                panel.first = match key.code {
                    KeyCode::Up => panel.first.saturating_sub(1),
                    KeyCode::Down => panel.first + 1,
                    KeyCode::PageUp => panel.first.saturating_sub(PAGE as usize),
                    KeyCode::PageDown => panel.first + PAGE as usize,
                    KeyCode::Home => 0,
                    KeyCode::End => last,
                    _ => return Ask::Nothing,
                };
                panel.first = panel.first.min(last);
                self.mode = Mode::Panel(panel);
                Ask::Nothing
            }
        }
    }

    fn choose(&mut self, code: KeyCode) -> Ask {
        match code {
            KeyCode::Char('q') => return Ask::Quit,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('/') => self.mode = Mode::Filter(self.filter.clone()),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Up => self.select(-1),
            KeyCode::Down => self.select(1),
            KeyCode::PageUp => self.select(-PAGE),
            KeyCode::PageDown => self.select(PAGE),
            KeyCode::Home => self.select(isize::MIN),
            KeyCode::End => self.select(isize::MAX),
            KeyCode::Char(key @ ('s' | 'f' | 'F' | 'l' | 'k' | 'r' | 'd')) => {
                return self.about_worker(key);
            }
            _ => {}
        }
        Ask::Nothing
    }

    /// Applies a key that concerns the selected worker.
    fn about_worker(&mut self, key: char) -> Ask {
        let rows = self.rows();
        let Some(row) = self.selected(&rows).map(|place| rows[place]) else {
            self.say("there is no worker");
            return Ask::Nothing;
        };
        let worker = row.worker.id.clone();
        let pool = row.pool.pool.clone();
        let call = row.call.map(|call| (call.call, call.tool.clone()));
        // The selection follows the worker when its row moves.
        self.selected = Some(worker.clone());
        if self.replay {
            self.say("a recording accepts no requests");
            return Ask::Nothing;
        }
        let action = match key {
            's' => return Ask::Stacks(worker),
            'l' => return Ask::Logs(worker),
            'f' | 'F' => {
                let flamed = match key {
                    'f' => Flamed::Worker(worker),
                    _ => Flamed::Pool(pool),
                };
                self.say(format!("sampling {flamed} for two seconds"));
                return Ask::Flame(flamed);
            }
            _ if !self.allow_actions => {
                self.say("actions are not allowed: start with --allow-actions");
                return Ask::Nothing;
            }
            'r' => Action::Recycle { worker },
            'd' => Action::Drain { worker },
            _ => match call {
                Some((call, tool)) => Action::Cancel { call, tool },
                None => {
                    self.say(format!("{worker} has no call"));
                    return Ask::Nothing;
                }
            },
        };
        self.mode = Mode::Confirm(action);
        Ask::Nothing
    }

    fn edit(&mut self, code: KeyCode, before: String) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => {
                self.filter = before;
                return;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.len() + c.len_utf8() <= FILTER => self.filter.push(c),
            _ => {}
        }
        self.mode = Mode::Filter(before);
    }
}
