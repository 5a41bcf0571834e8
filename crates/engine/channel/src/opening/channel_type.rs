//! The channel types that BOLT 2 defines, as a value: a commitment format and its variations.

use quittance_primitives::{Feature, Features};
use quittance_transactions::CommitmentFormat;

/// A channel type of BOLT 2 (`channel_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelType {
    /// How commitments are built.
    pub format: CommitmentFormat,
    /// Whether the channel is known by its aliases alone (`option_scid_alias`). Never of an announced channel.
    pub scid_alias: bool,
    /// Whether it is used before its funding confirms (`option_zeroconf`).
    pub zeroconf: bool,
}

impl ChannelType {
    /// The basic type of `format`.
    pub const fn basic(format: CommitmentFormat) -> Self {
        Self {
            format,
            scid_alias: false,
            zeroconf: false,
        }
    }

    /// The type as it travels: even bits only, no more than needed (BOLT 2).
    pub fn features(self) -> Features {
        self.parts().fold(Features::empty(), Features::requiring)
    }

    /// The type that `features` stand for, or `None` when BOLT 2 defines none that is exactly this.
    pub fn parse(features: &Features) -> Option<Self> {
        let channel_type = Self {
            format: CommitmentFormat::of_channel_type(features)?,
            scid_alias: features.requires(Feature::ScidAlias),
            zeroconf: features.requires(Feature::Zeroconf),
        };
        (channel_type.features() == *features).then_some(channel_type)
    }

    /// The first feature of the type that is not among `negotiated`.
    pub(super) fn not_negotiated(self, negotiated: &Features) -> Option<Feature> {
        self.parts().find(|feature| !negotiated.supports(*feature))
    }

    fn parts(self) -> impl Iterator<Item = Feature> {
        let basic: &[Feature] = match self.format {
            CommitmentFormat::StaticRemotekey => &[Feature::StaticRemotekey],
            CommitmentFormat::Anchors => &[Feature::StaticRemotekey, Feature::Anchors],
            CommitmentFormat::ZeroFee => &[Feature::ZeroFeeCommitments],
        };
        let scid_alias = self.scid_alias.then_some(Feature::ScidAlias);
        let zeroconf = self.zeroconf.then_some(Feature::Zeroconf);
        basic.iter().copied().chain(scid_alias).chain(zeroconf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMATS: [CommitmentFormat; 3] = [
        CommitmentFormat::StaticRemotekey,
        CommitmentFormat::Anchors,
        CommitmentFormat::ZeroFee,
    ];

    #[test]
    fn each_defined_type_comes_back_from_its_bits() {
        for format in FORMATS {
            for (scid_alias, zeroconf) in [(false, false), (true, false), (false, true), (true, true)] {
                let channel_type = ChannelType {
                    format,
                    scid_alias,
                    zeroconf,
                };
                assert_eq!(ChannelType::parse(&channel_type.features()), Some(channel_type));
            }
        }
        let anchors = ChannelType {
            scid_alias: true,
            ..ChannelType::basic(CommitmentFormat::Anchors)
        };
        assert_eq!(anchors.features().bits().collect::<Vec<_>>(), [12, 22, 46]);
    }

    #[test]
    fn other_combinations_are_no_type() {
        let of_bits = |bits: &[usize]| {
            let mut features = Features::empty();
            for bit in bits {
                features.set_bit(*bit);
            }
            ChannelType::parse(&features)
        };
        assert_eq!(of_bits(&[]), None);
        assert_eq!(of_bits(&[22]), None, "anchors without static_remotekey");
        assert_eq!(of_bits(&[13, 23]), None, "odd bits");
        assert_eq!(of_bits(&[12, 40]), None, "two formats");
        assert_eq!(of_bits(&[12, 22, 18]), None, "a feature that is no part of a type");
        assert_eq!(of_bits(&[46]), None, "a variation of nothing");
    }
}
