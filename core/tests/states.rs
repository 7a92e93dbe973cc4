//! The drawing in docs/states.md is the transition functions, no more and no less.

use std::collections::BTreeSet;

use rota_core::state::{RunEvent, RunState, TaskEvent, TaskState, run_next, task_next};

const DRAWING: &str = include_str!("../../docs/states.md");

/// The `from --> to: event` lines of the `nth` diagram.
fn drawn(nth: usize) -> BTreeSet<(String, String, String)> {
    let diagram = DRAWING.split("```mermaid").nth(nth + 1).and_then(|rest| rest.split("```").next());
    let lines = diagram.expect("the page has that many diagrams").lines().filter(|line| line.contains(": "));
    lines
        .map(|line| {
            let (from, rest) = line.trim().split_once(" --> ").expect("an arrow");
            let (to, event) = rest.split_once(": ").expect("an event");
            (from.to_owned(), event.to_owned(), to.to_owned())
        })
        .collect()
}

#[test]
fn the_drawing_of_tasks_is_task_next() {
    let mut real = BTreeSet::new();
    for state in TaskState::ALL {
        for event in TaskEvent::ALL {
            if let Ok(next) = task_next(*state, *event) {
                real.insert((state.to_string(), event.to_string(), next.to_string()));
            }
        }
    }
    assert_eq!(drawn(0), real);
}

#[test]
fn the_drawing_of_runs_is_run_next() {
    let mut real = BTreeSet::new();
    for state in RunState::ALL {
        for event in RunEvent::ALL {
            if let Ok(next) = run_next(*state, *event) {
                real.insert((state.to_string(), event.to_string(), next.to_string()));
            }
        }
    }
    assert_eq!(drawn(1), real);
}

#[test]
fn words_parse_back_to_the_states_they_name() {
    for state in TaskState::ALL {
        assert_eq!(TaskState::parse(state.as_str()), Some(*state));
    }
    for state in RunState::ALL {
        assert_eq!(RunState::parse(state.as_str()), Some(*state));
    }
}
