//! What shows only when all tasks of Pipeline.toml are seen together: unknown names, cycles, two makers of one file.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;

use petgraph::graph::DiGraph;

use crate::config::pipeline::{Action, ScaleChoice, TaskSpec};
use crate::config::section::{Section, meant};
use crate::config::task_file::{Named, Unlinked};

/// Names become places in the file; then the whole is looked over.
pub fn link(top: &Section<'_, '_>, tasks: Vec<Unlinked>, pool: &Path) -> Vec<TaskSpec> {
    let known: Vec<String> = tasks.iter().map(|task| task.spec.name.clone()).collect();
    let outputs: Vec<Vec<Range<usize>>> = tasks.iter().map(|task| task.outputs.clone()).collect();
    let named: Vec<usize> = tasks.iter().map(|task| task.needs.len()).collect();
    let tasks: Vec<TaskSpec> = tasks
        .into_iter()
        .map(|task| TaskSpec {
            needs: places(top, &known, &task.needs),
            after: places(top, &known, &task.after),
            ..task.spec
        })
        .collect();
    cycles(top, &tasks);
    for (task, named) in tasks.iter().zip(named) {
        // A misspelt need is told already.
        if task.needs.len() == named {
            reads_what_it_works_on(top, task, &tasks);
        }
    }
    one_maker(top, &tasks);
    one_writer(top, &tasks, &outputs, pool);
    tasks
}

fn places(top: &Section<'_, '_>, known: &[String], names: &[Named]) -> Vec<usize> {
    let mut found = Vec::new();
    for (name, span) in names {
        match known.iter().position(|task| task == name) {
            Some(index) if !found.contains(&index) => found.push(index),
            Some(_) => top.problem(span.clone(), format!("`{name}` stands here twice"), None),
            None => {
                let hint = meant(name, known.iter().map(String::as_str));
                top.problem(span.clone(), format!("there is no task `{name}`"), hint);
            }
        }
    }
    found
}

/// Each knot of tasks that wait for each other is told once, as the shortest way round from its first task.
fn cycles(top: &Section<'_, '_>, tasks: &[TaskSpec]) {
    let next = |task: usize| tasks[task].needs.iter().chain(&tasks[task].after).copied();
    let edges = (0..tasks.len()).flat_map(|task| next(task).map(move |to| (number(task), number(to))));
    let mut graph: DiGraph<(), ()> = DiGraph::from_edges(edges);
    while graph.node_count() < tasks.len() {
        graph.add_node(());
    }
    let mut knots: Vec<usize> = petgraph::algo::kosaraju_scc(&graph)
        .into_iter()
        .filter(|knot| knot.len() > 1 || graph.contains_edge(knot[0], knot[0]))
        .filter_map(|knot| knot.into_iter().map(petgraph::graph::NodeIndex::index).min())
        .collect();
    knots.sort_unstable();
    for first in knots {
        let mut names: Vec<&str> =
            way_round(first, tasks.len(), next).iter().map(|&t| tasks[t].name.as_str()).collect();
        names.push(&tasks[first].name);
        let message = format!("the tasks wait for each other: {}", names.join(" -> "));
        let hint = Some("an arrow is a name in `needs` or `after`; take one of them out".to_owned());
        top.problem(tasks[first].span.clone(), message, hint);
    }
}

fn number(task: usize) -> u32 {
    u32::try_from(task).unwrap_or(u32::MAX)
}

/// The shortest way from a task back to itself, without the end.
fn way_round<I: Iterator<Item = usize>>(first: usize, count: usize, next: impl Fn(usize) -> I) -> Vec<usize> {
    let mut came_from = vec![None; count];
    let mut queue = VecDeque::from([first]);
    while let Some(task) = queue.pop_front() {
        for to in next(task) {
            if to == first {
                let mut way: Vec<usize> =
                    std::iter::successors(Some(task), |&at| came_from[at].filter(|_| at != first)).collect();
                way.reverse();
                return way;
            }
            if came_from[to].is_none() {
                came_from[to] = Some(task);
                queue.push_back(to);
            }
        }
    }
    vec![first]
}

/// A task that works on another's tables has to need it, or it would find nothing and say nothing.
fn reads_what_it_works_on(top: &Section<'_, '_>, task: &TaskSpec, tasks: &[TaskSpec]) {
    let source = match task.action {
        Action::Combine => Action::Decode,
        Action::Score | Action::Wide | Action::Report(_) => Action::Combine,
        _ => return,
    };
    if task.needs.iter().any(|&need| tasks[need].action == source) {
        return;
    }
    let (own, source_word) = (task.action.word(), source.word());
    let message = format!("action \"{own}\" works on what action \"{source_word}\" makes, but needs none");
    let maker = tasks.iter().find(|other| other.action == source);
    top.problem(task.span.clone(), message, maker.map(|maker| format!("add \"{}\" to `needs`", maker.name)));
}

/// Two tasks of one action must not share an instance: they would make the same files.
fn one_maker(top: &Section<'_, '_>, tasks: &[TaskSpec]) {
    for (index, task) in tasks.iter().enumerate() {
        for other in &tasks[..index] {
            if matches!(task.action, Action::Command(_)) || task.action != other.action || !meet(task, other) {
                continue;
            }
            let message =
                format!("`{}` and `{}` both make what action \"{}\" makes", other.name, task.name, task.action.word());
            let hint = Some("give them different `scales` or `servers`".to_owned());
            top.problem(task.span.clone(), message, hint);
        }
    }
}

/// Whether two tasks of one action share an instance.
fn meet(a: &TaskSpec, b: &TaskSpec) -> bool {
    servers_meet(a, b) && scales_meet(a, b)
}

fn servers_meet(a: &TaskSpec, b: &TaskSpec) -> bool {
    match (&a.servers, &b.servers) {
        (Some(a), Some(b)) => a.iter().any(|server| b.contains(server)),
        _ => true,
    }
}

fn scales_meet(a: &TaskSpec, b: &TaskSpec) -> bool {
    let all = ScaleChoice::All;
    match (a.scales.as_ref().unwrap_or(&all), b.scales.as_ref().unwrap_or(&all)) {
        (ScaleChoice::Named(a), ScaleChoice::Named(b)) => a.iter().any(|scale| b.contains(scale)),
        // Which of the two kinds a named scale is, only the server knows.
        (a, b) => a == b || *a == all || *b == all,
    }
}

/// Two commands must not write one file.
fn one_writer(top: &Section<'_, '_>, tasks: &[TaskSpec], places: &[Vec<Range<usize>>], pool: &Path) {
    let mut writers: Vec<(String, &TaskSpec)> = Vec::new();
    for (task, places) in tasks.iter().zip(places) {
        let Action::Command(command) = &task.action else { continue };
        for (output, span) in command.outputs.iter().zip(places) {
            let path = one_spelling(output, pool);
            let other = writers.iter().find(|(known, other)| {
                *known == path && other.name != task.name && servers_meet(task, other) && scales_meet(task, other)
            });
            if let Some((_, other)) = other {
                top.problem(span.clone(), format!("`{}` and `{}` both make {output}", other.name, task.name), None);
            }
            writers.push((path, task));
        }
    }
}

/// One spelling for each path: `{pool}` written out, no `.` and no doubled `/`.
fn one_spelling(output: &str, pool: &Path) -> String {
    let path = output.replace("{pool}", &pool.to_string_lossy());
    Path::new(&path).components().collect::<std::path::PathBuf>().to_string_lossy().into_owned()
}
