//! Who may start: one queue for each group, with its limit, and one for all that compute.

use std::collections::{BTreeMap, HashMap, VecDeque};

use petgraph::graph::NodeIndex;

/// Instances that may run side by side.
#[derive(Debug)]
struct Queue {
    limit: usize,
    running: usize,
    waiting: VecDeque<NodeIndex>,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), running: 0, waiting: VecDeque::new() }
    }
}

/// All that wait for a place.
#[derive(Debug)]
pub struct Queues<'p> {
    /// The last of them is for instances without a group.
    all: Vec<Queue>,
    groups: HashMap<&'p str, usize>,
}

/// An instance that has its place.
#[derive(Debug, Clone, Copy)]
pub struct Started {
    pub node: NodeIndex,
    /// In a group of its own: it waits for others rather than computes.
    pub grouped: bool,
}

impl<'p> Queues<'p> {
    /// `rest`: how many run at once of those without a group.
    pub fn new(limits: &'p BTreeMap<String, usize>, rest: usize) -> Self {
        let groups = limits.keys().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let all = limits.values().copied().chain([rest]).map(Queue::new).collect();
        Self { all, groups }
    }

    fn of(&mut self, group: Option<&str>) -> &mut Queue {
        let last = self.all.len() - 1;
        let index = group.and_then(|group| self.groups.get(group).copied()).unwrap_or(last);
        &mut self.all[index]
    }

    pub fn wait(&mut self, node: NodeIndex, group: Option<&str>) {
        self.of(group).waiting.push_back(node);
    }

    /// The next that may start, if any; it takes its place.
    pub fn start(&mut self) -> Option<Started> {
        let last = self.all.len() - 1;
        for (index, queue) in self.all.iter_mut().enumerate().filter(|(_, queue)| queue.running < queue.limit) {
            if let Some(node) = queue.waiting.pop_front() {
                queue.running += 1;
                return Some(Started { node, grouped: index < last });
            }
        }
        None
    }

    /// Gives a place back.
    pub fn ended(&mut self, group: Option<&str>) {
        self.of(group).running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_no_more_than_its_limit_and_nothing_from_the_others() {
        let limits = BTreeMap::from([("network".to_owned(), 1)]);
        let mut queues = Queues::new(&limits, 2);
        for number in 0..3 {
            queues.wait(NodeIndex::new(number), Some("network"));
            queues.wait(NodeIndex::new(10 + number), None);
        }
        let started = |queues: &mut Queues<'_>| {
            std::iter::from_fn(|| queues.start().map(|one| (one.node.index(), one.grouped))).collect::<Vec<_>>()
        };
        assert_eq!(started(&mut queues), [(0, true), (10, false), (11, false)]);
        queues.ended(Some("network"));
        assert_eq!(started(&mut queues), [(1, true)]);
        queues.ended(None);
        assert_eq!(started(&mut queues), [(12, false)]);
    }
}
