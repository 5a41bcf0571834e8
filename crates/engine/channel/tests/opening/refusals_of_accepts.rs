//! Each rule that the peer's `accept_channel` can break: one row, with the exact values in the answer.

use bitcoin::{Amount, ScriptBuf};
use quittance_channel::opening::{FundingWanted, OpenRefusal, OpenRequest, OpeningPolicy, Proposal, Refused, Trust};
use quittance_primitives::{BlockCount, ChannelId, Feature, Features, MilliSatoshi, ToSelfDelay};
use quittance_wire::AcceptChannel;

use crate::party::{Party, TEMPORARY_ID, without};

/// What the funder asked for, and the answer.
struct Answer {
    request: OpenRequest,
    policy: OpeningPolicy,
    message: AcceptChannel,
}

/// A change to a fair answer, the refusal that follows and its text; then the nearest change that is accepted.
struct Row {
    breaks: fn(&mut Answer),
    why: OpenRefusal,
    text: &'static str,
    keeps: fn(&mut Answer),
}

impl Answer {
    /// To a million satoshis, anchors, 1000 sat/kw; our own reserve is 10,000 sat, and our dust limit 546 sat.
    fn fair() -> Self {
        let (mut alice, bob) = (Party::alice(), Party::bob());
        alice.policy.ours.dust_limit = sat(546);
        let request = alice.request(&bob);
        let (_, open) = alice.propose(request.clone());
        let features = request.negotiated.clone();
        let proposal = Proposal::check(
            open,
            alice.node_id(),
            features,
            Trust::Ordinary,
            &bob.policy,
            &bob.limits,
        );
        let (_, message) = bob.accept(proposal.expect("a fair offer"));
        Self {
            request,
            policy: alice.policy,
            message,
        }
    }

    fn judge(self) -> Result<FundingWanted, Refused> {
        let alice = Party::alice();
        let (awaiting_accept, _) = alice.propose(self.request);
        let accepted = awaiting_accept.accept_channel(&self.message, &self.policy);
        accepted.map(|(_, wanted)| wanted)
    }
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
        let mut answer = Answer::fair();
        breaks(&mut answer);
        let refused = answer.judge().expect_err(text);
        let channel_id = TEMPORARY_ID;
        assert_eq!(refused, Refused { channel_id, why });
        assert_eq!(String::from_utf8(refused.message().data).as_deref(), Ok(text));

        let mut answer = Answer::fair();
        keeps(&mut answer);
        assert_eq!(answer.judge().map(|_| ()), Ok(()), "the nearest value to: {text}");
    }
}

#[test]
fn a_fair_answer_leads_to_the_wallet() {
    let wanted = Answer::fair().judge().unwrap();
    assert_eq!(wanted.temporary_channel_id, TEMPORARY_ID);
    assert_eq!(wanted.output.value, sat(1_000_000));
    assert!(wanted.output.script_pubkey.is_p2wsh());
}

#[test]
fn id_type_and_depth() {
    check(vec![
        Row {
            breaks: |answer| answer.message.temporary_channel_id = ChannelId([0x78; 32]),
            why: OpenRefusal::OtherChannel {
                got: ChannelId([0x78; 32]),
                expected: TEMPORARY_ID,
            },
            text: "channel_id 7878787878787878787878787878787878787878787878787878787878787878 where \
                   7777777777777777777777777777777777777777777777777777777777777777 is being opened",
            keeps: |_| {},
        },
        Row {
            breaks: |answer| answer.message.channel_type = None,
            why: OpenRefusal::ChannelTypeMissing,
            text: "channel_type is missing",
            keeps: |_| {},
        },
        Row {
            breaks: |answer| answer.message.channel_type = Some(of_bits(&[12])),
            why: OpenRefusal::ChannelTypeChanged {
                got: of_bits(&[12]),
                expected: of_bits(&[12, 22]),
            },
            text: "channel_type Features[12] is not the Features[12, 22] of open_channel",
            keeps: |_| {},
        },
        Row {
            breaks: |answer| answer.message.minimum_depth = BlockCount(145),
            why: OpenRefusal::DepthTooLarge {
                got: BlockCount(145),
                maximum: BlockCount(144),
            },
            text: "minimum_depth of 145 is above the maximum of 144",
            keeps: |answer| answer.message.minimum_depth = BlockCount(144),
        },
        Row {
            breaks: |answer| {
                zeroconf(answer);
                answer.message.minimum_depth = BlockCount(1);
            },
            why: OpenRefusal::DepthNotZero { got: BlockCount(1) },
            text: "minimum_depth of 1 with option_zeroconf, where it must be 0",
            keeps: zeroconf,
        },
    ]);
}

fn zeroconf(answer: &mut Answer) {
    answer.request.channel_type.zeroconf = true;
    answer.message.channel_type = Some(of_bits(&[12, 22, 50]));
    answer.message.minimum_depth = BlockCount(0);
}

#[test]
fn dust_limits() {
    check(vec![
        Row {
            breaks: |answer| answer.message.dust_limit_satoshis = sat(353),
            why: OpenRefusal::DustLimitTooSmall {
                got: sat(353),
                minimum: sat(354),
            },
            text: "dust_limit_satoshis of 353 is below the minimum of 354",
            keeps: |answer| answer.message.dust_limit_satoshis = sat(354),
        },
        Row {
            breaks: |answer| answer.message.dust_limit_satoshis = sat(1_001),
            why: OpenRefusal::DustLimitTooLarge {
                got: sat(1_001),
                maximum: sat(1_000),
            },
            text: "dust_limit_satoshis of 1001 is above the maximum of 1000",
            keeps: |answer| answer.message.dust_limit_satoshis = sat(1_000),
        },
        Row {
            breaks: |answer| {
                answer.message.dust_limit_satoshis = sat(900);
                answer.message.channel_reserve_satoshis = sat(899);
            },
            why: OpenRefusal::DustLimitAboveReserve {
                dust_limit: sat(900),
                reserve: sat(899),
            },
            text: "dust_limit_satoshis of 900 is above the channel_reserve_satoshis of 899",
            keeps: |answer| {
                answer.message.dust_limit_satoshis = sat(900);
                answer.message.channel_reserve_satoshis = sat(900);
            },
        },
    ]);
}

#[test]
fn reserves_of_both_sides() {
    check(vec![
        Row {
            breaks: |answer| answer.message.channel_reserve_satoshis = sat(545),
            why: OpenRefusal::ReserveBelowOthersDustLimit {
                reserve: sat(545),
                dust_limit: sat(546),
            },
            text: "channel_reserve_satoshis of 545 is below the other side's dust_limit_satoshis of 546",
            keeps: |answer| answer.message.channel_reserve_satoshis = sat(546),
        },
        Row {
            breaks: |answer| {
                answer.request.ours.demands.channel_reserve = sat(700);
                answer.message.dust_limit_satoshis = sat(701);
            },
            why: OpenRefusal::DustLimitAboveOthersReserve {
                dust_limit: sat(701),
                reserve: sat(700),
            },
            text: "dust_limit_satoshis of 701 is above the other side's channel_reserve_satoshis of 700",
            keeps: |answer| {
                answer.request.ours.demands.channel_reserve = sat(700);
                answer.message.dust_limit_satoshis = sat(700);
            },
        },
        Row {
            breaks: |answer| answer.message.channel_reserve_satoshis = sat(200_001),
            why: OpenRefusal::ReserveTooLarge {
                got: sat(200_001),
                maximum: sat(200_000),
            },
            text: "channel_reserve_satoshis of 200001 is above the maximum of 200000",
            keeps: |answer| answer.message.channel_reserve_satoshis = sat(200_000),
        },
        Row {
            breaks: |answer| {
                answer.policy.theirs.reserve_percent_max = 100;
                answer.message.channel_reserve_satoshis = sat(998_216);
            },
            why: OpenRefusal::BothBelowReserve {
                to_opener: MilliSatoshi(998_216_000),
                to_accepter: MilliSatoshi(0),
                reserve: sat(998_216),
            },
            text: "channel_reserve_satoshis of 998216 is not below the larger first balance: 998216000 msat after fees, and 0 \
                   msat",
            keeps: |answer| {
                answer.policy.theirs.reserve_percent_max = 100;
                answer.message.channel_reserve_satoshis = sat(998_215);
            },
        },
    ]);
}

#[test]
fn htlc_limits_delay_and_script() {
    check(vec![
        Row {
            breaks: |answer| answer.message.htlc_minimum_msat = MilliSatoshi(1_000_001),
            why: OpenRefusal::HtlcMinimumTooLarge {
                got: MilliSatoshi(1_000_001),
                maximum: MilliSatoshi(1_000_000),
            },
            text: "htlc_minimum_msat of 1000001 is above the maximum of 1000000",
            keeps: |answer| answer.message.htlc_minimum_msat = MilliSatoshi(1_000_000),
        },
        Row {
            breaks: |answer| answer.message.max_htlc_value_in_flight_msat = MilliSatoshi(999_999),
            why: OpenRefusal::InFlightTooSmall {
                got: MilliSatoshi(999_999),
                minimum: MilliSatoshi(1_000_000),
            },
            text: "max_htlc_value_in_flight_msat of 999999 is below the minimum of 1000000",
            keeps: |answer| answer.message.max_htlc_value_in_flight_msat = MilliSatoshi(1_000_000),
        },
        Row {
            breaks: |answer| answer.message.max_accepted_htlcs = 4,
            why: OpenRefusal::AcceptedHtlcsTooFew { got: 4, minimum: 5 },
            text: "max_accepted_htlcs of 4 is below the minimum of 5",
            keeps: |answer| answer.message.max_accepted_htlcs = 5,
        },
        Row {
            breaks: |answer| answer.message.max_accepted_htlcs = 484,
            why: OpenRefusal::AcceptedHtlcsTooMany { got: 484, maximum: 483 },
            text: "max_accepted_htlcs of 484 is above the maximum of 483",
            keeps: |answer| answer.message.max_accepted_htlcs = 483,
        },
        Row {
            breaks: |answer| answer.message.to_self_delay = ToSelfDelay(2_017),
            why: OpenRefusal::DelayTooLarge {
                got: ToSelfDelay(2_017),
                maximum: ToSelfDelay(2_016),
            },
            text: "to_self_delay of 2017 is above the maximum of 2016",
            keeps: |answer| answer.message.to_self_delay = ToSelfDelay(2_016),
        },
        Row {
            breaks: |answer| answer.message.upfront_shutdown_script = Some(ScriptBuf::from(vec![0x51])),
            why: OpenRefusal::InvalidShutdownScript {
                got: ScriptBuf::from(vec![0x51]),
            },
            text: "upfront_shutdown_script 51 is none that a closing transaction may pay to",
            keeps: |answer| {
                // Where the feature is missing, the script binds nobody.
                answer.request.negotiated = without(Feature::UpfrontShutdownScript);
                answer.message.upfront_shutdown_script = Some(ScriptBuf::from(vec![0x51]));
            },
        },
    ]);
}
