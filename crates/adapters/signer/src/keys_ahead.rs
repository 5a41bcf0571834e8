//! Keys and points that are derived before they are needed: while a batch is being written, or the peer works. What they are is a function
//! of their arguments; that they are there already saves the time of deriving them between a message and its answer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bitcoin::OutPoint;
use quittance_channel::{InlineVerifier, NextCommitment, Verifier};
use quittance_primitives::CommitmentNumber;
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentKeys, HtlcOutputs, PerCommitmentSecret, Role, VerificationJob,
};
use secp256k1::PublicKey;

use crate::LocalSigner;
use crate::cores::Cores;

/// What was derived ahead and not used yet: for each channel at most the keys of one commitment of each side, and one point.
#[derive(Debug, Default)]
pub struct KeysAhead {
    prepared: Mutex<Prepared>,
    pub(crate) cores: Cores,
}

#[derive(Debug, Default)]
struct Prepared {
    keys: HashMap<(OutPoint, Role), OfOne>,
    /// The points whose keys were asked for last. Whoever derives them after that is late.
    asked_for: HashMap<(OutPoint, Role), PublicKey>,
    points: HashMap<[u8; 32], (CommitmentNumber, PublicKey)>,
}

#[derive(Debug)]
struct OfOne {
    terms: ChannelTerms,
    keys: CommitmentKeys,
}

impl LocalSigner {
    /// Derives what the next `commitment_signed` will need: the peer's, the keys to check it with, and the point to answer it with; ours,
    /// the keys of what it signs. If they were needed before this began, it does nothing.
    pub fn prepare(&self, next: NextCommitment) {
        let NextCommitment {
            signer_keys_id,
            terms,
            broadcaster,
            point,
            htlc_outputs,
            number_of_ours,
        } = next;
        let place = (terms.funding_outpoint, broadcaster);
        if self.keys_ahead.lock().asked_for.get(&place) == Some(&point) {
            return;
        }
        let (keys, after) = if let Some(number) = number_of_ours {
            let (seed, after) = (self.commitment_seed(signer_keys_id), number.next());
            let keys = seed.keys_of_ours(&terms, broadcaster, (number, point), htlc_outputs);
            (keys, Some((after, seed.point(after))))
        } else {
            let secrets = self.channel(signer_keys_id).keys;
            (secrets.keys_of_theirs(&terms, broadcaster, point, htlc_outputs), None)
        };
        let mut prepared = self.keys_ahead.lock();
        prepared.points.extend(after.map(|after| (signer_keys_id, after)));
        prepared.keys.insert(place, OfOne { terms, keys });
    }

    /// Who checks what peers send, with the keys that were derived ahead where there are any.
    pub fn verifier(&self) -> &KeysAhead {
        &self.keys_ahead
    }

    pub(crate) fn point(&self, keys_id: [u8; 32], number: CommitmentNumber) -> PublicKey {
        let ahead = self.keys_ahead.lock().points.remove(&keys_id);
        match ahead {
            Some((ahead, point)) if ahead == number => point,
            _ => self.commitment_seed(keys_id).point(number),
        }
    }
}

impl KeysAhead {
    /// How much is there: commitments with their keys, and points.
    pub fn len(&self) -> usize {
        let prepared = self.lock();
        prepared.keys.len() + prepared.points.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The keys of this commitment, if they were derived; those of another of the same side are forgotten.
    pub(crate) fn take(
        &self,
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        htlc_outputs: HtlcOutputs,
    ) -> Option<CommitmentKeys> {
        let place = (terms.funding_outpoint, contents.broadcaster);
        let ahead = {
            let mut prepared = self.lock();
            prepared.asked_for.insert(place, contents.per_commitment_point);
            prepared.keys.remove(&place)?
        };
        let is_it = ahead.terms == *terms && ahead.keys.per_commitment_point == contents.per_commitment_point;
        is_it.then(|| ahead.keys.for_outputs(terms, contents.broadcaster, htlc_outputs))
    }

    // A poisoned lock is taken all the same: what is in there is whole, or not there.
    fn lock(&self) -> MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Verifier for KeysAhead {
    fn first_invalid(&self, jobs: &[VerificationJob]) -> Option<usize> {
        let parts = self.cores.share(jobs, |first, part| {
            InlineVerifier.first_invalid(part).map(|place| first + place)
        });
        parts.into_iter().flatten().next()
    }

    fn keys_of(
        &self,
        terms: &ChannelTerms,
        contents: &CommitmentContents,
        htlc_outputs: HtlcOutputs,
    ) -> CommitmentKeys {
        self.take(terms, contents, htlc_outputs)
            .unwrap_or_else(|| InlineVerifier.keys_of(terms, contents, htlc_outputs))
    }

    fn is_secret_of(&self, secret: &PerCommitmentSecret, point: &PublicKey) -> bool {
        InlineVerifier.is_secret_of(secret, point)
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash;
    use bitcoin::{Amount, Txid};
    use quittance_channel::CommitmentToSign;
    use quittance_primitives::{ChannelId, CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash, ToSelfDelay};
    use quittance_transactions::{CommitmentFormat, Htlc, HtlcDirection, SideTerms};

    use super::*;
    use crate::Deriving;

    const KEYS_ID: [u8; 32] = [4; 32];

    fn terms(ours: &LocalSigner, theirs: &LocalSigner, number: u8) -> ChannelTerms {
        let side = |signer: &LocalSigner| SideTerms {
            keys: signer.channel(KEYS_ID).keys.public_keys(),
            dust_limit: Amount::from_sat(354),
            to_self_delay: ToSelfDelay(144),
        };
        ChannelTerms {
            funding_outpoint: OutPoint::new(Txid::from_byte_array([number; 32]), 0),
            funding_value: Amount::from_sat(1_000_000),
            format: CommitmentFormat::Anchors,
            opener: side(ours),
            accepter: side(theirs),
        }
    }

    fn contents(point: PublicKey, number: CommitmentNumber) -> CommitmentContents {
        CommitmentContents {
            broadcaster: Role::Opener,
            number,
            per_commitment_point: point,
            feerate: FeeratePerKw(1_000),
            to_broadcaster: MilliSatoshi(600_000_000),
            to_countersignatory: MilliSatoshi(400_000_000),
            htlcs: Vec::new(),
        }
    }

    /// The opener's next commitment, as the opener knows it.
    fn next(signer: &LocalSigner, terms: &ChannelTerms, number: u64, htlc_outputs: HtlcOutputs) -> NextCommitment {
        NextCommitment {
            signer_keys_id: KEYS_ID,
            terms: terms.clone(),
            broadcaster: Role::Opener,
            point: signer.channel(KEYS_ID).seed.point(CommitmentNumber(number)),
            htlc_outputs,
            number_of_ours: Some(CommitmentNumber(number)),
        }
    }

    /// Whoever shares the work, the signatures are the same, and the first one that is wrong is found.
    #[test]
    fn a_crowd_is_signed_and_checked_alike_on_any_number_of_cores() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let terms = terms(&ours, &theirs, 1);
        let point = ours.channel(KEYS_ID).seed.point(CommitmentNumber(3));
        let mut contents = contents(point, CommitmentNumber(3));
        contents.htlcs = (0..100).map(htlc).collect();
        contents.to_countersignatory =
            MilliSatoshi(400_000_000 - contents.htlcs.iter().map(|htlc| htlc.amount.0).sum::<u64>());
        let template = CommitmentToSign {
            channel_id: ChannelId([3; 32]),
            signer_keys_id: KEYS_ID,
            terms,
            contents,
        };
        let alone = theirs.countersign(&template);
        assert_eq!(alone.htlcs.len(), 100);
        let commitment = template
            .build_with_keys(|htlc_outputs| CommitmentKeys::derive(&template.terms, Role::Opener, point, htlc_outputs));
        let mut jobs = vec![commitment.funding_verification(&alone.funding)];
        jobs.extend(
            commitment
                .htlc_verifications(&alone.htlcs)
                .expect("there is one for each"),
        );
        for cores in [2, 3, 5] {
            theirs.use_cores(cores);
            assert_eq!(theirs.countersign(&template), alone);
            let verifier = theirs.verifier();
            assert_eq!(verifier.first_invalid(&jobs), None);
            for wrong in [vec![0], vec![100], vec![33, 40], vec![60, 99], vec![20, 80]] {
                let mut jobs = jobs.clone();
                for place in &wrong {
                    jobs[*place].message = secp256k1::Message::from_digest([9; 32]);
                }
                assert_eq!(verifier.first_invalid(&jobs), wrong.first().copied());
            }
        }
    }

    fn htlc(id: u64) -> Htlc {
        Htlc {
            direction: HtlcDirection::Offered,
            id: HtlcId(id),
            amount: MilliSatoshi(500_000 + id * 1_000),
            payment_hash: PaymentHash([7; 32]),
            cltv_expiry: CltvExpiry(500),
        }
    }

    #[test]
    fn what_was_derived_ahead_is_what_would_have_been_derived() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let terms = terms(&ours, &theirs, 1);
        let outputs = [HtlcOutputs::None, HtlcOutputs::Some];
        for (number, (guessed, real)) in (1..).zip(outputs.iter().flat_map(|one| outputs.map(|other| (*one, other)))) {
            let next = next(&ours, &terms, number, guessed);
            let contents = contents(next.point, CommitmentNumber(number));
            ours.prepare(next);
            assert_eq!(ours.verifier().len(), 2);
            let derived = InlineVerifier.keys_of(&terms, &contents, real);
            assert_eq!(ours.verifier().keys_of(&terms, &contents, real), derived);
            let point = ours.channel(KEYS_ID).seed.point(CommitmentNumber(number + 1));
            assert_eq!(ours.point(KEYS_ID, CommitmentNumber(number + 1)), point);
            assert!(ours.verifier().is_empty(), "each is used once");
        }
    }

    #[test]
    fn keys_of_the_peers_next_commitment_are_derived_ahead_and_used_to_sign_it() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let terms = terms(&ours, &theirs, 1);
        let outputs = [HtlcOutputs::None, HtlcOutputs::Some];
        for (number, (guessed, htlcs)) in (1..).zip(outputs.iter().flat_map(|one| [0, 3].map(|count| (*one, count)))) {
            let next = NextCommitment {
                number_of_ours: None,
                ..next(&ours, &terms, number, guessed)
            };
            let mut contents = contents(next.point, CommitmentNumber(number));
            contents.htlcs = (0..htlcs).map(htlc).collect();
            contents.to_broadcaster =
                MilliSatoshi(600_000_000 - contents.htlcs.iter().map(|htlc| htlc.amount.0).sum::<u64>());
            let template = CommitmentToSign {
                channel_id: ChannelId([3; 32]),
                signer_keys_id: KEYS_ID,
                terms: terms.clone(),
                contents,
            };
            let signed = theirs.countersign(&template);
            theirs.prepare(next.clone());
            // Those of our own next one are another matter.
            theirs.prepare(NextCommitment {
                broadcaster: Role::Accepter,
                number_of_ours: Some(CommitmentNumber(number)),
                ..next
            });
            assert_eq!(theirs.countersign(&template), signed);
            assert_eq!(theirs.verifier().lock().keys.len(), 1, "each is used once");
        }
    }

    #[test]
    fn what_was_needed_before_it_was_derived_is_not_derived_for_nothing() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let terms = terms(&ours, &theirs, 1);
        let late = next(&ours, &terms, 7, HtlcOutputs::None);
        let needed = contents(late.point, CommitmentNumber(7));
        let derived = ours.verifier().keys_of(&terms, &needed, HtlcOutputs::None);
        assert_eq!(derived.per_commitment_point, late.point);
        ours.prepare(late);
        assert!(ours.verifier().is_empty());
    }

    #[test]
    fn a_thread_derives_what_it_is_given() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let deriving = Deriving::start(ours.clone());
        deriving.prepare(next(&ours, &terms(&ours, &theirs, 1), 7, HtlcOutputs::None));
        let begun = std::time::Instant::now();
        while ours.verifier().is_empty() {
            assert!(begun.elapsed().as_secs() < 60, "the thread derives nothing");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_was_derived_for_something_else_is_not_used() {
        let (ours, theirs) = (LocalSigner::new([1; 32]), LocalSigner::new([2; 32]));
        let terms_one = terms(&ours, &theirs, 1);
        let mut changed = terms_one.clone();
        changed.accepter = changed.opener;
        let one = next(&ours, &terms_one, 7, HtlcOutputs::Some);
        let mut accepters = contents(one.point, CommitmentNumber(7));
        accepters.broadcaster = Role::Accepter;
        let later = contents(
            ours.channel(KEYS_ID).seed.point(CommitmentNumber(8)),
            CommitmentNumber(8),
        );
        let same = contents(one.point, CommitmentNumber(7));
        for (terms, contents) in [(&terms_one, &later), (&changed, &same), (&terms_one, &accepters)] {
            ours.prepare(one.clone());
            let derived = InlineVerifier.keys_of(terms, contents, HtlcOutputs::Some);
            assert_eq!(ours.verifier().keys_of(terms, contents, HtlcOutputs::Some), derived);
            let point = ours.channel(KEYS_ID).seed.point(CommitmentNumber(9));
            assert_eq!(ours.point(KEYS_ID, CommitmentNumber(9)), point);
        }
        // The other side's is no reason to forget it.
        let derived = InlineVerifier.keys_of(&terms_one, &same, HtlcOutputs::Some);
        assert_eq!(ours.verifier().keys_of(&terms_one, &same, HtlcOutputs::Some), derived);
        assert!(ours.verifier().is_empty(), "what does not fit is forgotten");
    }
}
