//! The connection is cut inside a payment, after each so many bytes of what a side says in it.

use std::time::Duration;

use quittance_town::Outcome;

use super::{Effort, even, strangers};
use crate::link::Link;
use crate::world::{By, Tools, World, wait_for};

/// Ours and LDK's, with a link between them that can be cut.
pub(crate) fn linked(tools: &Tools) -> Outcome<World> {
    let mut world = strangers(tools)?;
    let link = Link::new(world.ldk[0].listen)?;
    world.ldk[0].reach = link.address;
    world.link = Some(link);
    world.connect(0, 0, By::Ours)?;
    world.open(0, 0, even(By::Ours))?;
    world.wait_until_usable(0, 0, 1)?;
    Ok(world)
}

/// Payments of either, each cut once: by turns in what our node says and in what LDK says, from the first byte of an uncut payment to
/// its last.
pub(crate) fn at_bytes(world: &mut World, effort: &Effort) -> Outcome<String> {
    let places = effort.count(2, 40);
    let mut cuts = 0;
    for payer in [By::Ours, By::Ldk] {
        let before = world.wait_for_silence()?;
        world.pay_between(payer)?;
        let after = world.wait_for_silence()?;
        for (side, said) in [(By::Ours, after.0 - before.0), (By::Ldk, after.1 - before.1)] {
            for place in 0..places {
                let bytes = 1 + said * u64::from(place) / u64::from(places);
                world.wait_for_silence()?;
                world.link()?.cut_after(side, bytes);
                let told = |why: Box<dyn std::error::Error>| {
                    format!("{payer:?} pays, and {bytes} of some {said} bytes of {side:?} pass: {why}")
                };
                world.pay_between(payer).map_err(told)?;
                cuts = world.link()?.cuts();
                world.wait_until_usable(0, 0, 1).map_err(told)?;
                world.agree().map_err(told)?;
            }
        }
    }
    if cuts < 2 * places {
        return Err(format!("there were only {cuts} cuts").into());
    }
    Ok(format!("{} payments, {cuts} cuts, all made", 4 * places))
}

impl World {
    fn link(&self) -> Outcome<&Link> {
        Ok(self.link.as_ref().ok_or("this world has no link")?)
    }

    /// How many bytes our node and LDK have said.
    fn passed(&self) -> Outcome<(u64, u64)> {
        let link = self.link()?;
        Ok((link.passed(By::Ours), link.passed(By::Ldk)))
    }

    /// Waits until neither says anything more, and returns what they have said: an HTLC is gone before the last word about it is said, and
    /// a cut in that word would come before the next payment.
    fn wait_for_silence(&self) -> Outcome<(u64, u64)> {
        const SILENCE: Duration = Duration::from_millis(100);
        let mut said = self.passed()?;
        wait_for("nothing is said", || {
            std::thread::sleep(SILENCE);
            let before = std::mem::replace(&mut said, self.passed()?);
            Ok(before == said)
        })?;
        Ok(said)
    }

    /// A payment over the one channel, to the end, and until no HTLC is left.
    fn pay_between(&mut self, payer: By) -> Outcome<()> {
        const AMOUNT: u64 = 2_000_000;
        match payer {
            By::Ours => {
                let invoice = self.ldk_invoice(0, Some(AMOUNT), None)?;
                self.pay(0, &invoice, None)?;
            }
            By::Ldk => {
                let invoice = self.our_invoice(0, Some(AMOUNT), None)?.invoice;
                self.ldk_pays(0, &invoice, None)?;
            }
        }
        self.wait_for_no_htlc()
    }
}
