//! How nodes meet, and open channels.

use quittance_api::{ChannelOpened, OpenChannel, PeerList};
use quittance_town::{CallFailed, Outcome};

use super::{CAPACITY_SAT, Effort, even};
use crate::protocol::Call;
use crate::world::{By, LDK_FEERATE, World, wait_for};

/// A feerate far above what our nodes go by, in sat per 1000 weight units.
pub(crate) const MUCH_SAT_PER_KW: u64 = 50_000;

pub(crate) fn ours_calls(world: &mut World, _: &Effort) -> Outcome<String> {
    world.connect(0, 0, By::Ours)?;
    // Whoever called calls again.
    let node = world.ours[0].node.to_string();
    world.ldk[0].ask::<()>(&Call::Disconnect { node })?;
    world.wait_until_connected(0, 0)?;
    let peer = &world.ldk[0].node;
    let _: quittance_api::Done = world.ours[0].caller()?.delete(&format!("/v1/peers/{peer}"))?;
    wait_for("the connection is gone on both sides", || {
        let peers: PeerList = world.ours[0].caller()?.get("/v1/peers")?;
        Ok(peers.peers.is_empty() && world.ldk[0].info()?.peers.is_empty())
    })?;
    Ok(String::new())
}

pub(crate) fn ldk_calls(world: &mut World, _: &Effort) -> Outcome<String> {
    world.connect(0, 0, By::Ldk)?;
    Ok(String::new())
}

pub(crate) fn ours_opens(world: &mut World, _: &Effort) -> Outcome<String> {
    opens(world, By::Ours)
}

pub(crate) fn ldk_opens(world: &mut World, _: &Effort) -> Outcome<String> {
    opens(world, By::Ldk)
}

/// LDK finds the feerate of our commitments much too low: who asked for the channel hears why, and its coins are free again.
pub(crate) fn ldk_refuses_feerate(world: &mut World, _: &Effort) -> Outcome<String> {
    world.connect(0, 0, By::Ours)?;
    let before = world.ours[0].onchain()?;
    world.expects_feerate(MUCH_SAT_PER_KW)?;
    let body = OpenChannel {
        peer: world.ldk[0].node.parse()?,
        capacity_sat: CAPACITY_SAT,
        push_msat: 0,
        announce: false,
        zeroconf: false,
    };
    let answer = world.ours[0].caller()?.post::<ChannelOpened>("/v1/channels", &body);
    world.expects_feerate(LDK_FEERATE)?;
    match answer {
        Err(CallFailed::Refused(_, why)) if why.message.contains("feerate much too low") => {}
        other => return Err(format!("LDK refuses our feerate, and our node says {other:?}").into()),
    }
    wait_for("no coin is set aside", || {
        let balance: quittance_api::Balance = world.ours[0].caller()?.get("/v1/balance")?;
        Ok(balance.confirmed_sat == before && balance.reserved_sat == 0)
    })?;
    Ok(String::new())
}

/// Opens, and holds what each says of the channel against the terms.
fn opens(world: &mut World, by: By) -> Outcome<String> {
    world.connect(0, 0, By::Ours)?;
    let id = world.open(0, 0, even(by))?;
    let list = world.ours[0].channels()?.channels;
    let ours = list
        .iter()
        .find(|channel| channel.id.to_string() == id)
        .ok_or("our node does not list the channel")?;
    let pushed = CAPACITY_SAT * 1_000 / 2;
    let has = (ours.capacity_sat, ours.ours_msat, ours.theirs_msat, ours.opened_by_us);
    let expected = (CAPACITY_SAT, CAPACITY_SAT * 1_000 - pushed, pushed, by == By::Ours);
    if has != expected {
        return Err(format!("our node says {has:?}, and it should be {expected:?}").into());
    }
    let list = world.ldk[0].channels()?;
    let theirs = list
        .iter()
        .find(|channel| channel.id == id)
        .ok_or("LDK does not list the channel")?;
    // Its fee and its anchors are the opener's to pay.
    let most = pushed - theirs.reserve_sat * 1_000;
    if theirs.sendable_msat > most || theirs.sendable_msat + 10_000_000 < most {
        return Err(format!("LDK can send {} msat of {pushed}", theirs.sendable_msat).into());
    }
    Ok(String::new())
}

impl World {
    /// From now on LDK takes this for the feerate of the day.
    pub(crate) fn expects_feerate(&mut self, sat_per_kw: u64) -> Outcome<()> {
        self.fees.set(sat_per_kw);
        self.ldk[0].ask(&Call::Sync)
    }
}
