//! How answers look to people.

use quittance_api as api;
use serde::Serialize;

use super::{Outcome, json};
use crate::table::{Table, grouped, short, utc};

/// An answer, for people and for programs.
pub(super) trait Shown {
    /// For people.
    fn text(&self) -> String;
    /// For programs.
    fn json(&self) -> Result<String, serde_json::Error>;
}

/// Prints an answer.
pub(super) fn print(answer: &dyn Shown, as_json: bool) -> Outcome {
    let text = if as_json { answer.json()? } else { answer.text() };
    if !text.is_empty() {
        println!("{text}");
    }
    Ok(())
}

/// How a type looks to people.
trait Text {
    fn text(&self) -> String;
}

impl<T: Text + Serialize> Shown for T {
    fn text(&self) -> String {
        Text::text(self)
    }

    fn json(&self) -> Result<String, serde_json::Error> {
        json(self)
    }
}

fn lines(rows: &[(&str, String)]) -> String {
    let rows = rows.iter().map(|(name, value)| format!("{name:<18} {value}"));
    rows.collect::<Vec<_>>().join("\n")
}

impl Text for api::Done {
    fn text(&self) -> String {
        "done".to_owned()
    }
}

impl Text for api::Info {
    fn text(&self) -> String {
        lines(&[
            ("node", self.id.to_string()),
            ("version", self.version.clone()),
            ("network", self.network.clone()),
            ("height", self.height.to_string()),
            ("listening at", self.addresses.join(", ")),
            ("peers", self.peers.to_string()),
            ("channels", self.channels.to_string()),
            ("unhandled events", self.unhandled_events.to_string()),
            ("folder", self.folder.clone()),
        ])
    }
}

impl Text for api::NewAddress {
    fn text(&self) -> String {
        self.address.clone()
    }
}

impl Text for api::Balance {
    fn text(&self) -> String {
        lines(&[
            ("on chain", format!("{} sat", grouped(self.confirmed_sat))),
            ("  unconfirmed", format!("{} sat", grouped(self.unconfirmed_sat))),
            ("  reserved", format!("{} sat", grouped(self.reserved_sat))),
            ("in channels", format!("{} msat", grouped(self.channels_msat))),
            ("  sendable", format!("{} msat", grouped(self.sendable_msat))),
            ("closing", format!("{} sat", grouped(self.closing_sat))),
        ])
    }
}

impl Text for api::PeerList {
    fn text(&self) -> String {
        let mut table = Table::new(&["peer", "address", "called by", "seconds"]);
        for peer in &self.peers {
            let caller = if peer.inbound { "them" } else { "us" };
            table.row(vec![
                peer.id.to_string(),
                peer.address.clone(),
                caller.to_owned(),
                grouped(peer.connected_s),
            ]);
        }
        table.written("no peer is connected\n  next: quittance connect NODE@HOST:PORT")
    }
}

impl Text for api::ChannelOpened {
    fn text(&self) -> String {
        format!(
            "channel {}\nits funding transaction is on its way; `quittance channels` shows when it is open",
            self.id
        )
    }
}

impl Text for api::ChannelList {
    fn text(&self) -> String {
        let mut table = Table::new(&[
            "channel",
            "peer",
            "state",
            "now",
            "capacity sat",
            "ours msat",
            "theirs msat",
            "HTLCs",
        ]);
        for channel in &self.channels {
            let now = match (channel.awaiting_peer, channel.connected) {
                (true, _) => "awaits peer",
                (false, true) => "usable",
                (false, false) => "offline",
            };
            table.row(vec![
                short(channel.id),
                short(channel.peer),
                channel.state.clone(),
                now.to_owned(),
                grouped(channel.capacity_sat),
                grouped(channel.ours_msat),
                grouped(channel.theirs_msat),
                grouped(channel.htlcs),
            ]);
        }
        let text = table.written("there are no channels\n  next: quittance open NODE SAT");
        if self.channels.iter().all(|channel| channel.claimable.is_empty()) {
            return text;
        }
        format!(
            "{text}\n\nto come from channels that close, before fees:\n{}",
            claimable(&self.channels)
        )
    }
}

fn claimable(channels: &[api::Channel]) -> String {
    let mut table = Table::new(&["channel", "sat", "why", "from block", "until block"]);
    let height = |height: Option<u32>| height.map_or_else(|| "-".to_owned(), |height| height.to_string());
    for channel in channels {
        for part in &channel.claimable {
            table.row(vec![
                short(channel.id),
                grouped(part.amount_sat),
                part.why.name().to_owned(),
                height(part.from_height),
                height(part.until_height),
            ]);
        }
    }
    table.written("nothing is to come")
}

impl Text for api::Invoice {
    fn text(&self) -> String {
        self.invoice.clone()
    }
}

impl Text for api::Decoded {
    fn text(&self) -> String {
        let amount = self
            .amount_msat
            .map_or("as you like".to_owned(), |amount| format!("{} msat", grouped(amount)));
        let mut rows = vec![
            ("payee", self.payee.to_string()),
            ("amount", amount),
            ("for", self.description.clone()),
            ("hash", self.payment_hash.to_string()),
            ("network", self.network.clone()),
            ("expires", utc(self.expires_at_s)),
        ];
        rows.extend(
            self.hints
                .iter()
                .map(|hint| ("over", format!("{} by channel {}", hint.node, hint.short_channel_id))),
        );
        lines(&rows)
    }
}

impl Text for api::Payment {
    fn text(&self) -> String {
        let mut rows = vec![
            ("payment", self.id.to_string()),
            ("state", state(self.state).to_owned()),
            ("amount", format!("{} msat", grouped(self.amount_msat))),
        ];
        if let Some(fee) = self.fee_msat {
            rows.push(("fee", format!("{} msat", grouped(fee))));
        }
        if let Some(preimage) = self.preimage {
            rows.push(("receipt", preimage.to_string()));
        }
        if let Some(reason) = &self.reason {
            rows.push(("reason", reason.clone()));
        }
        if let Some(began) = self.began_at_s {
            rows.push(("began", utc(began)));
        }
        if let Some(ended) = self.ended_at_s {
            rows.push(("ended", utc(ended)));
        }
        lines(&rows)
    }
}

const fn state(state: api::PaymentState) -> &'static str {
    match state {
        api::PaymentState::Pending => "pending",
        api::PaymentState::Abandoned => "abandoned",
        api::PaymentState::Sent => "sent",
        api::PaymentState::Failed => "failed",
    }
}

impl Text for api::PaymentList {
    fn text(&self) -> String {
        let mut table = Table::new(&[
            "payment",
            "state",
            "amount msat",
            "fee msat",
            "began",
            "ended",
            "receipt or reason",
        ]);
        for payment in &self.payments {
            let preimage = payment.preimage.map(short);
            table.row(vec![
                short(payment.id),
                state(payment.state).to_owned(),
                grouped(payment.amount_msat),
                payment.fee_msat.map(grouped).unwrap_or_default(),
                payment.began_at_s.map(utc).unwrap_or_default(),
                payment.ended_at_s.map(utc).unwrap_or_default(),
                preimage.or_else(|| payment.reason.clone()).unwrap_or_default(),
            ]);
        }
        let text = table.written("there are no payments\n  next: quittance pay INVOICE");
        match self.next {
            Some(next) => format!("{text}\nolder ones: quittance payments --before {next}"),
            None => text,
        }
    }
}

impl Text for api::ReceivedList {
    fn text(&self) -> String {
        let mut table = Table::new(&["claimed", "amount msat", "payment hash", "preimage", "event"]);
        for payment in &self.payments {
            table.row(vec![
                utc(payment.claimed_at_s),
                grouped(payment.amount_msat),
                payment.payment_hash.to_string(),
                short(payment.preimage),
                payment.event.to_string(),
            ]);
        }
        let text = table.written("nothing was paid to this node yet\n  next: quittance invoice AMOUNT_MSAT");
        match self.next {
            Some(next) => format!("{text}\nolder ones: quittance received --before {next}"),
            None => text,
        }
    }
}

impl Text for api::Signed {
    fn text(&self) -> String {
        self.signature.clone()
    }
}

impl Text for api::Checked {
    fn text(&self) -> String {
        format!("signed by {}", self.node)
    }
}

impl Text for api::BackupMade {
    fn text(&self) -> String {
        format!(
            "backed up to {}, up to batch {}\nThe seed's words are not in it, and are needed to restore it: READ-ME.txt there says how, and what a backup cannot do.",
            self.folder, self.last_batch
        )
    }
}

impl Text for api::Probed {
    fn text(&self) -> String {
        match &self.reason {
            None => "a payment would reach it".to_owned(),
            Some(reason) => format!("a payment would not reach it: {reason}"),
        }
    }
}

impl Text for api::Claimed {
    fn text(&self) -> String {
        format!("claimed: {} msat", grouped(self.amount_msat))
    }
}

impl Text for api::OnchainSent {
    fn text(&self) -> String {
        format!("transaction {} is on its way", self.txid)
    }
}

impl Text for api::Event {
    fn text(&self) -> String {
        let what = match &self.event {
            api::EventKind::PaymentSent {
                id,
                amount_msat,
                fee_msat,
                preimage,
                ..
            } => format!(
                "sent {} msat and {} msat of fees, payment {}, receipt {}",
                grouped(*amount_msat),
                grouped(*fee_msat),
                short(id),
                preimage
            ),
            api::EventKind::PaymentFailed { id, reason, .. } => format!("payment {} failed: {reason}", short(id)),
            api::EventKind::PaymentClaimable {
                payment_hash,
                amount_msat,
            } => {
                format!("{} msat are held for hash {payment_hash}", grouped(*amount_msat))
            }
            api::EventKind::PaymentClaimed {
                payment_hash,
                amount_msat,
                ..
            } => {
                format!(
                    "received {} msat for hash {}",
                    grouped(*amount_msat),
                    short(payment_hash)
                )
            }
            api::EventKind::PaymentForwarded {
                fee_msat,
                from_channel,
                to_channel,
            } => format!(
                "forwarded from {} to {}, {} msat earned",
                short(from_channel),
                short(to_channel),
                grouped(*fee_msat)
            ),
            api::EventKind::PaymentPathFailed {
                id, hop, failure_code, ..
            } => format!(
                "a part of payment {} failed at hop {}, code {}",
                short(id),
                hop.map_or("?".to_owned(), |hop| hop.to_string()),
                failure_code.map_or("unknown".to_owned(), |code| format!("{code:#06x}"))
            ),
            api::EventKind::HtlcIntercepted {
                channel,
                htlc,
                amount_in_msat,
                ..
            } => format!(
                "HTLC {htlc} of channel {} waits for a decision, with {} msat",
                short(channel),
                grouped(*amount_in_msat)
            ),
            api::EventKind::ChannelReady { channel } => format!("channel {} is open", short(channel)),
            api::EventKind::ChannelClosed { channel, reason } => {
                format!("channel {} is closed: {reason}", short(channel))
            }
        };
        format!("{:>6}  {what}", self.number)
    }
}
