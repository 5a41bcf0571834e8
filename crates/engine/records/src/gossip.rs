//! Messages of BOLT 7 as fields: as they travel, without their type, behind their length.

use quittance_wire::{ChannelUpdate, WireMessage};

use crate::{BadRecord, Record};

impl Record for ChannelUpdate {
    fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        self.encode_body_into(&mut body);
        body.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let body = Vec::<u8>::read(input)?;
        Self::decode_body(&body).map_err(|_| BadRecord::Invalid("channel_update"))
    }
}
