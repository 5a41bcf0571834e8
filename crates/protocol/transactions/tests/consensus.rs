//! Every output of a commitment transaction, spent in every way that BOLT 3 gives it, under Bitcoin's own script verification:
//! who may spend it can, and the wrong key, the wrong preimage, and whoever comes too early cannot.

mod channel;

use bitcoin::consensus::serialize;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, absolute};
use bitcoinconsensus::{VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT};
use channel::{Channel, FORMATS, htlc, preimage, secret_keys};
use quittance_primitives::PaymentPreimage;
use quittance_transactions::signing::ChannelSecretKeys;
use quittance_transactions::{
    ClaimInput, ClaimTransaction, CommitmentFormat, CommitmentOutput, CommitmentSignatures, CommitmentTransaction,
    HtlcDirection, IncompatibleClaims, OutputRole, Party, RevokedCommitment, Role, WitnessForm, revealed_preimage,
};

/// A claim, and whose keys sign it.
struct Spend {
    name: String,
    claim: ClaimInput,
    by: Party,
}

/// A commitment with HTLCs in both directions, and the signatures that its owner holds.
struct Confirmed {
    channel: Channel,
    broadcaster: Role,
    commitment: CommitmentTransaction,
    signatures: CommitmentSignatures,
}

impl Confirmed {
    fn new(format: CommitmentFormat, broadcaster: Role) -> Self {
        let channel = Channel::new(format);
        let htlcs = vec![
            htlc(HtlcDirection::Offered, 1, 50_000),
            htlc(HtlcDirection::Received, 2, 60_000),
            htlc(HtlcDirection::Offered, 3, 200),
        ];
        let commitment = channel.commitment(&Channel::contents(broadcaster, 7, htlcs));
        let signatures = channel.secrets(broadcaster.other()).countersign(&commitment);
        assert_eq!(commitment.verify(&signatures), Ok(()));
        Self {
            channel,
            broadcaster,
            commitment,
            signatures,
        }
    }

    fn secrets(&self, party: Party) -> &ChannelSecretKeys {
        match party {
            Party::Broadcaster => self.channel.secrets(self.broadcaster),
            Party::Countersignatory => self.channel.secrets(self.broadcaster.other()),
        }
    }

    /// Every way to spend every output of the commitment, and of its second stages.
    fn spends(&self) -> Vec<Spend> {
        let scripts = self.commitment.scripts();
        let secret = Channel::seed(self.broadcaster).secret(quittance_primitives::CommitmentNumber(7));
        let revoked = RevokedCommitment::new(scripts, &secret).expect("the secret of this commitment");
        let mut spends = Vec::new();
        let mut add = |name: &str, claim: ClaimInput, by: Party| {
            spends.push(Spend {
                name: name.to_owned(),
                claim,
                by,
            });
        };
        for output in self.commitment.outputs() {
            let CommitmentOutput { outpoint, value, role } = output;
            match role {
                OutputRole::ToBroadcaster => {
                    add(
                        "to_local after the delay",
                        scripts.delayed_claim(outpoint, value),
                        Party::Broadcaster,
                    );
                }
                OutputRole::ToCountersignatory => {
                    let claim = scripts.to_countersignatory_claim(outpoint, value);
                    add("to_remote", claim, Party::Countersignatory);
                }
                OutputRole::Anchor(party) => {
                    add("anchor by its owner", scripts.anchor_claim(party, outpoint), party);
                    add(
                        "anchor by anyone",
                        scripts.abandoned_anchor_claim(party, outpoint),
                        Party::Broadcaster,
                    );
                }
                OutputRole::SharedAnchor => {
                    let claim = scripts.shared_anchor_claim(outpoint, value);
                    add("shared anchor", claim, Party::Countersignatory);
                }
                OutputRole::Htlc(htlc) => {
                    let known = Some(preimage(htlc.id.0));
                    let claim = scripts
                        .countersignatory_htlc_claim(&htlc, outpoint, known)
                        .expect("the preimage is known");
                    add(
                        &format!("{:?} HTLC by the other side", htlc.direction),
                        claim,
                        Party::Countersignatory,
                    );
                }
            }
            if let Some(claim) = revoked.penalty(&output) {
                add(&format!("penalty on {role:?}"), claim, Party::Countersignatory);
            }
        }
        self.add_second_stages(&revoked, &mut add);
        spends
    }

    fn add_second_stages(&self, revoked: &RevokedCommitment<'_>, add: &mut impl FnMut(&str, ClaimInput, Party)) {
        let scripts = self.commitment.scripts();
        for (output, signature) in self.commitment.htlc_outputs().iter().zip(&self.signatures.htlcs) {
            let known = Some(preimage(output.htlc.id.0));
            let claim = self
                .commitment
                .second_stage_claim(output, signature, known)
                .expect("the preimage is known");
            add(
                &format!("{:?} HTLC by its second stage", output.htlc.direction),
                claim,
                Party::Broadcaster,
            );
            let outpoint = OutPoint {
                txid: self.commitment.second_stage_transaction(output).compute_txid(),
                vout: 0,
            };
            let claim = scripts.delayed_claim(outpoint, output.second_stage_value);
            add("second stage after the delay", claim, Party::Broadcaster);
            let claim = revoked.delayed_penalty(outpoint, output.second_stage_value);
            add("penalty on a second stage", claim, Party::Countersignatory);
        }
    }
}

/// A transaction that makes one claim, signed with `secrets`. A claim that does not bring its output gets one.
fn spending(claim: &ClaimInput, secrets: &ChannelSecretKeys) -> Transaction {
    let outputs = if claim.second_stage.is_some() {
        Vec::new()
    } else {
        vec![TxOut {
            value: claim.output.value / 2,
            script_pubkey: ScriptBuf::new_p2a(),
        }]
    };
    let claims = ClaimTransaction::new(vec![claim.clone()], Vec::new(), outputs).expect("one claim");
    secrets.sign_claims(&claims)
}

/// Bitcoin's verdict on the first input, all soft forks active.
fn is_accepted(claim: &ClaimInput, transaction: &Transaction) -> bool {
    is_input_accepted(claim, transaction, 0)
}

fn is_input_accepted(claim: &ClaimInput, transaction: &Transaction, input: usize) -> bool {
    is_spendable(&claim.output, transaction, input)
}

fn is_spendable(output: &TxOut, transaction: &Transaction, input: usize) -> bool {
    let (script, value) = (output.script_pubkey.as_bytes(), output.value.to_sat());
    let flags = VERIFY_ALL_PRE_TAPROOT;
    bitcoinconsensus::verify_with_flags(script, value, &serialize(transaction), None, input, flags).is_ok()
}

fn each_spend(mut check: impl FnMut(&Confirmed, &Spend)) {
    for format in FORMATS {
        for broadcaster in [Role::Opener, Role::Accepter] {
            let confirmed = Confirmed::new(format, broadcaster);
            for mut spend in confirmed.spends() {
                spend.name = format!("{format:?}, {broadcaster:?}: {}", spend.name);
                check(&confirmed, &spend);
            }
        }
    }
}

#[test]
fn the_verification_flags_include_every_soft_fork_that_channels_rest_on() {
    use bitcoinconsensus as flags;
    for flag in [
        flags::VERIFY_P2SH,
        flags::VERIFY_DERSIG,
        flags::VERIFY_NULLDUMMY,
        flags::VERIFY_CHECKLOCKTIMEVERIFY,
        flags::VERIFY_CHECKSEQUENCEVERIFY,
        flags::VERIFY_WITNESS,
    ] {
        assert_ne!(VERIFY_ALL_PRE_TAPROOT & flag, 0);
    }
    // Verification with taproot needs all spent outputs; nothing here is taproot.
    assert_eq!(VERIFY_ALL_PRE_TAPROOT & VERIFY_TAPROOT, 0);
}

#[test]
fn a_commitment_with_both_signatures_spends_the_funding_output() {
    for format in FORMATS {
        for broadcaster in [Role::Opener, Role::Accepter] {
            let confirmed = Confirmed::new(format, broadcaster);
            let funding = confirmed.channel.terms.funding_output();
            let accepted = |transaction: &Transaction| is_spendable(&funding, transaction, 0);
            let own = confirmed
                .secrets(Party::Broadcaster)
                .sign_own_commitment(&confirmed.commitment);
            let other = confirmed.signatures.funding;
            assert!(accepted(&confirmed.commitment.signed(&own, &other)), "{format:?}");
            assert!(
                !accepted(&confirmed.commitment.signed(&other, &own)),
                "signatures in the wrong order"
            );
            assert!(!accepted(&confirmed.commitment.signed(&own, &own)), "one side alone");
        }
    }
}

#[test]
fn every_output_is_spent_in_every_way_that_it_can_be() {
    let mut count = 0;
    each_spend(|confirmed, spend| {
        let transaction = spending(&spend.claim, confirmed.secrets(spend.by));
        assert!(is_accepted(&spend.claim, &transaction), "{}", spend.name);
        count += 1;
    });
    // to_local in 2 ways, to_remote in 1, two HTLCs in 3 and their second stages in 2 each; two anchors in 2, a shared one in 1.
    assert_eq!(count, 2 * (13 + 17 + 14));
}

#[test]
fn nobody_else_can_spend_an_output_that_needs_a_signature() {
    each_spend(|confirmed, spend| {
        if spend.claim.key.is_none() {
            return;
        }
        let other = match spend.by {
            Party::Broadcaster => Party::Countersignatory,
            Party::Countersignatory => Party::Broadcaster,
        };
        for wrong in [confirmed.secrets(other), &secret_keys(0x55)] {
            assert!(
                !is_accepted(&spend.claim, &spending(&spend.claim, wrong)),
                "{}",
                spend.name
            );
        }
    });
}

#[test]
fn a_signature_holds_for_its_transaction_only() {
    each_spend(|confirmed, spend| {
        if spend.claim.key.is_some() {
            let mut transaction = spending(&spend.claim, confirmed.secrets(spend.by));
            transaction.output[0].value -= Amount::ONE_SAT;
            assert!(!is_accepted(&spend.claim, &transaction), "{}", spend.name);
        }
    });
}

#[test]
fn a_wrong_preimage_opens_nothing() {
    let wrong = PaymentPreimage([0xee; 32]);
    let mut count = 0;
    each_spend(|confirmed, spend| {
        let mut claim = spend.claim.clone();
        match &mut claim.witness {
            WitnessForm::SignatureAndPreimage(preimage)
            | WitnessForm::SecondStage {
                preimage: Some(preimage),
                ..
            } => *preimage = wrong,
            _ => return,
        }
        assert!(
            !is_accepted(&claim, &spending(&claim, confirmed.secrets(spend.by))),
            "{}",
            spend.name
        );
        count += 1;
    });
    assert_eq!(count, 3 * 2 * 2);
}

#[test]
fn a_claim_with_a_preimage_reveals_it_to_whoever_paid() {
    let mut count = 0;
    each_spend(|confirmed, spend| {
        let transaction = spending(&spend.claim, confirmed.secrets(spend.by));
        let revealed = (1..=3).filter(|htlc| {
            let known = preimage(*htlc);
            let found = revealed_preimage(&transaction.input[0].witness, &known.hash());
            assert!(found.is_none_or(|found| found == known));
            found.is_some()
        });
        let has_preimage = matches!(
            spend.claim.witness,
            WitnessForm::SignatureAndPreimage(_) | WitnessForm::SecondStage { preimage: Some(_), .. }
        );
        assert_eq!(revealed.count(), usize::from(has_preimage), "{}", spend.name);
        count += usize::from(has_preimage);
    });
    assert_eq!(count, 3 * 2 * 2);
}

#[test]
fn a_claim_one_block_before_its_delay_is_refused() {
    let mut count = 0;
    each_spend(|confirmed, spend| {
        let Some(blocks) = spend
            .claim
            .sequence
            .0
            .checked_sub(1)
            .filter(|_| spend.claim.sequence.is_relative_lock_time())
        else {
            return;
        };
        for too_early in [Sequence(blocks), Sequence::ENABLE_RBF_NO_LOCKTIME, Sequence::MAX] {
            let mut claim = spend.claim.clone();
            claim.sequence = too_early;
            assert!(
                !is_accepted(&claim, &spending(&claim, confirmed.secrets(spend.by))),
                "{}",
                spend.name
            );
        }
        count += 1;
    });
    // The balance and two second stages everywhere; with anchors also to_remote, two HTLCs by the other side, two second
    // stages and two anchors.
    assert_eq!(count, 2 * (3 + 3 + 3 + 7));
}

#[test]
fn a_claim_before_the_expiry_of_its_htlc_is_refused() {
    let mut count = 0;
    each_spend(|confirmed, spend| {
        let Some(height) = spend.claim.lock_time.to_consensus_u32().checked_sub(1) else {
            return;
        };
        let mut early = spend.claim.clone();
        early.lock_time = absolute::LockTime::from_consensus(height);
        let mut final_sequence = spend.claim.clone();
        final_sequence.sequence = Sequence::MAX;
        for claim in [early, final_sequence] {
            assert!(
                !is_accepted(&claim, &spending(&claim, confirmed.secrets(spend.by))),
                "{}",
                spend.name
            );
        }
        count += 1;
    });
    assert_eq!(count, 3 * 2 * 2);
}

#[test]
fn an_expected_weight_is_met_or_missed_by_a_few_bytes_of_signatures() {
    each_spend(|confirmed, spend| {
        let transaction = spending(&spend.claim, confirmed.secrets(spend.by));
        let actual = u64::try_from(transaction.input[0].witness.size()).unwrap();
        let expected = spend.claim.witness_weight().to_wu();
        assert!(
            (actual..=actual + 3).contains(&expected),
            "{}: {expected} for {actual}",
            spend.name
        );
    });
}

/// BOLT 5, appendix A.
#[test]
fn penalty_witnesses_have_the_weights_of_bolt_5() {
    let confirmed = Confirmed::new(CommitmentFormat::StaticRemotekey, Role::Opener);
    let weight_of = |name: &str| {
        let spends = confirmed.spends();
        let spend = spends
            .iter()
            .find(|spend| spend.name.starts_with(name))
            .expect("there is one");
        spend.claim.witness_weight().to_wu()
    };
    assert_eq!(weight_of("penalty on Htlc(Htlc { direction: Offered"), 243);
    assert_eq!(weight_of("penalty on Htlc(Htlc { direction: Received"), 249);
    // BOLT 5 reserves 8 bytes for a delay that takes 2 here, and forgets the byte that says 1.
    assert_eq!(weight_of("penalty on ToBroadcaster"), 160 - 6 + 1);
}

#[test]
fn one_transaction_punishes_a_whole_revoked_commitment() {
    for format in FORMATS {
        let confirmed = Confirmed::new(format, Role::Opener);
        let penalties = confirmed
            .spends()
            .into_iter()
            .filter(|spend| spend.name.starts_with("penalty on "));
        let claims: Vec<_> = penalties.map(|spend| spend.claim).collect();
        assert_eq!(claims.len(), 5);
        let wallet = vec![TxOut {
            value: Amount::from_sat(100_000),
            script_pubkey: ScriptBuf::new_p2a(),
        }];
        let claims = ClaimTransaction::new(claims, Vec::new(), wallet).unwrap();
        let transaction = confirmed.secrets(Party::Countersignatory).sign_claims(&claims);
        for (input, claim) in claims.claims().iter().enumerate() {
            assert!(is_input_accepted(claim, &transaction, input), "{format:?}");
        }
        // Signatures come out a byte or two shorter than the 73 that are expected.
        let signatures = transaction
            .input
            .iter()
            .map(|input| input.witness.nth(0).unwrap().len());
        let saved: usize = signatures.map(|length| 73 - length).sum();
        assert_eq!(
            claims.weight().to_wu(),
            transaction.weight().to_wu() + u64::try_from(saved).unwrap()
        );
    }
}

#[test]
fn second_stages_come_first_so_that_their_outputs_stand_beside_them() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        let confirmed = Confirmed::new(format, Role::Opener);
        let spends = confirmed.spends().into_iter();
        let of_owner =
            spends.filter(|spend| spend.by == Party::Broadcaster && spend.claim.lock_time.to_consensus_u32() == 0);
        let (second_stages, others): (Vec<_>, Vec<_>) = of_owner
            .map(|spend| spend.claim)
            .partition(|claim| claim.second_stage.is_some());
        let wallet = vec![TxOut {
            value: Amount::from_sat(700),
            script_pubkey: ScriptBuf::new_p2a(),
        }];
        let given = [others, second_stages].concat();
        let claims = ClaimTransaction::new(given, Vec::new(), wallet).unwrap();
        let transaction = confirmed.secrets(Party::Broadcaster).sign_claims(&claims);
        assert!(claims.claims()[0].second_stage.is_some());
        assert!(claims.claims().len() >= 4, "{format:?}");
        for (input, claim) in claims.claims().iter().enumerate() {
            assert!(
                is_input_accepted(claim, &transaction, input),
                "{format:?}: {:?}",
                claim.witness
            );
        }
    }
}

#[test]
fn a_second_stage_without_fee_takes_inputs_that_pay_for_it() {
    for format in [CommitmentFormat::Anchors, CommitmentFormat::ZeroFee] {
        let confirmed = Confirmed::new(format, Role::Opener);
        let spends = confirmed.spends().into_iter();
        let second_stages = spends.filter(|spend| spend.claim.second_stage.is_some());
        for Spend { claim, name, .. } in second_stages {
            let fee_input = TxIn {
                previous_output: OutPoint::new(confirmed.commitment.txid(), 99),
                ..TxIn::default()
            };
            let change = TxOut {
                value: Amount::from_sat(1_000),
                script_pubkey: ScriptBuf::new_p2a(),
            };
            let both = ClaimTransaction::new(vec![claim.clone()], vec![fee_input], vec![change]).unwrap();
            let transaction = confirmed.secrets(Party::Broadcaster).sign_claims(&both);
            assert_eq!((transaction.input.len(), transaction.output.len()), (2, 2));
            assert!(is_accepted(&claim, &transaction), "{format:?}: {name}");
        }
    }
}

#[test]
fn claims_that_cannot_share_a_transaction_are_refused() {
    let claims_of = |format| {
        let spends = Confirmed::new(format, Role::Opener).spends().into_iter();
        spends
            .filter(|spend| spend.claim.second_stage.is_some())
            .map(|spend| spend.claim)
            .collect::<Vec<_>>()
    };
    let together = |claims| ClaimTransaction::new(claims, Vec::new(), Vec::new()).map(|_| ());
    // The timeout is locked until its expiry, and the other side signed the success for no lock time.
    assert_eq!(
        together(claims_of(CommitmentFormat::Anchors)),
        Err(IncompatibleClaims::LockTime)
    );
    let [timeout, success] = claims_of(CommitmentFormat::StaticRemotekey).try_into().expect("two");
    let delayed = Confirmed::new(CommitmentFormat::StaticRemotekey, Role::Opener)
        .spends()
        .swap_remove(0)
        .claim;
    assert_eq!(
        together(vec![success.clone(), delayed]),
        Err(IncompatibleClaims::WholeTransaction)
    );
    assert_eq!(together(vec![timeout]), Ok(()));
    let mut third_version = claims_of(CommitmentFormat::ZeroFee).swap_remove(1);
    third_version.lock_time = absolute::LockTime::ZERO;
    assert_eq!(together(vec![success, third_version]), Err(IncompatibleClaims::Version));
}
