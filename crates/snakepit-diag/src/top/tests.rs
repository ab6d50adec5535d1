//! Screens of the view as text, and the effects of keys.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::draw;
use super::keys::Ask;
use super::screen::{Action, Flamed, Screen};
use crate::{
    CallReport, Capacity, Counters, Death, HostReport, PoolReport, Queue, Report, SessionQueue,
    Watch, WorkerReport, WorkerState,
};

/// A host with a busy worker, an idle one, a queue and a death.
fn report(at: f64) -> Report {
    let death = Death {
        worker: "main-1".to_owned(),
        at: at - 4.0,
        exit: "killed by signal 9 (SIGKILL)".to_owned(),
        cause: "signal".to_owned(),
        calls: 3,
    };
    let worker = |id: &str, status, load| WorkerReport {
        id: id.to_owned(),
        pid: Some(7),
        status,
        capacity: 1,
        load,
        memory_bytes: Some(13 << 20),
        cpu_seconds: Some(at - 100.0),
        calls: 12,
        age_seconds: 60.0,
        ..WorkerReport::default()
    };
    let mut busy = worker("main-3", WorkerState::Busy, 1);
    busy.generation = 1;
    busy.last_death = Some(death.clone());
    let pool = PoolReport {
        pool: "main".to_owned(),
        profile: "process".to_owned(),
        state: "ready".to_owned(),
        worker_count: 2,
        target: 2,
        capacity: Capacity::new(2, 1),
        queue: Queue {
            depth: 5,
            limit: 1000,
            ..Queue::default()
        },
        queue_by_session: vec![
            SessionQueue {
                session: Some("u\u{1b}[31m1".to_owned()),
                depth: 3,
            },
            SessionQueue {
                session: None,
                depth: 2,
            },
        ],
        counters: Counters {
            succeeded: (at * 10.0) as u64,
            ..Counters::default()
        },
        deaths: vec![death],
        workers: vec![worker("main-2", WorkerState::Available, 0), busy],
        calls: vec![CallReport {
            call: 41,
            tool: "wait\u{1b}]0;owned\u{7}".to_owned(),
            worker: "main-3".to_owned(),
            age_seconds: 3.0,
            left_seconds: Some(27.0),
            items: 1,
            ..CallReport::default()
        }],
        ..PoolReport::default()
    };
    Report {
        at,
        host: HostReport {
            run: Some("4h8vq0c2m1n6t9xkzj3wd5rbys".to_owned()),
            pid: 71302,
            program: "/opt/app".to_owned(),
            uptime_seconds: 60.0,
            ..HostReport::default()
        },
        pools: vec![pool],
        ..Report::default()
    }
}

fn screen() -> Screen {
    let mut watch = Watch::default();
    watch.add(report(1000.0));
    watch.add(report(1000.5));
    Screen {
        watch,
        ..Screen::default()
    }
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw::draw(screen, area, &mut buffer);
    let line = |y| {
        let cells = (0..width).map(|x| buffer[(x, y)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

fn press(screen: &mut Screen, code: KeyCode) -> Ask {
    screen.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn press_all(screen: &mut Screen, keys: &str) -> Ask {
    let asks = keys.chars().map(|c| press(screen, KeyCode::Char(c)));
    asks.last().unwrap()
}

#[test]
fn the_last_line_says_how_to_end_and_forgets_what_has_come() {
    let mut screen = screen();
    for width in [60, 80, 120] {
        for actions in [false, true] {
            screen.allow_actions = actions;
            let text = drawn(&screen, width, 24);
            assert!(text.ends_with("q quit"), "{width}: {text}");
            assert_eq!(text.contains("k cancel"), actions, "{text}");
        }
    }
    press(&mut screen, KeyCode::Char('f'));
    assert!(drawn(&screen, 80, 24).contains("sampling"));
    screen.show("flame graph".to_owned(), Vec::new(), false);
    let text = drawn(&screen, 80, 24);
    assert!(
        !text.contains("sampling") && text.contains("any other key back"),
        "{text}"
    );
}

#[test]
fn a_screen_has_all_that_is_known() {
    let text = super::text(&screen(), 120);
    let expected = [
        r#"snakepit top  app  pid 71302  up 60 s  run 4h8vq0c2"#,
        r#"POOL           WORKERS   SLOTS            QUEUE               CALLS                 99 %  LAST DEATH"#,
        r#"main           2/2       1/2 ██████░░░░░░ 5      ██           10/s     █            -  4 s ago killed by signal 9 (SIGKI"#,
        r#"waiting by session: u\u{1b}[31m1 3, no session 2"#,
        r#""#,
        r#"WORKER       STATUS    TOOL      AGE     LEFT    CPU   MEMORY   TROUBLE         1 FINDING"#,
        r#"main-3       busy      wait\u{1b 3 s     27 s    100 % 13.0 MiB 4 s ago killed  warning 5 calls wait in pool `main`"#,
        r#"main-2       available -         -       -       100 % 13.0 MiB                 although 1 slot is free: the sessions of"#,
        r#"                                                                                the calls are bound to busy workers"#,
        r#"                                                                                → use the affinity `hint`, or spread the"#,
        r#"                                                                                work over more sessions"#,
    ];
    assert_eq!(text, expected.join("\n"), "\n{text}\n");
}

#[test]
fn a_small_terminal_has_the_most_important() {
    let expected = "main 1/2 q5\n";
    let text = drawn(&screen(), 20, 5);
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(drawn(&Screen::default(), 20, 5).trim_end(), "no report yet");
}

#[test]
fn what_terminals_act_on_is_not_drawn() {
    for (width, height) in [(20, 5), (80, 24), (200, 50)] {
        let text = drawn(&screen(), width, height);
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }
}

#[test]
fn without_colours_no_cell_has_one() {
    let area = Rect::new(0, 0, 120, 30);
    let colours = |screen: &Screen| {
        let mut buffer = Buffer::empty(area);
        draw::draw(screen, area, &mut buffer);
        let coloured = |cell: &&ratatui::buffer::Cell| cell.fg != ratatui::style::Color::Reset;
        buffer.content.iter().filter(coloured).count()
    };
    let mut screen = screen();
    assert_eq!(colours(&screen), 0);
    screen.colour = true;
    assert!(colours(&screen) > 0);
}

#[test]
fn a_thousand_workers_scroll_around_the_selected_one() {
    let mut report = report(1000.0);
    let worker = report.pools[0].workers[0].clone();
    report.pools[0].workers = (0..1000)
        .map(|n| WorkerReport {
            id: format!("main-{n}"),
            ..worker.clone()
        })
        .collect();
    let mut screen = Screen::default();
    screen.watch.add(report);
    assert!(drawn(&screen, 120, 30).contains("main-0 "));
    press(&mut screen, KeyCode::End);
    let text = drawn(&screen, 120, 30);
    assert!(
        text.contains("main-999") && !text.contains("main-0 "),
        "{text}"
    );
    press(&mut screen, KeyCode::PageUp);
    assert_eq!(screen.selected.as_deref(), Some("main-979"));
    press_all(&mut screen, "/main-77");
    press(&mut screen, KeyCode::Enter);
    assert_eq!(screen.rows().len(), 11);
    press(&mut screen, KeyCode::Esc);
    assert_eq!(screen.rows().len(), 1000);
}

#[test]
fn keys_about_workers_ask_the_host() {
    let mut screen = screen();
    // The worker with the oldest call is the first one.
    assert_eq!(
        press_all(&mut screen, "s"),
        Ask::Stacks("main-3".to_owned())
    );
    press(&mut screen, KeyCode::Down);
    assert_eq!(press_all(&mut screen, "l"), Ask::Logs("main-2".to_owned()));
    for (key, flamed, said) in [
        ("f", Flamed::Worker("main-2".to_owned()), "sampling main-2"),
        ("F", Flamed::Pool("main".to_owned()), "sampling pool main"),
    ] {
        assert_eq!(press_all(&mut screen, key), Ask::Flame(flamed));
        assert!(drawn(&screen, 120, 30).contains(said));
    }
    press(&mut screen, KeyCode::Home);
    assert_eq!(press_all(&mut screen, "r"), Ask::Nothing);
    assert!(drawn(&screen, 120, 30).contains("actions are not allowed"));
    screen.allow_actions = true;
    for (key, action) in [
        (
            'k',
            Action::Cancel {
                call: 41,
                tool: "wait\u{1b}]0;owned\u{7}".to_owned(),
            },
        ),
        (
            'r',
            Action::Recycle {
                worker: "main-3".to_owned(),
            },
        ),
        (
            'd',
            Action::Drain {
                worker: "main-3".to_owned(),
            },
        ),
    ] {
        assert_eq!(press(&mut screen, KeyCode::Char(key)), Ask::Nothing);
        assert!(drawn(&screen, 120, 30).contains("y yes"));
        assert_eq!(
            press_all(&mut screen, "n"),
            Ask::Nothing,
            "anything else is no"
        );
        press(&mut screen, KeyCode::Char(key));
        assert_eq!(press_all(&mut screen, "y"), Ask::Act(action));
    }
    press(&mut screen, KeyCode::Down);
    press_all(&mut screen, "k");
    assert!(drawn(&screen, 120, 30).contains("main-2 has no call"));
    screen.replay = true;
    assert_eq!(press_all(&mut screen, "s"), Ask::Nothing);
    assert!(drawn(&screen, 120, 30).contains("a recording accepts no requests"));
    assert_eq!(press_all(&mut screen, "q"), Ask::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.key(interrupt), Ask::Quit);
    assert_eq!(press_all(&mut Screen::default(), "r"), Ask::Nothing);
}

#[test]
fn a_filter_can_be_undone_and_a_panel_is_scrolled() {
    let mut screen = screen();
    press_all(&mut screen, "/zzz");
    assert!(drawn(&screen, 120, 30).contains("no worker matches the filter"));
    press(&mut screen, KeyCode::Backspace);
    press(&mut screen, KeyCode::Esc);
    assert_eq!((&*screen.filter, screen.rows().len()), ("", 2));
    let lines = (0..100).map(|n| format!("line {n}\u{1b}[2J")).collect();
    screen.show("stacks of main-3".to_owned(), lines, false);
    assert!(drawn(&screen, 80, 24).contains("line 0\\u{1b}"));
    press(&mut screen, KeyCode::End);
    assert!(drawn(&screen, 80, 24).contains("line 99"));
    press(&mut screen, KeyCode::PageUp);
    press(&mut screen, KeyCode::Up);
    press(&mut screen, KeyCode::Esc);
    assert!(drawn(&screen, 80, 24).contains("main-3"));
}

#[test]
fn what_is_special_stands_at_the_top() {
    let mut screen = screen();
    press_all(&mut screen, " ");
    screen.silent = Some(3.0);
    screen.replay = true;
    screen.ended = true;
    let text = drawn(&screen, 120, 30);
    let head = text.lines().next().unwrap().to_owned();
    assert!(
        head.ends_with("no answer for 3 s  end of the recording  paused"),
        "{head}"
    );
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::NAN), Just(f64::INFINITY), -1.0..1e6]
}

prop_compose! {
    fn any_report()(
        (at, age, left, cpu) in (any_number(), any_number(), any_number(), any_number()),
        (used, total, depth) in any::<(usize, usize, usize)>(),
        (succeeded, errors, p99) in any::<(u64, u64, u64)>(),
        text in ".{0,40}",
        pools in 0_usize..9,
    ) -> Report {
        let mut report = report(at);
        let mut pool = report.pools.remove(0);
        pool.capacity = Capacity { total, used, ..Capacity::new(total, used) };
        pool.queue.depth = depth;
        pool.counters.succeeded = succeeded;
        pool.counters.errors = errors;
        pool.service_time.count = succeeded;
        pool.service_time.p99_us = p99;
        pool.calls[0].tool.clone_from(&text);
        pool.calls[0].age_seconds = age;
        pool.calls[0].left_seconds = Some(left);
        pool.workers[1].cpu_seconds = Some(cpu);
        pool.state = text;
        report.pools = vec![pool; pools];
        report
    }
}

proptest! {
    #[test]
    fn any_report_has_a_screen_of_any_size(
        reports in proptest::collection::vec(any_report(), 1..3),
        width in 0_u16..150,
        height in 0_u16..60,
    ) {
        let mut screen = Screen { colour: true, ..Screen::default() };
        for report in reports {
            screen.watch.add(report);
        }
        drawn(&screen, width, height);
    }
}
