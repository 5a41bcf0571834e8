//! Ends of channels: by agreement, by force with HTLCs on their way, and by a cheat.

use quittance_api::{Close, CloseChannel, Done, Hex, PaymentState, Refuse, SetFeerate};
use quittance_town::Outcome;

use super::opening::MUCH_SAT_PER_KW;
use super::paying::secret;
use super::{CAPACITY_SAT, Effort, even};
use crate::protocol::{Call, State};
use crate::world::{By, LDK_FEERATE, World, wait_for};

/// More than all transactions of a close cost at the feerates of these chains.
const FEES_MAX_SAT: u64 = 60_000;
/// A feerate below any that our channels begin with.
const LITTLE_SAT_PER_KW: u32 = 300;

pub(crate) fn ours_agrees(world: &mut World, _: &Effort) -> Outcome<String> {
    by_agreement(world, By::Ours)
}

pub(crate) fn ldk_agrees(world: &mut World, _: &Effort) -> Outcome<String> {
    by_agreement(world, By::Ldk)
}

/// A channel is closed by agreement: each has its part on chain.
fn by_agreement(world: &mut World, by: By) -> Outcome<String> {
    let id = world.one_channel()?;
    let (before_ours, before_ldk) = world.onchain()?;
    let has = world.our_channel(&id)?.ours_msat / 1_000;
    world.close(&id, by, Close::Mutual)?;
    world.mine_what_comes(6)?;
    wait_for("the channel is gone", || {
        let is_open_here = world.our_channel(&id).is_ok_and(|channel| channel.state == "open");
        Ok(!is_open_here && world.ldk[0].channels()?.iter().all(|channel| channel.id != id))
    })?;
    let mut told = String::new();
    wait_for("each has its part on chain", || {
        let (ours, ldk) = world.onchain()?;
        told = format!("ours {before_ours} -> {ours} sat, LDK {before_ldk} -> {ldk} sat, of which ours was {has}");
        let is_about = |gained: u64, part: u64| gained <= part && gained + FEES_MAX_SAT >= part;
        Ok(ours >= before_ours
            && ldk >= before_ldk
            && is_about(ours - before_ours, has)
            && is_about(ldk - before_ldk, CAPACITY_SAT - has))
    })
    .map_err(|why| format!("{why}: {told}"))?;
    Ok(String::new())
}

pub(crate) fn ours_forces(world: &mut World, _: &Effort) -> Outcome<String> {
    by_force(world, By::Ours)
}

pub(crate) fn ldk_forces(world: &mut World, _: &Effort) -> Outcome<String> {
    by_force(world, By::Ldk)
}

/// What a held payment is to come to.
struct Held {
    id: Option<Hex<32>>,
    preimage: Hex<32>,
    hash: Hex<32>,
    is_claimed: bool,
}

/// The amount of each payment that is held.
const HELD_SAT: u64 = 200_000;

/// A channel is closed by force while two payments each way are held. One of each two is claimed after the close, the other is not:
/// the first were made, the second fail, and everything ends in the wallets.
fn by_force(world: &mut World, by: By) -> Outcome<String> {
    let id = world.one_channel()?;
    let (before_ours, before_ldk) = world.onchain()?;
    let has = world.our_channel(&id)?.ours_msat / 1_000;
    let to_ldk = [world.hold_at_ldk(true)?, world.hold_at_ldk(false)?];
    let to_ours = [world.hold_at_ours(true)?, world.hold_at_ours(false)?];
    world.close(&id, by, Close::Force)?;
    for held in to_ldk.iter().filter(|held| held.is_claimed) {
        world.ldk[0].ask::<()>(&Call::Claim {
            preimage: held.preimage.to_string(),
            amount_msat: HELD_SAT * 1_000,
        })?;
    }
    for held in to_ours.iter().filter(|held| held.is_claimed) {
        let caller = world.ours[0].caller()?;
        let claim = quittance_api::Claim {
            preimage: held.preimage,
        };
        let _: quittance_api::Claimed = caller.post("/v1/held/claim", &claim)?;
    }
    world.mine_what_comes(1)?;
    // One claimed each way: what is whose in the end is what it was.
    let mut told = String::new();
    let swept = world.mine_until("everything is in the wallets", |world| {
        let (ours, ldk) = world.onchain()?;
        told = format!("ours {before_ours} -> {ours} sat, LDK {before_ldk} -> {ldk} sat, of which ours was {has}");
        let is_about = |now: u64, due: u64| now + FEES_MAX_SAT >= due;
        Ok(is_about(ours, before_ours + has) && is_about(ldk, before_ldk + CAPACITY_SAT - has))
    });
    let blocks = swept.map_err(|why| format!("{why}: {told}"))?;
    for held in &to_ldk {
        let id = held.id.ok_or("a payment of ours has a name")?;
        let expected = if held.is_claimed {
            PaymentState::Sent
        } else {
            PaymentState::Failed
        };
        wait_for("our payment has the end that the chain gave it", || {
            Ok(world.state(0, id)? == Some(expected))
        })?;
    }
    for held in &to_ours {
        let expected = if held.is_claimed {
            State::Succeeded
        } else {
            State::Failed
        };
        let state = world.ldk_outcome(0, &held.hash.to_string())?;
        if state != expected {
            return Err(format!("LDK's payment {} is {state:?}, and should be {expected:?}", held.hash).into());
        }
    }
    Ok(format!("swept after {blocks} blocks"))
}

/// LDK goes away while it holds a payment of ours, and before it hears that our node claims one of LDK's. Our node closes the channel by
/// itself as a deadline comes: its own payment fails and is its own again, the other is claimed on chain, and LDK finds that when it is back.
pub(crate) fn by_our_deadline(world: &mut World, _: &Effort) -> Outcome<String> {
    let id = world.one_channel()?;
    let (before_ours, before_ldk) = world.onchain()?;
    let has = world.our_channel(&id)?.ours_msat / 1_000 + HELD_SAT;
    let (to_ldk, to_ours) = (world.hold_at_ldk(false)?, world.hold_at_ours(true)?);
    world.ldk[0].stop()?;
    let claim = quittance_api::Claim {
        preimage: to_ours.preimage,
    };
    let _: quittance_api::Claimed = world.ours[0].caller()?.post("/v1/held/claim", &claim)?;
    world.closings += 1;
    let waited = world.mine_until("our node closes the channel", |world| {
        Ok(world.our_channel(&id)?.state != "open")
    })?;
    let mut told = String::new();
    let swept = world.mine_until("what is ours is in the wallet", |world| {
        let ours = world.ours[0].onchain()?;
        told = format!("ours {before_ours} -> {ours} sat, of which {has} is from the channel");
        Ok(ours + FEES_MAX_SAT >= before_ours + has)
    });
    let swept = swept.map_err(|why| format!("{why}: {told}"))?;
    let order = to_ldk.id.ok_or("a payment of ours has a name")?;
    if world.state(0, order)? != Some(PaymentState::Failed) {
        return Err("our payment came back, and has not failed".into());
    }
    world.ldk[0].start()?;
    world.mine_until("LDK has its part", |world| {
        Ok(world.ldk[0].balance()?.onchain + FEES_MAX_SAT >= before_ldk + CAPACITY_SAT - has)
    })?;
    match world.ldk_outcome(0, &to_ours.hash.to_string())? {
        State::Succeeded => Ok(format!("closed after {waited} blocks, swept after {swept} more")),
        other => Err(format!("our node has claimed LDK's payment, and to LDK it is {other:?}").into()),
    }
}

/// LDK finds the feerate that our node sets much too low, and closes the channel: our part comes back.
pub(crate) fn ldk_refuses_feerate(world: &mut World, _: &Effort) -> Outcome<String> {
    world.one_channel()?;
    let before = world.ours[0].onchain()?;
    let list = world.ours[0].channels()?.channels;
    let channel = list
        .iter()
        .find(|channel| channel.opened_by_us && channel.state == "open");
    let channel = channel.ok_or("our node has opened no channel")?;
    let (id, has) = (channel.id, channel.ours_msat / 1_000);
    world.expects_feerate(MUCH_SAT_PER_KW)?;
    let feerate = SetFeerate {
        feerate_sat_per_kw: LITTLE_SAT_PER_KW,
    };
    let path = format!("/v1/channels/{id}/feerate");
    let _: Done = world.ours[0].caller()?.post(&path, &feerate)?;
    world.closings += 1;
    world.mine_what_comes(1)?;
    world.expects_feerate(LDK_FEERATE)?;
    let events: Vec<String> = world.ldk[0].ask(&Call::Events { from: 0 })?;
    let is_why = |event: &String| event.starts_with("ChannelClosed") && event.contains("PeerFeerateTooLow");
    if !events.iter().any(is_why) {
        return Err(format!("LDK has not closed for the feerate: {events:?}").into());
    }
    let mut told = String::new();
    let swept = world.mine_until("what is ours is in the wallet", |world| {
        let ours = world.ours[0].onchain()?;
        told = format!("{before} -> {ours} sat, of which {has} is from the channel");
        Ok(ours + FEES_MAX_SAT >= before + has)
    });
    let blocks = swept.map_err(|why| format!("{why}: {told}"))?;
    Ok(format!("LDK closed; swept after {blocks} blocks"))
}

/// LDK comes back from an old backup, with our node away, and broadcasts what it has revoked, with a payment each way in it: our node
/// takes everything.
pub(crate) fn ldk_cheats(world: &mut World, _: &Effort) -> Outcome<String> {
    let id = world.one_channel()?;
    let (to_ldk, to_ours) = (world.hold_at_ldk(false)?, world.hold_at_ours(false)?);
    let folder = world.ldk[0].folder.join("ldk");
    let backup = world.folder.path().join("backup");
    world.ldk[0].stop()?;
    quittance_town::copy_folder(&folder, &backup)?;
    world.ldk[0].start()?;
    world.wait_until_usable(0, 0, 1)?;
    world.refuse(&to_ldk, &to_ours)?;
    for _ in 0..3 {
        let invoice = world.our_invoice(0, Some(1_000_000_000), None)?;
        world.ldk_pays(0, &invoice.invoice, None)?;
    }
    world.agree()?;
    let (before_ours, _) = world.onchain()?;
    world.ours[0].process.kill()?;
    world.ldk[0].stop()?;
    quittance_town::copy_folder(&backup, &folder)?;
    world.ldk[0].start()?;
    world.close(&id, By::Ldk, Close::Force)?;
    world.mine_what_comes(1)?;
    world.ours[0].start()?;
    let mut told = String::new();
    let taken = world.mine_until("our node has everything", |world| {
        let ours = world.ours[0].onchain()?;
        told = format!("{before_ours} -> {ours} sat of {CAPACITY_SAT}");
        Ok(ours + FEES_MAX_SAT >= before_ours + CAPACITY_SAT)
    });
    let blocks = taken.map_err(|why| format!("{why}: {told}"))?;
    // It knows nothing of what it paid since the backup.
    world.is_of_one_mind = false;
    Ok(format!("punished; all was ours after {blocks} blocks"))
}

impl World {
    /// The one channel; opened if there is none.
    fn one_channel(&mut self) -> Outcome<String> {
        if let Some(id) = self.channel_ids(0, 0)?.pop() {
            return Ok(id);
        }
        self.connect(0, 0, By::Ours)?;
        let id = self.open(0, 0, even(By::Ours))?;
        self.wait_until_usable(0, 0, 1)?;
        Ok(id)
    }

    fn our_channel(&self, id: &str) -> Outcome<quittance_api::Channel> {
        let list = self.ours[0].channels()?.channels;
        let found = list.into_iter().find(|channel| channel.id.to_string() == id);
        found.ok_or_else(|| format!("our node has no channel {id}").into())
    }

    fn close(&mut self, id: &str, by: By, how: Close) -> Outcome<()> {
        self.closings += 1;
        match by {
            By::Ours => {
                let body = CloseChannel {
                    how,
                    feerate_sat_per_kw: None,
                };
                let caller = self.ours[0].caller()?;
                let _: Done = caller.post(&format!("/v1/channels/{id}/close"), &body)?;
                Ok(())
            }
            By::Ldk => self.ldk[0].ask(&Call::Close {
                channel: id.to_owned(),
                force: how == Close::Force,
            }),
        }
    }

    /// What ours and LDK's have on chain, in blocks.
    fn onchain(&mut self) -> Outcome<(u64, u64)> {
        Ok((self.ours[0].onchain()?, self.ldk[0].balance()?.onchain))
    }

    /// Mines, a few blocks at a time, until `is_so`; how many it took.
    pub(crate) fn mine_until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> Outcome<bool>) -> Outcome<u32> {
        const STEP: u32 = 4;
        const BLOCKS_MAX: u32 = 800;
        let mut mined = 0;
        while !is_so(self)? {
            if mined >= BLOCKS_MAX {
                return Err(format!("after {mined} blocks it is still not so that {what}").into());
            }
            // Transactions follow blocks, and get into the next ones.
            std::thread::sleep(std::time::Duration::from_millis(150));
            self.mine(STEP)?;
            mined += STEP;
        }
        Ok(mined)
    }

    /// Each refuses what it holds of the other's.
    fn refuse(&mut self, to_ldk: &Held, to_ours: &Held) -> Outcome<()> {
        let hash = to_ldk.hash.to_string();
        self.ldk[0].ask::<()>(&Call::Refuse { hash })?;
        let body = Refuse {
            payment_hash: to_ours.hash,
        };
        let _: Done = self.ours[0].caller()?.post("/v1/held/refuse", &body)?;
        self.wait_for_no_htlc()
    }

    /// A payment of ours that LDK holds.
    fn hold_at_ldk(&mut self, is_claimed: bool) -> Outcome<Held> {
        let (preimage, hash) = secret(self);
        let invoice = self.ldk_invoice(0, Some(HELD_SAT * 1_000), Some(hash))?;
        let order = self.order(0, &invoice, None, 0)?;
        self.wait_until_ldk_holds(hash)?;
        Ok(Held {
            id: Some(order.id),
            preimage,
            hash,
            is_claimed,
        })
    }

    /// A payment of LDK's that our node holds.
    fn hold_at_ours(&mut self, is_claimed: bool) -> Outcome<Held> {
        let (preimage, hash) = secret(self);
        let invoice = self.our_invoice(0, Some(HELD_SAT * 1_000), Some(hash))?;
        self.ldk_orders(0, &invoice.invoice, None)?;
        self.wait_until_ours_holds(0, hash)?;
        Ok(Held {
            id: None,
            preimage,
            hash,
            is_claimed,
        })
    }
}
