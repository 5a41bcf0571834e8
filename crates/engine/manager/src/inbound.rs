//! Payments to us: recognised without a row, gathered from their parts, claimed whole or not at all (G4).

use std::collections::BTreeMap;

use quittance_channel::{
    Channel, ClaimedPart, DecidedClaim, HtlcTerms, OnChain, ReceivedHtlc, ReceivedOnion, Removal, Side,
};
use quittance_journal::mark;
use quittance_onion::{
    ChannelUpdateBytes, Failure, IncomingHtlc, OnionPacket, Payload, PayloadRecords, Peeled, Receive, judge_payload,
};
use quittance_payments::failure;
use quittance_primitives::{BlockCount, ChannelId, HtlcId, MilliSatoshi, PaymentHash, PaymentPreimage};

use crate::api::{Event, Response};
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// BOLT 2, fulfilment deadline: an HTLC that expires sooner is failed, since it could not be claimed on chain in time.
pub(crate) const CLAIM_MARGIN: u32 = 18;

/// A part of a payment to us, as its onion describes it.
struct HeldPart {
    part: ClaimedPart,
    total: MilliSatoshi,
    preimage: Option<PaymentPreimage>,
    received_at_ms: u64,
    blocks_left: u32,
}

impl ChannelManager {
    /// An HTLC of a peer's is irrevocably committed: it is forwarded, held, claimed or failed.
    pub(crate) fn accepted(&mut self, id: ChannelId, htlc: HtlcId, turn: &mut Turn<'_>) {
        let received = &self.channels[&id].state().commitments.received[&htlc];
        if received.removal.is_some() {
            return;
        }
        match &received.onion {
            ReceivedOnion::Malformed {
                failure_code,
                sha256_of_onion,
            } => {
                let removal = Removal::Malformed {
                    failure_code: *failure_code,
                    sha256_of_onion: *sha256_of_onion,
                };
                self.remove(id, htlc, removal, turn);
            }
            ReceivedOnion::Peeled { .. } => match judged(received) {
                Err(failure) => self.refuse(id, htlc, &failure, turn),
                Ok(_) if lost_its_funding(&self.channels[&id]) => {
                    let failure = Failure::TemporaryChannelFailure(ChannelUpdateBytes::default());
                    self.refuse(id, htlc, &failure, turn);
                }
                Ok(_) if self.is_too_much_dust(id, turn) => {
                    mark!("receive: too much dust");
                    self.refuse(
                        id,
                        htlc,
                        &Failure::TemporaryChannelFailure(ChannelUpdateBytes::default()),
                        turn,
                    );
                }
                Ok(Payload::Forward(wanted)) => self.forward_soon(id, htlc, &wanted, turn),
                Ok(Payload::Receive(payload)) => self.hold(id, htlc, &payload, turn),
                // Blinded payloads are refused when they are judged: their secret is not at hand here.
                Ok(Payload::BlindedForward(_) | Payload::BlindedReceive(_)) => {
                    self.refuse(
                        id,
                        htlc,
                        &Failure::InvalidOnionPayload {
                            record_type: 10,
                            offset: 0,
                        },
                        turn,
                    );
                }
            },
        }
    }

    /// Fails one of the peer's HTLCs for a reason of our own.
    pub(crate) fn refuse(&mut self, id: ChannelId, htlc: HtlcId, failure: &Failure, turn: &mut Turn<'_>) {
        let received = &self.channels[&id].state().commitments.received[&htlc];
        let removal = match &received.onion {
            // BOLT 2: inside a blinded path nothing is told but that it failed.
            ReceivedOnion::Peeled { .. } if received.terms.path_key.is_some() => Removal::Malformed {
                failure_code: 0xc018,
                sha256_of_onion: [0; 32],
            },
            ReceivedOnion::Peeled { shared_secret, .. } => {
                let held = failure::held(received.received_at_ms, turn.context.now_ms);
                failure::create(*shared_secret, failure, Some(held))
            }
            ReceivedOnion::Malformed {
                failure_code,
                sha256_of_onion,
            } => Removal::Malformed {
                failure_code: *failure_code,
                sha256_of_onion: *sha256_of_onion,
            },
        };
        self.remove(id, htlc, removal, turn);
    }

    /// Removes one of the peer's HTLCs, if it is still there to be removed.
    pub(crate) fn remove(&mut self, id: ChannelId, htlc: HtlcId, removal: Removal, turn: &mut Turn<'_>) {
        if let Ok(decision) = self.channels[&id].decide_removal(htlc, removal) {
            self.adopt(id, decision, turn);
        }
    }

    /// BOLT 2, bounding exposure to trimmed in-flight HTLCs: what cannot be claimed on chain is kept small.
    fn is_too_much_dust(&self, id: ChannelId, turn: &Turn<'_>) -> bool {
        let state = self.channels[&id].state();
        let limit = turn.context.limits.max_dust_htlc_exposure;
        [Side::Local, Side::Remote]
            .into_iter()
            .any(|owner| state.dust_exposure(owner) > limit)
    }

    /// Keeps an HTLC that is for us until its payment is complete; claims the payment when we know how.
    fn hold(&mut self, id: ChannelId, htlc: HtlcId, payload: &Receive, turn: &mut Turn<'_>) {
        let received = &self.channels[&id].state().commitments.received[&htlc];
        let hash = received.terms.payment_hash;
        if let Err(failure) = self.check_part(&received.terms, payload, turn) {
            mark!("receive: a part is not what was asked for");
            self.refuse(id, htlc, &failure, turn);
            return;
        }
        self.held.entry(hash).or_default().insert((id, htlc));
        self.settle_held(hash, turn);
    }

    fn check_part(&self, terms: &HtlcTerms, payload: &Receive, turn: &Turn<'_>) -> Result<(), Failure> {
        let unknown = || Failure::IncorrectOrUnknownPaymentDetails {
            htlc: terms.amount,
            height: self.tip.height,
        };
        if terms.amount < payload.amount {
            return Err(Failure::FinalIncorrectHtlcAmount(terms.amount));
        }
        if terms.cltv_expiry < payload.expiry {
            return Err(Failure::FinalIncorrectCltvExpiry(terms.cltv_expiry));
        }
        if let Some(failure) = payload.refuse_custom_record(&[]) {
            return Err(failure);
        }
        let min_final = match (payload.payment_data, payload.keysend_preimage) {
            (Some(data), _) => {
                let recognised = self
                    .config
                    .invoice_key
                    .recognise(&data.payment_secret, &terms.payment_hash);
                let promised = recognised.ok_or_else(unknown)?.terms;
                let expired = u64::from(promised.expires_at_s) * 1_000 < turn.context.now_ms;
                let total_fits = promised
                    .amount
                    .is_none_or(|amount| data.total >= amount && data.total.0 <= amount.0.saturating_mul(2));
                if expired || !total_fits {
                    return Err(unknown());
                }
                promised.min_final().0
            }
            (None, Some(preimage)) if self.config.accept_keysend && terms.payment_hash.is_paid_by(&preimage) => {
                CLAIM_MARGIN
            }
            (None, Some(_) | None) => return Err(unknown()),
        };
        if terms.cltv_expiry.blocks_left(self.tip.height).0 < min_final.max(CLAIM_MARGIN) {
            return Err(unknown());
        }
        Ok(())
    }

    /// Claims a held payment that is complete, or tells the user that it can be claimed.
    pub(crate) fn settle_held(&mut self, hash: PaymentHash, turn: &mut Turn<'_>) {
        let parts = self.held_parts(&hash);
        let Some(complete) = complete(&parts) else { return };
        match parts.iter().find_map(|part| part.preimage) {
            Some(preimage) => {
                self.claim(hash, preimage, parts, turn);
            }
            None if self.shown_claimable.insert(hash) => {
                self.events.push(
                    Event::PaymentClaimable {
                        payment_hash: hash,
                        amount: complete,
                    },
                    turn,
                );
            }
            None => {}
        }
    }

    /// The user claims a payment that is held.
    pub(crate) fn claim_held(&mut self, preimage: PaymentPreimage, turn: &mut Turn<'_>) -> Response {
        let hash = preimage.hash();
        let parts = self.held_parts(&hash);
        let in_time = parts.iter().all(|part| part.blocks_left >= CLAIM_MARGIN);
        if complete(&parts).is_none() || !in_time {
            mark!("receive: nothing to claim, or too late");
            return Response::NothingHeld(hash);
        }
        match self.claim(hash, preimage, parts, turn) {
            Some(amount) => Response::Claimed(hash, amount),
            None => Response::NothingHeld(hash),
        }
    }

    /// The user refuses a payment that is held.
    pub(crate) fn refuse_held(&mut self, hash: PaymentHash, turn: &mut Turn<'_>) -> Response {
        if self.held_parts(&hash).is_empty() {
            return Response::NothingHeld(hash);
        }
        mark!("receive: refused by the user");
        self.fail_held(hash, turn, |terms, tip| Failure::IncorrectOrUnknownPaymentDetails {
            htlc: terms.amount,
            height: tip,
        });
        Response::Refused(hash)
    }

    /// Decides to claim: one batch holds the decision in the log of every channel with a part, and every fulfilment that can be sent.
    fn claim(
        &mut self,
        payment_hash: PaymentHash,
        preimage: PaymentPreimage,
        parts: Vec<HeldPart>,
        turn: &mut Turn<'_>,
    ) -> Option<MilliSatoshi> {
        let total = MilliSatoshi::checked_sum(parts.iter().map(|part| part.part.amount))?;
        mark!("receive: claimed");
        let event = self.events.number(turn);
        let parts: Vec<_> = parts.into_iter().map(|part| part.part).collect();
        let claim = DecidedClaim {
            payment_hash,
            preimage,
            total,
            parts,
            event,
        };
        let mut by_channel: BTreeMap<ChannelId, Vec<HtlcId>> = BTreeMap::new();
        for part in &claim.parts {
            by_channel.entry(part.channel).or_default().push(part.htlc);
        }
        #[cfg(feature = "mutants")]
        if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ClaimedInPart) {
            while by_channel.len() > 1 {
                by_channel.pop_last();
            }
        }
        for (id, htlcs) in by_channel {
            let channel = &self.channels[&id];
            // A channel that is closed claims its parts on chain, by what its log says.
            let open = channel.state().phase.is_operating();
            let removals = htlcs
                .into_iter()
                .filter(|_| open)
                .map(|htlc| (htlc, self.fulfilment(id, htlc, preimage, turn)));
            let removals = removals.collect();
            let decision = self.channels[&id]
                .decide_claim(&claim, removals)
                .expect("held parts can be claimed");
            self.adopt(id, decision, turn);
        }
        self.held.remove(&payment_hash);
        self.shown_claimable.remove(&payment_hash);
        self.events.add(
            event,
            Event::PaymentClaimed {
                payment_hash,
                preimage,
                amount: total,
            },
            turn,
        );
        Some(total)
    }

    /// The removal that fulfils one of the peer's HTLCs as its last hop.
    fn fulfilment(&self, id: ChannelId, htlc: HtlcId, preimage: PaymentPreimage, turn: &Turn<'_>) -> Removal {
        let received = &self.channels[&id].state().commitments.received[&htlc];
        Removal::Fulfilled {
            preimage,
            attribution: self.attribution(id, received, None, turn),
        }
    }

    /// Fails every part of a held payment.
    fn fail_held(
        &mut self,
        hash: PaymentHash,
        turn: &mut Turn<'_>,
        why: impl Fn(&HtlcTerms, quittance_primitives::BlockHeight) -> Failure,
    ) {
        self.shown_claimable.remove(&hash);
        for (id, htlc) in self.held.remove(&hash).unwrap_or_default() {
            if let Some(received) = self.channels[&id].state().commitments.received.get(&htlc) {
                let failure = why(&received.terms, self.tip.height);
                self.refuse(id, htlc, &failure, turn);
            }
        }
    }

    /// Fails payments whose other parts did not come in time (BOLT 4, `mpp_timeout`).
    pub(crate) fn time_out_parts(&mut self, turn: &mut Turn<'_>) {
        let deadline = turn.context.now_ms.saturating_sub(self.config.mpp_timeout_ms);
        let hashes: Vec<_> = self.held.keys().copied().collect();
        for hash in hashes {
            let parts = self.held_parts(&hash);
            let oldest = parts.iter().map(|part| part.received_at_ms).min();
            if complete(&parts).is_none() && oldest.is_some_and(|oldest| oldest < deadline) {
                mark!("receive: the other parts did not come");
                self.fail_held(hash, turn, |_, _| Failure::MppTimeout);
            }
        }
    }

    /// Fails held payments while there is still time to do so without a close.
    pub(crate) fn fail_expiring(&mut self, turn: &mut Turn<'_>) {
        let hashes: Vec<_> = self.held.keys().copied().collect();
        for hash in hashes {
            if self
                .held_parts(&hash)
                .iter()
                .any(|part| part.blocks_left < CLAIM_MARGIN)
            {
                mark!("receive: a held payment expires");
                self.fail_held(hash, turn, |terms, tip| Failure::IncorrectOrUnknownPaymentDetails {
                    htlc: terms.amount,
                    height: tip,
                });
            }
        }
    }

    fn held_parts(&self, hash: &PaymentHash) -> Vec<HeldPart> {
        let parts = self.held.get(hash).into_iter().flatten();
        let parts = parts.filter_map(|(id, htlc)| {
            let received = self.channels[id].state().commitments.received.get(htlc)?;
            if is_decided(&self.channels[id], received) {
                return None;
            }
            let Ok(Payload::Receive(payload)) = judged(received) else {
                return None;
            };
            let recognised = payload
                .payment_data
                .and_then(|data| self.config.invoice_key.recognise(&data.payment_secret, hash));
            Some(HeldPart {
                part: ClaimedPart {
                    channel: *id,
                    htlc: *htlc,
                    amount: received.terms.amount,
                },
                total: payload.total(),
                preimage: recognised
                    .and_then(|recognised| recognised.preimage)
                    .or(payload.keysend_preimage),
                received_at_ms: received.received_at_ms,
                blocks_left: received.terms.cltv_expiry.blocks_left(self.tip.height).0,
            })
        });
        parts.collect()
    }

    /// The packet that the next hop of a forwarded HTLC gets.
    pub(crate) fn next_packet(&self, id: ChannelId, htlc: HtlcId) -> Box<[u8; 1366]> {
        let received = self.channels[&id].state().commitments.received.get(&htlc);
        let received = received.expect("G3: an HTLC stays upstream until its forward is settled");
        match &received.onion {
            ReceivedOnion::Peeled {
                next_packet: Some(packet),
                ..
            } => packet.clone(),
            ReceivedOnion::Peeled { next_packet: None, .. } | ReceivedOnion::Malformed { .. } => {
                panic!("only an HTLC with a next hop is forwarded")
            }
        }
    }
}

/// Whether a reorganisation took back the funding of a channel whose opener may spend it otherwise now. What the opener is not trusted with
/// before there is a block, it is not trusted with after that block is gone.
fn lost_its_funding(channel: &Channel) -> bool {
    let (state, facts) = (channel.state(), &channel.state().facts);
    state.funding.is_none() && facts.opener == Side::Remote && facts.minimum_depth > BlockCount(0)
}

/// Whether an HTLC that was accepted needs no decision any more: it is being removed, its claim is decided, or the chain has settled it. On a
/// closed channel a decision to claim removes nothing, and what the chain has settled stays in the channel.
pub(crate) fn is_decided(channel: &Channel, received: &ReceivedHtlc) -> bool {
    let state = channel.state();
    let mut parts = state.claims.values().flat_map(|unreleased| &unreleased.claim.parts);
    let is_claimed = parts.any(|part| part.channel == state.facts.channel_id && part.htlc == received.terms.id);
    received.removal.is_some() || received.on_chain != OnChain::Open || is_claimed
}

/// What the onion of a received HTLC asks of us.
pub(crate) fn judged(received: &ReceivedHtlc) -> Result<Payload, Failure> {
    let ReceivedOnion::Peeled {
        payload, next_packet, ..
    } = &received.onion
    else {
        return Err(Failure::TemporaryNodeFailure);
    };
    let records = PayloadRecords::decode(payload)?;
    if received.terms.path_key.is_some() || records.encrypted_recipient_data.is_some() {
        return Err(Failure::InvalidOnionPayload {
            record_type: 10,
            offset: 0,
        });
    }
    let incoming = IncomingHtlc {
        amount: received.terms.amount,
        expiry: received.terms.cltv_expiry,
        path_key: None,
    };
    let next = next_packet.as_ref().map(|packet| OnionPacket::from_payment(packet));
    judge_payload(
        Peeled {
            payload: payload.clone(),
            next,
        },
        records,
        &incoming,
        None,
    )
}

/// What the parts bring together, if that is what they were meant to.
fn complete(parts: &[HeldPart]) -> Option<MilliSatoshi> {
    let total = parts.iter().map(|part| part.total).max()?;
    let sum = MilliSatoshi::checked_sum(parts.iter().map(|part| part.part.amount))?;
    #[cfg(feature = "mutants")]
    if quittance_journal::mutant::is_on(quittance_journal::mutant::Mutant::ClaimedIncomplete) {
        return Some(sum);
    }
    (sum >= total).then_some(sum)
}
