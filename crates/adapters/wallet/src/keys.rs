//! The wallet's keys: what the watching half is told (public descriptors), and the signatures on its own inputs.

use bdk_wallet::KeychainKind;
use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::sighash::{Prevouts, SighashCache};
use bitcoin::{TapSighashType, Transaction, TxOut, Weight, Witness};
use secp256k1::{Keypair, Message, SECP256K1};

/// The account's secret key. Dropped keys are not wiped: `bitcoin` gives no way to it.
#[derive(Clone)]
pub(crate) struct Keys {
    account: Xpriv,
}

/// An input of ours: where it stands, and which key it needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnInput {
    pub(crate) index: usize,
    pub(crate) keychain: KeychainKind,
    pub(crate) derivation_index: u32,
}

/// What the witness of a key spend weighs: the number of its elements, the length, and a signature of 64 bytes.
pub(crate) const WITNESS_WEIGHT: Weight = Weight::from_wu(1 + 1 + 64);

impl Keys {
    pub(crate) const fn new(account: Xpriv) -> Self {
        Self { account }
    }

    /// The descriptors of addresses that are handed out and of change (BIP 86), with public keys only.
    pub(crate) fn public_descriptors(&self) -> [String; 2] {
        let account = Xpub::from_priv(SECP256K1, &self.account);
        [0, 1].map(|branch| format!("tr({account}/{branch}/*)"))
    }

    /// Signs these inputs of a transaction whose every spent output is given, in order. Witnesses of others are left alone.
    pub(crate) fn sign(&self, transaction: &mut Transaction, spent: &[TxOut], inputs: &[OwnInput]) -> Option<()> {
        let mut witnesses = Vec::with_capacity(inputs.len());
        {
            let mut cache = SighashCache::new(&*transaction);
            for input in inputs {
                let hash = cache
                    .taproot_key_spend_signature_hash(input.index, &Prevouts::All(spent), TapSighashType::Default)
                    .ok()?;
                let pair = self.pair(input.keychain, input.derivation_index)?;
                let tweaked = pair.tap_tweak(SECP256K1, None).to_keypair();
                // Without randomness of the caller's: the same transaction, signed again, is the same transaction.
                let signature =
                    SECP256K1.sign_schnorr_no_aux_rand(&Message::from_digest(hash.to_byte_array()), &tweaked);
                witnesses.push((input.index, Witness::from_slice(&[signature.serialize()])));
            }
        }
        for (index, witness) in witnesses {
            transaction.input.get_mut(index)?.witness = witness;
        }
        Some(())
    }

    fn pair(&self, keychain: KeychainKind, index: u32) -> Option<Keypair> {
        let branch = match keychain {
            KeychainKind::External => 0,
            KeychainKind::Internal => 1,
        };
        let path = [
            ChildNumber::from_normal_idx(branch).ok()?,
            ChildNumber::from_normal_idx(index).ok()?,
        ];
        let key = self.account.derive_priv(SECP256K1, &path).ok()?;
        Some(Keypair::from_secret_key(SECP256K1, &key.private_key))
    }
}
