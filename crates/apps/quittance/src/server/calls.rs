//! One function for each call.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State as Extracted};
use axum::http::request::Parts;
use bitcoin::{Address, Amount, TxOut, Txid};
use quittance_api as api;
use quittance_api::{ErrorCode, Hex, Problem};
use quittance_invoice::Invoice;
use quittance_journal::EventNumber;
use quittance_node::{BalanceKind, InvoiceRequest, Node, NodeError, OpenRequest, PayLimits, Payment};
use quittance_primitives::{ChannelId, FeeratePerKw, MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, OpenApi};

use super::life::stopping;
use super::{Refusal, State, figures, forwarding, probing, streams};
use crate::backup::Draft;

pub(crate) type Answer<T> = Result<Json<T>, Refusal>;

/// A body, or why it cannot be read, in our own words' form.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<State> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &State) -> Result<Self, Refusal> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state);
        let bytes = tokio::time::timeout(state.patience.body, bytes).await;
        let bytes = bytes.map_err(|_| {
            let why = "the request's body is shorter than it says, or takes too long";
            Problem::new(ErrorCode::TooSlow, why)
        })?;
        let bytes = bytes.map_err(|rejection| {
            let code = match rejection.status().as_u16() {
                413 => ErrorCode::TooLarge,
                _ => ErrorCode::BadRequest,
            };
            Problem::new(code, rejection.body_text())
        })?;
        // A list would be taken as the fields in their order, without a name to any of them.
        if bytes.trim_ascii_start().starts_with(b"[") {
            let problem = Problem::new(ErrorCode::BadRequest, "the body must be an object, not a list");
            return Err(problem.next("/openapi.json has the fields of every request").into());
        }
        match Json::<T>::from_request(Request::from_parts(parts, bytes.into()), state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(rejection) => Err(unreadable(&rejection)),
        }
    }
}

/// The part of the path that names something.
pub(crate) struct Part(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let part = Path::<String>::from_request_parts(parts, state).await;
        let part = part.map_err(|rejection| Problem::new(ErrorCode::BadRequest, rejection.body_text()))?;
        Ok(Self(part.0))
    }
}

fn unreadable(rejection: &JsonRejection) -> Refusal {
    let code = match rejection.status().as_u16() {
        413 => ErrorCode::TooLarge,
        415 => ErrorCode::NotJson,
        _ => ErrorCode::BadRequest,
    };
    let problem = Problem::new(code, rejection.body_text());
    Refusal(match rejection {
        JsonRejection::MissingJsonContentType(_) => problem.next("send Content-Type: application/json"),
        _ => problem.next("/openapi.json has the fields of every request"),
    })
}

pub(crate) fn bytes<const N: usize>(text: &str, what: &str) -> Result<[u8; N], Refusal> {
    let Hex(bytes) =
        Hex::<N>::from_str(text).map_err(|error| Problem::new(ErrorCode::BadRequest, format!("{what}: {error}")))?;
    Ok(bytes)
}

pub(crate) fn amount_msat(msat: u64, what: &str) -> Result<MilliSatoshi, Refusal> {
    let amount = MilliSatoshi(msat);
    if amount.is_zero() || amount > MilliSatoshi::MAX_MONEY {
        let why = format!(
            "{what} must be above 0, and no more than all bitcoin: {}",
            MilliSatoshi::MAX_MONEY.0
        );
        return Err(Problem::new(ErrorCode::BadRequest, why).into());
    }
    Ok(amount)
}

fn amount_sat(sat: u64, what: &str) -> Result<Amount, Refusal> {
    if sat == 0 || sat > Amount::MAX_MONEY.to_sat() {
        let why = format!(
            "{what} must be above 0, and no more than all bitcoin: {}",
            Amount::MAX_MONEY.to_sat()
        );
        return Err(Problem::new(ErrorCode::BadRequest, why).into());
    }
    Ok(Amount::from_sat(sat))
}

fn feerate(sat_per_kw: u32) -> Result<FeeratePerKw, Refusal> {
    if sat_per_kw < FeeratePerKw::FLOOR.0 {
        let why = format!("feerate_sat_per_kw must be at least {}", FeeratePerKw::FLOOR.0);
        return Err(Problem::new(ErrorCode::BadRequest, why).into());
    }
    Ok(FeeratePerKw(sat_per_kw))
}

fn invoice_of(text: &str) -> Result<Invoice, Refusal> {
    let text = text.trim();
    let text = text.strip_prefix("lightning:").unwrap_or(text);
    text.parse().map_err(|error| {
        Problem::new(
            ErrorCode::BadInvoice,
            format!("this is no invoice that can be paid: {error}"),
        )
        .into()
    })
}

/// Whether the node is well.
#[utoipa::path(get, path = "/health", responses((status = 200, body = api::Health)), security(()))]
pub(crate) async fn health(Extracted(state): Extracted<State>) -> Answer<api::Health> {
    // The answer waits for the disk as every other one does.
    state.node_for_anyone()?.info().await?;
    Ok(Json(api::Health {
        status: "ok".to_owned(),
    }))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, description = "OpenAPI 3.1")), security(()))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

/// The node at a glance.
#[utoipa::path(get, path = "/v1/info", responses((status = 200, body = api::Info)))]
pub(crate) async fn info(Extracted(state): Extracted<State>) -> Answer<api::Info> {
    let info = state.node()?.info().await?;
    Ok(Json(api::Info {
        id: Hex(info.id.0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        network: state.node()?.network().to_string(),
        height: info.height.0,
        addresses: state.node()?.addresses().iter().map(ToString::to_string).collect(),
        peers: info.peers as u64,
        channels: info.channels as u64,
        unhandled_events: info.unhandled_events as u64,
        last_event: info.last_event.map(|event| event.0),
        folder: info.folder.display().to_string(),
    }))
}

/// Coins on chain, and what is in channels.
#[utoipa::path(get, path = "/v1/balance", responses((status = 200, body = api::Balance)))]
pub(crate) async fn balance(Extracted(state): Extracted<State>) -> Answer<api::Balance> {
    let (coins, channels) = (state.node()?.balance().await?, state.node()?.channels().await?);
    let open = channels.iter().filter(|channel| !channel.is_over());
    let closing = channels.iter().flat_map(|channel| &channel.claimable);
    let closing = closing.filter(|balance| match balance.kind {
        BalanceKind::OnClose | BalanceKind::Waiting { .. } | BalanceKind::Contested { .. } => true,
        BalanceKind::IfPreimage { .. } | BalanceKind::Confirming { .. } => false,
    });
    Ok(Json(api::Balance {
        confirmed_sat: coins.confirmed.to_sat(),
        unconfirmed_sat: coins.unconfirmed.to_sat(),
        reserved_sat: coins.reserved.to_sat(),
        channels_msat: open.map(|channel| channel.ours.0).sum(),
        closing_sat: closing.map(|balance| balance.amount.to_sat()).sum(),
        sendable_msat: channels.iter().map(|channel| channel.sendable.0).sum(),
    }))
}

/// A fresh address of the wallet.
#[utoipa::path(post, path = "/v1/address", responses((status = 200, body = api::NewAddress)))]
pub(crate) async fn address(Extracted(state): Extracted<State>) -> Answer<api::NewAddress> {
    let address = state.node()?.address().await?.to_string();
    Ok(Json(api::NewAddress { address }))
}

/// The peers that are connected.
#[utoipa::path(get, path = "/v1/peers", responses((status = 200, body = api::PeerList)))]
pub(crate) async fn peers(Extracted(state): Extracted<State>) -> Answer<api::PeerList> {
    let peers = state.node()?.peers().into_iter().map(Into::into).collect();
    Ok(Json(api::PeerList { peers }))
}

/// Connects to a peer, and keeps the connection.
#[utoipa::path(post, path = "/v1/peers", request_body = api::ConnectPeer, responses((status = 200, body = api::Done)))]
pub(crate) async fn connect(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::ConnectPeer>,
) -> Answer<api::Done> {
    let address = body.address.parse();
    let address = address
        .map_err(|error: quittance_net::InvalidAddress| Problem::new(ErrorCode::BadRequest, error.to_string()))?;
    state.node()?.connect(NodeId(body.id.0), vec![address]).await?;
    Ok(Json(api::Done {}))
}

/// Ends the connection to a peer, and does not call it again.
#[utoipa::path(delete, path = "/v1/peers/{id}", params(("id" = String, Path)), responses((status = 200, body = api::Done)))]
pub(crate) async fn disconnect(Extracted(state): Extracted<State>, Part(id): Part) -> Answer<api::Done> {
    state.node()?.disconnect(NodeId(bytes(&id, "id")?)).await?;
    Ok(Json(api::Done {}))
}

/// The channels.
#[utoipa::path(get, path = "/v1/channels", responses((status = 200, body = api::ChannelList)))]
pub(crate) async fn channels(Extracted(state): Extracted<State>) -> Answer<api::ChannelList> {
    let channels = state.node()?.channels().await?.into_iter().map(Into::into).collect();
    Ok(Json(api::ChannelList { channels }))
}

/// Opens a channel, and answers when its funding transaction is on its way.
#[utoipa::path(post, path = "/v1/channels", request_body = api::OpenChannel, responses((status = 200, body = api::ChannelOpened)))]
pub(crate) async fn open(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::OpenChannel>,
) -> Answer<api::ChannelOpened> {
    let capacity = amount_sat(body.capacity_sat, "capacity_sat")?;
    if body.push_msat > capacity.to_sat() * 1_000 {
        return Err(Problem::new(ErrorCode::BadRequest, "push_msat is more than the channel is to hold").into());
    }
    let request = OpenRequest {
        peer: NodeId(body.peer.0),
        capacity,
        push: MilliSatoshi(body.push_msat),
        announce: body.announce,
        zeroconf: body.zeroconf,
    };
    let id = state.node()?.open_channel(request).await?;
    Ok(Json(api::ChannelOpened { id: Hex(id.0) }))
}

/// Begins to close a channel.
#[utoipa::path(post, path = "/v1/channels/{id}/close", params(("id" = String, Path)), request_body = api::CloseChannel, responses((status = 200, body = api::Done)))]
pub(crate) async fn close(
    Extracted(state): Extracted<State>,
    Part(id): Part,
    Body(body): Body<api::CloseChannel>,
) -> Answer<api::Done> {
    let channel = ChannelId(bytes(&id, "id")?);
    match body.how {
        api::Close::Force => state.node()?.force_close(channel).await?,
        api::Close::Mutual => {
            let feerate = body.feerate_sat_per_kw.map(feerate).transpose()?;
            state.node()?.close_channel(channel, feerate).await?;
        }
    }
    Ok(Json(api::Done {}))
}

/// Sets the feerate of the commitments of a channel that we opened.
#[utoipa::path(post, path = "/v1/channels/{id}/feerate", params(("id" = String, Path)), request_body = api::SetFeerate, responses((status = 200, body = api::Done)))]
pub(crate) async fn set_feerate(
    Extracted(state): Extracted<State>,
    Part(id): Part,
    Body(body): Body<api::SetFeerate>,
) -> Answer<api::Done> {
    let feerate = feerate(body.feerate_sat_per_kw)?;
    state.node()?.set_feerate(ChannelId(bytes(&id, "id")?), feerate).await?;
    Ok(Json(api::Done {}))
}

/// Lets a channel come to rest until its connection ends: no update is sent. Its state is `quiescent` once both ends have agreed.
#[utoipa::path(post, path = "/v1/channels/{id}/quiesce", params(("id" = String, Path)), responses((status = 200, body = api::Done)))]
pub(crate) async fn quiesce(Extracted(state): Extracted<State>, Part(id): Part) -> Answer<api::Done> {
    state.node()?.quiesce(ChannelId(bytes(&id, "id")?)).await?;
    Ok(Json(api::Done {}))
}

/// Asks for a payment.
#[utoipa::path(post, path = "/v1/invoices", request_body = api::CreateInvoice, responses((status = 200, body = api::Invoice)))]
pub(crate) async fn invoice(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::CreateInvoice>,
) -> Answer<api::Invoice> {
    let defaults = InvoiceRequest::default();
    let request = InvoiceRequest {
        amount: body
            .amount_msat
            .map(|amount| amount_msat(amount, "amount_msat"))
            .transpose()?,
        description: body.description,
        expiry: body
            .expiry_s
            .map_or(defaults.expiry, |seconds| Duration::from_secs(u64::from(seconds))),
        hold: body.hold_hash.map(|hash| PaymentHash(hash.0)),
    };
    let invoice = state.node()?.invoice(request).await?;
    Ok(Json(api::Invoice {
        payment_hash: Hex(invoice.terms().payment_hash.0),
        expires_at_s: invoice.terms().expires_at().as_secs(),
        invoice: invoice.to_string(),
    }))
}

/// What an invoice says.
#[utoipa::path(post, path = "/v1/decode", request_body = api::Decode, responses((status = 200, body = api::Decoded)))]
pub(crate) async fn decode(Body(body): Body<api::Decode>) -> Answer<api::Decoded> {
    Ok(Json((&invoice_of(&body.invoice)?).into()))
}

/// Pays an invoice, once for its id whatever happens. Asking again under the id answers how the payment stands.
#[utoipa::path(post, path = "/v1/payments", request_body = api::Pay, responses((status = 200, body = api::Payment)))]
pub(crate) async fn pay(Extracted(state): Extracted<State>, Body(body): Body<api::Pay>) -> Answer<api::Payment> {
    let invoice = invoice_of(&body.invoice)?;
    let id = PaymentId(body.id.map_or(invoice.terms().payment_hash.0, |id| id.0));
    let amount = body
        .amount_msat
        .map(|amount| amount_msat(amount, "amount_msat"))
        .transpose()?;
    let defaults = PayLimits::default();
    let limits = PayLimits {
        fee: body.fee_limit_msat.map(MilliSatoshi),
        patience: body
            .patience_s
            .map_or(defaults.patience, |seconds| Duration::from_secs(u64::from(seconds))),
        ..defaults
    };
    let routes = api::given_routes(&body.routes)?;
    let node = state.node()?;
    node.pay_invoice_along(id, &invoice, amount, limits, &routes).await?;
    ended(&state, id, body.wait_s).await
}

/// Pays a node that has not asked for it, once for this id.
#[utoipa::path(post, path = "/v1/keysend", request_body = api::Keysend, responses((status = 200, body = api::Payment)))]
pub(crate) async fn keysend(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::Keysend>,
) -> Answer<api::Payment> {
    let (id, amount) = (PaymentId(body.id.0), amount_msat(body.amount_msat, "amount_msat")?);
    let limits = PayLimits {
        fee: body.fee_limit_msat.map(MilliSatoshi),
        ..PayLimits::default()
    };
    let (payee, routes) = (NodeId(body.node.0), api::given_routes(&body.routes)?);
    state.node()?.keysend_along(id, payee, amount, limits, &routes).await?;
    ended(&state, id, body.wait_s).await
}

/// How a payment stands, once it has ended or the time is over.
async fn ended(state: &State, id: PaymentId, wait_s: u32) -> Answer<api::Payment> {
    let patience = Duration::from_secs(u64::from(wait_s.min(WAIT_S_MAX)));
    let node = state.node()?;
    if let Ok(ended) = tokio::time::timeout(patience, node.outcome(id)).await {
        return one_with_times(&node, ended?).await;
    }
    let payment = node.payment(id).await?.ok_or(NodeError::UnknownPayment(id))?;
    one_with_times(&node, payment).await
}

async fn one_with_times(node: &Node, payment: Payment) -> Answer<api::Payment> {
    let times = node.payment_times(&[payment.id]).await?.pop().unwrap_or_default();
    Ok(Json((payment, times).into()))
}

/// How long one answer may wait.
pub(crate) const WAIT_S_MAX: u32 = 600;

/// How many payments are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// How many at most of those that ended; 100 by default, 1,000 at most.
    limit: Option<u32>,
    /// Those that ended before this event: what the page before this one gives as `next`.
    before: Option<u64>,
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(100).min(1_000) as usize
    }
}

/// Payments of ours, the newest first.
#[utoipa::path(get, path = "/v1/payments", params(Page), responses((status = 200, body = api::PaymentList)))]
pub(crate) async fn payments(
    Extracted(state): Extracted<State>,
    query: Result<Query<Page>, QueryRejection>,
) -> Answer<api::PaymentList> {
    let Query(query) = query.map_err(|error| Problem::new(ErrorCode::BadRequest, error.body_text()))?;
    let node = state.node()?;
    let page = node.payments(query.before.map(EventNumber), query.limit()).await?;
    let ids: Vec<_> = page.payments.iter().map(|payment| payment.id).collect();
    let times = node.payment_times(&ids).await?;
    Ok(Json(api::PaymentList {
        payments: page.payments.into_iter().zip(times).map(Into::into).collect(),
        next: page.next.map(|event| event.0),
    }))
}

/// Payments that were made to us, the newest first.
#[utoipa::path(get, path = "/v1/received", params(Page), responses((status = 200, body = api::ReceivedList)))]
pub(crate) async fn received(
    Extracted(state): Extracted<State>,
    query: Result<Query<Page>, QueryRejection>,
) -> Answer<api::ReceivedList> {
    let Query(query) = query.map_err(|error| Problem::new(ErrorCode::BadRequest, error.body_text()))?;
    let node = state.node()?;
    let page = node.received(query.before.map(EventNumber), query.limit()).await?;
    Ok(Json(page.into()))
}

/// A payment of ours.
#[utoipa::path(get, path = "/v1/payments/{id}", params(("id" = String, Path)), responses((status = 200, body = api::Payment)))]
pub(crate) async fn payment(Extracted(state): Extracted<State>, Part(id): Part) -> Answer<api::Payment> {
    let (id, node) = (PaymentId(bytes(&id, "id")?), state.node()?);
    let payment = node.payment(id).await?.ok_or(NodeError::UnknownPayment(id))?;
    one_with_times(&node, payment).await
}

/// Makes no further attempt for a payment; what is on its way decides its end.
#[utoipa::path(post, path = "/v1/payments/{id}/abandon", params(("id" = String, Path)), request_body = api::Abandon, responses((status = 200, body = api::Payment)))]
pub(crate) async fn abandon(
    Extracted(state): Extracted<State>,
    Part(id): Part,
    Body(api::Abandon {}): Body<api::Abandon>,
) -> Answer<api::Payment> {
    let id = PaymentId(bytes(&id, "id")?);
    state.node()?.abandon(id).await?;
    ended(&state, id, 0).await
}

/// The proof of a payment.
#[utoipa::path(get, path = "/v1/payments/{id}/receipt", params(("id" = String, Path)), responses((status = 200, body = api::Receipt)))]
pub(crate) async fn receipt(Extracted(state): Extracted<State>, Part(id): Part) -> Answer<api::Receipt> {
    let id = PaymentId(bytes(&id, "id")?);
    let node = state.node()?;
    let payment = node.payment(id).await?.ok_or(NodeError::UnknownPayment(id))?;
    let Json(payment) = one_with_times(&node, payment).await?;
    match (payment.preimage, payment.fee_msat) {
        (Some(preimage), Some(fee_msat)) => Ok(Json(api::Receipt {
            id: payment.id,
            payment_hash: payment.payment_hash,
            preimage,
            amount_msat: payment.amount_msat,
            fee_msat,
        })),
        _ => Err(Problem::new(
            ErrorCode::Refused,
            format!("the payment is {:?}: there is a receipt once it is sent", payment.state),
        )
        .into()),
    }
}

/// Claims a payment that is held.
#[utoipa::path(post, path = "/v1/held/claim", request_body = api::Claim, responses((status = 200, body = api::Claimed)))]
pub(crate) async fn claim(Extracted(state): Extracted<State>, Body(body): Body<api::Claim>) -> Answer<api::Claimed> {
    let amount = state.node()?.claim(PaymentPreimage(body.preimage.0)).await?;
    Ok(Json(api::Claimed { amount_msat: amount.0 }))
}

/// Refuses a payment that is held.
#[utoipa::path(post, path = "/v1/held/refuse", request_body = api::Refuse, responses((status = 200, body = api::Done)))]
pub(crate) async fn refuse(Extracted(state): Extracted<State>, Body(body): Body<api::Refuse>) -> Answer<api::Done> {
    state.node()?.refuse(PaymentHash(body.payment_hash.0)).await?;
    Ok(Json(api::Done {}))
}

/// All events up to this one are handled: none of them comes again. Answers when that is durable.
#[utoipa::path(post, path = "/v1/events/handled", request_body = api::Handled, responses((status = 200, body = api::Done)))]
pub(crate) async fn handled(Extracted(state): Extracted<State>, Body(body): Body<api::Handled>) -> Answer<api::Done> {
    state.node()?.handled(EventNumber(body.number)).await?;
    Ok(Json(api::Done {}))
}

/// Pays on chain.
#[utoipa::path(post, path = "/v1/onchain", request_body = api::SendOnchain, responses((status = 200, body = api::OnchainSent)))]
pub(crate) async fn send_onchain(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::SendOnchain>,
) -> Answer<api::OnchainSent> {
    let node = state.node()?;
    let address = Address::from_str(&body.address)
        .map_err(|error| error.to_string())
        .and_then(|address| {
            address
                .require_network(node.network())
                .map_err(|error| error.to_string())
        })
        .map_err(|error| Problem::new(ErrorCode::BadRequest, format!("address: {error}")))?;
    let output = TxOut {
        value: amount_sat(body.amount_sat, "amount_sat")?,
        script_pubkey: address.script_pubkey(),
    };
    let feerate = body.feerate_sat_per_kw.map(feerate).transpose()?;
    let transaction = node.send_onchain(output, feerate).await?;
    Ok(Json(api::OnchainSent {
        txid: transaction.compute_txid().to_string(),
    }))
}

/// Stops the node.
#[utoipa::path(post, path = "/v1/stop", responses((status = 200, body = api::Done)))]
pub(crate) async fn stop(Extracted(state): Extracted<State>) -> Answer<api::Done> {
    state.stop().await?;
    Ok(Json(api::Done {}))
}

/// Opens the seed of a node that is locked. Answers once it is open; the node then starts.
#[utoipa::path(post, path = "/v1/unlock", request_body = api::Unlock, responses((status = 200, body = api::Done)))]
pub(crate) async fn unlock(Extracted(state): Extracted<State>, Body(body): Body<api::Unlock>) -> Answer<api::Done> {
    state.unlock(body.passphrase).await?;
    Ok(Json(api::Done {}))
}

/// Replaces a payment on chain that waits for a block by one with a higher fee.
#[utoipa::path(post, path = "/v1/onchain/{txid}/bump", params(("txid" = String, Path)), request_body = api::Bump, responses((status = 200, body = api::OnchainSent)))]
pub(crate) async fn bump(
    Extracted(state): Extracted<State>,
    Part(txid): Part,
    Body(body): Body<api::Bump>,
) -> Answer<api::OnchainSent> {
    let txid = Txid::from_str(&txid).map_err(|error| Problem::new(ErrorCode::BadRequest, format!("txid: {error}")))?;
    let feerate = body.feerate_sat_per_kw.map(feerate).transpose()?;
    let transaction = state.node()?.bump(txid, feerate).await?;
    Ok(Json(api::OnchainSent {
        txid: transaction.compute_txid().to_string(),
    }))
}

/// Signs words with the node's key.
#[utoipa::path(post, path = "/v1/sign", request_body = api::Sign, responses((status = 200, body = api::Signed)))]
pub(crate) async fn sign(Extracted(state): Extracted<State>, Body(body): Body<api::Sign>) -> Answer<api::Signed> {
    let node = state.node()?;
    Ok(Json(api::Signed {
        node: Hex(node.id().0),
        signature: node.sign_words(body.message.as_bytes()),
    }))
}

/// Who signed words.
#[utoipa::path(post, path = "/v1/check", request_body = api::Check, responses((status = 200, body = api::Checked)))]
pub(crate) async fn check(Body(body): Body<api::Check>) -> Answer<api::Checked> {
    let signer = quittance_node::who_signed(body.message.as_bytes(), &body.signature);
    let signer = signer.ok_or_else(|| Problem::new(ErrorCode::BadRequest, "the signature is none of a node's"))?;
    Ok(Json(api::Checked { node: Hex(signer.0) }))
}

/// Copies what a restore needs into a new folder on the node's machine, while the node goes on.
#[utoipa::path(post, path = "/v1/backup", request_body = api::Backup, responses((status = 200, body = api::BackupMade)))]
pub(crate) async fn backup(
    Extracted(state): Extracted<State>,
    Body(body): Body<api::Backup>,
) -> Answer<api::BackupMade> {
    let node = state.node()?;
    let target = PathBuf::from(&body.folder);
    if !target.is_absolute() {
        return Err(Problem::new(ErrorCode::BadRequest, "folder must be a whole path, from / on").into());
    }
    let refused = |error: String| Problem::new(ErrorCode::Refused, error);
    // A task of its own: whoever asked may be gone before it is finished, and then nobody else would be there to finish or remove it.
    let making = tokio::spawn(async move {
        let draft = Draft::begin(&target).map_err(refused)?;
        let last_batch = node.copy_store(draft.store()).await?;
        let finished = tokio::task::spawn_blocking(move || draft.finish(&state.folder, last_batch));
        finished.await.map_err(|_| stopping())?.map_err(refused)?;
        Ok::<_, Refusal>(last_batch)
    });
    let last_batch = making.await.map_err(|_| stopping())??;
    Ok(Json(api::BackupMade {
        folder: body.folder,
        last_batch,
    }))
}

/// The document of this interface.
#[derive(OpenApi)]
#[openapi(
    info(title = "Quittance", description = "Amounts are whole numbers with their unit in the name. Unknown fields are refused. A problem is answered with a status and a Problem."),
    paths(
        health, document, info, balance, address, peers, connect, disconnect, channels, open, close, set_feerate, quiesce, forwarding::set_policy, invoice, decode,
        pay, keysend, probing::probe, payments, received, payment, abandon, receipt, claim, refuse, streams::events, handled, send_onchain, bump,
        sign, check, backup, unlock, stop, figures::metrics
    ),
    components(schemas(Problem, ErrorCode)),
    modifiers(&Bearer, &Problems),
    security(("token" = []))
)]
struct Document;

/// What any call may be answered instead.
struct Problems;

impl utoipa::Modify for Problems {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .build();
        let problem = ResponseBuilder::new()
            .description("Why not, and what to do next")
            .content("application/json", content)
            .build();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.post, &mut path.delete].into_iter().flatten() {
                let responses = &mut operation.responses.responses;
                responses
                    .entry("default".to_owned())
                    .or_insert_with(|| RefOr::T(problem.clone()));
            }
        }
    }
}

/// How calls are authorised.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", token);
    }
}
