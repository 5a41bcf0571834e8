//! BOLT 4: the message that carries an onion without a payment.

use secp256k1::PublicKey;

use crate::message::message;

message! {
    /// An onion to peel and pass on (BOLT 4, `onion_message`).
    #[derive(Debug)]
    OnionMessage = 513 "onion_message" {
        path_key: PublicKey,
        /// 1366 or 32834 bytes by convention; other lengths are legal.
        onion_message_packet: Vec<u8>,
    }
}
