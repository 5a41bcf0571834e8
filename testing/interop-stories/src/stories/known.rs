//! Announced channels: what LDK's graph makes of our words, and payments over ways that nobody was told of but by gossip.

use quittance_api::{Channel, Decode, Decoded, Done, Hex, Pay, Payment, SetPolicy};
use quittance_e2e::ear::Ear;
use quittance_primitives::NodeId;
use quittance_town::Outcome;

use super::{Effort, even};
use crate::payments::{WAIT_S, expect_sent};
use crate::peer::ChannelKind;
use crate::protocol::{Call, Graph, State, Terms as Asked};
use crate::world::{By, Terms, Tools, World, wait_for};

/// The nodes in their row: LDK's and ours by turns.
const FIRST_LDK: usize = 0;
const ALICE: usize = 0;
const SECOND_LDK: usize = 1;
const BOB: usize = 1;
/// Between whom there are channels, and who opens each.
const CHANNELS: [(usize, usize, By); 3] = [
    (ALICE, FIRST_LDK, By::Ours),
    (ALICE, SECOND_LDK, By::Ldk),
    (BOB, SECOND_LDK, By::Ours),
];
/// What Alice takes after she has thought about it.
const NEW_BASE_MSAT: u32 = 7_777;
const NEW_PPM: u32 = 250;

/// LDK, Alice, LDK, Bob: in a row that everybody knows. LDK's two are connected beside it, without a channel: a node of ours passes on what its
/// peers say to those who ask for it, and LDK asks nobody who does not offer the whole graph.
pub(crate) fn row(tools: &Tools) -> Outcome<World> {
    let mut world = World::new(tools, (2, 2), ChannelKind::Anchors)?;
    for (ours, ldk, by) in CHANNELS {
        world.connect(ours, ldk, By::Ours)?;
        let announced = Terms {
            announce: true,
            ..even(by)
        };
        world.open(ours, ldk, announced)?;
    }
    for (ours, ldk, _) in CHANNELS {
        world.wait_until_usable(ours, ldk, 1)?;
    }
    let (node, address) = (world.ldk[SECOND_LDK].node.clone(), world.ldk[SECOND_LDK].listen);
    world.ldk[FIRST_LDK].ask::<()>(&Call::Connect {
        node,
        address: address.to_string(),
    })?;
    Ok(world)
}

/// The names of our nodes, and what they take, are in LDK's graph as they said it; also after one has changed its mind.
pub(crate) fn ldk_knows_us(world: &mut World, _: &Effort) -> Outcome<String> {
    let graph = world.known_to_ldk()?;
    let (channels, names) = (graph.terms.len() / 2, graph.names.len());
    let channel = world.our_channel_to(ALICE, SECOND_LDK)?;
    let policy = SetPolicy {
        fee_base_msat: Some(NEW_BASE_MSAT.into()),
        fee_proportional_millionths: Some(NEW_PPM),
        ..SetPolicy::default()
    };
    let path = format!("/v1/channels/{}/policy", channel.id);
    let _: Done = world.ours[ALICE].caller()?.post(&path, &policy)?;
    world.known_to_ldk()?;
    Ok(format!("{channels} channels, {names} names"))
}

/// LDK pays Bob, who has given it no invoice: so no hint either. It pays what its graph says, to Alice, and to LDK's other node.
pub(crate) fn ldk_pays_bob(world: &mut World, effort: &Effort) -> Outcome<String> {
    let payments = effort.count(6, 200);
    let graph = world.known_to_ldk()?;
    let (alice, bob) = (world.ours[ALICE].node.to_string(), world.ours[BOB].node.to_string());
    let ldk = world.ldk[SECOND_LDK].node.clone();
    let takes = |node: &str, channel: &Channel| graph.terms_of(node, channel).ok_or("LDK lacks terms of the way");
    let by_alice = takes(&alice, &world.our_channel_to(ALICE, SECOND_LDK)?)?;
    let by_ldk = takes(&ldk, &world.our_channel_to(BOB, SECOND_LDK)?)?;
    for number in 0..payments {
        let amount_msat = 1_000_000 + u64::from(number);
        let hash = world.ldk[FIRST_LDK].ask::<String>(&Call::Keysend {
            node: bob.clone(),
            amount_msat,
        })?;
        let state = world.ldk_outcome(FIRST_LDK, &hash)?;
        let paid = world.ldk[FIRST_LDK].payments()?;
        let paid = paid.iter().find(|payment| payment.hash == hash);
        let fee_msat = paid.map_or(0, |payment| payment.fee_msat);
        let at_ldk = by_ldk.fee_msat(amount_msat);
        let due = at_ldk + by_alice.fee_msat(amount_msat + at_ldk);
        if state != State::Succeeded || fee_msat != due {
            return Err(
                format!("LDK's payment {hash} is {state:?} for {fee_msat} msat of fees, and {due} are due").into(),
            );
        }
    }
    Ok(format!("{payments} payments over three hops"))
}

/// LDK's two pay each other through Alice.
pub(crate) fn ldk_pays_through_ours(world: &mut World, effort: &Effort) -> Outcome<String> {
    let payments = effort.count(6, 200);
    for number in 0..payments {
        let (payer, payee) = if number % 2 == 0 { (0, 1) } else { (1, 0) };
        let invoice = world.invoice_without_hints(payee, 1_000_000 + u64::from(number))?;
        world.ldk_pays(payer, &invoice, None)?;
    }
    Ok(format!("{payments} payments by invoices without hints"))
}

/// Alice and Bob pay each other by ways that were found in what LDK tells a stranger.
pub(crate) fn ours_pay_through_ldk(world: &mut World, effort: &Effort) -> Outcome<String> {
    let payments = effort.count(6, 200);
    let ldk = NodeId(world.ldk[SECOND_LDK].node.parse::<Hex<33>>()?.0);
    let ear = Ear::at(world.ldk[SECOND_LDK].listen, ldk)?;
    let told = wait_for("LDK tells of all channels", || {
        let heard = ear.heard();
        Ok(heard.channels.len() == CHANNELS.len() && heard.updates.len() == 2 * CHANNELS.len())
    });
    let heard = ear.heard();
    told.map_err(|why| format!("{why}: {heard:?}"))?;
    if !heard.faults.is_empty() {
        return Err(format!("LDK says {:?}", heard.faults).into());
    }
    for number in 0..payments {
        let (payer, payee) = if number % 2 == 0 { (ALICE, BOB) } else { (BOB, ALICE) };
        let amount_msat = 1_000_000 + u64::from(number);
        let invoice = world.our_invoice(payee, Some(amount_msat), None)?;
        let first = world.our_channel_to(payer, SECOND_LDK)?.short_channel_id;
        let first = first.ok_or("our channel has no place in the chain")?;
        let route = heard.route((ldk, &first), NodeId(world.ours[payee].node.0), amount_msat);
        let body = Pay {
            id: Some(world.name()),
            invoice: invoice.invoice,
            amount_msat: None,
            fee_limit_msat: None,
            patience_s: None,
            routes: vec![route.ok_or("there is no way in what LDK told")?],
            wait_s: WAIT_S,
        };
        let payment: Payment = world.ours[payer].caller()?.post("/v1/payments", &body)?;
        if expect_sent(payment)?.fee_msat.unwrap_or_default() == 0 {
            return Err("LDK forwarded without a fee".into());
        }
    }
    Ok(format!("{payments} payments"))
}

impl World {
    /// Waits until the first of LDK's nodes knows both ends of every channel; and of our nodes what they call themselves, and what they take.
    fn known_to_ldk(&mut self) -> Outcome<Graph> {
        let mut due = Vec::new();
        for node in &self.ours {
            due.push((node.node.to_string(), node.process.name, node.channels()?.channels));
        }
        let mut graph = Graph::default();
        let known = wait_for("LDK knows our nodes as they are", || {
            graph = self.ldk[FIRST_LDK].ask(&Call::Graph)?;
            let is_known = |(node, name, channels): &(String, &str, Vec<Channel>)| {
                let has = |channel: &Channel| graph.terms_of(node, channel).is_some_and(|asked| asked.is_of(channel));
                graph.names.get(node).is_some_and(|alias| alias == name) && channels.iter().all(has)
            };
            Ok(graph.terms.len() == 2 * CHANNELS.len() && due.iter().all(is_known))
        });
        known.map_err(|why| format!("{why}: {graph:?}"))?;
        Ok(graph)
    }

    fn our_channel_to(&self, ours: usize, ldk: usize) -> Outcome<Channel> {
        let list = self.ours[ours].channels()?.channels;
        let found = list
            .into_iter()
            .find(|channel| channel.peer.to_string() == self.ldk[ldk].node);
        found.ok_or_else(|| "there is no such channel".into())
    }

    /// An invoice of LDK's, which hints at a channel as long as it does not know that others know it.
    fn invoice_without_hints(&mut self, payee: usize, amount_msat: u64) -> Outcome<String> {
        let mut invoice = String::new();
        wait_for("LDK's invoice has no hint", || {
            invoice = self.ldk_invoice(payee, Some(amount_msat), None)?;
            let read = Decode {
                invoice: invoice.clone(),
            };
            let decoded: Decoded = self.ours[ALICE].caller()?.post("/v1/decode", &read)?;
            Ok(decoded.hints.is_empty())
        })?;
        Ok(invoice)
    }
}

impl Graph {
    /// What a node takes for what it sends on through a channel.
    fn terms_of(&self, node: &str, channel: &Channel) -> Option<&Asked> {
        let mut terms = self.terms.iter();
        terms.find(|terms| terms.node == node && Some(&terms.channel) == channel.short_channel_id.as_ref())
    }
}

impl Asked {
    /// Whether they are those that a node of ours has for a channel.
    fn is_of(&self, channel: &Channel) -> bool {
        (
            u64::from(self.fee_base_msat),
            self.fee_proportional_millionths,
            self.cltv_expiry_delta,
        ) == (
            channel.fee_base_msat,
            channel.fee_proportional_millionths,
            channel.cltv_expiry_delta,
        )
    }

    fn fee_msat(&self, sent_on_msat: u64) -> u64 {
        u64::from(self.fee_base_msat) + sent_on_msat * u64::from(self.fee_proportional_millionths) / 1_000_000
    }
}
