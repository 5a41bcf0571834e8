//! What peers send, sorted before it reaches the engine: onions are peeled here, on the connections' own tasks, and what is no channel's
//! business stays outside.

use std::sync::Arc;

use quittance_channel::ReceivedOnion;
use quittance_journal::Generation;
use quittance_net::{Sink, SinkClosed, Tidings};
use quittance_primitives::NodeId;
use quittance_signer::LocalSigner;
use quittance_wire::Message;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// What the driver hears of peers.
#[derive(Debug)]
pub(crate) enum FromPeer {
    /// Connections that come and go.
    Tidings(Tidings),
    /// A message for the engine.
    Message {
        peer: NodeId,
        generation: Generation,
        message: Box<Message>,
        /// Of `update_add_htlc`, its peeled onion.
        onion: Option<Box<ReceivedOnion>>,
    },
}

/// Sorts what peers send.
pub(crate) struct Sorter {
    pub(crate) signer: Arc<LocalSigner>,
    pub(crate) driver: mpsc::Sender<FromPeer>,
}

impl Sink for Sorter {
    async fn deliver(&self, tidings: Tidings) -> Result<(), SinkClosed> {
        let sorted = match tidings {
            Tidings::Message {
                peer,
                generation,
                message,
            } => self.sort(peer, generation, message),
            other => Some(FromPeer::Tidings(other)),
        };
        match sorted {
            Some(sorted) => self.driver.send(sorted).await.map_err(|_| SinkClosed),
            None => Ok(()),
        }
    }
}

impl Sorter {
    fn sort(&self, peer: NodeId, generation: Generation, message: Box<Message>) -> Option<FromPeer> {
        let onion = match *message {
            Message::UpdateAddHtlc(ref add) => Some(Box::new(self.signer.peel(add))),
            Message::Warning(ref warning) => {
                // Shown as text without control characters: a peer must not write into our log as it likes.
                let text = String::from_utf8_lossy(&warning.data).escape_debug().to_string();
                warn!(%peer, text, "a peer warns us");
                return None;
            }
            Message::PeerStorage(_)
            | Message::PeerStorageRetrieval(_)
            | Message::OnionMessage(_)
            | Message::ChannelAnnouncement(_)
            | Message::ReplyShortChannelIdsEnd(_)
            | Message::ReplyChannelRange(_) => {
                debug!(%peer, message = message.name(), "not for the engine");
                return None;
            }
            _ => None,
        };
        Some(FromPeer::Message {
            peer,
            generation,
            message,
            onion,
        })
    }
}
