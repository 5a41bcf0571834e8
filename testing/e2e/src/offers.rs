//! What nodes of ours offer each other beside the plain: channels that are used before a block has their funding, between those who trust each
//! other and nobody else; private channels that are paid through by their aliases, which tell nobody where they are; closings whose fee
//! the user raises while they wait.

use std::path::Path;
use std::time::Duration;

use bitcoin::Txid;
use quittance_api::{Close, CloseChannel, Done, Hex, PaymentState, RouteHop};
use quittance_regtest::MempoolEntry;
use quittance_town::{CallFailed, Outcome, Town};

use crate::village::{Village, Wish};

const ALICE: usize = 0;
const BOB: usize = 1;
const CAROL: usize = 2;
/// What is given to the peer in the channel that is closed by agreement: both sides have something to take from it.
const PUSH_MSAT: u64 = 3_000_000_000;
/// The feerates of a closing, before and after its user raised it.
const LOW: u32 = 400;
const HIGH: u32 = 6_000;

/// Lives it, and says what was seen.
pub(crate) fn offers(program: &Path, bitcoind: Option<&Path>) -> Outcome<String> {
    let folder = crate::folder()?;
    let mut village = Village::new(program, folder.path(), bitcoind)?;
    for name in ["alice", "bob", "carol"] {
        village.settle(name, "")?;
    }
    village.fund(ALICE)?;
    village.fund(BOB)?;
    for (node, trusted) in [(BOB, CAROL), (CAROL, BOB)] {
        let file = format!("zeroconf-peers = [\"{}\"]\n", village.ids[trusted]);
        village.restart(node, &file)?;
    }
    village.connect(ALICE, BOB)?;
    village.connect(CAROL, BOB)?;
    let waiting = waits_for_blocks(&village)?;
    let early = used_before_a_block(&mut village)?;
    village.mine(6)?;
    village.wait_until_usable(waiting, [ALICE, BOB])?;
    paid_by_alias(&village, waiting, early)?;
    let fees = closed_and_bumped(&mut village, waiting)?;
    Ok(format!(
        "a channel between two who trust each other paid before a block, also after a kill, and one with a stranger waited; a private channel was paid by its alias alone; a closing's fee was raised from {} to {} sat in the mempool",
        fees[0], fees[1]
    ))
}

/// A peer that nobody trusts is refused, and waits when it asks for less.
fn waits_for_blocks(village: &Village) -> Outcome<Hex<32>> {
    let wish = Wish {
        push_msat: PUSH_MSAT,
        ..Wish::default()
    };
    match village.open(ALICE, BOB, Wish { zeroconf: true, ..wish })? {
        Err(CallFailed::Refused(_, problem)) if problem.message.contains("zeroconf-peers") => {}
        other => return Err(format!("Bob does not trust Alice, and her call ends with {other:?}").into()),
    }
    let id = village.open(ALICE, BOB, wish)??;
    Town::wait_for("the funding is in the mempool", || Ok(village.ground.waiting() > 0))?;
    Ok(id)
}

/// Bob and Carol trust each other: their channel is paid through while its funding waits, and Carol's death changes nothing.
fn used_before_a_block(village: &mut Village) -> Outcome<Hex<32>> {
    let height = village.ground.height();
    let wish = Wish {
        zeroconf: true,
        ..Wish::default()
    };
    let id = village.open(BOB, CAROL, wish)??;
    for death in [false, true] {
        if death {
            village.nodes[CAROL].kill()?;
            village.nodes[CAROL].start(&[])?;
        }
        village.wait_until_usable(id, [BOB, CAROL])?;
        let (invoice, _) = village.invoice(CAROL, 1_000_000)?;
        village.must_pay(BOB, &invoice, Vec::new())?;
    }
    // Bob has his receipt before the HTLC is gone from Carol's channel.
    Town::wait_for("the payment is over for Carol too", || {
        Ok(village.channel(CAROL, id)?.htlcs == 0)
    })?;
    let channel = village.channel(CAROL, id)?;
    let funding = channel.funding.split(':').next().unwrap_or_default();
    let is_early = village.ground.holds(funding) && village.ground.height() == height;
    if !is_early || channel.short_channel_id.is_some() || channel.ours_msat != 2_000_000 {
        return Err(format!("the channel is not one that waits for a block: {channel:?}").into());
    }
    // Alice, whom nobody trusts, still waits.
    let list: quittance_api::ChannelList = village.caller(ALICE)?.get("/v1/channels")?;
    let (invoice, _) = village.invoice(BOB, 1_000_000)?;
    let payment = village.pay(ALICE, &invoice, Vec::new())?;
    match &list.channels[..] {
        [channel] if channel.state == "opening" && payment.state == PaymentState::Failed => Ok(id),
        _ => Err(format!("Alice's channel should wait for blocks: {list:?}, {payment:?}").into()),
    }
}

/// Carol's invoice names her channel by its alias, and Bob does not know it by its place.
fn paid_by_alias(village: &Village, first: Hex<32>, last: Hex<32>) -> Outcome<()> {
    let mut invoiced = (String::new(), Vec::new());
    Town::wait_for("an invoice has a hint", || {
        invoiced = village.invoice(CAROL, 2_000_000)?;
        Ok(!invoiced.1.is_empty())
    })?;
    let (invoice, hints) = invoiced;
    let channel = village.channel(BOB, last)?;
    let place = channel.short_channel_id.ok_or("the channel has no place")?;
    let [hint] = &hints[..] else {
        return Err(format!("Carol has one channel, and her invoice has {hints:?}").into());
    };
    let is_alias = channel.alias.as_ref() == Some(&hint.short_channel_id);
    if !is_alias || hint.short_channel_id == place || hint.node != village.ids[BOB] {
        return Err(format!("the channel at {place} is hinted at by {hint:?}").into());
    }
    let by_place = vec![
        RouteHop {
            node: village.ids[BOB],
            short_channel_id: village.channel(ALICE, first)?.short_channel_id.ok_or("no place")?,
            amount_msat: None,
            fee_msat: Some(10_000),
            expiry_height: None,
            cltv_delta: Some(72),
        },
        RouteHop {
            node: village.ids[CAROL],
            short_channel_id: place,
            amount_msat: None,
            fee_msat: None,
            expiry_height: None,
            cltv_delta: None,
        },
    ];
    let (other, _) = village.invoice(CAROL, 2_000_000)?;
    if village.pay(ALICE, &other, vec![by_place])?.state != PaymentState::Failed {
        return Err("a channel that goes by its alias was paid through by its place".into());
    }
    village.must_pay(ALICE, &invoice, Vec::new())?;
    Ok(())
}

/// Alice's closing waits, and she raises its fee: the mempool has the new one alone. What each of them pays, in sat.
fn closed_and_bumped(village: &mut Village, id: Hex<32>) -> Outcome<[u64; 2]> {
    let body = CloseChannel {
        how: Close::Mutual,
        feerate_sat_per_kw: Some(LOW),
    };
    let _: Done = village
        .caller(ALICE)?
        .post(&format!("/v1/channels/{id}/close"), &body)?;
    let first = closing_beside(village, None)?;
    let bump = |feerate: u32| {
        let arguments = ["bump", &id.to_string(), "--feerate", &feerate.to_string()];
        village.nodes[ALICE].command(&arguments)
    };
    let bumped = bump(HIGH)?;
    if !bumped.status.success() {
        return Err(format!("bump: {}", String::from_utf8_lossy(&bumped.stderr)).into());
    }
    let last = closing_beside(village, Some(first.txid))?;
    let fees = [first, last].map(|closing| closing.fee.to_sat());
    let lower = bump(LOW)?;
    if lower.status.success() || fees[1] <= fees[0] {
        return Err(format!("the closings pay {fees:?} sat, and a lower feerate is taken: {lower:?}").into());
    }
    village.mine(6)?;
    for node in [ALICE, BOB] {
        Town::wait_for("the channel is closed", || {
            let list: quittance_api::ChannelList = village.caller(node)?.get("/v1/channels")?;
            Ok(list
                .channels
                .iter()
                .all(|channel| channel.id != id || channel.state == "closing"))
        })?;
    }
    if village.ground.waiting() > 0 {
        return Err("a closing waits that can never confirm".into());
    }
    Ok(fees)
}

/// The closing in the mempool that is not `known`; it must be the only transaction there.
fn closing_beside(village: &Village, known: Option<Txid>) -> Outcome<MempoolEntry> {
    let mut found = None;
    Town::wait_for("a closing is in the mempool", || {
        // It may be replaced by the peer's own in the next moment.
        std::thread::sleep(Duration::from_millis(300));
        let waiting = village.ground.mempool();
        if waiting.len() > 1 {
            return Err(format!("two closings of one channel wait: {waiting:?}").into());
        }
        found = waiting.into_iter().find(|entry| Some(entry.txid) != known);
        Ok(found.is_some())
    })?;
    found.ok_or_else(|| "there is none".into())
}
