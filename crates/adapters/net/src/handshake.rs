//! BOLT 8's three acts over a stream.

use quittance_noise::{ACT_ONE_LEN, ACT_THREE_LEN, ACT_TWO_LEN, Established, HandshakeError, Initiator, Responder};
use secp256k1::{PublicKey, SecretKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFailed {
    #[error(transparent)]
    Refused(#[from] HandshakeError),
    #[error("the handshake was cut: {0}")]
    Stream(#[from] std::io::Error),
}

/// The end that connects.
pub(crate) async fn initiate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: SecretKey,
    peer: PublicKey,
) -> Result<Established, HandshakeFailed> {
    let (initiator, act_one) = Initiator::start(key, fresh_key()?, peer);
    stream.write_all(&act_one).await?;
    let mut act_two = [0; ACT_TWO_LEN];
    stream.read_exact(&mut act_two).await?;
    let (established, act_three) = initiator.finish(&act_two)?;
    stream.write_all(&act_three).await?;
    Ok(established)
}

/// The end that is connected to.
pub(crate) async fn respond<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    key: SecretKey,
) -> Result<Established, HandshakeFailed> {
    let mut act_one = [0; ACT_ONE_LEN];
    stream.read_exact(&mut act_one).await?;
    let (responder, act_two) = Responder::accept(key, fresh_key()?, &act_one)?;
    stream.write_all(&act_two).await?;
    let mut act_three = [0; ACT_THREE_LEN];
    stream.read_exact(&mut act_three).await?;
    Ok(responder.finish(&act_three)?)
}

/// A key that nobody else has. One in 2^128 draws is none, and is drawn again.
fn fresh_key() -> Result<SecretKey, std::io::Error> {
    loop {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return Ok(key);
        }
    }
}
