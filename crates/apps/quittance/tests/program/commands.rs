//! Commands over a town of three nodes with channels.

use quittance_api::{
    Balance, ClaimableWhy, Info, NewAddress, OnchainSent, Payment, PaymentList, PaymentState, ReceivedList,
};
use quittance_town::{ALICE, BOB, CAROL, Town};
use serde_json::json;

use quittance_api::Hex;

use crate::{complained, get, post, program, refused, said};

#[test]
fn payments_are_listed_from_the_newest_on_and_their_receipts_hold_without_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let alice = town.nodes[ALICE].caller().unwrap();
    for number in [3, 1, 2_u8] {
        let order = town.order(10_000 + u64::from(number), Hex([number; 32])).unwrap();
        order.give(alice).unwrap();
        town.settle(&[order]).unwrap();
    }
    // Confirmed or not makes no difference to the order.
    let first: PaymentList = alice.get("/v1/payments?limit=1").unwrap();
    let number = first.payments[0].event.unwrap();
    post(alice, "/v1/events/handled", &json!({"number": number - 1})).unwrap();
    let list = |path: &str| -> (Vec<u8>, Option<u64>) {
        let list: PaymentList = alice.get(path).unwrap();
        assert!(list.payments.iter().all(|payment| payment.state == PaymentState::Sent));
        (list.payments.iter().map(|payment| payment.id.0[0]).collect(), list.next)
    };
    let (page, next) = list("/v1/payments?limit=2");
    assert_eq!(page, [2, 1]);
    let next = next.unwrap();
    assert_eq!(list(&format!("/v1/payments?limit=2&before={next}")), (vec![3], None));
    let shown = said(town.nodes[ALICE].command(&["payments", "--limit", "2"]).unwrap());
    assert!(
        shown.ends_with(&format!("older ones: quittance payments --before {next}")),
        "{shown}"
    );

    let receipt = said(
        town.nodes[ALICE]
            .command(&["receipt", &Hex([1; 32]).to_string()])
            .unwrap(),
    );
    let file = folder.path().join("receipt.json");
    std::fs::write(&file, &receipt).unwrap();
    let verify = || {
        town.nodes[BOB]
            .command(&["receipt", "--verify", file.to_str().unwrap()])
            .unwrap()
    };
    assert!(said(verify()).contains("was paid 10001 msat"));
    let preimage: serde_json::Value = serde_json::from_str(&receipt).unwrap();
    let forged = receipt.replace(preimage["preimage"].as_str().unwrap(), &"0".repeat(64));
    std::fs::write(&file, forged).unwrap();
    assert!(complained(verify()).contains("not valid"));
}

#[test]
fn payments_tell_when_they_began_and_ended_also_when_their_rows_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let before = now();
    let order = town.order(10_000, Hex([1; 32])).unwrap();
    order.give(town.nodes[ALICE].caller().unwrap()).unwrap();
    town.settle(&[order]).unwrap();
    let after = now();
    let path = format!("/v1/payments/{}", Hex([1; 32]));
    let payment = |town: &Town| town.nodes[ALICE].caller().unwrap().get::<Payment>(&path).unwrap();
    let paid = payment(&town);
    let (began, ended) = (paid.began_at_s.unwrap(), paid.ended_at_s.unwrap());
    assert!(
        before <= began && began <= ended && ended <= after,
        "{before} {began} {ended} {after}"
    );
    let list: PaymentList = town.nodes[ALICE].caller().unwrap().get("/v1/payments").unwrap();
    assert_eq!(list.payments, std::slice::from_ref(&paid));
    let shown = said(town.nodes[ALICE].command(&["payments"]).unwrap());
    assert!(shown.contains("began") && shown.contains(" UTC"), "{shown}");

    said(town.nodes[ALICE].command(&["stop"]).unwrap());
    town.nodes[ALICE].wait().unwrap();
    said(town.nodes[ALICE].command(&["rebuild"]).unwrap());
    town.start(ALICE).unwrap();
    assert_eq!(payment(&town), paid);
}

#[test]
fn what_was_received_is_listed_from_the_newest_on_also_when_rows_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    assert!(said(town.nodes[CAROL].command(&["received"]).unwrap()).contains("next: quittance invoice"));
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let before = now();
    for number in [3, 1, 2_u8] {
        let order = town.order(10_000 + u64::from(number), Hex([number; 32])).unwrap();
        order.give(town.nodes[ALICE].caller().unwrap()).unwrap();
        town.settle(&[order]).unwrap();
    }
    let list = |town: &Town, path: &str| town.nodes[CAROL].caller().unwrap().get::<ReceivedList>(path).unwrap();
    let all = list(&town, "/v1/received").payments;
    let amounts: Vec<_> = all.iter().map(|received| received.amount_msat).collect();
    assert_eq!(amounts, [10_002, 10_001, 10_003]);
    assert!(
        all.iter()
            .all(|received| (before..=now()).contains(&received.claimed_at_s))
    );
    let alice = town.nodes[ALICE].caller().unwrap();
    let paid: Payment = alice.get(&format!("/v1/payments/{}", Hex([2; 32]))).unwrap();
    assert_eq!(
        (paid.payment_hash, paid.preimage),
        (all[0].payment_hash, Some(all[0].preimage))
    );

    let page = list(&town, "/v1/received?limit=2");
    assert_eq!(page.payments, all[..2]);
    let next = page.next.unwrap();
    assert_eq!(list(&town, &format!("/v1/received?before={next}")).payments, all[2..]);
    let shown = said(town.nodes[CAROL].command(&["received", "--limit", "2"]).unwrap());
    assert!(
        shown.ends_with(&format!("older ones: quittance received --before {next}")),
        "{shown}"
    );

    said(town.nodes[CAROL].command(&["stop"]).unwrap());
    town.nodes[CAROL].wait().unwrap();
    said(town.nodes[CAROL].command(&["rebuild"]).unwrap());
    town.start(CAROL).unwrap();
    assert_eq!(list(&town, "/v1/received").payments, all);
}

#[test]
fn a_node_without_its_manager_rows_still_calls_its_peers() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    let bob = town.nodes[BOB].caller().unwrap().get::<Info>("/v1/info").unwrap().id;
    let peer = format!("{bob}@{}", town.nodes[BOB].listen);
    said(town.nodes[ALICE].command(&["connect", &peer]).unwrap());
    said(town.nodes[ALICE].command(&["stop"]).unwrap());
    assert_eq!(town.nodes[ALICE].wait().unwrap().code(), Some(0));
    assert!(said(town.nodes[ALICE].command(&["verify"]).unwrap()).contains("the store is whole"));
    said(town.nodes[ALICE].command(&["rebuild"]).unwrap());
    // Nothing but its own files tells it of Bob.
    town.nodes[ALICE].start(&[]).unwrap();
    town.wait_until_usable().unwrap();
    let order = town.order(50_000, Hex([9; 32])).unwrap();
    order.give(town.nodes[ALICE].caller().unwrap()).unwrap();
    town.settle(&[order]).unwrap();

    said(town.nodes[ALICE].command(&["disconnect", &bob.to_string()]).unwrap());
    let book = std::fs::read_to_string(town.nodes[ALICE].folder.join("peers")).unwrap();
    assert_eq!(book, "", "who was disconnected on purpose is not called again");
}

#[test]
fn a_payment_on_chain_is_replaced_by_one_with_a_higher_fee() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    let carol: NewAddress = town.nodes[CAROL]
        .caller()
        .unwrap()
        .post("/v1/address", &json!({}))
        .unwrap();
    let alice = &town.nodes[ALICE];
    let sent = said(
        alice
            .command(&["--json", "send-onchain", &carol.address, "250000", "--feerate", "300"])
            .unwrap(),
    );
    let sent: OnchainSent = serde_json::from_str(&sent).unwrap();
    let low = alice.command(&["bump", &sent.txid, "--feerate", "301"]).unwrap();
    assert!(complained(low).contains("must pay more"));
    let bumped = said(
        alice
            .command(&["--json", "bump", &sent.txid, "--feerate", "5000"])
            .unwrap(),
    );
    let bumped: OnchainSent = serde_json::from_str(&bumped).unwrap();
    assert_ne!(bumped.txid, sent.txid);
    let caller = alice.caller().unwrap();
    let unknown = post(caller, &format!("/v1/onchain/{}/bump", "0".repeat(64)), &json!({}));
    let (status, code, _) = refused(unknown);
    assert_eq!((status, code.as_str()), (409, "refused"));
    Town::wait_for("the replacement is in the mempool", || {
        Ok(town.ground.holds(&bumped.txid))
    })
    .unwrap();
    assert!(!town.ground.holds(&sent.txid));
    town.mine(6).unwrap();
    Town::wait_for("Carol has it once", || {
        let balance: Balance = town.nodes[CAROL].caller()?.get("/v1/balance")?;
        Ok(balance.confirmed_sat == 250_000)
    })
    .unwrap();
    town.wait_for_height().unwrap();
    let late = town.nodes[ALICE]
        .command(&["bump", &bumped.txid, "--feerate", "9000"])
        .unwrap();
    assert!(complained(late).contains("is confirmed already"));
}

#[test]
fn words_are_signed_by_the_node_and_checked_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut node, _ground) = crate::alone(folder.path());
    let id = node.start(&[]).unwrap().id.to_string();
    let signature = said(node.command(&["sign", "this is my node"]).unwrap());
    let by_interface = post(
        node.caller().unwrap(),
        "/v1/check",
        &json!({"message": "this is my node", "signature": signature}),
    );
    assert_eq!(by_interface.unwrap()["node"], json!(id));
    node.kill().unwrap();
    let check = |message: &str, signature: &str| {
        let arguments = ["check", message, signature, "--node", &id];
        node.command(&arguments).unwrap()
    };
    assert_eq!(said(check("this is my node", &signature)), format!("signed by {id}"));
    assert!(complained(check("this is your node", &signature)).contains("not signed by"));
    assert!(complained(check("this is my node", "nonsense")).contains("none of a node's"));
}

#[test]
fn completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let (node, _ground) = crate::alone(folder.path());
    for shell in ["bash", "zsh", "fish"] {
        let script = said(node.command(&["completions", shell]).unwrap());
        for command in [
            "backup",
            "restore",
            "unlock",
            "bump",
            "sign",
            "check",
            "set-fees",
            "send-onchain",
        ] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}

#[test]
fn the_feerate_of_a_channel_is_set_by_its_opener_and_a_close_by_force_needs_no_peer() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let channel = town.channels(ALICE).unwrap().channels[0].id.to_string();
    said(
        town.nodes[ALICE]
            .command(&["set-feerate", &channel[..12], "2000"])
            .unwrap(),
    );
    let by_other = town.nodes[BOB].command(&["set-feerate", &channel, "2000"]).unwrap();
    assert!(complained(by_other).contains(&format!("channel {channel}")));
    let fees = ["set-fees", &channel, "--base-msat", "7", "--ppm", "11"];
    said(town.nodes[ALICE].command(&fees).unwrap());
    let ours = town.channels(ALICE).unwrap().channels.remove(0);
    assert_eq!((ours.fee_base_msat, ours.fee_proportional_millionths), (7, 11));
    let (status, code, _) = refused(get(town.nodes[ALICE].caller().unwrap(), "/v1/channels/00/close"));
    assert_eq!((status, code.as_str()), (405, "method_not_allowed"));
    said(town.nodes[BOB].command(&["quiesce", &channel[..12]]).unwrap());
    Town::wait_for("the channel rests", || {
        Ok(town.channels(ALICE)?.channels[0].state == "quiescent")
    })
    .unwrap();
    let again = town.nodes[ALICE].command(&["quiesce", &channel]).unwrap();
    assert!(complained(again).contains("quiescent"));
    town.nodes[BOB].kill().unwrap();
    said(town.nodes[ALICE].command(&["close", &channel, "--force"]).unwrap());
    Town::wait_for("the commitment is in the mempool", || Ok(town.ground.waiting() > 0)).unwrap();
    let closing = town.channels(ALICE).unwrap().channels.remove(0);
    assert_eq!(closing.state, "force_closing");
    let [on_close] = closing.claimable.as_slice() else {
        panic!("what is to come is said: {:?}", closing.claimable);
    };
    assert_eq!((on_close.why, on_close.from_height), (ClaimableWhy::OnClose, None));
    // It is all of Alice's, but for the commitment's fee.
    let ours = closing.ours_msat / 1_000;
    assert!(on_close.amount_sat <= ours && on_close.amount_sat + 10_000 > ours);
    let balance: Balance = town.nodes[ALICE].caller().unwrap().get("/v1/balance").unwrap();
    assert_eq!((balance.channels_msat, balance.closing_sat), (0, on_close.amount_sat));
    town.ground.mine(1).unwrap();
    Town::wait_for("the delay is known", || {
        let parts = town.channels(ALICE)?.channels.remove(0).claimable;
        Ok(parts
            .iter()
            .any(|part| part.why == ClaimableWhy::Waiting && part.from_height.is_some()))
    })
    .unwrap();
    let shown = said(town.nodes[ALICE].command(&["channels"]).unwrap());
    assert!(
        shown.contains("to come from channels that close") && shown.contains("waiting"),
        "{shown}"
    );
}

/// Symptom: of a probe in several parts the last to fail decided what was said of all.
#[test]
fn a_probe_goes_in_one_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let bob = town.nodes[BOB].caller().unwrap().get::<Info>("/v1/info").unwrap().id;
    let open = json!({"peer": bob, "capacity_sat": 5_000_000});
    post(town.nodes[ALICE].caller().unwrap(), "/v1/channels", &open).unwrap();
    Town::wait_for("the funding is in the mempool", || Ok(town.ground.waiting() > 0)).unwrap();
    town.mine(8).unwrap();
    let channels = |town: &Town| town.channels(ALICE).unwrap().channels;
    Town::wait_for("both channels can be used", || {
        Ok(channels(&town).iter().filter(|channel| channel.state == "open").count() == 2)
    })
    .unwrap();
    town.wait_for_height().unwrap();
    let alice = town.nodes[ALICE].caller().unwrap();
    let probe = |amount_msat: u64, routes: serde_json::Value| {
        post(
            alice,
            "/v1/probe",
            &json!({"node": bob, "amount_msat": amount_msat, "routes": routes}),
        )
    };
    assert_eq!(probe(8_000_000_000, json!([])).unwrap()["reached"], true);
    // Both channels could carry it together.
    let (status, code, message) = refused(probe(12_000_000_000, json!([])));
    assert_eq!((status, code.as_str()), (409, "refused"), "{message}");
    assert!(message.contains("is to carry"), "{message}");

    let names = channels(&town)
        .into_iter()
        .map(|channel| channel.short_channel_id.unwrap());
    let routes: Vec<_> = names
        .map(|name| json!([{"node": bob, "short_channel_id": name, "amount_msat": 1_000_000}]))
        .collect();
    let (status, code, message) = refused(probe(2_000_000, json!(routes)));
    assert_eq!((status, code.as_str()), (409, "refused"), "{message}");
    assert!(message.contains("2 routes, more than 1 parts"), "{message}");
    assert_eq!(probe(1_000_000, json!([routes[0]])).unwrap()["reached"], true);
}

/// Symptom: of two changes at the same time one was lost, since each was merged into what had been before either.
#[test]
fn changes_of_a_policy_at_the_same_time_all_count() {
    let folder = tempfile::tempdir().unwrap();
    let town = Town::new(program(), folder.path(), None, &[]).unwrap();
    town.wait_until_usable().unwrap();
    let channel = town.channels(ALICE).unwrap().channels.remove(0).id;
    let alice = town.nodes[ALICE].caller().unwrap();
    let path = format!("/v1/channels/{channel}/policy");
    for number in 1..=20_u32 {
        let set = |change: serde_json::Value| post(alice, &path, &change).unwrap();
        std::thread::scope(|callers| {
            callers.spawn(|| set(json!({"fee_base_msat": number})));
            callers.spawn(|| set(json!({"fee_proportional_millionths": 100 + number})));
            callers.spawn(|| set(json!({"cltv_expiry_delta": 72 + number})));
        });
        let channel = town.channels(ALICE).unwrap().channels.remove(0);
        let set = (
            channel.fee_base_msat,
            channel.fee_proportional_millionths,
            channel.cltv_expiry_delta,
        );
        assert_eq!(set, (number.into(), 100 + number, u16::try_from(72 + number).unwrap()));
    }
}
