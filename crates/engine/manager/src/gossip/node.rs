//! `node_announcement`: what our node calls itself and where it is reached, once it has a channel that others know.

use quittance_journal::{HeaderRow, Key};
use quittance_primitives::NodeId;
use quittance_records::Record;
use quittance_wire::{Excess, FeatureBytes, NodeAnnouncement};

use super::terms::{dated, seconds};
use crate::api::{GossipToSign, Outgoing};
use crate::manager::ChannelManager;
use crate::turn::Turn;

/// The newest version of the record format of our node's announcement.
pub(crate) const NODE_VERSION: u16 = 1;

impl ChannelManager {
    /// Every peer hears of our node.
    pub(crate) fn publish_node(&mut self, turn: &mut Turn<'_>) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.tell_our_node(peer, turn);
        }
    }

    /// A peer hears of our node.
    pub(crate) fn tell_our_node(&mut self, peer: NodeId, turn: &mut Turn<'_>) {
        let announcement = self.our_announcement(turn);
        let node = GossipToSign::Node(Box::new(announcement));
        self.send(peer, Outgoing::Gossip(Box::new(node)), turn);
    }

    /// What we say of our node. A change of what we are set up with gives it a later time.
    fn our_announcement(&mut self, turn: &mut Turn<'_>) -> NodeAnnouncement {
        let face = &self.config.face;
        let mut announcement = NodeAnnouncement {
            signature: GossipToSign::unsigned(),
            features: FeatureBytes::from(&face.features),
            timestamp: 0,
            node_id: self.config.node_id,
            rgb_color: face.color,
            alias: face.alias,
            addresses: face.addresses.clone(),
            excess: Excess::default(),
        };
        let said = self.gossip.node.as_ref();
        let is_same = |said: &NodeAnnouncement| {
            *said
                == NodeAnnouncement {
                    timestamp: said.timestamp,
                    ..announcement.clone()
                }
        };
        let said = said.map(|said| (said.timestamp, is_same(said)));
        announcement.timestamp = dated(said, seconds(turn.context.now_ms));
        if self.gossip.node.as_ref() != Some(&announcement) {
            let key = Key::Header(HeaderRow::NodeAnnouncement);
            turn.step.changes_mut().put(key, NODE_VERSION, &announcement.to_bytes());
            self.gossip.node = Some(announcement.clone());
        }
        announcement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gossip::Face;

    #[test]
    fn rows_of_version_1_are_read() {
        let mut alias = [0; 32];
        alias[..5].copy_from_slice(b"SCOWL");
        let said = NodeAnnouncement {
            signature: GossipToSign::unsigned(),
            features: FeatureBytes(vec![0x82]),
            timestamp: 0x6000_0001,
            node_id: NodeId([2; 33]),
            rgb_color: [0xff, 0x88, 0],
            alias,
            addresses: Face::default().addresses,
            excess: Excess::default(),
        };
        let mut stored = vec![0x8d, 1];
        stored.extend([1; 64]);
        stored.extend([0, 1, 0x82, 0x60, 0, 0, 1]);
        stored.extend([2; 33]);
        stored.extend([0xff, 0x88, 0]);
        stored.extend(alias);
        stored.extend([0, 0]);
        assert_eq!(NodeAnnouncement::from_bytes(&stored), Ok(said.clone()));
        assert_eq!(said.to_bytes(), stored);
    }
}
