//! Many payments at once, while connections are cut and processes die.

use std::time::Duration;

use quittance_api::{EventKind, Hex, Keysend, PaymentState, SetFeerate};
use quittance_town::{CallFailed, Outcome, Random, Rows};

use super::Effort;
use super::paying::secret;
use crate::protocol::{Call, State};
use crate::world::{World, wait_for};

/// LDK sends many payments that our node holds all at once, then claims.
pub(crate) fn many_to_ours(world: &mut World, effort: &Effort) -> Outcome<String> {
    let many = effort.count(60, 483);
    let mut preimages = Vec::new();
    for _ in 0..many {
        let (preimage, hash) = secret(world);
        let invoice = world.our_invoice(0, Some(1_500_000), Some(hash))?;
        world.ldk_orders(0, &invoice.invoice, None)?;
        preimages.push((preimage, hash));
    }
    let held = |world: &mut World| -> Outcome<usize> {
        world.listen()?;
        let is_ours = |event: &EventKind| match event {
            EventKind::PaymentClaimable { payment_hash, .. } => preimages.iter().any(|(_, hash)| hash == payment_hash),
            _ => false,
        };
        Ok(world.ours[0]
            .ledger
            .events()
            .filter(|event| is_ours(&event.event))
            .count())
    };
    wait_for("our node holds them all", || Ok(held(world)? == preimages.len()))?;
    let htlcs = world.ours[0]
        .channels()?
        .channels
        .iter()
        .map(|channel| channel.htlcs)
        .sum::<u64>();
    if htlcs != u64::from(many) {
        return Err(format!("{many} payments are held, and there are {htlcs} HTLCs").into());
    }
    for (preimage, _) in &preimages {
        let caller = world.ours[0].caller()?;
        let _: quittance_api::Claimed = caller.post("/v1/held/claim", &quittance_api::Claim { preimage: *preimage })?;
    }
    for (_, hash) in &preimages {
        let state = world.ldk_outcome(0, &hash.to_string())?;
        if state != State::Succeeded {
            return Err(format!("LDK's payment {hash} is {state:?}").into());
        }
    }
    Ok(format!("{many} HTLCs at once"))
}

/// As many as `ldk-node` accepts at once, and one more, which has to wait for a place or finds none.
pub(crate) fn many_to_ldk_node(world: &mut World, _: &Effort) -> Outcome<String> {
    let held = Held::at_ldk(world, LDK_NODE_ACCEPTS)?;
    let one_more = held.one_more(world)?;
    held.end(world, |_| true)?;
    let one_more = expect_ended(world, one_more, None)?;
    Ok(format!(
        "{LDK_NODE_ACCEPTS} HTLCs at once, which is what `ldk-node` allows; one more: {one_more:?}"
    ))
}

/// As many as BOLT 2 allows in a soak, and one more. LDK claims two of three, and refuses the third.
pub(crate) fn many_to_ldk(world: &mut World, effort: &Effort) -> Outcome<String> {
    let many = effort.count(60, HTLCS_MAX);
    let held = Held::at_ldk(world, many)?;
    let one_more = match many {
        HTLCS_MAX => Some(held.one_more(world)?),
        _ => None,
    };
    let claimed = held.end(world, |number| number % 3 != 2)?;
    let mut told = format!("{many} HTLCs at once, {claimed} claimed");
    if let Some(one_more) = one_more {
        let state = expect_ended(world, one_more, None)?;
        told = format!("{told}; one more: {state:?}");
    }
    Ok(told)
}

/// `max_accepted_htlcs` of `ldk-node`.
const LDK_NODE_ACCEPTS: u32 = 50;
/// BOLT 2: `max_accepted_htlcs` is no more than this.
const HTLCS_MAX: u32 = 483;
/// What each of many payments is: it has an output, and all of them together are less than LDK lets be on their way.
const EACH_MSAT: u64 = 1_500_000;

/// Payments of ours that LDK holds.
struct Held(Vec<HeldPayment>);

struct HeldPayment {
    id: Hex<32>,
    preimage: Hex<32>,
    hash: Hex<32>,
}

impl Held {
    /// Sends so many, and waits until LDK holds them all.
    fn at_ldk(world: &mut World, many: u32) -> Outcome<Self> {
        let mut held = Vec::new();
        for _ in 0..many {
            let (preimage, hash) = secret(world);
            let invoice = world.ldk_invoice(0, Some(EACH_MSAT), Some(hash))?;
            let id = world.order(0, &invoice, None, 0)?.id;
            held.push(HeldPayment { id, preimage, hash });
        }
        wait_for("LDK holds them all", || {
            let events: Vec<String> = world.ldk[0].ask(&Call::Events { from: 0 })?;
            let claimable: Vec<&String> = events
                .iter()
                .filter(|event| event.starts_with("PaymentClaimable"))
                .collect();
            Ok(held.iter().all(|payment| {
                let hash = payment.hash.to_string();
                claimable.iter().any(|event| event.contains(&hash))
            }))
        })?;
        let channels = world.ours[0].channels()?.channels;
        let htlcs: u64 = channels.iter().map(|channel| channel.htlcs).sum();
        if htlcs != u64::from(many) {
            return Err(format!("LDK holds {many} payments, and there are {htlcs} HTLCs").into());
        }
        Ok(Self(held))
    }

    /// One more, for which LDK has no room.
    fn one_more(&self, world: &mut World) -> Outcome<Hex<32>> {
        let invoice = world.ldk_invoice(0, Some(EACH_MSAT), None)?;
        let payment = world.order(0, &invoice, None, 5)?;
        if payment.state == PaymentState::Sent {
            return Err(format!("LDK accepts {} HTLCs, and one more was paid", self.0.len()).into());
        }
        Ok(payment.id)
    }

    /// LDK claims those that are to be claimed, by their numbers, and refuses the others; our node knows of each. How many it claimed.
    fn end(&self, world: &mut World, is_claimed: fn(usize) -> bool) -> Outcome<usize> {
        let mut claimed = 0;
        for (number, payment) in self.0.iter().enumerate() {
            let call = if is_claimed(number) {
                claimed += 1;
                Call::Claim {
                    preimage: payment.preimage.to_string(),
                    amount_msat: EACH_MSAT,
                }
            } else {
                Call::Refuse {
                    hash: payment.hash.to_string(),
                }
            };
            world.ldk[0].ask::<()>(&call)?;
        }
        for (number, payment) in self.0.iter().enumerate() {
            let state = if is_claimed(number) {
                PaymentState::Sent
            } else {
                PaymentState::Failed
            };
            expect_ended(world, payment.id, Some(state))?;
        }
        Ok(claimed)
    }
}

/// The connection is cut again and again while payments go both ways.
pub(crate) fn cuts(world: &mut World, effort: &Effort) -> Outcome<String> {
    let rounds = effort.count(8, 100);
    let mut random = Random::new(effort.seed);
    let (mut sent, mut all) = (0, 0);
    for _ in 0..rounds {
        let load = Load::new(world, &mut random, 4)?;
        std::thread::sleep(Duration::from_millis(random.below(60)));
        let node = world.ours[0].node.to_string();
        world.ldk[0].ask::<()>(&Call::Disconnect { node })?;
        world.wait_until_connected(0, 0)?;
        sent += load.settle(world)?;
        all += load.len();
        world.agree()?;
    }
    Ok(format!("{rounds} cuts, {all} payments, {sent} made"))
}

/// LDK ends and starts again, again and again, while payments go both ways.
pub(crate) fn ldk_restarts(world: &mut World, effort: &Effort) -> Outcome<String> {
    let rounds = effort.count(4, 50);
    let mut random = Random::new(effort.seed);
    let (mut sent, mut all) = (0, 0);
    for _ in 0..rounds {
        let load = Load::new(world, &mut random, 4)?;
        std::thread::sleep(Duration::from_millis(random.below(120)));
        world.ldk[0].stop()?;
        world.ldk[0].start()?;
        world.wait_until_usable(0, 0, 1)?;
        sent += load.settle(world)?;
        all += load.len();
        world.agree()?;
    }
    Ok(format!("{rounds} restarts, {all} payments, {sent} made"))
}

/// Our node is killed again and again while payments go both ways, and its rows are left whole, rolled back or deleted.
pub(crate) fn kills(world: &mut World, effort: &Effort) -> Outcome<String> {
    let kills = effort.count(6, 50);
    let mut random = Random::new(effort.seed);
    let (mut sent, mut all) = (0, 0);
    for kill in 0..kills {
        let rows = Rows::ALL[kill as usize % Rows::ALL.len()];
        let older = world.folder.path().join("older");
        world.ours[0].process.stop_and_copy(&older)?;
        world.ours[0].start()?;
        world.wait_until_usable(0, 0, 1)?;
        let load = Load::new(world, &mut random, 4)?;
        let moment = Duration::from_millis(random.below(150));
        std::thread::sleep(moment);
        world.ours[0].process.kill()?;
        let told =
            |why: Box<dyn std::error::Error>| format!("kill {kill} after {moment:?}, {}: {why}", rows.in_words());
        world.ours[0].process.damage(rows, &older).map_err(told)?;
        world.ours[0].start().map_err(told)?;
        world.wait_until_usable(0, 0, 1).map_err(told)?;
        sent += load.settle(world).map_err(told)?;
        all += load.len();
        world.agree().map_err(told)?;
    }
    Ok(format!("{kills} kills, {all} payments, {sent} made"))
}

/// Payments of every kind, both ways, many at once.
pub(crate) fn mixed(world: &mut World, effort: &Effort) -> Outcome<String> {
    let wanted = effort.count(200, 10_000) as usize;
    let mut random = Random::new(effort.seed);
    let began = std::time::Instant::now();
    let (mut sent, mut all, mut rounds) = (0, 0, 0);
    while all < wanted {
        let load = Load::new(world, &mut random, 20)?;
        sent += load.settle(world)?;
        all += load.len();
        rounds += 1;
        if rounds % 25 == 0 {
            world.agree()?;
        }
    }
    let taken = began.elapsed().as_secs_f64();
    let speed = f64::from(u32::try_from(all)?) / taken;
    Ok(format!("{all} payments, {sent} made; {speed:.0} a second"))
}

/// The opener changes the feerate of the commitments, with HTLCs on their way.
pub(crate) fn feerates(world: &mut World, effort: &Effort) -> Outcome<String> {
    let mut random = Random::new(effort.seed);
    let id = world.channel_ids(0, 0)?.remove(0);
    let rates = [1_500, 600, 3_000, 1_000];
    for feerate in rates {
        let load = Load::new(world, &mut random, 3)?;
        let body = SetFeerate {
            feerate_sat_per_kw: feerate,
        };
        let caller = world.ours[0].caller()?;
        let _: quittance_api::Done = caller.post(&format!("/v1/channels/{id}/feerate"), &body)?;
        load.settle(world)?;
        wait_for("LDK has the feerate that ours set", || {
            let channels = world.ldk[0].channels()?;
            Ok(channels
                .iter()
                .any(|channel| channel.id == id && channel.feerate_sat_per_kw == feerate))
        })?;
    }
    Ok(format!("{rates:?} sat per kW"))
}

/// LDK opened the channel, and changes its feerate as its estimates rise, with HTLCs on their way. It looks once a minute.
pub(crate) fn ldk_feerates(world: &mut World, effort: &Effort) -> Outcome<String> {
    let mut random = Random::new(effort.seed);
    let id = world.channel_ids(0, 0)?.remove(0);
    let feerate = 2_750;
    world.fees.set(u64::from(feerate));
    world.ldk[0].ask::<()>(&Call::Sync)?;
    let has_it = |world: &mut World| -> Outcome<bool> {
        let channels = world.ldk[0].channels()?;
        Ok(channels
            .iter()
            .any(|channel| channel.id == id && channel.feerate_sat_per_kw == feerate))
    };
    let mut payments = 0;
    wait_for("LDK has changed the feerate", || {
        let load = Load::new(world, &mut random, 2)?;
        load.settle(world)?;
        payments += load.len();
        has_it(world)
    })?;
    let load = Load::new(world, &mut random, 2)?;
    load.settle(world)?;
    Ok(format!("to {feerate} sat per kW, {payments} payments meanwhile"))
}

/// Payments on their way in both directions.
pub(crate) struct Load {
    ours: Vec<Ordered>,
    /// Hashes of LDK's.
    ldk: Vec<String>,
}

/// A payment of ours: a node that dies gives no answer, and is asked again under the same name.
struct Ordered {
    id: Hex<32>,
    invoice: Option<String>,
    amount_msat: u64,
}

impl Load {
    /// So many each way, of random amounts, one in four of them without an invoice.
    pub(crate) fn new(world: &mut World, random: &mut Random, each_way: usize) -> Outcome<Self> {
        Self::of_at_least(1, world, random, each_way)
    }

    /// The same, of amounts from `least` msat on.
    pub(crate) fn of_at_least(least: u64, world: &mut World, random: &mut Random, each_way: usize) -> Outcome<Self> {
        let mut load = Self {
            ours: Vec::new(),
            ldk: Vec::new(),
        };
        for _ in 0..each_way {
            let amount = least + random.below(3_000_000);
            let invoice = match random.below(4) {
                0 => None,
                _ => Some(world.ldk_invoice(0, Some(amount), None)?),
            };
            let ordered = Ordered {
                id: world.name(),
                invoice,
                amount_msat: amount,
            };
            world.give(&ordered)?;
            load.ours.push(ordered);
            let amount = least + random.below(3_000_000);
            let hash = if random.below(4) == 0 {
                let node = world.ours[0].node.to_string();
                world.ldk[0].ask(&Call::Keysend {
                    node,
                    amount_msat: amount,
                })
            } else {
                let invoice = world.our_invoice(0, Some(amount), None)?;
                world.ldk_orders(0, &invoice.invoice, None)
            };
            // Without a usable channel LDK refuses at once, and nothing was sent.
            load.ldk.extend(hash);
        }
        Ok(load)
    }

    pub(crate) fn len(&self) -> usize {
        self.ours.len() + self.ldk.len()
    }

    /// Whether every one that is known has its end.
    pub(crate) fn has_ended(&self, world: &mut World) -> Outcome<bool> {
        Ok(self.ours_have_ended(world)? && self.states_at_ldk(world)?.iter().all(|state| *state != State::Pending))
    }

    fn ours_have_ended(&self, world: &World) -> Outcome<bool> {
        for ordered in &self.ours {
            if world.state(0, ordered.id)? == Some(PaymentState::Pending) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether those of ours have their end, and of LDK's none is on chain that may still come to this end or that.
    pub(crate) fn is_decided(&self, world: &mut World) -> Outcome<bool> {
        let undecided = world.ldk[0].balance()?.undecided;
        Ok(self.ours_have_ended(world)? && !self.ldk.iter().any(|hash| undecided.contains(hash)))
    }

    /// Leaves out those of LDK's that it will have as pending for ever; their hashes. None of them may have arrived.
    pub(crate) fn leave_out_lost(&mut self, world: &mut World) -> Outcome<Vec<String>> {
        world.listen()?;
        let arrived = world.ours[0].ledger.received()?;
        let mut lost = world.ldk[0].payments()?;
        lost.retain(|payment| !payment.inbound && payment.state == State::Pending && self.ldk.contains(&payment.hash));
        for payment in &lost {
            if arrived.keys().any(|hash| hash.to_string() == payment.hash) {
                return Err(format!("LDK's payment {} has arrived, and is pending to LDK", payment.hash).into());
            }
            self.ldk.retain(|hash| *hash != payment.hash);
        }
        Ok(lost.into_iter().map(|payment| payment.hash).collect())
    }

    /// Waits until every one has its end; how many were made.
    pub(crate) fn settle(&self, world: &mut World) -> Outcome<usize> {
        let mut made = 0;
        for ordered in &self.ours {
            if world.state(0, ordered.id)?.is_none() {
                world.give(ordered)?;
            }
            made += usize::from(expect_ended(world, ordered.id, None)? == PaymentState::Sent);
        }
        let mut states = Vec::new();
        wait_for("LDK's payments have ended", || {
            states = self.states_at_ldk(world)?;
            Ok(states.iter().all(|state| *state != State::Pending))
        })?;
        made += states.iter().filter(|state| **state == State::Succeeded).count();
        Ok(made)
    }

    /// How those of LDK's stand that it knows of: its whole list is read once for all of them.
    fn states_at_ldk(&self, world: &mut World) -> Outcome<Vec<State>> {
        let payments = world.ldk[0].payments()?;
        let ours = payments
            .iter()
            .filter(|payment| !payment.inbound && self.ldk.contains(&payment.hash));
        Ok(ours.map(|payment| payment.state).collect())
    }
}

impl World {
    fn give(&self, ordered: &Ordered) -> Outcome<()> {
        let caller = self.ours[0].caller()?;
        let answer = if let Some(invoice) = &ordered.invoice {
            let body = quittance_api::Pay {
                id: Some(ordered.id),
                invoice: invoice.clone(),
                amount_msat: None,
                fee_limit_msat: None,
                patience_s: None,
                routes: Vec::new(),
                wait_s: 0,
            };
            caller.post::<quittance_api::Payment>("/v1/payments", &body)
        } else {
            let body = Keysend {
                id: ordered.id,
                node: self.ldk[0].node.parse()?,
                amount_msat: ordered.amount_msat,
                fee_limit_msat: None,
                routes: Vec::new(),
                wait_s: 0,
            };
            caller.post("/v1/keysend", &body)
        };
        match answer {
            Ok(_) | Err(CallFailed::NoAnswer(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Waits for the end of a payment of ours.
fn expect_ended(world: &World, id: Hex<32>, expected: Option<PaymentState>) -> Outcome<PaymentState> {
    let mut ended = None;
    wait_for("our payment has ended", || {
        ended = world.state(0, id)?;
        Ok(matches!(ended, Some(PaymentState::Sent | PaymentState::Failed)))
    })?;
    let state = ended.ok_or("a payment that ended has a state")?;
    match expected {
        Some(expected) if expected != state => Err(format!("payment {id} is {state:?}, not {expected:?}").into()),
        _ => Ok(state),
    }
}
