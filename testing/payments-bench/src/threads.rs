//! Nodes on threads of their own: on a machine with two cores two of them work at once. What comes to a node, messages and the word that
//! more is durable, comes by one queue.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use quittance_manager::{Input, Signing};
use quittance_primitives::{NodeId, PaymentId};

use crate::cost::thread_time;
use crate::node::{Node, Out, Outcome};

enum Came {
    Message(NodeId, Vec<u8>),
    Durable,
    Stop,
}

/// Has `payer` make `payments`, at most so many under way, and returns those that failed. Messages that are on their way then are in the inboxes.
pub(crate) fn pay(
    nodes: &mut [Node],
    places: &BTreeMap<NodeId, usize>,
    payer: usize,
    payments: Vec<Input>,
    at_once: usize,
) -> Outcome<Vec<PaymentId>> {
    let (doors, mut halls): (Vec<_>, Vec<_>) = nodes.iter().map(|_| channel()).unzip();
    let mut payments = Some(payments);
    let ends: Vec<Result<Vec<PaymentId>, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(nodes.iter_mut().zip(&mut halls))
            .map(|(place, (node, hall))| {
                let payments = if place == payer { payments.take() } else { None };
                let lines = Lines {
                    doors: doors.clone(),
                    places,
                    place,
                };
                scope.spawn(move || live(node, hall, &lines, payments, at_once).map_err(|error| error.to_string()))
            })
            .collect();
        let ends = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|_| Err("a node panicked".to_owned())))
            .collect()
    });
    drop(doors);
    for (node, hall) in nodes.iter_mut().zip(halls) {
        node.disk.wake_by(None);
        node.inbox.extend(hall.into_iter().filter_map(|came| match came {
            Came::Message(from, bytes) => Some((from, bytes)),
            Came::Durable | Came::Stop => None,
        }));
    }
    let failed = ends.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(failed.into_iter().flatten().collect())
}

/// Payments that are begun before others hear of them: they begin their work meanwhile. All that can be begun is signed for together.
const BEGUN_AT_ONCE: usize = 10;

/// The ways to the other nodes.
struct Lines<'a> {
    doors: Vec<Sender<Came>>,
    places: &'a BTreeMap<NodeId, usize>,
    place: usize,
}

impl Lines<'_> {
    fn stop_all(&self) {
        for door in &self.doors {
            // Whoever has ended needs no word.
            let _ = door.send(Came::Stop);
        }
    }
}

/// A node's life: the payer's until it has paid, the others' until they are told. Whoever fails ends everybody's.
fn live(
    node: &mut Node,
    hall: &mut Receiver<Came>,
    lines: &Lines<'_>,
    payments: Option<Vec<Input>>,
    at_once: usize,
) -> Outcome<Vec<PaymentId>> {
    let begun = thread_time();
    let own_door = lines.doors[lines.place].clone();
    node.disk.wake_by(Some(Box::new(move || {
        let _ = own_door.send(Came::Durable);
    })));
    let end = work(node, hall, lines, payments, at_once);
    node.time += thread_time().saturating_sub(begun);
    lines.stop_all();
    end
}

fn work(
    node: &mut Node,
    hall: &mut Receiver<Came>,
    lines: &Lines<'_>,
    payments: Option<Vec<Input>>,
    at_once: usize,
) -> Outcome<Vec<PaymentId>> {
    let is_payer = payments.is_some();
    let mut payments = payments.into_iter().flatten().peekable();
    let (mut under_way, mut failed) = (0, Vec::new());
    let mut next = None;
    loop {
        node.gather();
        let mut is_stopped = false;
        while let Some(came) = next.take().or_else(|| hall.try_recv().ok()) {
            match came {
                Came::Message(from, bytes) => node.inbox.push_back((from, bytes)),
                Came::Durable => {}
                Came::Stop => is_stopped = true,
            }
        }
        let may_begin = under_way < at_once && payments.peek().is_some();
        node.hear(may_begin)?;
        let until = at_once.min(under_way + BEGUN_AT_ONCE);
        while under_way < until
            && let Some(payment) = payments.next()
        {
            under_way += 1;
            let is_last = under_way == at_once || payments.peek().is_none();
            node.handle(payment, if is_last { Signing::Now } else { Signing::WithTheNext })?;
        }
        node.write(false);
        node.sign_ahead();
        for out in node.let_out()? {
            match out {
                Out::Message(peer, bytes) => {
                    let to = *lines.places.get(&peer).ok_or("every peer lives here")?;
                    let _ = lines.doors[to].send(Came::Message(node.id(), bytes));
                }
                Out::Sent(_) => under_way -= 1,
                Out::Failed(id) => {
                    under_way -= 1;
                    failed.push(id);
                }
                Out::Commitment(_) | Out::Nothing => {}
            }
        }
        if is_stopped || (is_payer && under_way == 0 && payments.peek().is_none()) {
            return Ok(failed);
        }
        let may_begin = under_way < at_once && payments.peek().is_some();
        if !may_begin {
            next = hall.try_recv().ok();
            if next.is_none() {
                // As on the thread of its own that `quittance run` has for it: nobody waits for that.
                node.derive_ahead();
                next = Some(hall.recv()?);
            }
        }
    }
}
