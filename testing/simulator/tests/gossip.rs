//! What nodes tell each other of their own channels (BOLT 7).

use bitcoin::Amount;
use quittance_channel::opening::ChannelType;
use quittance_channel::{Attached, ForwardingPolicy};
use quittance_manager::{Command, GossipToSign, Input, NewChannel, Outgoing, Response};
use quittance_primitives::{
    ChannelId, CltvExpiryDelta, Feature, FeeratePerKw, MilliSatoshi, PaymentId, ShortChannelId,
};
use quittance_simulator::{ChannelSetup, End, RowsAfterCrash, World};
use quittance_store::memory::Keep;
use quittance_transactions::CommitmentFormat;
use quittance_wire::{ChannelUpdate, GossipTimestampFilter, Message};

const AMOUNT: MilliSatoshi = MilliSatoshi(50_000_000);

/// Symptom: invoices had no hint where the peer was LDK and the channel went by its alias. Cause: LDK calls the channel by its place in what it
/// says to us, as BOLT 7 allows, and we did not know it by that.
#[test]
fn a_peer_may_call_a_channel_by_its_place_where_others_may_not() {
    let mut world = World::new(2, 1);
    world.features = world.features.clone().offering(Feature::ScidAlias);
    world.connect(0, 1);
    let new = NewChannel {
        peer: world.nodes[1].id(),
        capacity: Amount::from_sat(1_000_000),
        push: MilliSatoshi(0),
        channel_type: Some(ChannelType {
            scid_alias: true,
            ..ChannelType::basic(CommitmentFormat::Anchors)
        }),
        announce: false,
        feerate: FeeratePerKw(1_000),
        keys: world.nodes[0].signer.new_channel_keys(),
    };
    world.command(0, Command::OpenChannel(Box::new(new)));
    world.settle();
    world.mine(6);
    world.tick();
    let state = world.nodes[1].channel_with(&world.nodes[0].id()).unwrap().state();
    let (id, place) = (state.facts.channel_id, state.funding.unwrap().short_channel_id);
    assert!(!state.is_named(place));
    let heard = world.heard(1, id).unwrap().clone();
    let by_place = ChannelUpdate {
        short_channel_id: place,
        timestamp: heard.timestamp + 60,
        fee_base_msat: 77,
        ..heard
    };
    say(&mut world, 0, 1, by_place);
    assert_eq!(world.heard(1, id).unwrap().fee_base_msat, 77);
}

/// A node and its peers in a line, a second after they met.
fn line(nodes: u8) -> (World, Vec<ChannelId>) {
    let mut world = World::new(nodes, 1);
    let pairs = (1..usize::from(nodes)).map(|node| (node - 1, node));
    let channels: Vec<_> = pairs
        .map(|(one, other)| world.open_channel(one, other, &ChannelSetup::default()))
        .collect();
    world.tick();
    (world, channels)
}

fn count(world: &World, node: usize, name: &str) -> usize {
    world.nodes[node].sent.iter().filter(|sent| **sent == name).count()
}

/// `from` says this to `to`, under its own signature.
fn say(world: &mut World, from: usize, to: usize, update: ChannelUpdate) {
    let signed = world.nodes[from].complete(Outgoing::Gossip(Box::new(GossipToSign::Update(update))));
    bring(world, from, to, signed);
}

fn bring(world: &mut World, from: usize, to: usize, message: impl Into<Message>) {
    world.say(from, to, &message.into());
    world.settle();
}

#[test]
fn each_end_hears_what_the_other_goes_by_and_is_told_once() {
    let (mut world, channels) = line(2);
    let policy = world.policy(0, channels[0]).unwrap();
    let heard = world.heard(1, channels[0]).unwrap().clone();
    assert_eq!(MilliSatoshi(u64::from(heard.fee_base_msat)), policy.fee_base);
    assert_eq!(heard.cltv_expiry_delta, policy.cltv_expiry_delta);
    assert_eq!(
        heard.htlc_maximum_msat,
        MilliSatoshi(10_000_000_000),
        "no more than it holds"
    );
    let direction = u8::from(world.nodes[0].id() > world.nodes[1].id());
    assert_eq!(heard.channel_flags, direction);
    assert_eq!(heard.message_flags, 3, "for this peer alone");
    let key = world.nodes[0].id().public_key().unwrap();
    let verified = secp256k1::SECP256K1.verify_ecdsa(&heard.signature_hash(), &heard.signature, &key);
    assert_eq!(verified, Ok(()));
    let told = count(&world, 0, "channel_update");
    let invoice = world.invoice(1, AMOUNT);
    world.pay(0, 1, PaymentId([1; 32]), &invoice, AMOUNT, Vec::new());
    world.settle();
    assert_eq!(count(&world, 0, "channel_update"), told, "nothing has changed");
    world.checker.assert_kept();
}

#[test]
fn a_reconnection_says_the_same_words_and_writes_nothing() {
    let (mut world, channels) = line(2);
    let before = (world.heard(1, channels[0]).cloned(), world.lsn(0), world.lsn(1));
    world.now_ms += 3_600_000;
    world.disconnect(0, 1);
    world.connect(0, 1);
    world.settle();
    assert_eq!(
        (world.heard(1, channels[0]).cloned(), world.lsn(0), world.lsn(1)),
        before
    );
    assert_eq!(count(&world, 0, "channel_update"), 2);
}

#[test]
fn what_was_heard_survives_a_restart_and_is_heard_again_when_rows_are_lost() {
    let (mut world, channels) = line(2);
    let heard = world.heard(1, channels[0]).cloned();
    world.crash(1, Keep::All, RowsAfterCrash::Whole);
    world.start(1);
    assert_eq!(world.heard(1, channels[0]).cloned(), heard, "it has a row");
    world.crash(1, Keep::All, RowsAfterCrash::Lost);
    world.start(1);
    assert_eq!(world.heard(1, channels[0]), None);
    world.reconnect();
    assert_eq!(world.heard(1, channels[0]).cloned(), heard, "its peer said it again");
}

#[test]
fn a_change_is_told_at_once_with_a_later_time_and_the_old_terms_hold_for_ten_minutes() {
    let (mut world, channels) = line(3);
    let (invoices, old_hint) = ([(); 2].map(|()| world.invoice(2, AMOUNT)), world.hint_as_told(1, 2));
    let before = world.heard(2, channels[1]).unwrap().timestamp;
    let policy = ForwardingPolicy {
        fee_base: MilliSatoshi(9_000),
        ..world.policy(1, channels[1]).unwrap()
    };
    world.set_policy(1, channels[1], policy);
    world.settle();
    let heard = world.heard(2, channels[1]).unwrap();
    assert_eq!(heard.fee_base_msat, 9_000);
    assert!(heard.timestamp > before, "{} after {before}", heard.timestamp);

    world.pay(0, 2, PaymentId([1; 32]), &invoices[0], AMOUNT, vec![vec![old_hint]]);
    world.settle();
    let end = world.checker.end_of(0, PaymentId([1; 32]));
    assert!(matches!(end, Some(End::Sent { .. })), "{end:?}");
    world.now_ms += 600_000;
    world.tick();
    world.pay(0, 2, PaymentId([2; 32]), &invoices[1], AMOUNT, vec![vec![old_hint]]);
    world.settle();
    let end = world.checker.end_of(0, PaymentId([2; 32]));
    assert!(matches!(end, Some(End::Failed(_))), "{end:?}");
    world.checker.assert_kept();
}

#[test]
fn a_policy_that_would_lose_money_is_refused() {
    let (mut world, channels) = line(2);
    let policy = world.policy(0, channels[0]).unwrap();
    let bad = ForwardingPolicy {
        cltv_expiry_delta: CltvExpiryDelta(33),
        ..policy
    };
    let request = world.command(0, Command::SetPolicy(channels[0], bad));
    let Some(Response::ChannelRefused(_, why)) = world.nodes[0].user.responses.get(&request) else {
        panic!("it is refused")
    };
    assert_eq!(
        why.to_string(),
        "a CLTV delta of 33 blocks; below 34 there is no time to claim on chain what we forward"
    );
    assert_eq!(world.policy(0, channels[0]), Some(policy));
}

#[test]
fn after_a_week_the_same_is_said_again_under_a_later_time() {
    let (mut world, channels) = line(2);
    let before = world.heard(1, channels[0]).unwrap().clone();
    world.now_ms += 7 * 24 * 3_600_000;
    world.tick();
    let after = world.heard(1, channels[0]).unwrap();
    assert_eq!(after.checksum(), before.checksum());
    assert!(after.timestamp >= before.timestamp + 7 * 24 * 3_600);
}

#[test]
fn only_the_peers_own_news_of_our_channel_is_kept() {
    let (mut world, channels) = line(2);
    let heard = world.heard(1, channels[0]).unwrap().clone();
    let news = ChannelUpdate {
        timestamp: heard.timestamp + 60,
        fee_base_msat: 77,
        ..heard.clone()
    };
    let others = [
        (
            "not newer",
            ChannelUpdate {
                timestamp: heard.timestamp,
                ..news.clone()
            },
        ),
        (
            "of the far future",
            ChannelUpdate {
                timestamp: u32::MAX,
                ..news.clone()
            },
        ),
        (
            "of our end",
            ChannelUpdate {
                channel_flags: heard.channel_flags ^ 1,
                ..news.clone()
            },
        ),
        (
            "of another chain",
            ChannelUpdate {
                chain_hash: bitcoin::constants::ChainHash::BITCOIN,
                ..news.clone()
            },
        ),
        (
            "of another channel",
            ChannelUpdate {
                short_channel_id: ShortChannelId(7),
                ..news.clone()
            },
        ),
    ];
    for (what, update) in others {
        say(&mut world, 0, 1, update);
        assert_eq!(world.heard(1, channels[0]), Some(&heard), "{what}");
    }
    assert_eq!(count(&world, 1, "warning"), 0);
    bring(&mut world, 0, 1, news.clone());
    assert_eq!(
        world.heard(1, channels[0]),
        Some(&heard),
        "with a signature of something else"
    );
    assert_eq!(count(&world, 1, "warning"), 1);
    assert!(world.is_connected(0, 1), "a channel is worth more");
    say(&mut world, 0, 1, news);
    assert_eq!(world.heard(1, channels[0]).unwrap().fee_base_msat, 77);
}

/// 0 and 1 have a channel that is to be known, and 1 one with 2 that is not.
fn with_public() -> (World, ChannelId) {
    let mut world = World::new(3, 1);
    let public = ChannelSetup {
        announce: true,
        ..ChannelSetup::default()
    };
    world.open_channel(1, 2, &ChannelSetup::default());
    let channel = world.open_channel(0, 1, &public);
    world.tick();
    (world, channel)
}

/// The names of what `from` sent to `to` lately, beginning with an announcement.
fn from_announcement(world: &World, from: usize, to: usize) -> Vec<&'static str> {
    let sent = world.sent_lately(from, to);
    let names = sent.iter().map(Message::name);
    names.skip_while(|name| *name != "channel_announcement").collect()
}

#[test]
fn a_public_channel_is_announced_at_six_blocks_and_no_sooner() {
    let (mut world, channel) = with_public();
    world.mine(2);
    assert_eq!(count(&world, 0, "announcement_signatures"), 0, "five blocks");
    let private = world.heard(1, channel).unwrap().clone();
    assert_eq!(
        private.message_flags & ChannelUpdate::DONT_FORWARD,
        ChannelUpdate::DONT_FORWARD
    );
    world.mine(1);
    for node in [0, 1] {
        assert_eq!(count(&world, node, "announcement_signatures"), 1);
        assert!(count(&world, node, "channel_announcement") > 0);
    }
    let public = world.heard(1, channel).unwrap();
    assert_eq!(public.message_flags & ChannelUpdate::DONT_FORWARD, 0);
    assert!(public.timestamp > private.timestamp);
    // 1 hears the public terms of 0 after it announced the channel, and passes nothing on by itself.
    let heard = from_announcement(&world, 1, 2);
    assert_eq!(heard, ["channel_announcement", "channel_update", "node_announcement"]);
    world.checker.assert_kept();
}

/// Symptom: LDK did not know what a node of ours calls itself. Cause: it drops a `node_announcement` that comes just when it has checked the
/// channel that was announced before, and not added it yet ("No existing channels for node_announcement", by its log); and we said it once.
#[test]
fn what_a_node_calls_itself_is_said_again_a_minute_after_its_channel_was_announced() {
    let (mut world, _) = with_public();
    world.mine(3);
    assert_eq!(count(&world, 0, "node_announcement"), 1);
    wait(&mut world, 50);
    assert_eq!(count(&world, 0, "node_announcement"), 1, "a minute is not over");
    wait(&mut world, 10);
    assert_eq!(count(&world, 0, "node_announcement"), 2);
    wait(&mut world, 600);
    assert_eq!(count(&world, 0, "node_announcement"), 2, "once");
    let said = world.sent_lately(0, 1);
    let mut said = said.iter().filter(|message| message.name() == "node_announcement");
    assert_eq!(said.next(), said.next(), "the same word, of the same time");
    world.checker.assert_kept();
}

#[test]
fn a_node_whose_channel_is_gone_by_then_says_nothing_again() {
    let (mut world, channel) = with_public();
    world.mine(3);
    world.checker.closable = true;
    world.command(0, Command::ForceClose(channel));
    world.settle();
    wait(&mut world, 60);
    assert_eq!(count(&world, 0, "node_announcement"), 1);
    world.checker.assert_kept();
}

/// A wish to hear what others say from a time on, in seconds since 1970.
fn filter(first_timestamp: u32) -> Message {
    let filter = GossipTimestampFilter {
        chain_hash: bitcoin::constants::ChainHash::REGTEST,
        first_timestamp,
        timestamp_range: u32::MAX,
    };
    filter.into()
}

/// The fees of 0 that 1 told 2 of, and how often it told what 0 calls itself.
fn passed_on(world: &World) -> (Vec<u32>, usize) {
    let zero = world.nodes[0].id();
    let (mut fees, mut nodes) = (Vec::new(), 0);
    for message in world.sent_lately(1, 2) {
        match message {
            Message::ChannelUpdate(update) => {
                let hash = update.signature_hash();
                let key = zero.public_key().expect("it is a node's");
                if secp256k1::SECP256K1
                    .verify_ecdsa(&hash, &update.signature, &key)
                    .is_ok()
                {
                    fees.push(update.fee_base_msat);
                }
            }
            Message::NodeAnnouncement(node) if node.node_id == zero => nodes += 1,
            _ => {}
        }
    }
    (fees, nodes)
}

fn wait(world: &mut World, seconds: u64) {
    world.now_ms += seconds * 1_000;
    world.tick();
}

#[test]
fn what_the_other_end_says_to_everybody_is_passed_on_once_a_minute_and_its_last_word_alone() {
    let (mut world, channel) = with_public();
    bring(&mut world, 2, 1, filter(0));
    world.mine(3);
    assert_eq!(passed_on(&world), (Vec::new(), 0));
    wait(&mut world, 60);
    assert_eq!(passed_on(&world), (vec![1_000], 1), "with the announcement");
    for fee in [2_000, 3_000] {
        let policy = ForwardingPolicy {
            fee_base: MilliSatoshi(fee),
            ..world.policy(0, channel).unwrap()
        };
        world.set_policy(0, channel, policy);
        world.settle();
    }
    wait(&mut world, 50);
    assert_eq!(passed_on(&world), (vec![1_000], 1), "a minute is not over");
    wait(&mut world, 10);
    assert_eq!(passed_on(&world), (vec![1_000, 3_000], 1));
    wait(&mut world, 60);
    assert_eq!(passed_on(&world), (vec![1_000, 3_000], 1), "once");
    world.checker.assert_kept();
}

#[test]
fn what_others_say_goes_to_nobody_who_did_not_ask_for_it() {
    let (mut world, channel) = with_public();
    world.mine(3);
    wait(&mut world, 60);
    assert_eq!(passed_on(&world), (Vec::new(), 0), "2 has not asked");
    world.disconnect(1, 2);
    world.connect(1, 2);
    world.settle();
    let heard = ["channel_announcement", "channel_update", "node_announcement"];
    let mut greeting = from_announcement(&world, 1, 2);
    greeting.truncate(3);
    assert_eq!(greeting, heard);
    assert_eq!(passed_on(&world), (Vec::new(), 0), "nor now");
    bring(&mut world, 2, 1, filter(0));
    assert_eq!(passed_on(&world), (vec![1_000], 1), "it is told at once");
    bring(&mut world, 2, 1, filter(u32::MAX));
    let heard = world.heard(1, channel).unwrap().clone();
    let news = ChannelUpdate {
        timestamp: heard.timestamp + 60,
        fee_base_msat: 2_000,
        ..heard
    };
    say(&mut world, 0, 1, news);
    wait(&mut world, 60);
    assert_eq!(passed_on(&world), (vec![1_000], 1), "it wants no more");
}

#[test]
fn a_peer_makes_us_write_no_more_than_is_listened_to_and_its_last_word_is_kept() {
    let (mut world, channels) = line(2);
    let heard = world.heard(1, channels[0]).unwrap().clone();
    let before = world.lsn(1);
    for number in 1..=100 {
        let news = ChannelUpdate {
            timestamp: heard.timestamp + number,
            fee_base_msat: number,
            ..heard.clone()
        };
        say(&mut world, 0, 1, news);
    }
    let fee = |world: &World| world.heard(1, channels[0]).unwrap().fee_base_msat;
    let written = world.lsn(1).0 - before.0;
    assert!(written <= 10, "{written} rows for 100 updates");
    assert!(fee(&world) < 100);
    wait(&mut world, 60);
    assert_eq!(fee(&world), 100, "the last word");
    let late = ChannelUpdate {
        timestamp: heard.timestamp + 50,
        ..heard
    };
    say(&mut world, 0, 1, late);
    wait(&mut world, 60);
    assert_eq!(fee(&world), 100, "no older one after it");
    world.checker.assert_kept();
}

#[test]
fn both_halves_are_sent_once_for_each_connection_until_both_are_there() {
    let (mut world, _) = with_public();
    world.cut = Some(quittance_simulator::Cut {
        from: 0,
        to: 1,
        message: "announcement_signatures",
        arrives: quittance_simulator::Arrives::No,
    });
    world.mine(3);
    assert!(!world.is_connected(0, 1));
    world.connect(0, 1);
    world.settle();
    let sent = [0, 1].map(|node| count(&world, node, "announcement_signatures"));
    assert!(sent.iter().all(|sent| (1..=2).contains(sent)), "{sent:?}");
    assert!(count(&world, 0, "channel_announcement") > 0 && count(&world, 1, "channel_announcement") > 0);
    for _ in 0..3 {
        world.disconnect(0, 1);
        world.connect(0, 1);
        world.settle();
    }
    assert_eq!(
        [0, 1].map(|node| count(&world, node, "announcement_signatures")),
        sent,
        "nobody needs more"
    );
    world.checker.assert_kept();
}

/// Symptom: a public channel that a reorganisation had moved was announced under its new name only after its peers had connected again. Cause: on
/// one connection our half of the signatures left once, for whatever place.
#[test]
fn a_channel_that_a_reorganisation_has_moved_is_announced_anew_on_the_same_connection() {
    let (mut world, channel) = with_public();
    world.mine(3);
    let before = world.hint(1, 0).short_channel_id;
    assert!(world.checker.has_announced(0, before) && world.checker.has_announced(1, before));
    let halves = [0, 1].map(|node| count(&world, node, "announcement_signatures"));
    world.displace(7, false);
    world.settle();
    let after = world.hint(1, 0).short_channel_id;
    assert_ne!(before, after);
    for node in [0, 1] {
        assert!(world.checker.has_announced(node, after), "by {node}");
        assert_eq!(count(&world, node, "announcement_signatures"), halves[node] + 1);
    }
    assert_eq!(world.heard(1, channel).unwrap().short_channel_id, after);
    world.checker.assert_kept();
}

#[test]
fn signatures_of_something_else_are_answered_by_a_warning() {
    let (mut world, channel) = with_public();
    let half = quittance_wire::AnnouncementSignatures {
        channel_id: channel,
        short_channel_id: ShortChannelId(7),
        node_signature: GossipToSign::unsigned(),
        bitcoin_signature: GossipToSign::unsigned(),
    };
    bring(&mut world, 1, 0, half.clone());
    assert_eq!(count(&world, 0, "warning"), 1, "of another channel");
    let name = world.hint(1, 0).short_channel_id;
    let false_half = quittance_wire::AnnouncementSignatures {
        short_channel_id: name,
        ..half
    };
    bring(&mut world, 1, 0, false_half);
    assert_eq!(count(&world, 0, "warning"), 2, "falsely signed");
    assert!(world.is_connected(0, 1));
}

#[test]
fn a_peer_that_stays_away_makes_its_channel_unusable_for_others_until_it_is_back() {
    let (mut world, channel) = with_public();
    world.mine(3);
    let disabled = |world: &World| {
        let sent = world.sent_lately(1, 2);
        let mut updates = sent.iter().filter_map(|message| match message {
            Message::ChannelUpdate(update) => Some(update.channel_flags & ChannelUpdate::DISABLE != 0),
            _ => None,
        });
        updates.next_back()
    };
    assert_eq!(disabled(&world), Some(false));
    world.disconnect(0, 1);
    world.now_ms += 19 * 60_000;
    world.tick();
    assert_eq!(disabled(&world), Some(false), "it may be back soon");
    world.now_ms += 60_000;
    world.tick();
    assert_eq!(disabled(&world), Some(true));
    let told = count(&world, 1, "channel_update");
    world.tick();
    assert_eq!(count(&world, 1, "channel_update"), told, "once");
    world.connect(0, 1);
    world.settle();
    assert_eq!(disabled(&world), Some(false));
    assert_eq!(
        world.heard(0, channel).unwrap().channel_flags & ChannelUpdate::DISABLE,
        0
    );
    world.checker.assert_kept();
}

#[test]
fn queries_are_answered_for_our_own_channels() {
    use bitcoin::constants::ChainHash;
    use quittance_wire::{EncodedShortIds, QueryChannelRange, QueryShortChannelIds};
    let (mut world, channel) = with_public();
    world.mine(3);
    let name = world.hint(1, 0).short_channel_id;
    let range = QueryChannelRange {
        chain_hash: ChainHash::REGTEST,
        first_blocknum: name.block().0,
        number_of_blocks: 1,
        query_option: Some(quittance_wire::BigSize(3)),
    };
    bring(&mut world, 2, 1, range.clone());
    let Some(Message::ReplyChannelRange(reply)) = world.sent_lately(1, 2).pop() else {
        panic!("it is answered")
    };
    assert_eq!((reply.encoded_short_ids.0, reply.sync_complete), (vec![name], 1));
    let times = &reply.timestamps_tlv.unwrap().0[0];
    let heard = [0, 1].map(|node| world.heard(node, channel).unwrap().clone());
    let [of_one, of_zero] = &heard;
    let zero_is_first = world.nodes[0].id() < world.nodes[1].id();
    let (first, second) = if zero_is_first {
        (of_zero, of_one)
    } else {
        (of_one, of_zero)
    };
    assert_eq!(
        (times.timestamp_node_id_1, times.timestamp_node_id_2),
        (first.timestamp, second.timestamp)
    );
    let sums = &reply.checksums_tlv.unwrap()[0];
    assert_eq!(
        (sums.checksum_node_id_1, sums.checksum_node_id_2),
        (first.checksum(), second.checksum())
    );
    let later = QueryChannelRange {
        first_blocknum: name.block().0 + 1,
        ..range
    };
    bring(&mut world, 2, 1, later);
    let Some(Message::ReplyChannelRange(reply)) = world.sent_lately(1, 2).pop() else {
        panic!("it is answered")
    };
    assert_eq!(reply.encoded_short_ids.0, [], "there is none in those blocks");

    let query = QueryShortChannelIds {
        chain_hash: ChainHash::REGTEST,
        encoded_short_ids: EncodedShortIds(vec![name, ShortChannelId(7), name]),
        query_flags: None,
    };
    bring(&mut world, 2, 1, query);
    let whole = [
        "channel_announcement",
        "channel_update",
        "channel_update",
        "node_announcement",
        "node_announcement",
    ];
    let mut answer = from_announcement(&world, 1, 2);
    let last = answer.split_off(answer.len() - 6);
    assert_eq!(last, [&whole[..], &["reply_short_channel_ids_end"]].concat());

    bring(&mut world, 2, 1, filter(0));
    let mut sent: Vec<_> = world.sent_lately(1, 2).iter().map(Message::name).collect();
    assert_eq!(sent.split_off(sent.len() - 5), whole);
    let before = world.nodes[1].sent.len();
    bring(&mut world, 2, 1, filter(u32::MAX));
    assert_eq!(world.nodes[1].sent.len(), before, "nothing is of that time");
    world.checker.assert_kept();
}

/// The checker's own test: an engine that answers what nobody asked, or twice, would be found.
#[test]
fn an_answer_to_no_question_is_found() {
    let (mut world, _) = with_public();
    let query = quittance_wire::QueryShortChannelIds {
        chain_hash: bitcoin::constants::ChainHash::REGTEST,
        encoded_short_ids: quittance_wire::EncodedShortIds(vec![ShortChannelId(7)]),
        query_flags: None,
    };
    bring(&mut world, 2, 1, query.clone());
    world.checker.assert_kept();
    // It comes by no wire, so the world knows of no question.
    let unheard = Input::PeerMessage {
        peer: world.nodes[2].id(),
        message: Box::new(query.into()),
        attached: Attached::Nothing,
    };
    world.input(1, unheard);
    world.settle();
    let found: Vec<_> = world.checker.broken.iter().map(|broken| broken.what.as_str()).collect();
    assert_eq!(
        found,
        ["node 1 answers 2 with the end of channels, and was not asked for them"]
    );
}
