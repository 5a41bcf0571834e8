//! The `init` messages: what we say, and whether what the peer says can be met (BOLT 1).

use bitcoin::constants::ChainHash;
use quittance_primitives::{Feature, FeatureContext, Features, UnmetFeature};
use quittance_wire::{DecodeError, Init, Message, NodeAddress};

/// Why a peer's `init` ends the connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InitRefused {
    /// Something else came first.
    #[error("the peer's first message is {0}, not init")]
    NotInit(&'static str),
    /// It cannot be read.
    #[error("the peer's first message cannot be read: {0}")]
    Unreadable(DecodeError),
    /// It requires what we do not have.
    #[error("the peer cannot be met: {0}")]
    Unmet(UnmetFeature),
    /// It lacks what we require.
    #[error("the peer lacks feature bit {0}, which we require")]
    Lacks(usize),
    /// It lives on other chains.
    #[error("the peer's channels stand on other chains than ours")]
    OtherChain,
}

/// Our `init`.
pub(crate) fn ours(features: &Features, chain: ChainHash, seen_at: Option<NodeAddress>) -> Message {
    // BOLT 1: bits above 13 are not to be set in the historical field, and nothing needs it.
    Message::Init(Init {
        globalfeatures: Features::empty(),
        features: features.for_context(FeatureContext::Init),
        networks: Some(vec![chain]),
        remote_addr: seen_at,
    })
}

/// What both sides support, or why the connection ends.
pub(crate) fn judge(ours: &Features, chain: ChainHash, first: &[u8]) -> Result<Features, InitRefused> {
    let init = match Message::decode(first).map_err(InitRefused::Unreadable)? {
        Message::Init(init) => init,
        other => return Err(InitRefused::NotInit(other.name())),
    };
    let theirs = init.all_features();
    theirs.check().map_err(InitRefused::Unmet)?;
    // An empty list names no chain that we could have in common; a missing one says nothing.
    if init.networks.is_some_and(|networks| !networks.contains(&chain)) {
        return Err(InitRefused::OtherChain);
    }
    let required = Feature::ALL.into_iter().filter(|feature| ours.requires(*feature));
    for feature in required {
        if !theirs.supports(feature) {
            return Err(InitRefused::Lacks(feature.required_bit()));
        }
    }
    let both = Feature::ALL
        .into_iter()
        .filter(|feature| ours.supports(*feature) && theirs.supports(*feature));
    Ok(both.fold(Features::empty(), Features::offering))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(features: &Features, networks: Option<Vec<ChainHash>>) -> Result<Features, InitRefused> {
        let ours = Features::empty()
            .offering(Feature::Anchors)
            .requiring(Feature::ShutdownAnysegwit);
        let init = Init {
            globalfeatures: Features::empty(),
            features: features.clone(),
            networks,
            remote_addr: None,
        };
        judge(&ours, ChainHash::REGTEST, &Message::Init(init).encode())
    }

    #[test]
    fn what_both_support_is_agreed_on() {
        let theirs = Features::empty()
            .offering(Feature::ShutdownAnysegwit)
            .offering(Feature::Anchors)
            .offering(Feature::Quiesce);
        let agreed = judged(&theirs, Some(vec![ChainHash::BITCOIN, ChainHash::REGTEST])).unwrap();
        assert!(agreed.supports(Feature::Anchors) && agreed.supports(Feature::ShutdownAnysegwit));
        assert!(!agreed.supports(Feature::Quiesce));
        assert_eq!(judged(&theirs, None), Ok(agreed));
    }

    #[test]
    fn what_cannot_be_met_ends_the_connection() {
        let base = Features::empty().offering(Feature::ShutdownAnysegwit);
        let mut unknown = base.clone();
        unknown.set_bit(200);
        assert_eq!(
            judged(&unknown, None),
            Err(InitRefused::Unmet(UnmetFeature::UnknownRequired(200)))
        );
        let zeroconf = base.clone().offering(Feature::Zeroconf);
        assert!(matches!(judged(&zeroconf, None), Err(InitRefused::Unmet(_))));
        assert_eq!(judged(&Features::empty(), None), Err(InitRefused::Lacks(26)));
        assert_eq!(
            judged(&base, Some(vec![ChainHash::BITCOIN])),
            Err(InitRefused::OtherChain)
        );
        assert_eq!(judged(&base, Some(Vec::new())), Err(InitRefused::OtherChain));
    }

    #[test]
    fn something_else_than_init_first_is_refused() {
        let ours = Features::empty();
        let ping = [0, 18, 0, 0, 0, 0];
        assert_eq!(
            judge(&ours, ChainHash::REGTEST, &ping),
            Err(InitRefused::NotInit("ping"))
        );
        assert_eq!(
            judge(&ours, ChainHash::REGTEST, &[0]),
            Err(InitRefused::Unreadable(DecodeError::TypeMissing { length: 1 }))
        );
    }
}
