//! The town's life on a chain that is not quiet: payments held, cancelled and unasked for, a bitcoind that goes away, blocks that are
//! replaced, channels closed by agreement and by force with a payment in them. Then everybody's coins are counted.

use std::path::Path;
use std::time::Duration;

use bitcoin::hashes::{Hash, sha256};
use quittance_api::{
    Balance, ChannelOpened, Claim, Claimed, Close, CloseChannel, Done, EventKind, Hex, Info, Keysend, OpenChannel,
    Payment, PaymentState, Refuse,
};
use quittance_town::{ALICE, BOB, CAPACITY_SAT, CAROL, CallFailed, Caller, Ledger, Order, Outcome, Town};

/// What all transactions of the story may cost together.
const FEES_SAT: u64 = 60_000;
/// Longer than the delay of what is ours in a commitment of ours, with the claims before and after it.
const BLOCKS_MAX: u32 = 400;
/// How soon a claim must be in the chain: long before its HTLC expires.
const CLAIM_BLOCKS_MAX: u32 = 10;

struct Life {
    town: Town,
    /// What each was told, by node.
    ledgers: [Ledger; 3],
    last_id: u8,
}

/// Lives it, and says what was seen.
pub(crate) fn town_life(program: &Path, bitcoind: Option<&Path>) -> Outcome<String> {
    let folder = crate::folder()?;
    let mut life = Life {
        town: Town::new(program, folder.path(), bitcoind, &[])?,
        ledgers: Default::default(),
        last_id: 0,
    };
    life.town.wait_until_usable()?;
    life.pay(10)?;
    life.hold()?;
    life.keysend()?;
    let went_away = life.lose_bitcoind()?;
    life.replace_blocks()?;
    life.check_channels()?;
    life.open_with_everything()?;
    life.close_by_agreement()?;
    life.close_by_force_with_a_payment()?;
    let fees = life.count_coins()?;
    let bitcoind = if went_away {
        "a bitcoind that went away"
    } else {
        "the embedded chain"
    };
    let payments = life.ledgers[ALICE].outcomes()?.len() + life.ledgers[BOB].outcomes()?.len();
    Ok(format!(
        "{payments} payments over {bitcoind} and blocks that were replaced, one of them claimed on chain; both channels are closed, and every coin is there but {fees} sat of fees"
    ))
}

impl Life {
    fn id(&mut self) -> Hex<32> {
        self.last_id += 1;
        Hex([self.last_id; 32])
    }

    fn listen(&mut self) -> Outcome<()> {
        for (ledger, node) in self.ledgers.iter_mut().zip(&self.town.nodes) {
            ledger.listen(node.caller()?)?;
            ledger.handle_all(node.caller()?)?;
        }
        Ok(())
    }

    fn pay(&mut self, payments: u64) -> Outcome<()> {
        let ids: Vec<_> = (0..payments).map(|_| self.id()).collect();
        let amounts = (1..).map(|number| 1_000_000 * number + number);
        let orders: Vec<Order> = ids
            .into_iter()
            .zip(amounts)
            .map(|(id, amount)| self.town.order(amount, id))
            .collect::<Outcome<_>>()?;
        self.town.settle(&orders)?;
        self.listen()?;
        let outcomes = self.ledgers[ALICE].outcomes()?;
        match orders
            .iter()
            .find(|order| outcomes.get(&order.id).is_none_or(Option::is_none))
        {
            None => Ok(()),
            Some(order) => Err(format!("payment {} was not made", order.id).into()),
        }
    }

    /// Carol holds two payments, and claims one.
    fn hold(&mut self) -> Outcome<()> {
        for is_claimed in [true, false] {
            let preimage = [100 + u8::from(is_claimed); 32];
            let hash = Hex(sha256::Hash::hash(&preimage).to_byte_array());
            let id = self.id();
            let order = self.town.order_held(2_000_000, id, Some(hash))?;
            let (alice, carol) = (self.town.nodes[ALICE].caller()?, self.town.nodes[CAROL].caller()?);
            order.give(alice)?;
            Self::wait_until_held(&mut self.ledgers[CAROL], carol, &order, alice)?;
            if order.state(alice)? != Some(PaymentState::Pending) {
                return Err("a payment that is held has an end".into());
            }
            if is_claimed {
                let _: Claimed = carol.post(
                    "/v1/held/claim",
                    &Claim {
                        preimage: Hex(preimage),
                    },
                )?;
            } else {
                let _: Done = carol.post("/v1/held/refuse", &Refuse { payment_hash: hash })?;
            }
            self.town.settle(std::slice::from_ref(&order))?;
            let expected = if is_claimed {
                PaymentState::Sent
            } else {
                PaymentState::Failed
            };
            let state = order.state(self.town.nodes[ALICE].caller()?)?;
            if state != Some(expected) {
                return Err(format!("claimed: {is_claimed}, and the payment is {state:?}").into());
            }
        }
        self.listen()
    }

    fn wait_until_held(ledger: &mut Ledger, carol: &Caller, order: &Order, payer: &Caller) -> Outcome<()> {
        Town::wait_for("a payment is held", || {
            if order.state(payer)? == Some(PaymentState::Failed) {
                return Err(format!("payment {} failed, and should have been held", order.id).into());
            }
            ledger.listen(carol)?;
            let hash = order.payment_hash;
            let is_it = |kind: &EventKind| matches!(kind, EventKind::PaymentClaimable { payment_hash, .. } if *payment_hash == hash);
            Ok(ledger.events().any(|event| is_it(&event.event)))
        })
    }

    /// Alice pays Bob, who has not asked for it.
    fn keysend(&mut self) -> Outcome<()> {
        let bob: Info = self.town.nodes[BOB].caller()?.get("/v1/info")?;
        let body = Keysend {
            id: self.id(),
            node: bob.id,
            amount_msat: 3_000_000,
            fee_limit_msat: None,
            routes: Vec::new(),
            wait_s: 30,
        };
        let payment: Payment = self.town.nodes[ALICE].caller()?.post("/v1/keysend", &body)?;
        if payment.state != PaymentState::Sent {
            return Err(format!("the payment that nobody asked for is {:?}", payment.state).into());
        }
        self.town.wait_for_no_htlc()?;
        self.listen()
    }

    /// Payments do not need the chain, and the nodes find it again.
    fn lose_bitcoind(&mut self) -> Outcome<bool> {
        let went_away = self.town.ground.stop_bitcoind();
        self.pay(3)?;
        self.town.ground.start_bitcoind()?;
        self.mine(2)?;
        Ok(went_away)
    }

    fn replace_blocks(&mut self) -> Outcome<()> {
        self.town.ground.reorg(3)?;
        self.town.wait_for_height()?;
        self.pay(3)
    }

    fn mine(&mut self, blocks: u32) -> Outcome<()> {
        self.town.ground.mine(blocks)?;
        self.town.wait_for_height()
    }

    /// To the msat: the channels hold what the ledgers say.
    fn check_channels(&self) -> Outcome<()> {
        let ours = |node: usize| -> Outcome<u64> {
            let channels = self.town.channels(node)?.channels;
            if let Some(channel) = channels.iter().find(|channel| channel.state != "open") {
                return Err(format!("{} has a channel that is {}", self.town.nodes[node].name, channel.state).into());
            }
            Ok(channels.iter().map(|channel| channel.ours_msat).sum())
        };
        let outcomes = self.ledgers[ALICE].outcomes()?;
        let spent: u64 = outcomes
            .values()
            .flatten()
            .map(|sent| sent.amount_msat + sent.fee_msat)
            .sum();
        let sent: u64 = outcomes.values().flatten().map(|sent| sent.amount_msat).sum();
        let received = |node: usize| -> Outcome<u64> { Ok(self.ledgers[node].received()?.values().sum()) };
        let is = [
            ours(ALICE)?,
            ours(BOB)?,
            ours(CAROL)?,
            received(BOB)? + received(CAROL)?,
        ];
        let all = CAPACITY_SAT * 1_000;
        let should_be = [all - spent, all + spent - received(CAROL)?, received(CAROL)?, sent];
        if is == should_be {
            Ok(())
        } else {
            Err(format!("Alice, Bob and Carol have, and the payees were paid, {is:?} msat; by the ledgers it should be {should_be:?}").into())
        }
    }

    fn close(&self, node: usize, how: Close) -> Outcome<()> {
        let channels = self.town.channels(node)?.channels;
        let channel = channels.first().ok_or("there is no channel to close")?;
        let body = CloseChannel {
            how,
            feerate_sat_per_kw: None,
        };
        let _: Done = self.town.nodes[node]
            .caller()?
            .post(&format!("/v1/channels/{}/close", channel.id), &body)?;
        Town::wait_for("the closing transaction waits", || Ok(self.town.ground.waiting() > 0))
    }

    /// A channel cannot take what is to be kept to close it, and the others, by force: who asks for it hears why.
    fn open_with_everything(&self) -> Outcome<()> {
        let caller = self.town.nodes[ALICE].caller()?;
        let coins: Balance = caller.get("/v1/balance")?;
        let body = OpenChannel {
            peer: self.town.nodes[BOB].caller()?.get::<Info>("/v1/info")?.id,
            capacity_sat: coins.confirmed_sat - coins.reserved_sat - 5_000,
            push_msat: 0,
            announce: false,
            zeroconf: false,
        };
        match caller.post::<ChannelOpened>("/v1/channels", &body) {
            Err(CallFailed::Refused(_, why)) if why.message.contains("are kept to close channels") => Ok(()),
            other => Err(format!("Alice opens a channel with all that she has, and is told {other:?}").into()),
        }
    }

    fn close_by_agreement(&mut self) -> Outcome<()> {
        let had = self.coins(ALICE)?;
        let in_channel = self
            .town
            .channels(ALICE)?
            .channels
            .iter()
            .map(|channel| channel.ours_msat)
            .sum::<u64>()
            / 1_000;
        self.close(ALICE, Close::Mutual)?;
        self.mine(1)?;
        let caller = self.town.nodes[ALICE].caller()?;
        Town::wait_for("what was in the channel is in the wallet", || {
            let balance: Balance = caller.get("/v1/balance")?;
            let coins = balance.confirmed_sat + balance.unconfirmed_sat;
            // Nor does a channel that is closed need a reserve.
            Ok(coins + FEES_SAT >= had + in_channel && balance.reserved_sat == 0)
        })
    }

    /// Bob pays Carol, who holds it, closes by her own commitment, and claims it on chain: Bob is told so by the chain.
    fn close_by_force_with_a_payment(&mut self) -> Outcome<()> {
        self.town.fund(CAROL)?;
        // A payer that is many blocks behind its payee sends what expires too soon.
        self.town.wait_for_height()?;
        let preimage = [99; 32];
        let hash = Hex(sha256::Hash::hash(&preimage).to_byte_array());
        let id = self.id();
        let order = self.town.order_held(50_000_000, id, Some(hash))?;
        order.give(self.town.nodes[BOB].caller()?)?;
        let (bob, carol) = (self.town.nodes[BOB].caller()?, self.town.nodes[CAROL].caller()?);
        Self::wait_until_held(&mut self.ledgers[CAROL], carol, &order, bob)?;
        self.close(CAROL, Close::Force)?;
        self.mine(1)?;
        let carol = self.town.nodes[CAROL].caller()?;
        let _: Claimed = carol.post(
            "/v1/held/claim",
            &Claim {
                preimage: Hex(preimage),
            },
        )?;
        for _ in 0..CLAIM_BLOCKS_MAX {
            self.mine(1)?;
            if order.state(self.town.nodes[BOB].caller()?)? == Some(PaymentState::Sent) {
                return self.listen();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err("the chain does not tell Bob that he paid".into())
    }

    /// Everything comes into the wallets, block by block. What it cost.
    fn count_coins(&mut self) -> Outcome<u64> {
        // Each was given as much; what they paid each other is in their ledgers, in whole sat.
        let (given, sat) = (2 * CAPACITY_SAT, |msat: u64| msat / 1_000);
        let spent = |node: usize| -> Outcome<u64> {
            let outcomes = self.ledgers[node].outcomes()?;
            Ok(sat(outcomes
                .values()
                .flatten()
                .map(|sent| sent.amount_msat + sent.fee_msat)
                .sum()))
        };
        let paid = sat(self.ledgers[CAROL].received()?.values().sum());
        let alice = given - spent(ALICE)?;
        let due = [alice, 3 * given - alice - (given + paid), given + paid];
        let mut has = [0; 3];
        for _ in 0..BLOCKS_MAX {
            self.mine(1)?;
            for node in [ALICE, BOB, CAROL] {
                has[node] = self.coins(node)?;
            }
            // A msat that the ledgers round away may be somebody else's sat.
            let is_there = |(has, due): (u64, u64)| has <= due + 1 && has + FEES_SAT >= due;
            if has.into_iter().zip(due).all(is_there) && self.town.ground.waiting() == 0 {
                return Ok(due.iter().sum::<u64>() - has.iter().sum::<u64>());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!(
            "after {BLOCKS_MAX} blocks Alice, Bob and Carol have {has:?} sat; but for fees it should be {due:?}"
        )
        .into())
    }

    fn coins(&self, node: usize) -> Outcome<u64> {
        let balance: Balance = self.town.nodes[node].caller()?.get("/v1/balance")?;
        Ok(balance.confirmed_sat + balance.unconfirmed_sat)
    }
}
