//! TLS for the interface where it listens beyond this machine: a key and a certificate of the node's own, made at the first such start, which
//! its clients are given as a file. There is no authority to trust, and none to be fooled.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::files;

const CERTIFICATE: &str = "tls-certificate.pem";
const KEY: &str = "tls-key.pem";
/// How long a client may take to say who it is.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// Clients that may be about it at once; more wait for their turn.
const HANDSHAKES_MAX: usize = 1_024;
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

/// Takes connections and proves who we are, each on a task of its own: whoever dawdles delays nobody.
pub(crate) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    /// Begins to take connections.
    pub(crate) fn new(listener: TcpListener, config: ServerConfig) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (done, ready) = mpsc::channel(HANDSHAKES_MAX);
        tokio::spawn(take(listener, TlsAcceptor::from(Arc::new(config)), done));
        Ok(Self { ready, address })
    }
}

async fn take(listener: TcpListener, acceptor: TlsAcceptor, done: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    while let Ok(place) = Arc::clone(&room).acquire_owned().await {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = done.closed() => return,
        };
        let (stream, caller) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection for commands cannot be taken");
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            }
        };
        let (acceptor, done) = (acceptor.clone(), done.clone());
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
                // A server that has ended takes nobody any more.
                Ok(Ok(stream)) => drop(done.send((stream, caller)).await),
                Ok(Err(error)) => debug!(%caller, %error, "no TLS"),
                Err(_) => debug!(%caller, "TLS took too long"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
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
