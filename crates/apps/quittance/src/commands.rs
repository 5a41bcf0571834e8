//! The commands that talk to a running node, and those that look at the files of one that is stopped.

mod offline;
mod safety;
mod shown;

use std::path::PathBuf;

use clap::CommandFactory;
use quittance_api as api;
use quittance_api::Hex;
use serde::Serialize;

use crate::arguments::{Arguments, Command, Common};
use crate::client::Client;
use crate::settings;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Runs a command.
pub(crate) fn run(common: &Common, command: &Command) -> Outcome {
    let desk = Desk {
        folder: settings::folder(common)?,
        common,
    };
    let groups = [
        Desk::offline,
        Desk::look,
        Desk::channels,
        Desk::receive,
        Desk::pay,
        Desk::tell,
        Desk::keep_safe,
    ];
    let done = groups.into_iter().find_map(|group| group(&desk, command).transpose());
    done.unwrap_or_else(|| Err("this command is run elsewhere".into()))
}

/// Where a command is carried out. Each group of commands is a method, which passes on what is not its own.
struct Desk<'a> {
    folder: PathBuf,
    common: &'a Common,
}

/// Done, or another group's.
type Handled = Result<Option<()>, Box<dyn std::error::Error>>;

impl Desk<'_> {
    fn client(&self) -> Result<Client, String> {
        Client::of(&self.folder)
    }

    fn show(&self, answer: &dyn shown::Shown) -> Outcome {
        shown::print(answer, self.common.json)
    }

    /// The node, its peers and its coins.
    fn look(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Info => self.show(&self.client()?.get::<api::Info>("/v1/info")?),
            Command::Address => self.show(&self.client()?.post::<api::NewAddress>("/v1/address", &Nothing {})?),
            Command::Balance => self.show(&self.client()?.get::<api::Balance>("/v1/balance")?),
            Command::Connect { peer } => {
                let (id, address) = settings::peer_of(peer)?;
                let body = api::ConnectPeer {
                    id: Hex(id.0),
                    address: address.to_string(),
                };
                self.show(&self.client()?.post::<api::Done>("/v1/peers", &body)?)
            }
            Command::Disconnect { peer } => {
                let id = settings::node_of(peer)?;
                self.show(&self.client()?.delete::<api::Done>(&format!("/v1/peers/{id}"))?)
            }
            Command::Peers => self.show(&self.client()?.get::<api::PeerList>("/v1/peers")?),
            Command::Channels => self.show(&self.client()?.get::<api::ChannelList>("/v1/channels")?),
            Command::Payments { limit, before } => {
                let before = before.map(|event| format!("&before={event}")).unwrap_or_default();
                let path = format!("/v1/payments?limit={limit}{before}");
                self.show(&self.client()?.get::<api::PaymentList>(&path)?)
            }
            Command::Received { limit, before } => {
                let before = before.map(|event| format!("&before={event}")).unwrap_or_default();
                let path = format!("/v1/received?limit={limit}{before}");
                self.show(&self.client()?.get::<api::ReceivedList>(&path)?)
            }
            Command::SendOnchain {
                address,
                amount_sat,
                feerate,
            } => {
                let body = api::SendOnchain {
                    address: address.clone(),
                    amount_sat: *amount_sat,
                    feerate_sat_per_kw: *feerate,
                };
                self.show(&self.client()?.post::<api::OnchainSent>("/v1/onchain", &body)?)
            }
            Command::Bump { id, feerate } => self.bump(id, *feerate),
            Command::Stop => self.show(&self.client()?.post::<api::Done>("/v1/stop", &Nothing {})?),
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// Opening and closing.
    fn channels(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Open {
                peer,
                capacity_sat,
                push_msat,
                announce,
                zeroconf,
            } => {
                let body = api::OpenChannel {
                    peer: Hex(settings::node_of(peer)?.0),
                    capacity_sat: *capacity_sat,
                    push_msat: *push_msat,
                    announce: *announce,
                    zeroconf: *zeroconf,
                };
                self.show(&self.client()?.post::<api::ChannelOpened>("/v1/channels", &body)?)
            }
            Command::Close {
                channel,
                force,
                feerate,
            } => {
                let client = self.client()?;
                let id = channel_id(&client, channel)?;
                let body = api::CloseChannel {
                    how: if *force { api::Close::Force } else { api::Close::Mutual },
                    feerate_sat_per_kw: *feerate,
                };
                self.show(&client.post::<api::Done>(&format!("/v1/channels/{id}/close"), &body)?)
            }
            Command::SetFeerate { channel, feerate } => {
                let client = self.client()?;
                let id = channel_id(&client, channel)?;
                let body = api::SetFeerate {
                    feerate_sat_per_kw: *feerate,
                };
                self.show(&client.post::<api::Done>(&format!("/v1/channels/{id}/feerate"), &body)?)
            }
            Command::Quiesce { channel } => {
                let client = self.client()?;
                let id = channel_id(&client, channel)?;
                self.show(&client.post::<api::Done>(&format!("/v1/channels/{id}/quiesce"), &())?)
            }
            Command::SetFees {
                channel,
                base_msat,
                ppm,
                cltv_delta,
                min_msat,
                max_msat,
            } => {
                let client = self.client()?;
                let id = channel_id(&client, channel)?;
                let body = api::SetPolicy {
                    fee_base_msat: *base_msat,
                    fee_proportional_millionths: *ppm,
                    cltv_expiry_delta: *cltv_delta,
                    htlc_minimum_msat: *min_msat,
                    htlc_maximum_msat: *max_msat,
                };
                self.show(&client.post::<api::Done>(&format!("/v1/channels/{id}/policy"), &body)?)
            }
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// A transaction, or the closing of a channel: both ids look alike.
    fn bump(&self, id: &str, feerate: Option<u32>) -> Outcome {
        let client = self.client()?;
        let list: api::ChannelList = client.get("/v1/channels")?;
        let channel = list.channels.iter().find(|channel| channel.id.to_string() == id);
        if channel.is_none() {
            let body = api::Bump {
                feerate_sat_per_kw: feerate,
            };
            return self.show(&client.post::<api::OnchainSent>(&format!("/v1/onchain/{id}/bump"), &body)?);
        }
        let body = api::CloseChannel {
            how: api::Close::Mutual,
            feerate_sat_per_kw: Some(feerate.ok_or("of a closing, say the --feerate")?),
        };
        self.show(&client.post::<api::Done>(&format!("/v1/channels/{id}/close"), &body)?)
    }

    /// Being paid.
    fn receive(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Invoice {
                amount_msat,
                description,
                expiry,
            } => {
                let body = api::CreateInvoice {
                    amount_msat: amount_or_any(amount_msat)?,
                    description: description.clone(),
                    expiry_s: *expiry,
                    hold_hash: None,
                };
                self.show(&self.client()?.post::<api::Invoice>("/v1/invoices", &body)?)
            }
            Command::Hold {
                hash,
                amount_msat,
                description,
            } => {
                let body = api::CreateInvoice {
                    amount_msat: Some(*amount_msat),
                    description: description.clone(),
                    expiry_s: None,
                    hold_hash: Some(hex(hash)?),
                };
                self.show(&self.client()?.post::<api::Invoice>("/v1/invoices", &body)?)
            }
            Command::Settle { preimage } => {
                let body = api::Claim {
                    preimage: hex(preimage)?,
                };
                self.show(&self.client()?.post::<api::Claimed>("/v1/held/claim", &body)?)
            }
            Command::Cancel { hash } => {
                let body = api::Refuse {
                    payment_hash: hex(hash)?,
                };
                self.show(&self.client()?.post::<api::Done>("/v1/held/refuse", &body)?)
            }
            Command::Decode { invoice } => {
                let body = api::Decode {
                    invoice: invoice.clone(),
                };
                self.show(&self.client()?.post::<api::Decoded>("/v1/decode", &body)?)
            }
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// Paying.
    fn pay(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Pay {
                invoice,
                amount_msat,
                fee_limit_msat,
                id,
                routes,
                wait,
            } => {
                let body = api::Pay {
                    id: id.as_deref().map(hex).transpose()?,
                    invoice: invoice.clone(),
                    amount_msat: *amount_msat,
                    fee_limit_msat: *fee_limit_msat,
                    patience_s: None,
                    routes: read_routes(routes)?,
                    wait_s: *wait,
                };
                ended(
                    &self.client()?.post::<api::Payment>("/v1/payments", &body)?,
                    self.common,
                )
            }
            Command::Keysend {
                node,
                amount_msat,
                id,
                routes,
                wait,
            } => {
                let id = match id {
                    Some(id) => hex(id)?,
                    None => fresh_id()?,
                };
                let body = api::Keysend {
                    id,
                    node: Hex(settings::node_of(node)?.0),
                    amount_msat: *amount_msat,
                    fee_limit_msat: None,
                    routes: read_routes(routes)?,
                    wait_s: *wait,
                };
                ended(&self.client()?.post::<api::Payment>("/v1/keysend", &body)?, self.common)
            }
            Command::Probe {
                node,
                amount_msat,
                fee_limit_msat,
                routes,
                wait,
            } => {
                let body = api::Probe {
                    node: Hex(settings::node_of(node)?.0),
                    amount_msat: *amount_msat,
                    fee_limit_msat: *fee_limit_msat,
                    routes: read_routes(routes)?,
                    wait_s: Some(*wait),
                };
                self.show(&self.client()?.post::<api::Probed>("/v1/probe", &body)?)
            }
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// What needs no node that runs.
    fn offline(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Verify => offline::verify(&self.folder),
            Command::Rebuild => offline::lose_manager_rows(&self.folder, None),
            Command::LoseManagerRows { take_from } => offline::lose_manager_rows(&self.folder, take_from.as_deref()),
            Command::Completions { shell } => {
                clap_complete::generate(*shell, &mut Arguments::command(), "quittance", &mut std::io::stdout());
                Ok(())
            }
            _ => return Ok(None),
        };
        done.map(Some)
    }

    /// What has happened.
    fn tell(&self, command: &Command) -> Handled {
        let done: Outcome = match command {
            Command::Receipt { verify: Some(file), .. } => offline::verify_receipt(file),
            Command::Receipt { id, .. } => {
                let id: Hex<32> = hex(id.as_deref().unwrap_or_default())?;
                let receipt = self
                    .client()?
                    .get::<api::Receipt>(&format!("/v1/payments/{id}/receipt"))?;
                // A receipt is for a file, so it is JSON in any case.
                println!("{}", serde_json::to_string_pretty(&receipt)?);
                Ok(())
            }
            Command::Events {
                handled: Some(number), ..
            } => self.show(
                &self
                    .client()?
                    .post::<api::Done>("/v1/events/handled", &api::Handled { number: *number })?,
            ),
            Command::Events { from, follow, .. } => events(&self.client()?, *from, *follow, self.common),
            _ => return Ok(None),
        };
        done.map(Some)
    }
}

/// Shows how a payment stands; one that failed makes the command fail.
fn ended(payment: &api::Payment, common: &Common) -> Outcome {
    shown::print(payment, common.json)?;
    match payment.state {
        api::PaymentState::Sent => Ok(()),
        api::PaymentState::Failed => Err(format!(
            "the payment failed: {}; nobody was paid",
            payment.reason.as_deref().unwrap_or("no reason is known")
        )
        .into()),
        api::PaymentState::Pending | api::PaymentState::Abandoned => Err(format!(
            "the payment is on its way\n  next: ask again with the same --id {}, which never pays twice",
            payment.id
        )
        .into()),
    }
}

fn events(client: &Client, from: Option<u64>, follow: bool, common: &Common) -> Outcome {
    let info: api::Info = client.get("/v1/info")?;
    let last = info.last_event;
    if !follow && last.is_none_or(|last| from.is_some_and(|from| from > last)) {
        return Ok(());
    }
    let mut failed = None;
    client.events(from, |event| {
        let number = event.number;
        failed = shown::print(&event, common.json).err();
        failed.is_none() && (follow || last.is_some_and(|last| number < last))
    })?;
    failed.map_or(Ok(()), Err)
}

/// A channel's id, or enough of its beginning.
fn channel_id(client: &Client, text: &str) -> Result<Hex<32>, String> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let list: api::ChannelList = client.get("/v1/channels")?;
    let text = text.trim_end_matches('…');
    let mut fitting = list
        .channels
        .iter()
        .filter(|channel| channel.id.to_string().starts_with(text));
    match (fitting.next(), fitting.next()) {
        (Some(one), None) => Ok(one.id),
        (None, _) => Err(format!(
            "no channel's id begins with {text:?}\n  next: quittance channels lists them"
        )),
        (Some(_), Some(_)) => Err(format!("several channels' ids begin with {text:?}: give more of it")),
    }
}

fn amount_or_any(text: &str) -> Result<Option<u64>, String> {
    match text {
        "any" => Ok(None),
        text => text
            .replace(['_', ','], "")
            .parse()
            .map(Some)
            .map_err(|_| format!("{text:?} is no amount in msat, nor `any`")),
    }
}

fn hex<const N: usize>(text: &str) -> Result<Hex<N>, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

fn fresh_id() -> Result<Hex<32>, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Hex(bytes))
}

/// A value as JSON, on one line.
fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// The body of a call that needs none.
#[derive(Serialize)]
struct Nothing {}

/// Routes, each a list of hops: JSON itself, or a file that holds it.
fn read_routes(routes: &[String]) -> Result<Vec<Vec<api::RouteHop>>, Box<dyn std::error::Error>> {
    let read = |given: &String| -> Result<Vec<api::RouteHop>, Box<dyn std::error::Error>> {
        let text = if given.trim_start().starts_with('[') {
            given.clone()
        } else {
            std::fs::read_to_string(given).map_err(|error| format!("the route in {given} cannot be read: {error}"))?
        };
        Ok(serde_json::from_str(&text).map_err(|error| format!("a route is a list of hops, as JSON: {error}"))?)
    };
    routes.iter().map(read).collect()
}
