//! The values that a channel's log shares with the protocol layer and the journal.

use quittance_journal::{EventNumber, UpdateId};
use quittance_transactions::{ChannelPublicKeys, CommitmentFormat, SecretStore, SimpleCloseVariant};

use crate::{BadRecord, Listed, Record, take};

impl Record for ChannelPublicKeys {
    fn write(&self, out: &mut Vec<u8>) {
        self.funding.write(out);
        self.revocation_basepoint.write(out);
        self.payment_basepoint.write(out);
        self.delayed_payment_basepoint.write(out);
        self.htlc_basepoint.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Ok(Self {
            funding: Record::read(input)?,
            revocation_basepoint: Record::read(input)?,
            payment_basepoint: Record::read(input)?,
            delayed_payment_basepoint: Record::read(input)?,
            htlc_basepoint: Record::read(input)?,
        })
    }
}

impl Record for CommitmentFormat {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::StaticRemotekey => 1,
            Self::Anchors => 2,
            Self::ZeroFee => 3,
        });
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        match take(input, 1, "CommitmentFormat")?[0] {
            1 => Ok(Self::StaticRemotekey),
            2 => Ok(Self::Anchors),
            3 => Ok(Self::ZeroFee),
            tag => Err(BadRecord::UnknownTag {
                of: "CommitmentFormat",
                tag,
            }),
        }
    }
}

impl Record for SimpleCloseVariant {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::CloserOutputOnly => 1,
            Self::CloseeOutputOnly => 2,
            Self::CloserAndCloseeOutputs => 3,
        });
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        match take(input, 1, "SimpleCloseVariant")?[0] {
            1 => Ok(Self::CloserOutputOnly),
            2 => Ok(Self::CloseeOutputOnly),
            3 => Ok(Self::CloserAndCloseeOutputs),
            tag => Err(BadRecord::UnknownTag {
                of: "SimpleCloseVariant",
                tag,
            }),
        }
    }
}

impl Record for SecretStore {
    fn write(&self, out: &mut Vec<u8>) {
        self.encode().write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        Self::decode(&Vec::<u8>::read(input)?).map_err(|_| BadRecord::Invalid("secret store"))
    }
}

impl Record for EventNumber {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        u64::read(input).map(Self)
    }
}

impl Listed for EventNumber {}

impl Record for UpdateId {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }

    fn read(input: &mut &[u8]) -> Result<Self, BadRecord> {
        u64::read(input).map(Self)
    }
}
