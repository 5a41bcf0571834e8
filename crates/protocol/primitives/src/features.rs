//! Feature bits: what a node, a channel or an invoice can do and must be met with (BOLT 9).
//!
//! A [`Features`] is the bit field as it travels, in any of the contexts of BOLT 9. Bits that we do not know are kept.
//! Bits that every node is assumed to support are treated as offered, whether they are set or not.

use std::fmt;

/// A feature of BOLT 9, named as there; its value is its even (compulsory) bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are BOLT 9's own")]
pub enum Feature {
    DataLossProtect = 0,
    UpfrontShutdownScript = 4,
    GossipQueries = 6,
    VarOnion = 8,
    GossipQueriesEx = 10,
    StaticRemotekey = 12,
    PaymentSecret = 14,
    BasicMpp = 16,
    LargeChannel = 18,
    Anchors = 22,
    RouteBlinding = 24,
    ShutdownAnysegwit = 26,
    DualFund = 28,
    Quiesce = 34,
    AttributionData = 36,
    OnionMessages = 38,
    ZeroFeeCommitments = 40,
    ProvideStorage = 42,
    ChannelType = 44,
    ScidAlias = 46,
    PaymentMetadata = 48,
    Zeroconf = 50,
    Keysend = 54,
    SimpleClose = 60,
    Splice = 62,
}

/// Where a bit field stands (BOLT 9, context column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureContext {
    /// The `init` message (`I`).
    Init,
    /// The `node_announcement` message (`N`).
    Node,
    /// The `channel_announcement` message (`C`).
    Channel,
    /// A BOLT 11 invoice (`9`).
    Invoice,
    /// The `allowed_features` of a blinded path (`B`).
    BlindedPath,
    /// The `channel_type` of an open (`T`).
    ChannelType,
}

/// Why a peer's or an invoice's features cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnmetFeature {
    /// A compulsory bit that we do not know.
    #[error("feature bit {0} is required, and unknown to us")]
    UnknownRequired(usize),
    /// A feature is set without one that it rests on.
    #[error("feature {feature:?} is set without {needs:?}, which it depends on")]
    MissingDependency {
        /// The feature that is set.
        feature: Feature,
        /// The feature that it needs.
        needs: Feature,
    },
}

impl Feature {
    /// Every feature that we know, by bit.
    pub const ALL: [Self; 25] = [
        Self::DataLossProtect,
        Self::UpfrontShutdownScript,
        Self::GossipQueries,
        Self::VarOnion,
        Self::GossipQueriesEx,
        Self::StaticRemotekey,
        Self::PaymentSecret,
        Self::BasicMpp,
        Self::LargeChannel,
        Self::Anchors,
        Self::RouteBlinding,
        Self::ShutdownAnysegwit,
        Self::DualFund,
        Self::Quiesce,
        Self::AttributionData,
        Self::OnionMessages,
        Self::ZeroFeeCommitments,
        Self::ProvideStorage,
        Self::ChannelType,
        Self::ScidAlias,
        Self::PaymentMetadata,
        Self::Zeroconf,
        Self::Keysend,
        Self::SimpleClose,
        Self::Splice,
    ];

    /// The bit by which the feature is required; the next one offers it.
    pub const fn required_bit(self) -> usize {
        self as usize
    }

    /// The bit by which the feature is offered.
    pub const fn optional_bit(self) -> usize {
        self as usize + 1
    }

    /// Whether every node is assumed to have it, set or not (BOLT 9, ASSUMED).
    pub const fn is_assumed(self) -> bool {
        matches!(
            self,
            Self::DataLossProtect | Self::VarOnion | Self::StaticRemotekey | Self::PaymentSecret | Self::ChannelType
        )
    }

    /// The feature that this one must not be set without (BOLT 9, dependencies). Assumed ones need no bit.
    pub const fn dependency(self) -> Option<Self> {
        match self {
            Self::BasicMpp => Some(Self::PaymentSecret),
            Self::Zeroconf => Some(Self::ScidAlias),
            Self::SimpleClose => Some(Self::ShutdownAnysegwit),
            Self::DataLossProtect
            | Self::UpfrontShutdownScript
            | Self::GossipQueries
            | Self::VarOnion
            | Self::GossipQueriesEx
            | Self::StaticRemotekey
            | Self::PaymentSecret
            | Self::LargeChannel
            | Self::Anchors
            | Self::RouteBlinding
            | Self::ShutdownAnysegwit
            | Self::DualFund
            | Self::Quiesce
            | Self::AttributionData
            | Self::OnionMessages
            | Self::ZeroFeeCommitments
            | Self::ProvideStorage
            | Self::ChannelType
            | Self::ScidAlias
            | Self::PaymentMetadata
            | Self::Keysend
            | Self::Splice => None,
        }
    }

    /// Whether the feature's bits have a meaning in `context`; elsewhere they must not be set (BOLT 9).
    pub const fn belongs_in(self, context: FeatureContext) -> bool {
        use FeatureContext::{ChannelType, Init, Invoice, Node};
        match self {
            Self::DataLossProtect
            | Self::UpfrontShutdownScript
            | Self::GossipQueries
            | Self::GossipQueriesEx
            | Self::LargeChannel
            | Self::ShutdownAnysegwit
            | Self::DualFund
            | Self::Quiesce
            | Self::OnionMessages
            | Self::ProvideStorage
            | Self::ChannelType
            | Self::SimpleClose
            | Self::Splice => matches!(context, Init | Node),
            Self::StaticRemotekey | Self::Anchors | Self::ZeroFeeCommitments | Self::ScidAlias | Self::Zeroconf => {
                matches!(context, Init | Node | ChannelType)
            }
            Self::VarOnion | Self::PaymentSecret | Self::BasicMpp | Self::RouteBlinding | Self::AttributionData => {
                matches!(context, Init | Node | Invoice)
            }
            Self::PaymentMetadata => matches!(context, Invoice),
            Self::Keysend => matches!(context, Node),
        }
    }

    /// The feature that `bit` requires or offers, if we know it.
    pub fn of_bit(bit: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|feature| feature.required_bit() == bit & !1)
    }
}

/// A bit field of features. Bit 0 is the lowest bit of the last byte that travels (BOLT 1).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Features {
    /// Lowest byte first, without zero bytes at the end.
    bytes: Vec<u8>,
}

impl Features {
    /// No bit set.
    pub const fn empty() -> Self {
        Self { bytes: Vec::new() }
    }

    /// Reads the field as it travels: highest byte first; zero bytes in front are allowed.
    pub fn from_be_bytes(bytes: &[u8]) -> Self {
        let mut features = Self {
            bytes: bytes.iter().rev().copied().collect(),
        };
        features.trim();
        features
    }

    /// The field as it travels, in as few bytes as possible.
    pub fn to_be_bytes(&self) -> Vec<u8> {
        self.bytes.iter().rev().copied().collect()
    }

    /// Whether no bit is set.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether `bit` is set.
    pub fn has_bit(&self, bit: usize) -> bool {
        self.bytes.get(bit / 8).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)
    }

    /// Sets `bit`. Bits come from tables of ours, never from a peer, so their size is bounded.
    pub fn set_bit(&mut self, bit: usize) {
        if self.bytes.len() <= bit / 8 {
            self.bytes.resize(bit / 8 + 1, 0);
        }
        self.bytes[bit / 8] |= 1 << (bit % 8);
    }

    /// Clears `bit`.
    pub fn clear_bit(&mut self, bit: usize) {
        if let Some(byte) = self.bytes.get_mut(bit / 8) {
            *byte &= !(1 << (bit % 8));
        }
        self.trim();
    }

    /// The field with `feature` offered.
    #[must_use]
    pub fn offering(mut self, feature: Feature) -> Self {
        self.set_bit(feature.optional_bit());
        self
    }

    /// The field with `feature` required. A pair never has both bits set (BOLT 9).
    #[must_use]
    pub fn requiring(mut self, feature: Feature) -> Self {
        self.clear_bit(feature.optional_bit());
        self.set_bit(feature.required_bit());
        self
    }

    /// Whether `feature` is offered, required or assumed of everyone.
    pub fn supports(&self, feature: Feature) -> bool {
        feature.is_assumed() || self.sets(feature)
    }

    /// Whether `feature` is required. With both bits of a pair set, the feature counts as required (BOLT 9).
    pub fn requires(&self, feature: Feature) -> bool {
        self.has_bit(feature.required_bit())
    }

    /// All bits set, in ascending order.
    pub fn bits(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.bytes.len() * 8).filter(|bit| self.has_bit(*bit))
    }

    /// Whether everything that is set here, required or offered, is supported by `other`, bit pair by bit pair.
    pub fn is_supported_by(&self, other: &Self) -> bool {
        self.bits().all(|bit| match Feature::of_bit(bit) {
            Some(feature) => other.supports(feature),
            None => other.has_bit(bit | 1) || other.has_bit(bit & !1),
        })
    }

    /// The bits of this field that have a meaning in `context`, for instance what an `init` may say.
    #[must_use]
    pub fn for_context(&self, context: FeatureContext) -> Self {
        let mut kept = Self::empty();
        self.bits()
            .filter(|bit| Feature::of_bit(*bit).is_some_and(|feature| feature.belongs_in(context)))
            .for_each(|bit| kept.set_bit(bit));
        kept
    }

    /// Checks a field that someone else sent: every required bit is known, every dependency is set (BOLT 1, BOLT 9).
    ///
    /// # Errors
    /// The first [`UnmetFeature`], by bit.
    pub fn check(&self) -> Result<(), UnmetFeature> {
        for bit in self.bits() {
            match Feature::of_bit(bit) {
                None if bit % 2 == 0 => return Err(UnmetFeature::UnknownRequired(bit)),
                None => {}
                Some(feature) => {
                    if let Some(needs) = feature.dependency().filter(|needs| !self.supports(*needs)) {
                        return Err(UnmetFeature::MissingDependency { feature, needs });
                    }
                }
            }
        }
        Ok(())
    }

    /// The union, as `init` treats its two bit fields (BOLT 1).
    #[must_use]
    pub fn union(mut self, other: &Self) -> Self {
        other.bits().for_each(|bit| self.set_bit(bit));
        self
    }

    fn sets(&self, feature: Feature) -> bool {
        self.has_bit(feature.required_bit()) || self.has_bit(feature.optional_bit())
    }

    fn trim(&mut self) {
        let used = self
            .bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        self.bytes.truncate(used);
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Features")?;
        f.debug_list().entries(self.bits()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn assumed_features_are_supported_unset() {
        let nothing = Features::empty();
        assert!(nothing.supports(Feature::StaticRemotekey) && nothing.supports(Feature::ChannelType));
        assert!(!nothing.supports(Feature::Anchors));
    }

    #[test]
    fn unknown_required_bit_is_refused_and_unknown_offered_bit_is_not() {
        let mut features = Features::empty();
        features.set_bit(201);
        assert_eq!(features.check(), Ok(()));
        features.set_bit(202);
        assert_eq!(features.check(), Err(UnmetFeature::UnknownRequired(202)));
    }

    #[test]
    fn zeroconf_needs_alias() {
        let zeroconf = Features::empty().offering(Feature::Zeroconf);
        let missing = UnmetFeature::MissingDependency {
            feature: Feature::Zeroconf,
            needs: Feature::ScidAlias,
        };
        assert_eq!(zeroconf.check(), Err(missing));
        assert_eq!(zeroconf.offering(Feature::ScidAlias).check(), Ok(()));
        // `payment_secret` is assumed, so `basic_mpp` may stand alone.
        assert_eq!(Features::empty().offering(Feature::BasicMpp).check(), Ok(()));
    }

    #[test]
    fn each_feature_stands_only_where_bolt_9_puts_it() {
        let all = Feature::ALL.into_iter().fold(Features::empty(), Features::offering);
        let channel_type: Vec<_> = all.for_context(FeatureContext::ChannelType).bits().collect();
        assert_eq!(channel_type, [13, 23, 41, 47, 51]);
        let invoice: Vec<_> = all.for_context(FeatureContext::Invoice).bits().collect();
        assert_eq!(invoice, [9, 15, 17, 25, 37, 49]);
        assert!(all.for_context(FeatureContext::BlindedPath).is_empty());
        assert!(all.for_context(FeatureContext::Channel).is_empty());
        assert!(!all.for_context(FeatureContext::Init).has_bit(49));
    }

    #[test]
    fn requiring_clears_the_offer() {
        let features = Features::empty().offering(Feature::Anchors).requiring(Feature::Anchors);
        assert_eq!(features.bits().collect::<Vec<_>>(), [22]);
        assert!(features.is_supported_by(&Features::empty().offering(Feature::Anchors)));
        assert!(!features.is_supported_by(&Features::empty()));
    }

    proptest! {
        #[test]
        fn bytes_come_back_without_leading_zeros(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let features = Features::from_be_bytes(&bytes);
            let encoded = features.to_be_bytes();
            prop_assert_eq!(bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &bytes[first..]), &encoded[..]);
            prop_assert_eq!(Features::from_be_bytes(&encoded), features);
        }
    }
}
