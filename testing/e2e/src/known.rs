//! Channels that the network knows. Alice, Bob and Carol announce theirs; Dave has a channel with Alice that nobody knows, listens to Bob, and pays
//! Carol by what he hears there and nothing else. Bob changes his terms, and Dave hears it.

use std::path::Path;

use quittance_api::{PaymentState, RouteHop};
use quittance_e2e::ear::{Ear, Heard};
use quittance_primitives::NodeId;
use quittance_town::{Outcome, Town};

use crate::village::{Village, Wish};

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
const DAVE: usize = 3;
/// What Dave pays each time.
const AMOUNT_MSAT: u64 = 4_000_000;
/// What Bob takes after he has thought about it.
const NEW_BASE_MSAT: u64 = 7_777;
const NEW_PPM: u64 = 250;

/// Lives it, and says what was seen.
pub(crate) fn known(program: &Path, bitcoind: Option<&Path>) -> Outcome<String> {
    let folder = crate::folder()?;
    let mut village = Village::new(program, folder.path(), bitcoind)?;
    for (name, file) in [
        ("alice", "alias = \"alice\"\n"),
        (
            "bob",
            "alias = \"bob\"\ncolor = \"#ff8800\"\nannounce = [\"127.0.0.1:9735\"]\n",
        ),
        ("carol", "alias = \"carol\"\n"),
        ("dave", ""),
    ] {
        village.settle(name, file)?;
    }
    for node in [ALICE, BOB, DAVE] {
        village.fund(node)?;
    }
    village.connect(ALICE, BOB)?;
    village.connect(CAROL, BOB)?;
    village.connect(DAVE, ALICE)?;
    let public = Wish {
        announce: true,
        ..Wish::default()
    };
    let early = ear(&village, BOB)?;
    let (to_bob, to_carol) = (village.open(ALICE, BOB, public)??, village.open(BOB, CAROL, public)??);
    let own = village.open(DAVE, ALICE, Wish::default())??;
    Town::wait_for("the fundings are in the mempool", || Ok(village.ground.waiting() == 3))?;
    village.mine(5)?;
    if !early.heard().channels.is_empty() {
        return Err("a channel was announced before it was six blocks deep".into());
    }
    village.mine(1)?;
    for (id, ends) in [(own, [DAVE, ALICE]), (to_bob, [ALICE, BOB]), (to_carol, [BOB, CAROL])] {
        village.wait_until_usable(id, ends)?;
    }
    // What the others say of themselves is passed on within a minute, and told at once to whoever comes then.
    Town::wait_for("the forwarder's own words are heard", || {
        let heard = early.heard();
        let is_named = heard.nodes.contains_key(&NodeId(village.ids[BOB].0));
        Ok(heard.channels.len() == 2 && heard.updates.len() >= 2 && is_named)
    })?;
    let middle = ear(&village, BOB)?;
    hears_all(&village, &middle)?;
    let first = village
        .channel(DAVE, own)?
        .short_channel_id
        .ok_or("the channel has no place")?;
    let before = pays(&village, &middle.heard(), &first)?;
    let after = hears_new_terms(&village, &middle, &to_carol.to_string(), &first)?;
    // A restart changes nothing that is known.
    village.restart(BOB, "alias = \"bob\"\n")?;
    village.wait_for_peer(ALICE, BOB)?;
    village.wait_for_peer(CAROL, BOB)?;
    let late = ear(&village, BOB)?;
    hears_all(&village, &late)?;
    if pays(&village, &late.heard(), &first)? != after {
        return Err("Bob's terms have changed with a restart".into());
    }
    Ok(format!(
        "a stranger that listens to the forwarder alone heard of two channels, their terms and their three nodes, and a payment went the way that it found there, for {before} msat of fees, and for {after} after the forwarder changed them"
    ))
}

fn ear(village: &Village, node: usize) -> Outcome<Ear> {
    Ear::at(village.nodes[node].listen, NodeId(village.ids[node].0))
}

/// Waits until two channels, both ends' terms of each, and their nodes are heard of, with nothing that should not have been said.
fn hears_all(village: &Village, ear: &Ear) -> Outcome<()> {
    let (mut heard, nodes) = (
        Heard::default(),
        [ALICE, BOB, CAROL].map(|node| NodeId(village.ids[node].0)),
    );
    let waited = Town::wait_for("all is heard", || {
        heard = ear.heard();
        let is_known = nodes.iter().all(|node| heard.nodes.contains_key(node));
        Ok(heard.channels.len() == 2 && heard.updates.len() == 4 && is_known)
    });
    waited.map_err(|why| format!("{why}: {heard:?}"))?;
    let names: Vec<_> = nodes
        .iter()
        .map(|node| {
            String::from_utf8_lossy(&heard.nodes[node].alias)
                .trim_end_matches('\0')
                .to_owned()
        })
        .collect();
    if !heard.faults.is_empty() || names != ["alice", "bob", "carol"] {
        return Err(format!("{:?} is no way to speak, of {names:?}", heard.faults).into());
    }
    Ok(())
}

/// Dave pays Carol along what was heard; the fees.
fn pays(village: &Village, heard: &Heard, first: &str) -> Outcome<u64> {
    let (alice, carol) = (NodeId(village.ids[ALICE].0), NodeId(village.ids[CAROL].0));
    let route = heard.route((alice, first), carol, AMOUNT_MSAT);
    let route = route.ok_or("there is no way to Carol in what was heard")?;
    let fees = fees(&route);
    let (invoice, _) = village.invoice(CAROL, AMOUNT_MSAT)?;
    let payment = village.must_pay(DAVE, &invoice, vec![route])?;
    match payment.fee_msat {
        Some(paid) if paid == fees => Ok(fees),
        other => Err(format!("the way costs {fees} msat, and Dave paid {other:?}").into()),
    }
}

fn fees(route: &[RouteHop]) -> u64 {
    route.iter().filter_map(|hop| hop.fee_msat).sum()
}

/// Bob takes more from now on. Dave hears it, pays it, and gets nothing through for less than Bob ever asked.
fn hears_new_terms(village: &Village, ear: &Ear, channel: &str, first: &str) -> Outcome<u64> {
    let known = ear.heard();
    let (base, ppm) = (NEW_BASE_MSAT.to_string(), NEW_PPM.to_string());
    let arguments = ["set-fees", channel, "--base-msat", &base, "--ppm", &ppm];
    let set = village.nodes[BOB].command(&arguments)?;
    if !set.status.success() {
        return Err(format!("set-fees: {}", String::from_utf8_lossy(&set.stderr)).into());
    }
    let is_new = |heard: &Heard| {
        let mut updates = heard.updates.values();
        updates.any(|update| {
            u64::from(update.fee_base_msat) == NEW_BASE_MSAT && u64::from(update.fee_proportional_millionths) == NEW_PPM
        })
    };
    Town::wait_for("the new terms are heard", || Ok(is_new(&ear.heard())))?;
    let after = pays(village, &ear.heard(), first)?;
    let alice_takes = |sent_on: u64| 1_000 + sent_on / 10_000;
    let bob_takes = NEW_BASE_MSAT + AMOUNT_MSAT * NEW_PPM / 1_000_000;
    if after != bob_takes + alice_takes(AMOUNT_MSAT + bob_takes) {
        return Err(format!("Bob takes {bob_takes} msat, and Dave paid {after} in all").into());
    }
    let carol = NodeId(village.ids[CAROL].0);
    let route = known.route((NodeId(village.ids[ALICE].0), first), carol, AMOUNT_MSAT);
    let mut route = route.ok_or("there is no way to Carol in what was heard before")?;
    route[1].fee_msat = Some(1);
    let (invoice, _) = village.invoice(CAROL, AMOUNT_MSAT)?;
    let payment = village.pay(DAVE, &invoice, vec![route])?;
    if payment.state != PaymentState::Failed {
        return Err(format!("Bob forwards for 1 msat: {payment:?}").into());
    }
    Ok(after)
}
