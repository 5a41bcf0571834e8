//! Channels that are opened at once, without the messages of an opening: their first commitments are signed by both.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn, Txid};
use quittance_channel::{BySide, ChannelFacts, ForwardingPolicy, Opening, Side, SideFacts};
use quittance_primitives::{
    BlockCount, BlockHeight, ChannelId, CltvExpiryDelta, CommitmentNumber, Feature, Features, FeeratePerKw,
    MilliSatoshi, NodeId, ToSelfDelay,
};
use quittance_signer::{ChannelSecrets, LocalSigner};
use quittance_transactions::{CommitmentContents, CommitmentFormat, CommitmentTransaction, Role};

/// A channel between two nodes, and the transaction that funds it.
pub(crate) struct NewChannel<'a> {
    /// The opener, then the other.
    pub(crate) signers: [&'a LocalSigner; 2],
    /// Which of their channels, by a number of its own.
    pub(crate) number: u32,
    pub(crate) capacity: Amount,
    pub(crate) opened_at: BlockHeight,
}

impl NewChannel<'_> {
    /// The funding transaction, and the first step of each end's log.
    pub(crate) fn open(&self) -> (Transaction, [Opening; 2]) {
        let funding = self.funding();
        let outpoint = OutPoint::new(funding.compute_txid(), 0);
        (funding, self.openings(outpoint))
    }

    fn funding(&self) -> Transaction {
        let mut funded_by = [0; 32];
        funded_by[..4].copy_from_slice(&self.number.to_be_bytes());
        funded_by[31] = 1;
        let [opening, _] = self.openings(OutPoint::null());
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::new(Txid::from_byte_array(funded_by), 0),
                script_sig: ScriptBuf::new(),
                ..TxIn::default()
            }],
            output: vec![opening.facts.terms().funding_output()],
        }
    }

    fn openings(&self, funding: OutPoint) -> [Opening; 2] {
        let secrets = [0, 1].map(|end| self.secrets(end));
        let first = |end: usize, broadcaster| {
            let facts = self.facts(end, &secrets, funding);
            let contents = CommitmentContents {
                broadcaster,
                number: CommitmentNumber(0),
                per_commitment_point: secrets[end].seed.point(CommitmentNumber(0)),
                feerate: facts.initial_feerate,
                to_broadcaster: facts.initial_balance.local,
                to_countersignatory: facts.initial_balance.remote,
                htlcs: Vec::new(),
            };
            let commitment = CommitmentTransaction::build(&facts.terms(), &contents).expect("the opener can pay");
            secrets[1 - end].keys.countersign(&commitment).funding
        };
        let signatures = [first(0, Role::Opener), first(1, Role::Accepter)];
        [0, 1].map(|end: usize| Opening {
            facts: self.facts(end, &secrets, funding),
            signature: signatures[end],
            local_points: (
                secrets[end].seed.point(CommitmentNumber(0)),
                secrets[end].seed.point(CommitmentNumber(1)),
            ),
            remote_point: secrets[1 - end].seed.point(CommitmentNumber(0)),
            policy: ForwardingPolicy {
                fee_base: MilliSatoshi(1_000),
                fee_proportional_millionths: 100,
                cltv_expiry_delta: CltvExpiryDelta(72),
                htlc_minimum: MilliSatoshi(1),
                htlc_maximum: MilliSatoshi::from_sat(self.capacity),
            },
        })
    }

    fn keys_id(&self) -> [u8; 32] {
        let mut id = [7; 32];
        id[..4].copy_from_slice(&self.number.to_be_bytes());
        id
    }

    fn secrets(&self, end: usize) -> ChannelSecrets {
        self.signers[end].channel(self.keys_id())
    }

    fn facts(&self, end: usize, secrets: &[ChannelSecrets; 2], funding: OutPoint) -> ChannelFacts {
        let side = |end: usize| SideFacts {
            keys: secrets[end].keys.public_keys(),
            dust_limit: Amount::from_sat(354),
            max_htlc_value_in_flight: MilliSatoshi::from_sat(self.capacity),
            channel_reserve: self.capacity / 100,
            htlc_minimum: MilliSatoshi(1),
            to_self_delay: ToSelfDelay(144),
            max_accepted_htlcs: 483,
            upfront_shutdown_script: None,
        };
        let half = MilliSatoshi::from_sat(self.capacity / 2);
        let peer: NodeId = self.signers[1 - end].node_id();
        ChannelFacts {
            channel_id: ChannelId::v1(funding),
            peer,
            opener: if end == 0 { Side::Local } else { Side::Remote },
            channel_type: Features::empty()
                .requiring(Feature::StaticRemotekey)
                .requiring(Feature::Anchors),
            format: CommitmentFormat::Anchors,
            announce: false,
            funding,
            capacity: self.capacity,
            sides: BySide {
                local: side(end),
                remote: side(1 - end),
            },
            initial_balance: BySide {
                local: half,
                remote: half,
            },
            initial_feerate: FeeratePerKw(1_000),
            signer_keys_id: self.keys_id(),
            minimum_depth: BlockCount(3),
            opened_at: self.opened_at,
            funding_transaction: None,
        }
    }
}
