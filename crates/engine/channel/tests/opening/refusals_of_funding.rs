//! What can be wrong with a funding transaction and with the two signatures, and what is left of an opening given up.

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use quittance_channel::ChannelEffect;
use quittance_channel::opening::{
    Fundee, Funder, FundingTransaction, FundingWanted, OpenRefusal, Proposal, Refused, Trust, UnfitFunding,
};
use quittance_primitives::ChannelId;
use quittance_transactions::InvalidSignatures;
use secp256k1::ecdsa::Signature;

use crate::party::{
    Accepted, HEIGHT, Party, TEMPORARY_ID, funding_signed, until_accepted, until_funded, wallet_transaction,
};

const INVALID: OpenRefusal = OpenRefusal::InvalidSignature(InvalidSignatures::Funding);

fn accepted(alice: &Party, bob: &Party) -> Accepted {
    until_accepted(alice, bob, alice.request(bob), Trust::Ordinary).expect("a fair request")
}

/// The same signature with the other S, which would not be relayed.
fn with_high_s(signature: &Signature) -> Signature {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae,
        0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
    ];
    let mut bytes = signature.serialize_compact();
    let mut borrow = 0;
    for (place, order) in ORDER.iter().enumerate().rev() {
        let difference = i16::from(*order) - i16::from(bytes[32 + place]) - borrow;
        borrow = i16::from(difference < 0);
        bytes[32 + place] = u8::try_from(difference.rem_euclid(256)).expect("below 256");
    }
    Signature::from_compact(&bytes).expect("two scalars")
}

#[test]
fn an_invalid_signature_in_funding_created_ends_the_opening() {
    let (alice, bob, mallory) = (Party::alice(), Party::bob(), Party::new(3));
    let accepted_opening = accepted(&alice, &bob);
    let Accepted {
        alice: funder,
        wanted,
        bob: fundee,
    } = accepted_opening;
    let funding = FundingTransaction::new(
        wallet_transaction(std::slice::from_ref(&wanted.output)),
        &[wanted.output],
    );
    let (_, effect) = funder.fund(funding.unwrap(), HEIGHT).unwrap();
    let ChannelEffect::SendFundingCreated(template) = &effect else {
        panic!("{effect:?}");
    };
    let good = crate::party::funding_created(alice.sign(&effect));
    let of_mallory = mallory.keys.countersign(&template.commitment().build()).funding;
    for signature in [of_mallory, with_high_s(&good.signature)] {
        let message = quittance_wire::FundingCreated {
            signature,
            ..good.clone()
        };
        let refused = fundee
            .clone()
            .funding_created(&message, |_| false, &bob.context())
            .unwrap_err();
        let channel_id = TEMPORARY_ID;
        assert_eq!(
            refused,
            Refused {
                channel_id,
                why: INVALID
            }
        );
        assert_eq!(
            refused.message().data,
            b"signature: the signature of the commitment transaction is invalid"
        );
    }
    assert!(fundee.funding_created(&good, |_| false, &bob.context()).is_ok());
}

#[test]
fn an_invalid_signature_in_funding_signed_ends_the_opening_and_nothing_is_broadcast() {
    let (alice, bob, mallory) = (Party::alice(), Party::bob(), Party::new(3));
    let (funder, created, fundee) = until_funded(&alice, accepted(&alice, &bob));
    let (channel, reaction) = fundee.funding_created(&created, |_| false, &bob.context()).unwrap();
    let ChannelEffect::SendFundingSigned(template) = &reaction.effects[0] else {
        panic!("{:?}", reaction.effects);
    };
    let channel_id = channel.state().facts.channel_id;
    let good = funding_signed(bob.sign(&reaction.effects[0]));
    let of_mallory = mallory.keys.countersign(&template.commitment().build()).funding;
    for signature in [of_mallory, with_high_s(&good.signature)] {
        let message = quittance_wire::FundingSigned { channel_id, signature };
        let refused = funder.clone().funding_signed(&message, &alice.context()).unwrap_err();
        // BOLT 1: after funding_created, an error names the channel by its lasting id.
        assert_eq!(
            refused,
            Refused {
                channel_id,
                why: INVALID
            }
        );
    }
    assert!(funder.funding_signed(&good, &alice.context()).is_ok());
}

#[test]
fn a_signature_on_other_terms_is_invalid() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let (_, created, fundee) = until_funded(&alice, accepted(&alice, &bob));
    let message = quittance_wire::FundingCreated {
        funding_output_index: created.funding_output_index + 1,
        ..created
    };
    let refused = fundee.funding_created(&message, |_| false, &bob.context()).unwrap_err();
    assert_eq!(refused.why, INVALID);
}

#[test]
fn a_funding_output_that_is_another_channels_is_refused() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let (_, created, fundee) = until_funded(&alice, accepted(&alice, &bob));
    let channel_id = ChannelId::v1(OutPoint {
        txid: created.funding_txid,
        vout: 1,
    });
    let refused = fundee
        .funding_created(&created, |id| *id == channel_id, &bob.context())
        .unwrap_err();
    let why = OpenRefusal::ChannelIdTaken(channel_id);
    assert_eq!(
        refused,
        Refused {
            channel_id: TEMPORARY_ID,
            why
        }
    );
}

#[test]
fn messages_for_another_opening_are_refused() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let (funder, created, fundee) = until_funded(&alice, accepted(&alice, &bob));
    let expected = funder.channel_id();
    let got = ChannelId([5; 32]);
    let for_other = quittance_wire::FundingCreated {
        temporary_channel_id: got,
        ..created.clone()
    };
    let refused = fundee.clone().funding_created(&for_other, |_| false, &bob.context());
    let why = OpenRefusal::OtherChannel {
        got,
        expected: TEMPORARY_ID,
    };
    assert_eq!(
        refused.unwrap_err(),
        Refused {
            channel_id: TEMPORARY_ID,
            why
        }
    );

    let signed = quittance_wire::FundingSigned {
        channel_id: got,
        signature: created.signature,
    };
    let refused = funder.funding_signed(&signed, &alice.context());
    let why = OpenRefusal::OtherChannel { got, expected };
    assert_eq!(
        refused.unwrap_err(),
        Refused {
            channel_id: expected,
            why
        }
    );
}

#[test]
fn messages_out_of_order_end_the_opening() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let out_of_place = |message, awaited| OpenRefusal::OutOfPlace { message, awaited };
    let request = alice.request(&bob);
    let features = request.negotiated.clone();
    let (awaiting_accept, open) = alice.propose(request);
    let proposal = Proposal::check(
        open,
        alice.node_id(),
        features,
        Trust::Ordinary,
        &bob.policy,
        &bob.limits,
    )
    .unwrap();
    let (awaiting_created, accept) = bob.accept(proposal.clone());
    let (awaiting_funding, wanted) = awaiting_accept.clone().accept_channel(&accept, &alice.policy).unwrap();
    let (awaiting_signed, created, _) = until_funded(
        &alice,
        Accepted {
            alice: awaiting_funding.clone(),
            wanted,
            bob: awaiting_created,
        },
    );
    let signed = quittance_wire::FundingSigned {
        channel_id: awaiting_signed.channel_id(),
        signature: created.signature,
    };

    let early = Funder::AwaitingAccept(Box::new(awaiting_accept)).funding_signed(&signed, &alice.context());
    assert_eq!(early.unwrap_err().why, out_of_place("funding_signed", "accept_channel"));
    let unfunded = Funder::AwaitingFunding(Box::new(awaiting_funding));
    let early = unfunded.clone().funding_signed(&signed, &alice.context());
    assert_eq!(
        early.unwrap_err().why,
        out_of_place("funding_signed", "its funding transaction")
    );
    let twice = unfunded.accept_channel(&accept, &alice.policy);
    assert_eq!(
        twice.unwrap_err().why,
        out_of_place("accept_channel", "its funding transaction")
    );
    let twice = Funder::AwaitingFundingSigned(Box::new(awaiting_signed)).accept_channel(&accept, &alice.policy);
    let refused = twice.unwrap_err();
    assert_eq!(refused.why, out_of_place("accept_channel", "funding_signed"));
    assert_eq!(refused.channel_id, signed.channel_id);
    let early = Fundee::Proposal(Box::new(proposal)).funding_created(&created, |_| false, &bob.context());
    assert_eq!(
        early.unwrap_err().why,
        out_of_place("funding_created", "our accept_channel")
    );
}

#[test]
fn an_opening_that_is_given_up_leaves_nothing_but_the_wallets_transaction() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let (awaiting_accept, _) = alice.propose(alice.request(&bob));
    let forgotten = Funder::AwaitingAccept(Box::new(awaiting_accept)).forget();
    assert_eq!(
        (forgotten.temporary_channel_id, forgotten.funding),
        (TEMPORARY_ID, None)
    );

    let (awaiting_signed, _, _) = until_funded(&alice, accepted(&alice, &bob));
    let channel_id = awaiting_signed.channel_id();
    let funder = Funder::AwaitingFundingSigned(Box::new(awaiting_signed));
    assert_eq!(funder.temporary_channel_id(), TEMPORARY_ID);
    assert_eq!(funder.current_channel_id(), channel_id);
    let funding = funder.forget().funding.unwrap();
    assert_eq!(funding.channels(), [channel_id]);
    assert_eq!(funding.transaction().output.len(), 2);
}

fn wanted() -> FundingWanted {
    accepted(&Party::alice(), &Party::bob()).wanted
}

fn judge(transaction: Transaction, output: &TxOut) -> UnfitFunding {
    FundingTransaction::new(transaction, std::slice::from_ref(output)).expect_err("an unfit transaction")
}

#[test]
fn a_transaction_that_does_not_fund_the_channel_is_the_wallets_fault() {
    let output = wanted().output;
    let missing = UnfitFunding::OutputMissing {
        script_pubkey: output.script_pubkey.clone(),
        value: Amount::from_sat(1_000_000),
    };
    assert_eq!(judge(wallet_transaction(&[]), &output), missing);
    let too_little = TxOut {
        value: Amount::from_sat(999_999),
        ..output.clone()
    };
    assert_eq!(judge(wallet_transaction(&[too_little]), &output), missing);
    let twice = wallet_transaction(&[output.clone(), output.clone()]);
    assert_eq!(judge(twice, &output), UnfitFunding::OutputTwice(2));
    let mut unsigned = wallet_transaction(std::slice::from_ref(&output));
    unsigned.input[0].witness.clear();
    assert_eq!(judge(unsigned, &output), UnfitFunding::WitnessMissing(0));
}

#[test]
fn the_funding_output_must_have_a_number_that_fits_16_bits() {
    let output = wanted().output;
    let filler = TxOut {
        value: Amount::from_sat(1_000),
        script_pubkey: ScriptBuf::from(vec![0x51]),
    };
    let at = |place: usize| {
        // The change is output 0.
        let mut outputs = vec![filler.clone(); place - 1];
        outputs.push(output.clone());
        wallet_transaction(&outputs)
    };
    assert_eq!(judge(at(65_536), &output), UnfitFunding::IndexTooLarge(65_536));
    assert!(FundingTransaction::new(at(65_535), std::slice::from_ref(&output)).is_ok());
}

#[test]
fn a_transaction_made_for_another_channel_leaves_the_opening_as_it_was() {
    let (alice, bob) = (Party::alice(), Party::bob());
    let Accepted {
        alice: awaiting,
        wanted,
        ..
    } = accepted(&alice, &bob);
    let other = TxOut {
        value: Amount::from_sat(5_000),
        script_pubkey: ScriptBuf::from(vec![0x51]),
    };
    // It has our output too, but was not made to fund it: its broadcast would not wait for us.
    let transaction = wallet_transaction(&[other.clone(), wanted.output]);
    let funding = FundingTransaction::new(transaction, &[other]).unwrap();
    let unchanged = awaiting.clone().fund(funding, HEIGHT).unwrap_err();
    assert_eq!(unchanged.why, UnfitFunding::OtherChannels);
    assert_eq!(unchanged.state, awaiting);
}
