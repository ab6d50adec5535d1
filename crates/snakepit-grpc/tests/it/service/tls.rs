//! Servers that other machines can reach.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use snakepit_grpc::pb;
use snakepit_grpc::pb::bridge_service_client::BridgeServiceClient;
use snakepit_grpc::service::{Address, ServeError, ServeOptions, TlsError, TlsIdentity, Token};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Error};

use super::client::{Bearer, loopback};
use super::host;

const CERTIFICATE: &[u8] = include_bytes!("tls/cert.pem");
const KEY: &[u8] = include_bytes!("tls/key.pem");

/// Connects by TLS, and trusts the certificate of the tests.
async fn channel(address: SocketAddr, name: &'static str) -> Result<Channel, Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let tls = TlsConnector::from(Arc::new(config));
    let connector = tower::service_fn(move |_| {
        let (tls, name) = (tls.clone(), ServerName::try_from(name).unwrap());
        async move {
            let stream = TcpStream::connect(address).await?;
            tls.connect(name, stream).await.map(TokioIo::new)
        }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
}

fn ping() -> pb::PingRequest {
    pb::PingRequest {
        message: "hello".into(),
    }
}

#[tokio::test]
async fn a_server_for_other_machines_is_encrypted_and_needs_its_token() {
    let (server, _, _) = host::server(Default::default());
    let token = Token::generate().unwrap();
    let everywhere: SocketAddr = ([0, 0, 0, 0], 0).into();
    let options = ServeOptions::new();
    let refused = server
        .serve_tcp(everywhere, token.clone(), &options)
        .await
        .unwrap_err();
    assert!(matches!(refused, ServeError::NotLoopback(_)));
    let reason = refused.to_string();
    assert!(
        reason.contains("in the clear") && reason.contains("serve_tls"),
        "{reason}"
    );

    let identity = TlsIdentity::from_pem(CERTIFICATE, KEY).unwrap();
    assert_eq!(format!("{identity:?}"), "TlsIdentity(…)");
    let serving = server
        .serve_tls(loopback(), token.clone(), identity, &options)
        .await
        .unwrap();
    let Address::Tcp(address) = *serving.address() else {
        panic!("{serving:?}");
    };
    let channel_of = channel(address, "localhost").await.unwrap();
    let secret = Some(token.secret().to_owned());
    let mut client = BridgeServiceClient::with_interceptor(channel_of.clone(), Bearer(secret));
    assert!(client.ping(ping()).await.is_ok());
    let mut stranger = BridgeServiceClient::with_interceptor(channel_of, Bearer(None));
    assert_eq!(
        stranger.ping(ping()).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    // The certificate is for another name.
    assert!(channel(address, "example.org").await.is_err());
    // Without TLS there is no answer.
    let plain = Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await;
    let secret = Some(token.secret().to_owned());
    match plain {
        Ok(plain) => {
            let mut plain = BridgeServiceClient::with_interceptor(plain, Bearer(secret));
            assert!(plain.ping(ping()).await.is_err());
        }
        Err(error) => drop(error),
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_delays_nobody_and_is_closed() {
    let (server, _, _) = host::server(Default::default());
    let token = Token::generate().unwrap();
    let mut options = ServeOptions::new();
    options.patience = Duration::from_millis(200);
    let identity = TlsIdentity::from_pem(CERTIFICATE, KEY).unwrap();
    let serving = server
        .serve_tls(loopback(), token.clone(), identity, &options)
        .await
        .unwrap();
    let Address::Tcp(address) = *serving.address() else {
        panic!("{serving:?}");
    };
    let mut silent = TcpStream::connect(address).await.unwrap();
    let channel = channel(address, "localhost").await.unwrap();
    let secret = Some(token.secret().to_owned());
    let mut client = BridgeServiceClient::with_interceptor(channel, Bearer(secret));
    assert!(client.ping(ping()).await.is_ok());
    // It is closed although it has not sent a byte.
    assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_sends_nothing_does_not_hold_the_end_of_the_server() {
    let (server, _, _) = host::server(Default::default());
    let token = Token::generate().unwrap();
    let mut options = ServeOptions::new();
    options.patience = Duration::from_secs(3600);
    options.max_connections = 2;
    let identity = TlsIdentity::from_pem(CERTIFICATE, KEY).unwrap();
    let (secret, at) = (token.clone(), loopback());
    let encrypted = server.serve_tls(at, secret, identity, &options).await;
    let plain = server.serve_tcp(at, token.clone(), &options).await;
    for serving in [encrypted.unwrap(), plain.unwrap()] {
        let Address::Tcp(address) = *serving.address() else {
            panic!("{serving:?}");
        };
        // The third replaces the first, so the server has accepted them.
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        silent[0].read_to_end(&mut Vec::new()).await.unwrap();
        assert!(serving.stop(Duration::from_secs(3600)).await);
    }
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_told_apart() {
    let error = |certificate, key| TlsIdentity::from_pem(certificate, key).unwrap_err();
    assert!(matches!(error(b"", KEY), TlsError::Certificate(_)));
    assert!(matches!(error(CERTIFICATE, b"no key"), TlsError::Key(_)));
    let other = String::from_utf8(KEY.to_vec()).unwrap();
    let lines: Vec<&str> = other.lines().collect();
    let broken = format!("{}\nAAAA\n{}\n", lines[0], lines[lines.len() - 1]);
    assert!(matches!(
        error(CERTIFICATE, broken.as_bytes()),
        TlsError::Mismatch(_)
    ));
}
