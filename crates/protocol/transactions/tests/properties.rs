//! What holds for every commitment transaction, whatever its balances and HTLCs.

mod channel;

use bitcoin::hashes::Hash;
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{Amount, Transaction, TxOut};
use channel::{Channel, FORMATS, FUNDING, htlc};
use proptest::prelude::*;
use quittance_primitives::{CltvExpiry, FeeratePerKw, HtlcId, MilliSatoshi};
use quittance_transactions::{
    CommitmentContents, CommitmentFormat, CommitmentTransaction, Htlc, HtlcDirection, ObscuringFactor, OutputRole,
    Role, fees,
};
use secp256k1::Message;

/// A channel and a commitment of it that its opener can pay for.
#[derive(Debug)]
struct Scene {
    format: CommitmentFormat,
    dust_limit: Amount,
    contents: CommitmentContents,
}

impl Scene {
    fn channel(&self) -> Channel {
        let mut channel = Channel::new(self.format);
        channel.terms.opener.dust_limit = self.dust_limit;
        channel.terms.accepter.dust_limit = self.dust_limit;
        channel
    }

    fn commitment(&self) -> CommitmentTransaction {
        self.channel().commitment(&self.contents)
    }
}

fn an_htlc() -> impl Strategy<Value = Htlc> {
    // Few ids, amounts and expiries, so that equal outputs are common; amounts around the dust limits, with fractions.
    let amount = prop_oneof![
        1..2_000_000_u64,
        350_000..360_000_u64,
        Just(7_000_000_u64),
        1..60_000_000_u64
    ];
    let direction = prop_oneof![Just(HtlcDirection::Offered), Just(HtlcDirection::Received)];
    (direction, 0..4_u64, amount, 500..502_u32).prop_map(|(direction, id, msat, expiry)| Htlc {
        id: HtlcId(id),
        amount: MilliSatoshi(msat),
        cltv_expiry: CltvExpiry(expiry),
        // Two ids share a hash, as the parts of one payment do.
        ..htlc(direction, id / 2, 1)
    })
}

fn a_scene() -> impl Strategy<Value = Scene> {
    (
        prop::sample::select(FORMATS.to_vec()),
        prop_oneof![Just(Role::Opener), Just(Role::Accepter)],
        0..1_u64 << 48,
        prop_oneof![Just(0_u32), 253..5_000_u32, 5_000..80_000_u32],
        354..3_000_u64,
        prop::collection::vec(an_htlc(), 0..24),
        prop_oneof![0..1_000_000_u64, 0..5_000_000_000_u64],
    )
        .prop_map(
            |(format, broadcaster, number, feerate, dust_limit, htlcs, accepter_msat)| {
                let mut contents = Channel::contents(broadcaster, number, htlcs);
                contents.feerate = FeeratePerKw(feerate);
                // The opener has the rest, which pays for any fee here.
                let both = contents
                    .to_broadcaster
                    .checked_add(contents.to_countersignatory)
                    .expect("in range");
                let (accepter, opener) = (MilliSatoshi(accepter_msat), MilliSatoshi(both.0 - accepter_msat));
                (contents.to_broadcaster, contents.to_countersignatory) = match broadcaster {
                    Role::Opener => (opener, accepter),
                    Role::Accepter => (accepter, opener),
                };
                let dust_limit = Amount::from_sat(dust_limit);
                Scene {
                    format,
                    dust_limit,
                    contents,
                }
            },
        )
}

fn values(outputs: &[TxOut]) -> Amount {
    outputs.iter().map(|output| output.value).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn outputs_and_fee_are_the_funding_value(scene in a_scene()) {
        let commitment = scene.commitment();
        prop_assert_eq!(values(&commitment.transaction().output) + commitment.fee(), FUNDING);
        let all: usize = commitment.htlc_outputs().len() + commitment.trimmed_htlcs().len();
        prop_assert_eq!(all, scene.contents.htlcs.len());
    }

    /// Every millisatoshi has one place: an output, the base fee, or what is too small to have an output.
    #[test]
    fn the_fee_is_what_bolt_3_says_and_nothing_else(scene in a_scene()) {
        let commitment = scene.commitment();
        let untrimmed = u32::try_from(commitment.htlc_outputs().len()).unwrap();
        let mut left_msat = i128::from(fees::opener_cost(scene.format, scene.contents.feerate, untrimmed).to_sat()) * 1_000;
        let mut account = |owed_msat: u64, roles: &dyn Fn(OutputRole) -> bool| {
            let outputs = commitment.outputs().filter(|output| roles(output.role));
            let paid: Amount = outputs.map(|output| output.value).sum();
            left_msat += i128::from(owed_msat) - i128::from(paid.to_sat()) * 1_000;
        };
        account(scene.contents.htlcs.iter().map(|htlc| htlc.amount.0).sum(), &|role| matches!(role, OutputRole::Htlc(_)));
        let cost = fees::opener_cost(scene.format, scene.contents.feerate, untrimmed).to_sat() * 1_000;
        let (broadcaster, countersignatory) = match scene.contents.broadcaster {
            Role::Opener => (cost, 0),
            Role::Accepter => (0, cost),
        };
        account(scene.contents.to_broadcaster.0 - broadcaster, &|role| role == OutputRole::ToBroadcaster);
        account(scene.contents.to_countersignatory.0 - countersignatory, &|role| role == OutputRole::ToCountersignatory);
        account(0, &|role| matches!(role, OutputRole::Anchor(_) | OutputRole::SharedAnchor));
        prop_assert_eq!(left_msat, i128::from(commitment.fee().to_sat()) * 1_000);
        if scene.format == CommitmentFormat::ZeroFee {
            let anchor = commitment.outputs().find(|output| output.role == OutputRole::SharedAnchor).unwrap();
            prop_assert!(commitment.fee() == Amount::ZERO || anchor.value.to_sat() == 240);
        }
    }

    #[test]
    fn no_output_but_an_anchor_is_below_the_dust_limit(scene in a_scene()) {
        let commitment = scene.commitment();
        for output in commitment.outputs() {
            match output.role {
                OutputRole::Anchor(_) => prop_assert_eq!(output.value.to_sat(), 330),
                OutputRole::SharedAnchor => prop_assert!(output.value.to_sat() <= 240),
                OutputRole::ToBroadcaster | OutputRole::ToCountersignatory => {
                    prop_assert!(output.value >= scene.dust_limit);
                }
                OutputRole::Htlc(_) => prop_assert!(output.value >= scene.dust_limit),
            }
        }
        for htlc in commitment.htlc_outputs() {
            prop_assert!(htlc.second_stage_value >= scene.dust_limit);
        }
        for htlc in commitment.trimmed_htlcs() {
            let fee = fees::htlc_transaction_fee(scene.format, htlc.direction, scene.contents.feerate);
            prop_assert!(htlc.amount.to_sat_floor() < scene.dust_limit + fee);
        }
    }

    #[test]
    fn outputs_stand_in_the_order_of_bolt_3(scene in a_scene()) {
        let commitment = scene.commitment();
        let keys: Vec<_> = commitment.transaction().output.iter().zip(commitment.outputs())
            .map(|(output, role)| {
                let expiry = match role.role { OutputRole::Htlc(htlc) => htlc.cltv_expiry.0, _ => 0 };
                (output.value, output.script_pubkey.to_bytes(), expiry)
            })
            .collect();
        prop_assert!(keys.is_sorted());
        let places: Vec<_> = commitment.htlc_outputs().iter().map(|output| output.vout).collect();
        prop_assert!(places.is_sorted_by(|one, other| one < other));
    }

    /// Both sides agree, though each keeps its HTLCs in an order of its own.
    #[test]
    fn the_order_in_which_htlcs_are_kept_does_not_matter(scene in a_scene(), turn in any::<prop::sample::Index>()) {
        let mut other = scene.contents.clone();
        other.htlcs.reverse();
        let turn = turn.index(other.htlcs.len() + 1);
        other.htlcs.rotate_left(turn);
        let (ours, theirs) = (scene.commitment(), scene.channel().commitment(&other));
        prop_assert_eq!(ours.transaction(), theirs.transaction());
        prop_assert_eq!(ours.funding_sighash(), theirs.funding_sighash());
        prop_assert_eq!(ours.outputs().collect::<Vec<_>>(), theirs.outputs().collect::<Vec<_>>());
        let sighashes = |commitment: &CommitmentTransaction| -> Vec<_> {
            commitment.htlc_outputs().iter().map(|output| output.sighash).collect()
        };
        prop_assert_eq!(sighashes(&ours), sighashes(&theirs));
    }

    #[test]
    fn digests_are_those_that_the_bitcoin_crate_computes(scene in a_scene()) {
        let (channel, commitment) = (scene.channel(), scene.commitment());
        let mut cache = SighashCache::new(commitment.transaction());
        let script = channel.terms.funding_script();
        let digest = cache.p2wsh_signature_hash(0, &script, FUNDING, EcdsaSighashType::All).unwrap();
        prop_assert_eq!(commitment.funding_sighash(), Message::from_digest(digest.to_byte_array()));
        for htlc in commitment.htlc_outputs() {
            let second_stage: Transaction = commitment.second_stage_transaction(htlc);
            let spent = &commitment.transaction().output[usize::try_from(htlc.vout).unwrap()];
            prop_assert_eq!(&spent.script_pubkey, &htlc.witness_script.to_p2wsh());
            let digest = SighashCache::new(&second_stage)
                .p2wsh_signature_hash(0, &htlc.witness_script, spent.value, scene.format.htlc_sighash_type())
                .unwrap();
            prop_assert_eq!(htlc.sighash, Message::from_digest(digest.to_byte_array()));
        }
    }

    #[test]
    fn outputs_are_recognised_without_balances(scene in a_scene()) {
        let commitment = scene.commitment();
        prop_assume!(commitment.scripts().keys().htlc.is_some());
        let found = commitment.scripts().recognise(commitment.transaction(), &scene.contents.htlcs);
        let built: Vec<_> = commitment.outputs().collect();
        prop_assert_eq!(found, built);
    }

    #[test]
    fn the_commitment_number_is_read_back(scene in a_scene()) {
        let factor = ObscuringFactor::of(&scene.channel().terms);
        prop_assert_eq!(factor.number_of(scene.commitment().transaction()), Some(scene.contents.number));
    }

    #[test]
    fn a_signed_commitment_weighs_no_more_than_expected(scene in a_scene()) {
        let (channel, commitment) = (scene.channel(), scene.commitment());
        let (one, other) = (channel.opener.sign_own_commitment(&commitment), channel.accepter.sign_own_commitment(&commitment));
        let signed = match scene.contents.broadcaster {
            Role::Opener => commitment.signed(&one, &other),
            Role::Accepter => commitment.signed(&other, &one),
        };
        let untrimmed = u32::try_from(commitment.htlc_outputs().len()).unwrap();
        prop_assert!(signed.weight() <= fees::commitment_weight(scene.format, untrimmed));
    }
}
