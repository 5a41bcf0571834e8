//! The primitives as fields.

use quittance_primitives::{
    BlockCount, BlockHeight, ChannelId, CltvExpiry, CltvExpiryDelta, CommitmentNumber, Features, FeeratePerKw, HtlcId,
    MilliSatoshi, NodeId, PaymentHash, PaymentId, PaymentPreimage, PaymentSecret, ShortChannelId, ToSelfDelay,
};

use bitcoin::Amount;

use crate::{BadRecord, Listed, Record, take};

macro_rules! as_their_content {
    ($($name:ident),* $(,)?) => {$(
        impl Record for $name {
            fn write(&self, out: &mut Vec<u8>) {
                self.0.write(out);
            }

            fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
                Record::read(input).map(Self)
            }
        }

        impl Listed for $name {}
    )*};
}

as_their_content!(
    BlockCount,
    BlockHeight,
    ChannelId,
    CltvExpiry,
    CltvExpiryDelta,
    CommitmentNumber,
    FeeratePerKw,
    HtlcId,
    MilliSatoshi,
    NodeId,
    PaymentHash,
    PaymentId,
    PaymentPreimage,
    PaymentSecret,
    ToSelfDelay,
);

impl Record for Amount {
    fn write(&self, out: &mut Vec<u8>) {
        self.to_sat().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        u64::read(input).map(Self::from_sat)
    }
}

/// Eight bytes: a block height in the highest bits would make every varint a long one.
impl Record for ShortChannelId {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        <[u8; 8]>::read(input).map(u64::from_be_bytes).map(Self)
    }
}

impl Listed for ShortChannelId {}

impl Record for Features {
    fn write(&self, out: &mut Vec<u8>) {
        self.to_be_bytes().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        let bytes = Vec::read(input)?;
        match bytes.first() {
            Some(0) => Err(BadRecord::Invalid("features")),
            Some(_) | None => Ok(Self::from_be_bytes(&bytes)),
        }
    }
}

impl Record for u8 {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(take(input, 1, "byte")?[0])
    }
}
