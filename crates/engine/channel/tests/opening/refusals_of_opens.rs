//! Each rule that the peer's `open_channel` can break: one row, with the exact values in the answer.

use bitcoin::constants::ChainHash;
use bitcoin::{Amount, ScriptBuf};
use quittance_channel::ChannelLimits;
use quittance_channel::opening::{Announcement, OpenRefusal, OpeningPolicy, Proposal, Refused, Trust};
use quittance_primitives::{ChannelId, Feature, Features, FeeratePerKw, MilliSatoshi, ToSelfDelay};
use quittance_transactions::{CommitmentFormat, OpenerCannotAfford};
use quittance_wire::{Message, OpenChannel};

use crate::party::{Party, TEMPORARY_ID, negotiated, without};

/// All that the fundee's judgement depends on.
struct Offer {
    message: OpenChannel,
    negotiated: Features,
    trust: Trust,
    policy: OpeningPolicy,
    limits: ChannelLimits,
}

impl Offer {
    /// A million satoshis, anchors, 1000 sat/kw: fee and anchors are 1784 sat.
    fn fair() -> Self {
        let (alice, bob) = (Party::alice(), Party::bob());
        let (_, message) = alice.propose(alice.request(&bob));
        Self {
            message,
            negotiated: negotiated(),
            trust: Trust::Ordinary,
            policy: bob.policy,
            limits: bob.limits,
        }
    }

    fn judge(self) -> Result<Proposal, Refused> {
        let peer = Party::alice().node_id();
        Proposal::check(
            self.message,
            peer,
            self.negotiated,
            self.trust,
            &self.policy,
            &self.limits,
        )
    }
}

/// A change to a fair offer, and the refusal and its text that follow; then the nearest change that is accepted.
struct Row {
    breaks: fn(&mut Offer),
    why: OpenRefusal,
    text: &'static str,
    keeps: fn(&mut Offer),
}

fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

fn of_bits(bits: &[usize]) -> Features {
    let mut features = Features::empty();
    for bit in bits {
        features.set_bit(*bit);
    }
    features
}

fn check(rows: Vec<Row>) {
    for Row {
        breaks,
        why,
        text,
        keeps,
    } in rows
    {
        let mut offer = Offer::fair();
        breaks(&mut offer);
        let channel_id = offer.message.temporary_channel_id;
        let refused = offer.judge().expect_err(text);
        assert_eq!(refused, Refused { channel_id, why });
        let error = refused.message();
        assert_eq!(error.channel_id, channel_id);
        assert_eq!(String::from_utf8(error.data.clone()).as_deref(), Ok(text));
        assert_eq!(
            Message::decode(&Message::from(error.clone()).encode()),
            Ok(error.into())
        );

        let mut offer = Offer::fair();
        keeps(&mut offer);
        assert_eq!(offer.judge().map(|_| ()), Ok(()), "the nearest value to: {text}");
    }
}

#[test]
fn a_fair_offer_is_accepted() {
    let proposal = Offer::fair().judge().unwrap();
    assert_eq!(proposal.temporary_channel_id(), TEMPORARY_ID);
    assert_eq!(proposal.capacity(), sat(1_000_000));
    assert_eq!(proposal.pushed(), MilliSatoshi(0));
    assert!(!proposal.is_announced());
}

#[test]
fn undefined_channel_flags_are_ignored() {
    let mut offer = Offer::fair();
    offer.message.channel_flags = 0b1111_1110;
    assert!(!offer.judge().unwrap().is_announced());
}

#[test]
fn chain_ids_and_protocol() {
    check(vec![
        Row {
            breaks: |offer| offer.message.chain_hash = ChainHash::SIGNET,
            why: OpenRefusal::UnknownChain {
                got: ChainHash::SIGNET,
                ours: ChainHash::REGTEST,
            },
            text: "chain_hash f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000 is not that of our chain, \
                   06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f",
            keeps: |offer| {
                offer.message.chain_hash = ChainHash::SIGNET;
                offer.policy.chain_hash = ChainHash::SIGNET;
            },
        },
        Row {
            breaks: |offer| offer.message.temporary_channel_id = ChannelId([0; 32]),
            why: OpenRefusal::TemporaryIdZero,
            text: "temporary_channel_id is zero, which stands for all channels",
            keeps: |offer| offer.message.temporary_channel_id.0[31] = 1,
        },
        Row {
            breaks: |offer| offer.negotiated = negotiated().offering(Feature::DualFund),
            why: OpenRefusal::DualFundNegotiated,
            text: "open_channel where option_dual_fund asks for open_channel2",
            keeps: |_| {},
        },
    ]);
}

#[test]
fn funding() {
    check(vec![
        Row {
            breaks: |offer| offer.message.funding_satoshis = sat(19_999),
            why: OpenRefusal::FundingTooSmall {
                got: sat(19_999),
                minimum: sat(20_000),
            },
            text: "funding_satoshis of 19999 is below the minimum of 20000",
            keeps: |offer| {
                offer.message.funding_satoshis = sat(20_000);
                offer.message.channel_reserve_satoshis = sat(354);
            },
        },
        Row {
            breaks: |offer| {
                offer.message.funding_satoshis = sat(16_777_216);
                offer.negotiated = without(Feature::LargeChannel);
            },
            why: OpenRefusal::FundingNeedsLargeChannel {
                got: sat(16_777_216),
                limit: sat(16_777_216),
            },
            text: "funding_satoshis of 16777216 is not below 16777216, which needs option_support_large_channel",
            keeps: |offer| {
                offer.message.funding_satoshis = sat(16_777_215);
                offer.negotiated = without(Feature::LargeChannel);
            },
        },
        Row {
            breaks: |offer| offer.message.funding_satoshis = sat(1_000_000_001),
            why: OpenRefusal::FundingTooLarge {
                got: sat(1_000_000_001),
                maximum: sat(1_000_000_000),
            },
            text: "funding_satoshis of 1000000001 is above the maximum of 1000000000",
            keeps: |offer| offer.message.funding_satoshis = sat(1_000_000_000),
        },
        Row {
            breaks: |offer| {
                offer.policy.funding_max = sat(u64::MAX);
                offer.message.funding_satoshis = sat(u64::MAX);
            },
            why: OpenRefusal::FundingTooLarge {
                got: sat(u64::MAX),
                maximum: Amount::MAX_MONEY,
            },
            text: "funding_satoshis of 18446744073709551615 is above the maximum of 2100000000000000",
            keeps: |offer| {
                offer.policy.funding_max = sat(u64::MAX);
                offer.message.funding_satoshis = Amount::MAX_MONEY;
            },
        },
    ]);
}

#[test]
fn push_and_balances() {
    check(vec![
        Row {
            breaks: |offer| offer.message.push_msat = MilliSatoshi(1_000_000_001),
            why: OpenRefusal::PushAboveFunding {
                push: MilliSatoshi(1_000_000_001),
                funding: MilliSatoshi(1_000_000_000),
            },
            text: "push_msat of 1000000001 is above the 1000000000 that fund the channel",
            keeps: |offer| offer.message.push_msat = MilliSatoshi(0),
        },
        Row {
            breaks: |offer| offer.message.push_msat = MilliSatoshi(998_216_001),
            why: OpenRefusal::FunderCannotAfford(OpenerCannotAfford {
                cost: sat(1_784),
                balance: MilliSatoshi(1_783_999),
            }),
            text: "funding_satoshis less push_msat leave the opener 1783999 msat, which does not cover fee and anchors of \
                   1784 sat",
            keeps: |offer| offer.message.push_msat = MilliSatoshi(998_216_000),
        },
        Row {
            breaks: |offer| {
                offer.policy.theirs.reserve_percent_max = 100;
                offer.message.push_msat = MilliSatoshi(300_000_999);
                offer.message.channel_reserve_satoshis = sat(698_216);
            },
            why: OpenRefusal::BothBelowReserve {
                to_opener: MilliSatoshi(698_215_001),
                to_accepter: MilliSatoshi(300_000_999),
                reserve: sat(698_216),
            },
            text: "channel_reserve_satoshis of 698216 is not below the larger first balance: 698215001 msat after fees, and \
                   300000999 msat",
            keeps: |offer| {
                offer.policy.theirs.reserve_percent_max = 100;
                offer.message.push_msat = MilliSatoshi(300_000_999);
                offer.message.channel_reserve_satoshis = sat(698_214);
            },
        },
        Row {
            breaks: |offer| {
                offer.policy.theirs.reserve_percent_max = 100;
                offer.message.push_msat = MilliSatoshi(600_000_000);
                offer.message.channel_reserve_satoshis = sat(600_000);
            },
            why: OpenRefusal::BothBelowReserve {
                to_opener: MilliSatoshi(398_216_000),
                to_accepter: MilliSatoshi(600_000_000),
                reserve: sat(600_000),
            },
            text: "channel_reserve_satoshis of 600000 is not below the larger first balance: 398216000 msat after fees, and \
                   600000000 msat",
            keeps: |offer| {
                offer.policy.theirs.reserve_percent_max = 100;
                offer.message.push_msat = MilliSatoshi(600_000_000);
                offer.message.channel_reserve_satoshis = sat(599_999);
            },
        },
    ]);
}

#[test]
fn feerates() {
    check(vec![
        Row {
            breaks: |offer| offer.message.feerate_per_kw = FeeratePerKw(252),
            why: OpenRefusal::FeerateOutOfRange {
                got: FeeratePerKw(252),
                minimum: FeeratePerKw(253),
                maximum: FeeratePerKw(250_000),
            },
            text: "feerate_per_kw of 252 is outside 253 to 250000",
            keeps: |offer| offer.message.feerate_per_kw = FeeratePerKw(253),
        },
        Row {
            breaks: |offer| offer.message.feerate_per_kw = FeeratePerKw(250_001),
            why: OpenRefusal::FeerateOutOfRange {
                got: FeeratePerKw(250_001),
                minimum: FeeratePerKw(253),
                maximum: FeeratePerKw(250_000),
            },
            text: "feerate_per_kw of 250001 is outside 253 to 250000",
            keeps: |offer| offer.message.feerate_per_kw = FeeratePerKw(250_000),
        },
        Row {
            breaks: |offer| {
                offer.limits.feerate_max = FeeratePerKw(u32::MAX);
                offer.message.feerate_per_kw = FeeratePerKw(u32::MAX);
            },
            why: OpenRefusal::FunderCannotAfford(OpenerCannotAfford {
                cost: sat(4_827_543_239 + 660),
                balance: MilliSatoshi(1_000_000_000),
            }),
            text: "funding_satoshis less push_msat leave the opener 1000000000 msat, which does not cover fee and anchors of \
                   4827543899 sat",
            keeps: |_| {},
        },
        Row {
            breaks: |offer| {
                zero_fee(offer);
                offer.message.feerate_per_kw = FeeratePerKw(253);
            },
            why: OpenRefusal::FeerateNotZero { got: FeeratePerKw(253) },
            text: "feerate_per_kw of 253 with zero_fee_commitments, where it must be 0",
            keeps: zero_fee,
        },
    ]);
}

fn zero_fee(offer: &mut Offer) {
    offer.policy.formats.push(CommitmentFormat::ZeroFee);
    offer.message.channel_type = Some(of_bits(&[40]));
    offer.message.feerate_per_kw = FeeratePerKw(0);
    offer.message.max_accepted_htlcs = 114;
}

#[test]
fn announcements() {
    check(vec![
        Row {
            breaks: |offer| offer.policy.announcement = Announcement::Required,
            why: OpenRefusal::AnnouncementRequired,
            text: "channel_flags ask for a channel that is not announced, and we want it announced",
            keeps: |offer| {
                offer.policy.announcement = Announcement::Required;
                offer.message.channel_flags = 1;
            },
        },
        Row {
            breaks: |offer| {
                offer.policy.announcement = Announcement::Forbidden;
                offer.message.channel_flags = 0xff;
            },
            why: OpenRefusal::AnnouncementForbidden,
            text: "channel_flags ask for a channel that is announced, and we do not want it announced",
            keeps: |offer| {
                offer.policy.announcement = Announcement::Forbidden;
                offer.message.channel_flags = 0xfe;
            },
        },
    ]);
}

#[test]
fn channel_types() {
    check(vec![
        Row {
            breaks: |offer| offer.message.channel_type = None,
            why: OpenRefusal::ChannelTypeMissing,
            text: "channel_type is missing",
            keeps: |offer| offer.message.channel_type = Some(of_bits(&[12])),
        },
        Row {
            breaks: |offer| offer.message.channel_type = Some(of_bits(&[13, 23])),
            why: OpenRefusal::ChannelTypeUndefined {
                got: of_bits(&[13, 23]),
            },
            text: "channel_type Features[13, 23] is none that is defined",
            keeps: |offer| offer.message.channel_type = Some(of_bits(&[12, 22])),
        },
        Row {
            breaks: |offer| offer.message.channel_type = Some(of_bits(&[12, 22, 100])),
            why: OpenRefusal::ChannelTypeUndefined {
                got: of_bits(&[12, 22, 100]),
            },
            text: "channel_type Features[12, 22, 100] is none that is defined",
            keeps: |offer| offer.message.channel_type = Some(of_bits(&[12, 22, 46])),
        },
        Row {
            breaks: |offer| offer.negotiated = without(Feature::Anchors),
            why: OpenRefusal::ChannelTypeNotNegotiated(Feature::Anchors),
            text: "channel_type has Anchors, which was not negotiated",
            keeps: |offer| {
                offer.negotiated = without(Feature::Anchors);
                offer.message.channel_type = Some(of_bits(&[12]));
            },
        },
        Row {
            breaks: |offer| {
                zero_fee(offer);
                offer.policy.formats = vec![CommitmentFormat::Anchors, CommitmentFormat::StaticRemotekey];
            },
            why: OpenRefusal::ChannelTypeUnwanted(CommitmentFormat::ZeroFee),
            text: "channel_type has commitments of format ZeroFee, which we do not use",
            keeps: zero_fee,
        },
        Row {
            breaks: |offer| {
                offer.message.channel_type = Some(of_bits(&[12, 22, 46]));
                offer.message.channel_flags = 1;
            },
            why: OpenRefusal::ScidAliasAnnounced,
            text: "channel_type has option_scid_alias, and channel_flags ask for an announcement",
            keeps: |offer| offer.message.channel_flags = 1,
        },
        Row {
            breaks: |offer| offer.message.channel_type = Some(of_bits(&[12, 22, 50])),
            why: OpenRefusal::ZeroconfNotTrusted,
            text: "channel_type has option_zeroconf, and we do not trust the peer to open a channel without confirmation",
            keeps: |offer| {
                offer.message.channel_type = Some(of_bits(&[12, 22, 50]));
                offer.trust = Trust::Zeroconf;
            },
        },
    ]);
}

#[test]
fn dust_limit_and_reserve() {
    check(vec![
        Row {
            breaks: |offer| offer.message.dust_limit_satoshis = sat(353),
            why: OpenRefusal::DustLimitTooSmall {
                got: sat(353),
                minimum: sat(354),
            },
            text: "dust_limit_satoshis of 353 is below the minimum of 354",
            keeps: |offer| offer.message.dust_limit_satoshis = sat(354),
        },
        Row {
            breaks: |offer| offer.message.dust_limit_satoshis = sat(1_001),
            why: OpenRefusal::DustLimitTooLarge {
                got: sat(1_001),
                maximum: sat(1_000),
            },
            text: "dust_limit_satoshis of 1001 is above the maximum of 1000",
            keeps: |offer| offer.message.dust_limit_satoshis = sat(1_000),
        },
        Row {
            breaks: |offer| {
                offer.message.dust_limit_satoshis = sat(601);
                offer.message.channel_reserve_satoshis = sat(600);
            },
            why: OpenRefusal::DustLimitAboveReserve {
                dust_limit: sat(601),
                reserve: sat(600),
            },
            text: "dust_limit_satoshis of 601 is above the channel_reserve_satoshis of 600",
            keeps: |offer| {
                offer.message.dust_limit_satoshis = sat(600);
                offer.message.channel_reserve_satoshis = sat(600);
            },
        },
        Row {
            breaks: |offer| offer.message.channel_reserve_satoshis = sat(200_001),
            why: OpenRefusal::ReserveTooLarge {
                got: sat(200_001),
                maximum: sat(200_000),
            },
            text: "channel_reserve_satoshis of 200001 is above the maximum of 200000",
            keeps: |offer| offer.message.channel_reserve_satoshis = sat(200_000),
        },
    ]);
}

#[test]
fn htlc_limits_delay_and_script() {
    check(vec![
        Row {
            breaks: |offer| offer.message.htlc_minimum_msat = MilliSatoshi(1_000_001),
            why: OpenRefusal::HtlcMinimumTooLarge {
                got: MilliSatoshi(1_000_001),
                maximum: MilliSatoshi(1_000_000),
            },
            text: "htlc_minimum_msat of 1000001 is above the maximum of 1000000",
            keeps: |offer| offer.message.htlc_minimum_msat = MilliSatoshi(1_000_000),
        },
        Row {
            breaks: |offer| offer.message.max_htlc_value_in_flight_msat = MilliSatoshi(999_999),
            why: OpenRefusal::InFlightTooSmall {
                got: MilliSatoshi(999_999),
                minimum: MilliSatoshi(1_000_000),
            },
            text: "max_htlc_value_in_flight_msat of 999999 is below the minimum of 1000000",
            keeps: |offer| offer.message.max_htlc_value_in_flight_msat = MilliSatoshi(u64::MAX),
        },
        Row {
            breaks: |offer| offer.message.max_accepted_htlcs = 4,
            why: OpenRefusal::AcceptedHtlcsTooFew { got: 4, minimum: 5 },
            text: "max_accepted_htlcs of 4 is below the minimum of 5",
            keeps: |offer| offer.message.max_accepted_htlcs = 5,
        },
        Row {
            breaks: |offer| offer.message.max_accepted_htlcs = 484,
            why: OpenRefusal::AcceptedHtlcsTooMany { got: 484, maximum: 483 },
            text: "max_accepted_htlcs of 484 is above the maximum of 483",
            keeps: |offer| offer.message.max_accepted_htlcs = 483,
        },
        Row {
            breaks: |offer| {
                zero_fee(offer);
                offer.message.max_accepted_htlcs = 115;
            },
            why: OpenRefusal::AcceptedHtlcsTooMany { got: 115, maximum: 114 },
            text: "max_accepted_htlcs of 115 is above the maximum of 114",
            keeps: zero_fee,
        },
        Row {
            breaks: |offer| offer.message.to_self_delay = ToSelfDelay(2_017),
            why: OpenRefusal::DelayTooLarge {
                got: ToSelfDelay(2_017),
                maximum: ToSelfDelay(2_016),
            },
            text: "to_self_delay of 2017 is above the maximum of 2016",
            keeps: |offer| offer.message.to_self_delay = ToSelfDelay(2_016),
        },
        Row {
            breaks: |offer| {
                offer.negotiated = without(Feature::ShutdownAnysegwit);
                offer.message.upfront_shutdown_script = Some(taproot());
            },
            why: OpenRefusal::InvalidShutdownScript { got: taproot() },
            text: "upfront_shutdown_script 51200707070707070707070707070707070707070707070707070707070707070707 is none that a \
                   closing transaction may pay to",
            keeps: |offer| offer.message.upfront_shutdown_script = Some(taproot()),
        },
        Row {
            breaks: |offer| offer.message.upfront_shutdown_script = Some(op_return()),
            why: OpenRefusal::InvalidShutdownScript { got: op_return() },
            text: "upfront_shutdown_script 6a06010203040506 is none that a closing transaction may pay to",
            keeps: |offer| {
                offer.negotiated = negotiated().offering(Feature::SimpleClose);
                offer.message.upfront_shutdown_script = Some(op_return());
            },
        },
    ]);
}

fn taproot() -> ScriptBuf {
    ScriptBuf::from_hex(&format!("5120{}", "07".repeat(32))).expect("a script")
}

fn op_return() -> ScriptBuf {
    ScriptBuf::from_hex("6a06010203040506").expect("a script")
}

#[test]
fn a_channel_that_we_do_not_want_is_refused_in_our_own_words() {
    let refused = Offer::fair().judge().unwrap().reject("we open no channels on Sundays");
    assert_eq!(refused.message().data, b"we open no channels on Sundays");
    assert_eq!(refused.channel_id, TEMPORARY_ID);
}
