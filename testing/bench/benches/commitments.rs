//! Commitments with 0, 30 and 483 HTLCs (`option_anchors`): built and signed for the peer, built and verified from the peer.
//!
//! LDK signs as `InMemorySigner` does in a node: low R, hence two attempts for each signature on average. Its verification of
//! `commitment_signed` is not public. Bare are the keys that BOLT 3 derives for each commitment, each once, and the signatures or
//! their verifications.

use std::hint::black_box;

use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, OutPoint, Txid};
use criterion::{criterion_group, criterion_main};
use lightning::ln::chan_utils::{
    ChannelTransactionParameters, CommitmentTransaction as LdkCommitment, CounterpartyChannelTransactionParameters,
    HTLCOutputInCommitment,
};
use lightning::sign::ecdsa::EcdsaChannelSigner;
use lightning::sign::{ChannelSigner, InMemorySigner, KeysManager, SignerProvider};
use lightning::types::features::ChannelTypeFeatures;
use lightning::types::payment::PaymentHash as LdkHash;
use quittance_bench::{BARE, Bench, LDK, OURS, key, point, runner};
use quittance_primitives::{
    CltvExpiry, CommitmentNumber, FeeratePerKw, HtlcId, MilliSatoshi, PaymentHash, ToSelfDelay,
};
use quittance_transactions::signing::{ChannelSecretKeys, sign};
use quittance_transactions::{
    ChannelTerms, CommitmentContents, CommitmentFormat, CommitmentTransaction, Htlc, HtlcDirection, Role, SideTerms,
};
use secp256k1::{Message, PublicKey, SECP256K1, Scalar, Secp256k1};

const FUNDING_SAT: u64 = 1_000_000_000;
const HTLC_SAT: u64 = 10_000;
const FEERATE: u32 = 253;
const DELAY: u16 = 144;

fn secret_keys(first: u8) -> ChannelSecretKeys {
    ChannelSecretKeys {
        funding: key(first),
        revocation_basepoint: key(first + 1),
        payment_basepoint: key(first + 2),
        delayed_payment_basepoint: key(first + 3),
        htlc_basepoint: key(first + 4),
    }
}

/// We are the opener, and sign the accepter's commitment.
fn terms() -> ChannelTerms {
    let side = |keys: ChannelSecretKeys| SideTerms {
        keys: keys.public_keys(),
        dust_limit: Amount::from_sat(354),
        to_self_delay: ToSelfDelay(DELAY),
    };
    ChannelTerms {
        funding_outpoint: OutPoint::new(Txid::all_zeros(), 0),
        funding_value: Amount::from_sat(FUNDING_SAT),
        format: CommitmentFormat::Anchors,
        opener: side(secret_keys(10)),
        accepter: side(secret_keys(20)),
    }
}

fn hash(index: u64) -> [u8; 32] {
    let mut hash = [0x33; 32];
    hash[..8].copy_from_slice(&index.to_be_bytes());
    hash
}

fn contents(htlcs: u64) -> CommitmentContents {
    let half = FUNDING_SAT / 2;
    let htlc = |index: u64| Htlc {
        direction: if index.is_multiple_of(2) {
            HtlcDirection::Offered
        } else {
            HtlcDirection::Received
        },
        id: HtlcId(index),
        amount: MilliSatoshi(HTLC_SAT * 1_000),
        payment_hash: PaymentHash(hash(index)),
        cltv_expiry: CltvExpiry(800_000),
    };
    CommitmentContents {
        broadcaster: Role::Accepter,
        number: CommitmentNumber(42),
        per_commitment_point: point(30),
        feerate: FeeratePerKw(FEERATE),
        to_broadcaster: MilliSatoshi(half * 1_000),
        to_countersignatory: MilliSatoshi((half - htlcs * HTLC_SAT) * 1_000),
        htlcs: (0..htlcs).map(htlc).collect(),
    }
}

/// The curve operations behind the keys of one commitment.
fn derive_keys(bases: &[PublicKey; 5], tweak: &Scalar, htlcs: u64) {
    let multiplied = |base: PublicKey| black_box(base).mul_tweak(SECP256K1, black_box(tweak)).expect("a key");
    let added = |base: PublicKey| {
        black_box(base)
            .add_exp_tweak(SECP256K1, black_box(tweak))
            .expect("a key")
    };
    let [revocation, per_commitment, delayed, own_htlc, other_htlc] = *bases;
    black_box(
        multiplied(revocation)
            .combine(&multiplied(per_commitment))
            .expect("revocationpubkey"),
    );
    black_box(added(delayed));
    if htlcs > 0 {
        black_box((added(own_htlc), added(other_htlc)));
    }
}

/// What the keys are derived from. The tweak is a hash, as it is in a channel.
fn bases() -> ([PublicKey; 5], Scalar) {
    let tweak = Scalar::from_be_bytes(sha256::Hash::hash(b"tweak").to_byte_array());
    ([11, 30, 13, 14, 24].map(point), tweak.expect("a valid scalar"))
}

/// LDK's signer and parameters of the same channel; its keys are derived its own way, which changes nothing in the work.
struct LdkChannel {
    signer: InMemorySigner,
    parameters: ChannelTransactionParameters,
}

impl LdkChannel {
    fn new(context: &Secp256k1<secp256k1::All>) -> Self {
        let signer = |seed| KeysManager::new(&[seed; 32], 0, 0, true).derive_channel_signer([seed; 32]);
        let (ours, theirs) = (signer(1), signer(2));
        let mut channel_type = ChannelTypeFeatures::empty();
        channel_type.set_static_remote_key_required();
        channel_type.set_anchors_zero_fee_htlc_tx_required();
        let parameters = ChannelTransactionParameters {
            holder_pubkeys: ours.pubkeys(context),
            holder_selected_contest_delay: DELAY,
            is_outbound_from_holder: true,
            counterparty_parameters: Some(CounterpartyChannelTransactionParameters {
                pubkeys: theirs.pubkeys(context),
                selected_contest_delay: DELAY,
            }),
            funding_outpoint: Some(lightning::chain::transaction::OutPoint {
                txid: Txid::all_zeros(),
                index: 0,
            }),
            splice_parent_funding_txid: None,
            channel_type_features: channel_type,
            channel_value_satoshis: FUNDING_SAT,
        };
        Self {
            signer: ours,
            parameters,
        }
    }

    fn build(&self, context: &Secp256k1<secp256k1::All>, htlcs: u64) -> LdkCommitment {
        let htlc = |index: u64| HTLCOutputInCommitment {
            offered: index.is_multiple_of(2),
            amount_msat: HTLC_SAT * 1_000,
            cltv_expiry: 800_000,
            payment_hash: LdkHash(hash(index)),
            transaction_output_index: None,
        };
        let half = FUNDING_SAT / 2;
        let number = ((1 << 48) - 1) - 42;
        LdkCommitment::new(
            number,
            &point(30),
            half,
            half - htlcs * HTLC_SAT - 100_000,
            FEERATE,
            (0..htlcs).map(htlc).collect(),
            &self.parameters.as_counterparty_broadcastable(),
            context,
        )
    }
}

fn sign_for_peer(criterion: &mut Bench) {
    let (terms, keys) = (terms(), secret_keys(10));
    let (bases, tweak) = bases();
    let context = Secp256k1::new();
    let ldk = LdkChannel::new(&context);
    for htlcs in [0, 30, 483] {
        let mut group = criterion.benchmark_group(format!("commitment: build and sign, HTLCs: {htlcs}"));
        group.sample_size(if htlcs > 100 { 20 } else { 100 });
        let contents = contents(htlcs);
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| {
                let commitment = CommitmentTransaction::build(&terms, black_box(&contents)).expect("it is affordable");
                keys.countersign(&commitment)
            });
        });
        group.bench_function(LDK, |bencher| {
            bencher.iter(|| {
                let commitment = ldk.build(&context, black_box(htlcs));
                ldk.signer
                    .sign_counterparty_commitment(&ldk.parameters, &commitment, vec![], vec![], &context)
                    .expect("it signs")
            });
        });
        let digest = Message::from_digest(sha256::Hash::hash(b"digest").to_byte_array());
        group.bench_function(BARE, |bencher| {
            bencher.iter(|| {
                derive_keys(&bases, &tweak, htlcs);
                for _ in 0..=htlcs {
                    black_box(sign(black_box(&digest), &keys.funding));
                }
            });
        });
        group.finish();
    }
}

fn verify_from_peer(criterion: &mut Bench) {
    let (terms, keys) = (terms(), secret_keys(10));
    let (bases, tweak) = bases();
    for htlcs in [0, 30, 483] {
        let mut group = criterion.benchmark_group(format!("commitment: build and verify, HTLCs: {htlcs}"));
        group.sample_size(if htlcs > 100 { 20 } else { 100 });
        let contents = contents(htlcs);
        let signatures = keys.countersign(&CommitmentTransaction::build(&terms, &contents).expect("it is affordable"));
        group.bench_function(OURS, |bencher| {
            bencher.iter(|| {
                let commitment = CommitmentTransaction::build(&terms, black_box(&contents)).expect("it is affordable");
                commitment.verify(&signatures).expect("we signed it");
            });
        });
        let (digest, public_key) = (
            Message::from_digest(sha256::Hash::hash(b"digest").to_byte_array()),
            point(10),
        );
        let signature = sign(&digest, &key(10));
        group.bench_function(BARE, |bencher| {
            bencher.iter(|| {
                derive_keys(&bases, &tweak, htlcs);
                for _ in 0..=htlcs {
                    SECP256K1
                        .verify_ecdsa(black_box(&digest), &signature, &public_key)
                        .expect("we signed it");
                }
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = runner();
    targets = sign_for_peer, verify_from_peer
}
criterion_main!(benches);
