//! TLS for the interface where it listens beyond this machine: a key and a certificate of the node's own, made at the first such start, which
//! its clients are given as a file. There is no authority to trust, and none to be fooled.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};
use std::time::Duration;

use axum::serve::Listener;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::files;

const CERTIFICATE: &str = "tls-certificate.pem";
const KEY: &str = "tls-key.pem";
/// How long a client may take to say who it is.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Clients that may be connected at once; more wait for their turn. Each costs some kilobytes and a file descriptor.
const CONNECTIONS_MAX: usize = 1_024;
/// How long accepting rests when the system refuses, for instance for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Where the certificate is.
pub(crate) fn certificate_path(folder: &Path) -> PathBuf {
    folder.join(CERTIFICATE)
}

/// What the interface proves itself by; made at the first start that needs it. `address` and `names` are what clients may call it.
pub(crate) fn proving(folder: &Path, address: SocketAddr, names: &[String]) -> Result<ServerConfig, String> {
    let (certificate, key) = (certificate_path(folder), folder.join(KEY));
    if !certificate.exists() || !key.exists() {
        make(&certificate, &key, address, names)?;
    }
    let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(&certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| told(&certificate, &error));
    let secret = PrivateKeyDer::from_pem_file(&key).map_err(|error| told(&key, &error))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain?, secret);
    config.map_err(|error| told(&certificate, &error))
}

/// What trusts the certificate in a node's folder, and nothing else.
pub(crate) fn trusting(folder: &Path) -> Result<ClientConfig, String> {
    let path = certificate_path(folder);
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| told(&error))? {
        let certificate = certificate.map_err(|error| told(&error))?;
        roots.add(certificate).map_err(|error| told(&error))?;
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn make(certificate: &Path, key: &Path, address: SocketAddr, names: &[String]) -> Result<(), String> {
    let mut known = vec!["localhost".to_owned()];
    known.extend(names.iter().cloned());
    let mut params = CertificateParams::new(known).map_err(|error| error.to_string())?;
    let mut numbers = vec![IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    if !address.ip().is_unspecified() {
        numbers.push(address.ip());
    }
    params
        .subject_alt_names
        .extend(numbers.into_iter().map(SanType::IpAddress));
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "quittance");
    params.distinguished_name = name;
    let pair = KeyPair::generate().map_err(|error| error.to_string())?;
    let signed = params.self_signed(&pair).map_err(|error| error.to_string())?;
    let told = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    // The key first: a certificate without one is made again.
    files::write_private(key, pair.serialize_pem().trim_end()).map_err(|error| told(key, error))?;
    files::write_private(certificate, signed.pem().trim_end()).map_err(|error| told(certificate, error))
}

/// Takes connections and proves who we are, each on a task of its own: whoever dawdles delays nobody. There are no more of them at once than
/// there are places, and a connection keeps its place as long as it lives.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(Placed, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Begins to take connections.
    pub(crate) fn new(listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        Self::with_places(listener, config, CONNECTIONS_MAX)
    }

    fn with_places(listener: TcpListener, config: ServerConfig, places: usize) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(places);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        tokio::spawn(take(listener, acceptor, Arc::new(Semaphore::new(places)), done));
        Ok(Self { ready, address })
    }
}

async fn take(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    places: Arc<Semaphore>,
    done: mpsc::Sender<(Placed, SocketAddr)>,
) {
    loop {
        let accepted = tokio::select! {
            Ok(place) = Arc::clone(&places).acquire_owned() => tokio::select! {
                accepted = listener.accept() => accepted.map(|accepted| (accepted, place)),
                () = done.closed() => return,
            },
            () = done.closed() => return,
        };
        let ((stream, caller), place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection for commands cannot be taken");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let placed = Placed { stream, _place: place };
                    // A server that has ended takes nobody any more.
                    drop(done.send((placed, caller)).await);
                }
                Ok(Err(error)) => debug!(%caller, %error, "no TLS"),
                Err(_) => debug!(%caller, "TLS took too long"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = Placed;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Its task ends with us only.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A connection in its place.
pub(crate) struct Placed {
    stream: TlsStream<TcpStream>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, into)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symptom: a connection gave its place away as soon as it stood, so that any number of them could be held open.
    #[test]
    fn a_connection_keeps_its_place_as_long_as_it_lives() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let config = proving(folder.path(), address, &[]).unwrap();
            let mut listener = TlsListener::with_places(listener, config, 1).unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::new(trusting(folder.path()).unwrap()));
            let call = || {
                let connector = connector.clone();
                tokio::spawn(async move {
                    let stream = TcpStream::connect(address).await.unwrap();
                    connector.connect(address.ip().into(), stream).await.unwrap()
                })
            };
            let first = call();
            let (held, _) = listener.accept().await;
            let second = call();
            let soon = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
            assert!(soon.is_err(), "the only place is taken");
            drop(held);
            listener.accept().await;
            drop((first.await.unwrap(), second.await.unwrap()));
        });
    }
}
