//! The stories, in groups that share a world.

mod closing;
mod crashes;
mod cutting;
mod failing;
mod forwarding;
mod known;
mod load;
mod opening;
mod paying;
mod resting;

use quittance_town::Outcome;

use crate::Size;
use crate::peer::ChannelKind;
use crate::world::{By, Terms, Tools, World};

/// Makes the world of a group.
pub(crate) type Build = fn(&Tools) -> Outcome<World>;

/// Stories that share a world.
pub(crate) struct Group {
    pub(crate) build: Build,
    pub(crate) stories: &'static [Story],
}

/// A story.
pub(crate) struct Story {
    pub(crate) name: &'static str,
    /// The smallest and the largest run that it is part of.
    pub(crate) smallest: Size,
    pub(crate) largest: Size,
    /// Lives through it; what there is to tell in figures.
    pub(crate) tell: Tell,
}

/// How much of it.
pub(crate) struct Effort {
    pub(crate) is_soak: bool,
    pub(crate) seed: u64,
}

impl Effort {
    /// A count: the small one, or that of a soak.
    pub(crate) const fn count(&self, small: u32, soak: u32) -> u32 {
        if self.is_soak { soak } else { small }
    }
}

/// All of them.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        build: strangers,
        stories: &[
            smoke("connect: ours calls LDK, and again after a cut", opening::ours_calls),
            smoke("connect: LDK calls ours", opening::ldk_calls),
            smoke(
                "open: ours opens a channel with anchors and pushes",
                opening::ours_opens,
            ),
            smoke("open: LDK opens a channel with anchors and pushes", opening::ldk_opens),
        ],
    },
    Group {
        build: neighbours,
        stories: &[
            smoke("pay: ours pays an invoice of LDK's", paying::ours_pays),
            smoke("pay: LDK pays an invoice of ours", paying::ldk_pays),
            smoke("pay: invoices that leave the amount to the payer", paying::any_amount),
            smoke("keysend: both directions", paying::keysends),
            smoke(
                "hold: LDK holds a payment of ours, claims one, refuses one",
                paying::ldk_holds,
            ),
            smoke(
                "hold: ours holds a payment of LDK's, claims one, refuses one",
                paying::ours_holds,
            ),
            smoke("fail: LDK refuses what it was paid already", failing::ldk_refuses),
            smoke("fail: more than one has, by either", failing::too_much),
            smoke("fail: a node that nobody knows", failing::nobody),
            smoke("update_fee: ours sets it, with HTLCs on their way", load::feerates),
            smoke(
                "quiescence: ours asks LDK for it, with payments on their way",
                resting::ours_asks,
            ),
            every(
                "the payer dies with its receipt unhandled; LDK is the payee",
                crashes::receipt_unhandled,
            ),
            every("cuts of the connection in mid-payment", load::cuts),
            every(
                "kill -9 of ours under load, rows whole, rolled back and deleted",
                load::kills,
            ),
            every("restarts of LDK under load", load::ldk_restarts),
            every("kill -9 of LDK with nothing on its way", crashes::idle_ldk_dies),
            every("mixed payments both ways", load::mixed),
        ],
    },
    Group {
        build: neighbours,
        stories: &[
            every("many HTLCs at once from LDK, held and claimed", load::many_to_ours),
            smoke("many HTLCs at once to LDK, and one more", load::many_to_ldk_node),
        ],
    },
    Group {
        build: roomy_neighbours,
        stories: &[every(
            "many HTLCs at once to LDK, held, claimed and refused",
            load::many_to_ldk,
        )],
    },
    Group {
        build: opened_by_ldk,
        stories: &[all(
            "update_fee: LDK sets it, with HTLCs on their way",
            load::ldk_feerates,
        )],
    },
    Group {
        build: cutting::linked,
        stories: &[every(
            "cuts of the connection inside a payment, at bytes",
            cutting::at_bytes,
        )],
    },
    Group {
        build: neighbours,
        stories: &[long("kill -9 of LDK under load", crashes::ldk_dies_under_load)],
    },
    Group {
        build: strangers,
        stories: &[
            smoke("close: by agreement, ours begins", closing::ours_agrees),
            smoke("close: by agreement, LDK begins", closing::ldk_agrees),
            smoke("close: ours by force, four payments held", closing::ours_forces),
            smoke("close: LDK by force, four payments held", closing::ldk_forces),
            smoke(
                "close: LDK cheats after a restore from an old backup",
                closing::ldk_cheats,
            ),
        ],
    },
    Group {
        build: strangers,
        stories: &[smoke(
            "close: ours as a deadline comes, LDK away",
            closing::by_our_deadline,
        )],
    },
    Group {
        build: forwarding::ours_between,
        stories: &[
            every("forward: between two of LDK's through ours", forwarding::through_ours),
            smoke(
                "forward: ours fails back to LDK when the payee has gone",
                forwarding::ours_fails_back,
            ),
            smoke(
                "forward: ours takes more than LDK's invoice says",
                forwarding::terms_change,
            ),
        ],
    },
    Group {
        build: forwarding::ldk_between,
        stories: &[
            every("forward: between two of ours through LDK", forwarding::through_ldk),
            every(
                "the payer dies with its receipt unhandled; LDK forwards",
                crashes::forwarded_receipt_unhandled,
            ),
            smoke(
                "forward: LDK fails back to ours, payee gone or unwilling",
                forwarding::ldk_fails_back,
            ),
        ],
    },
    Group {
        build: twice_neighbours,
        stories: &[smoke("pay: in parts over two channels, by either", paying::in_parts)],
    },
    Group {
        build: forwarding::ours_between_twice,
        stories: &[smoke(
            "forward: in parts over two channels, LDK pays through ours",
            forwarding::parts_through_ours,
        )],
    },
    Group {
        build: forwarding::ldk_between_twice,
        stories: &[smoke(
            "forward: in parts over two channels, ours pay through LDK",
            forwarding::parts_through_ldk,
        )],
    },
    Group {
        build: known::row,
        stories: &[
            smoke("announced: LDK's graph has our names and terms", known::ldk_knows_us),
            every(
                "announced: LDK pays ours through ours and LDK, by gossip alone",
                known::ldk_pays_bob,
            ),
            every(
                "announced: LDK pays LDK through ours, by gossip alone",
                known::ldk_pays_through_ours,
            ),
            every(
                "announced: ours pay each other through LDK, by gossip alone",
                known::ours_pay_through_ldk,
            ),
        ],
    },
    Group {
        build: old_strangers,
        stories: &[
            smoke(
                "static_remotekey: LDK refuses the feerate of an opening",
                opening::ldk_refuses_feerate,
            ),
            smoke("static_remotekey: ours opens", opening::ours_opens),
            smoke("static_remotekey: LDK opens", opening::ldk_opens),
            smoke("static_remotekey: ours pays", paying::ours_pays),
            smoke("static_remotekey: LDK pays", paying::ldk_pays),
            smoke(
                "static_remotekey: LDK refuses a feerate, and closes",
                closing::ldk_refuses_feerate,
            ),
        ],
    },
    Group {
        build: old_strangers,
        stories: &[
            smoke(
                "static_remotekey: close by agreement, ours begins",
                closing::ours_agrees,
            ),
            smoke("static_remotekey: close by agreement, LDK begins", closing::ldk_agrees),
            all("static_remotekey: close by force, ours", closing::ours_forces),
            all("static_remotekey: close by force, LDK", closing::ldk_forces),
            all(
                "static_remotekey: LDK cheats after a restore from an old backup",
                closing::ldk_cheats,
            ),
        ],
    },
];

type Tell = fn(&mut World, &Effort) -> Outcome<String>;

/// One that is the same in a soak, and is left out of it.
const fn smoke(name: &'static str, tell: Tell) -> Story {
    Story {
        name,
        smallest: Size::Smoke,
        largest: Size::All,
        tell,
    }
}

/// One that takes longer than every change can wait for.
const fn all(name: &'static str, tell: Tell) -> Story {
    Story {
        name,
        smallest: Size::All,
        largest: Size::All,
        tell,
    }
}

/// The same, and a soak makes it longer.
const fn long(name: &'static str, tell: Tell) -> Story {
    Story {
        name,
        smallest: Size::All,
        largest: Size::Soak,
        tell,
    }
}

/// One that a soak makes longer.
const fn every(name: &'static str, tell: Tell) -> Story {
    Story {
        name,
        smallest: Size::Smoke,
        largest: Size::Soak,
        tell,
    }
}

/// What a channel of these stories holds.
pub(crate) const CAPACITY_SAT: u64 = 10_000_000;

/// One of ours and one of LDK's, who do not know each other.
fn strangers(tools: &Tools) -> Outcome<World> {
    World::new(tools, (1, 1), ChannelKind::Anchors)
}

/// One of ours and one of LDK's, with a channel that both can pay through.
fn neighbours(tools: &Tools) -> Outcome<World> {
    neighbours_of(tools, ChannelKind::Anchors)
}

/// The same, and LDK accepts as many HTLCs as BOLT 2 allows.
fn roomy_neighbours(tools: &Tools) -> Outcome<World> {
    neighbours_of(tools, ChannelKind::Roomy)
}

fn neighbours_of(tools: &Tools, kind: ChannelKind) -> Outcome<World> {
    let mut world = World::new(tools, (1, 1), kind)?;
    world.connect(0, 0, By::Ours)?;
    world.open(0, 0, even(By::Ours))?;
    world.wait_until_usable(0, 0, 1)?;
    Ok(world)
}

/// The same, by a channel that LDK opened.
fn opened_by_ldk(tools: &Tools) -> Outcome<World> {
    let mut world = strangers(tools)?;
    world.connect(0, 0, By::Ours)?;
    world.open(0, 0, even(By::Ldk))?;
    world.wait_until_usable(0, 0, 1)?;
    Ok(world)
}

/// With two channels, one opened by each.
fn twice_neighbours(tools: &Tools) -> Outcome<World> {
    let mut world = neighbours(tools)?;
    world.open(0, 0, even(By::Ldk))?;
    world.wait_until_usable(0, 0, 2)?;
    Ok(world)
}

/// One of ours and one of LDK's that does not offer anchors.
fn old_strangers(tools: &Tools) -> Outcome<World> {
    World::new(tools, (1, 1), ChannelKind::StaticRemotekey)
}

/// A channel that both can pay through.
pub(crate) const fn even(by: By) -> Terms {
    Terms {
        by,
        capacity_sat: CAPACITY_SAT,
        push_msat: CAPACITY_SAT * 1_000 / 2,
        announce: false,
    }
}
