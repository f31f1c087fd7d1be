//! What a refusal claims, proved over the whole graph of reachable states.

use std::collections::BTreeSet;

use order_model::lifecycle::{Command, Lifecycle, OrderStatus};

use crate::exhaustive::{Edge, commands, explore, kinds};

/// The explored graph of one kind.
struct Graph {
    states: Vec<Lifecycle>,
    edges: Vec<Vec<Edge>>,
}

impl Graph {
    /// For each state, a bit per command: whether it is legal there or in any state that can be reached from it.
    fn legal_here_or_later(&self) -> Vec<u128> {
        let legal_here = |edges: &Vec<Edge>| {
            let bit = |(position, edge): (usize, &Edge)| match edge {
                Edge::Legal(_) => 1u128 << position,
                Edge::Already | Edge::Illegal(_) => 0,
            };
            edges.iter().enumerate().map(bit).fold(0, |all, bit| all | bit)
        };
        let mut legal: Vec<u128> = self.edges.iter().map(legal_here).collect();
        loop {
            let before = legal.clone();
            for state in (0..self.states.len()).rev() {
                for edge in &self.edges[state] {
                    if let Edge::Legal(next) = edge {
                        legal[state] |= legal[*next];
                    }
                }
            }
            if legal == before {
                return legal;
            }
        }
    }
}

fn graphs() -> impl Iterator<Item = Graph> {
    let commands = commands();
    assert!(commands.len() <= 128, "a bit per command");
    kinds().into_iter().map(move |kind| {
        let mut graph = Graph { states: Vec::new(), edges: Vec::new() };
        explore(kind, &commands, |state, edges| {
            graph.states.push(state.clone());
            graph.edges.push(edges);
        });
        graph
    })
}

#[test]
fn early_is_exactly_what_a_reachable_state_allows() {
    let (mut early, mut never) = (0, 0);
    for graph in graphs() {
        let legal = graph.legal_here_or_later();
        for (state, edges) in graph.edges.iter().enumerate() {
            for (position, edge) in edges.iter().enumerate() {
                let Edge::Illegal(illegal) = edge else { continue };
                let is_early = legal[state] & (1 << position) != 0;
                assert_eq!(illegal.may_become_legal, is_early, "{illegal:?} in {:#?}", graph.states[state]);
                if is_early { early += 1 } else { never += 1 }
            }
        }
    }
    assert!(early > 10_000 && never > 10_000, "both kinds of refusal were seen: {early}, {never}");
}

#[test]
fn a_refusal_names_exactly_what_would_change_something() {
    let commands = commands();
    for graph in graphs() {
        for (state, edges) in graph.states.iter().zip(&graph.edges) {
            let appends = |acts: bool| -> BTreeSet<&'static str> {
                let of_kind = |command: &Command| match command {
                    Command::Act(_) | Command::Answer(_) => acts,
                    Command::Update(_) => !acts,
                    _ => false,
                };
                let is_dispute = |name: &str| name == "HSD" || name == "HSS";
                commands
                    .iter()
                    .zip(edges)
                    .filter(|((command, _), edge)| {
                        of_kind(command)
                            && !is_dispute(command.name())
                            && matches!(edge, Edge::Legal(_))
                            && !is_recorded(state, command)
                    })
                    .map(|((command, _), _)| command.name())
                    .collect()
            };
            for ((command, _), edge) in commands.iter().zip(edges) {
                let Edge::Illegal(illegal) = edge else { continue };
                let mut expected = appends(matches!(command, Command::Act(_) | Command::Answer(_)));
                if !matches!(command, Command::Act(_) | Command::Answer(_)) && state.status != OrderStatus::Cancelled {
                    expected.insert(if state.dispute.is_some() { "HSS" } else { "HSD" });
                }
                let named: BTreeSet<_> = illegal.legal.iter().copied().collect();
                assert_eq!(named, expected, "{illegal:?} in {state:#?}");
                assert_eq!(named.len(), illegal.legal.len(), "each once");
            }
        }
    }
}

fn is_recorded(state: &Lifecycle, command: &Command) -> bool {
    use order_model::lifecycle::{Decision, decide};
    matches!(decide(state, state.last_created_at, command), Ok(Decision::RecordedOnly { .. }))
}
