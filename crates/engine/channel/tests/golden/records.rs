//! One of every step, of every variant in it, and of every phase of a channel.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, ScriptBuf, Transaction, TxIn, TxOut, Txid, Witness};
use quittance_channel::opening::FundingTransaction;
use quittance_channel::{
    AbandonedFunding, AgreedClosing, BySide, ChannelState, ClaimedPart, CloseRequest, Closing, ClosingForm, ColdOrigin,
    ColdOutcome, DecidedClaim, ForceCloseReason, ForwardSource, ForwardingPolicy, FundingConfirmation, HtlcSource,
    HtlcTerms, OnionHop, Outcome, PaymentFailureReason, PaymentPart, Phase, ReceivedOnion, Removal, Report,
    ReportedEnd, Side, Step, WantedClose,
};
use quittance_journal::EventNumber;
use quittance_primitives::{
    BlockHeight, ChannelId, CltvExpiry, CltvExpiryDelta, FeeratePerKw, HtlcId, MilliSatoshi, PaymentId,
    PaymentPreimage, ShortChannelId,
};
use quittance_transactions::SimpleCloseVariant;
use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey, SECP256K1, SecretKey};

use crate::pair::facts::closing_script;
use crate::pair::{Pair, Who, fulfilled};

fn secret(byte: u8) -> SecretKey {
    SecretKey::from_slice(&[byte; 32]).expect("a private key")
}

fn point(byte: u8) -> PublicKey {
    secret(byte).public_key(SECP256K1)
}

fn signature(byte: u8) -> Signature {
    SECP256K1.sign_ecdsa(&Message::from_digest([byte; 32]), &secret(byte))
}

fn scid() -> ShortChannelId {
    ShortChannelId::new(BlockHeight(700_001), 5, 1).expect("in range")
}

fn terms(path_key: Option<PublicKey>) -> HtlcTerms {
    HtlcTerms {
        id: HtlcId(300),
        amount: MilliSatoshi(50_000_000),
        payment_hash: PaymentPreimage([3; 32]).hash(),
        cltv_expiry: CltvExpiry(700_144),
        path_key,
    }
}

fn own_payment() -> HtlcSource {
    HtlcSource::Payment(Box::new(PaymentPart {
        payment_id: PaymentId([4; 32]),
        total: MilliSatoshi(90_000_000),
        delivers: MilliSatoshi(49_990_000),
        fee_limit: MilliSatoshi(100_000),
        session_key: [5; 32],
        hops: vec![
            OnionHop {
                node: point(6),
                payload: vec![1, 2, 3],
            },
            OnionHop {
                node: point(7),
                payload: Vec::new(),
            },
        ],
    }))
}

fn forward() -> HtlcSource {
    HtlcSource::Forward(ForwardSource {
        channel: ChannelId([8; 32]),
        htlc: HtlcId(1),
        amount: MilliSatoshi(50_001_000),
        cltv_expiry: CltvExpiry(700_216),
    })
}

fn policy() -> ForwardingPolicy {
    ForwardingPolicy {
        fee_base: MilliSatoshi(1_000),
        fee_proportional_millionths: 100,
        cltv_expiry_delta: CltvExpiryDelta(72),
        htlc_minimum: MilliSatoshi(1),
        htlc_maximum: MilliSatoshi(10_000_000_000),
    }
}

fn removals() -> [Removal; 4] {
    [
        Removal::Fulfilled {
            preimage: PaymentPreimage([3; 32]),
            attribution: None,
        },
        Removal::Fulfilled {
            preimage: PaymentPreimage([3; 32]),
            attribution: Some(Box::new([9; 920])),
        },
        Removal::Failed {
            reason: vec![10; 292],
            attribution: None,
        },
        Removal::Malformed {
            failure_code: 0xc005,
            sha256_of_onion: [11; 32],
        },
    ]
}

fn reports() -> [ReportedEnd; 7] {
    [
        ReportedEnd::Sent {
            fee_paid: MilliSatoshi(12_345),
        },
        ReportedEnd::Failed(PaymentFailureReason::RejectedByPayee),
        ReportedEnd::Failed(PaymentFailureReason::Abandoned),
        ReportedEnd::Failed(PaymentFailureReason::RouteNotFound),
        ReportedEnd::Failed(PaymentFailureReason::RetriesExhausted),
        ReportedEnd::Failed(PaymentFailureReason::Expired),
        ReportedEnd::Failed(PaymentFailureReason::RecordsLost),
    ]
}

fn closings() -> [ClosingForm; 4] {
    let simple = |closer, variant| ClosingForm::Simple {
        closer,
        lock_time: 700_000,
        variant,
    };
    [
        ClosingForm::Legacy {
            signer: Side::Remote,
            omits_own_output: true,
        },
        simple(Side::Local, SimpleCloseVariant::CloserOutputOnly),
        simple(Side::Local, SimpleCloseVariant::CloseeOutputOnly),
        simple(Side::Remote, SimpleCloseVariant::CloserAndCloseeOutputs),
    ]
}

fn force_closes() -> [ForceCloseReason; 6] {
    [
        ForceCloseReason::Ordered,
        ForceCloseReason::PeerMisbehaved("an HTLC of nothing".to_owned()),
        ForceCloseReason::PeerFailed("no such channel".to_owned()),
        ForceCloseReason::PeerFellBehind,
        ForceCloseReason::HtlcDeadline(HtlcId(300)),
        ForceCloseReason::CommitmentConfirmed(Txid::from_byte_array([12; 32])),
    ]
}

fn funding_transaction() -> FundingTransaction {
    let output = TxOut {
        value: Amount::from_sat(10_000_000),
        script_pubkey: closing_script("Funding"),
    };
    let input = TxIn {
        witness: Witness::from_slice(&[[29; 72]]),
        ..TxIn::default()
    };
    let transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output.clone()],
    };
    FundingTransaction::new(transaction, &[output]).expect("it has the output, and is signed")
}

/// Every step, by its tag.
pub(crate) fn steps() -> Vec<(String, Step)> {
    let mut steps = Vec::new();
    let mut add = |name: &str, variants: Vec<Step>| {
        let is_only = variants.len() == 1;
        for (number, step) in variants.into_iter().enumerate() {
            let name = if is_only {
                name.to_owned()
            } else {
                format!("{name}-{number}")
            };
            steps.push((name, step));
        }
    };
    opening_steps(&mut add);
    htlc_steps(&mut add);
    outcome_steps(&mut add);
    closing_steps(&mut add);
    steps
}

fn opening_steps(add: &mut impl FnMut(&str, Vec<Step>)) {
    let pair = Pair::normal();
    let Some(Step::Opened(opening)) = pair.alice.first_steps().into_iter().next() else {
        panic!("the first step opens the channel")
    };
    let mut promised = opening.clone();
    promised.facts.sides.local.upfront_shutdown_script = Some(closing_script("Alice"));
    let mut funded = opening.clone();
    funded.facts.funding_transaction = Some(funding_transaction());
    add("opened", [opening, promised, funded].map(Step::Opened).to_vec());
    let confirmation = FundingConfirmation {
        height: BlockHeight(700_001),
        short_channel_id: scid(),
    };
    add("funding-confirmed", vec![Step::FundingConfirmed(confirmation)]);
    add("funding-unconfirmed", vec![Step::FundingUnconfirmed]);
    let abandoned = [
        AbandonedFunding::TimedOut,
        AbandonedFunding::DoubleSpent,
        AbandonedFunding::NeverBroadcast,
    ];
    add("funding-abandoned", abandoned.map(Step::FundingAbandoned).to_vec());
    add("ready-sent", [None, Some(scid())].map(Step::ReadySent).to_vec());
    let received = |alias| Step::ReadyReceived {
        next_point: point(13),
        alias,
    };
    add("ready-received", [None, Some(scid())].map(received).to_vec());
}

fn htlc_steps(add: &mut impl FnMut(&str, Vec<Step>)) {
    let offered = [(None, own_payment()), (Some(point(14)), forward())];
    let offered = offered.map(|(path_key, source)| Step::HtlcOffered {
        terms: terms(path_key),
        source,
    });
    add("htlc-offered", offered.to_vec());
    let peeled = |next_packet| ReceivedOnion::Peeled {
        shared_secret: [15; 32],
        payload: vec![1, 2, 3],
        next_packet,
    };
    let malformed = ReceivedOnion::Malformed {
        failure_code: 0xc004,
        sha256_of_onion: [16; 32],
    };
    let received = [peeled(None), peeled(Some(Box::new([17; 1366]))), malformed].map(|onion| Step::HtlcReceived {
        terms: terms(None),
        onion,
        received_at_ms: 1_700_000_000_000,
    });
    add("htlc-received", received.to_vec());
    let id = HtlcId(300);
    add(
        "removal-sent",
        removals().map(|removal| Step::RemovalSent { id, removal }).to_vec(),
    );
    add(
        "removal-received",
        removals().map(|removal| Step::RemovalReceived { id, removal }).to_vec(),
    );
    add("fee-proposed", vec![Step::FeeProposed(FeeratePerKw(2_500))]);
    add("commitment-sent", vec![Step::CommitmentSent]);
    let committed = [vec![], vec![signature(18), signature(19)]].map(|htlc_signatures| Step::CommitmentReceived {
        signature: signature(20),
        htlc_signatures,
        next_point: point(21),
    });
    add("commitment-received", committed.to_vec());
    let revoked = Step::RevocationReceived {
        secret: [22; 32],
        next_point: point(23),
    };
    add("revocation-received", vec![revoked]);
    add("uncommitted-forgotten", vec![Step::UncommittedForgotten]);
}

fn outcome_steps(add: &mut impl FnMut(&str, Vec<Step>)) {
    let (id, event) = (HtlcId(300), EventNumber(4_711));
    let outcomes = [
        Outcome::Fulfilled(PaymentPreimage([3; 32])),
        Outcome::Failed(removals()[2].clone()),
        Outcome::FailedOnChain,
    ];
    add(
        "resolved-on-chain",
        outcomes.map(|outcome| Step::ResolvedOnChain { id, outcome }).to_vec(),
    );
    let reported = reports().map(|content| Step::OutcomeReported {
        id,
        report: Report { event, content },
    });
    add("outcome-reported", reported.to_vec());
    add("outcome-acknowledged", vec![Step::OutcomeAcknowledged(id)]);
    add("outcome-released", vec![Step::OutcomeReleased(id)]);
    add("claim-decided", vec![Step::ClaimDecided(Box::new(claim()))]);
    add("claim-handled", vec![Step::ClaimHandled(event)]);
    add("claim-released", vec![Step::ClaimReleased(event)]);
}

/// A decided claim, which is also its own receipt.
pub(crate) fn claim() -> DecidedClaim {
    DecidedClaim {
        payment_hash: PaymentPreimage([3; 32]).hash(),
        preimage: PaymentPreimage([3; 32]),
        total: MilliSatoshi(90_000_000),
        parts: vec![ClaimedPart {
            channel: ChannelId([8; 32]),
            htlc: HtlcId(300),
            amount: MilliSatoshi(50_000_000),
        }],
        event: EventNumber(4_711),
    }
}

/// What stays of an HTLC of ours: of an own payment that was paid or failed, and of a forward that was paid or failed.
pub(crate) fn cold_outcomes() -> [(&'static str, ColdOutcome); 4] {
    let own = ColdOrigin::Payment(PaymentId([4; 32]));
    let forward = ColdOrigin::Forward(ChannelId([8; 32]), HtlcId(1));
    let paid = Some(PaymentPreimage([3; 32]));
    let [sent, failed, ..] = reports().map(|content| {
        Some(Report {
            event: EventNumber(70_000),
            content,
        })
    });
    let outcome = |origin, preimage, report| ColdOutcome {
        id: HtlcId(300),
        payment_hash: PaymentPreimage([3; 32]).hash(),
        amount: MilliSatoshi(50_000_000),
        origin,
        preimage,
        report,
    };
    [
        ("paid", outcome(own, paid, sent)),
        ("failed", outcome(own, None, failed)),
        ("forward-paid", outcome(forward, paid, None)),
        ("forward-failed", outcome(forward, None, None)),
    ]
}

fn closing_steps(add: &mut impl FnMut(&str, Vec<Step>)) {
    let scripts = BySide {
        local: closing_script("Alice"),
        remote: ScriptBuf::from_hex(&format!("5120{}", "18".repeat(32))).expect("hex"),
    };
    add("shutdown-sent", vec![Step::ShutdownSent(scripts.local.clone())]);
    add(
        "shutdown-received",
        vec![Step::ShutdownReceived(scripts.remote.clone())],
    );
    let txid = Txid::from_byte_array([25; 32]);
    add("closing-signed", vec![Step::ClosingSigned(txid)]);
    let agreed = closings().map(|form| {
        let closing = Closing {
            scripts: scripts.clone(),
            fee: Amount::from_sat(676),
            form,
        };
        Step::ClosingAgreed(Box::new(AgreedClosing {
            closing,
            signature: signature(26),
        }))
    });
    add("closing-agreed", agreed.to_vec());
    add("force-closed", force_closes().map(Step::ForceClosed).to_vec());
    add("fell-behind", vec![Step::FellBehind]);
    add("policy-set", vec![Step::PolicySet(policy())]);
    add(
        "peer-addresses",
        vec![Step::PeerAddresses(vec![1, 127, 0, 0, 1, 0x26, 0x07])],
    );
    let announced = Step::AnnouncementSigned {
        node: signature(27),
        bitcoin: signature(28),
    };
    add("announcement-signed", vec![announced]);
    let id = HtlcId(300);
    let buried = [Side::Local, Side::Remote].map(|offered_by| Step::HtlcBuried { offered_by, id });
    add("htlc-buried", buried.to_vec());
    let preimage = PaymentPreimage([3; 32]);
    add("preimage-known", vec![Step::PreimageKnown { id, preimage }]);
    let wanted = [None, Some(FeeratePerKw(1_500))].map(|feerate| {
        Step::CloseWanted(WantedClose {
            script: scripts.local.clone(),
            feerate,
        })
    });
    add("close-wanted", wanted.to_vec());
}

/// A channel in every phase.
pub(crate) fn states() -> Vec<(&'static str, ChannelState)> {
    let of = |pair: Pair| pair.alice.channel.state().clone();
    let awaiting = Pair::unready(&crate::pair::Setup::default());
    let mut busy = Pair::normal()
        .with_htlc(Who::Alice, 50_000_000, 3)
        .with_htlc(Who::Bob, 60_000_000, 4);
    busy.bob.remove(HtlcId(0), fulfilled(3)).expect("it is there");
    busy.settle();
    busy.offer(Who::Alice, 70_000_000, 5);
    let mut shutting_down = Pair::normal().with_htlc(Who::Alice, 50_000_000, 3);
    shutting_down.close(Who::Alice);
    shutting_down.settle();
    let mut legacy = Pair::normal();
    legacy.close(Who::Alice);
    legacy.settle();
    let mut simple = Pair::with_simple_close();
    let request = CloseRequest {
        feerate: Some(FeeratePerKw(1_500)),
        script: None,
    };
    simple.alice.close(request).expect("it can be closed");
    simple.settle();
    let after = |step: Step| {
        let mut state = Pair::normal().alice.channel.state().clone();
        state.apply(&step);
        state
    };
    let states = vec![
        ("awaiting-ready", of(awaiting)),
        ("normal", of(busy)),
        ("shutting-down", of(shutting_down)),
        ("closing-agreed-legacy", of(legacy)),
        ("closing-agreed-simple", of(simple)),
        ("force-closed", after(Step::ForceClosed(ForceCloseReason::Ordered))),
        ("fell-behind", after(Step::FellBehind)),
        ("abandoned", after(Step::FundingAbandoned(AbandonedFunding::TimedOut))),
    ];
    for (_, state) in &states {
        // Every phase has its line: a new one must be thought of here.
        match state.phase {
            Phase::AwaitingReady(_)
            | Phase::Normal
            | Phase::ShuttingDown(_)
            | Phase::ClosingAgreed(_)
            | Phase::ForceClosed(_)
            | Phase::FellBehind
            | Phase::Abandoned(_) => {}
        }
    }
    states
}
