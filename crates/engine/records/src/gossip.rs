//! Messages of BOLT 7 as fields: as they travel, without their type, behind their length.

use quittance_wire::{ChannelUpdate, NodeAnnouncement, WireMessage};

use crate::{BadRecord, Record};

macro_rules! as_they_travel {
    ($($message:ident $name:literal),*) => {$(
        impl Record for $message {
            fn write(&self, out: &mut Vec<u8>) {
                let mut body = Vec::new();
                self.encode_body_into(&mut body);
                body.write(out);
            }

            fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
                let body = Vec::<u8>::read(input)?;
                Self::decode_body(&body).map_err(|_| BadRecord::Invalid($name))
            }
        }
    )*};
}

as_they_travel!(ChannelUpdate "channel_update", NodeAnnouncement "node_announcement");
