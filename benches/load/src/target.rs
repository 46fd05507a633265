//! What a run is aimed at: where it is, and how clients prove who they are.

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail, ensure};
use jsonwebtoken::{EncodingKey, Header};
use rollcall_protocol::Format;
use serde::Serialize;

/// The path of the WebSocket endpoint.
const PATH: &str = "/v1/ws";

/// How long tokens hold: longer than any run.
const TOKEN_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// Where clients connect: a server, or one of several that are a cluster. Cloning shares it.
#[derive(Clone)]
pub struct Endpoint {
    inner: Rc<Inner>,
    /// Which of the servers.
    at: usize,
}

struct Inner {
    /// Each with its url; at least one.
    servers: Vec<(String, SocketAddr)>,
    format: Format,
    secret: Option<EncodingKey>,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    exp: u64,
}

impl Endpoint {
    /// Takes the endpoint of a server on this machine.
    pub fn local(address: SocketAddr, format: Format, secret: &str) -> Self {
        Self::local_cluster(&[address], format, secret)
    }

    /// Takes the endpoints of servers on this machine that are one, at least one of them; this is the first's.
    pub fn local_cluster(addresses: &[SocketAddr], format: Format, secret: &str) -> Self {
        let secret = Some(EncodingKey::from_secret(secret.as_bytes()));
        let servers = addresses.iter().map(|address| (format!("ws://{address}{PATH}"), *address)).collect();
        Self { inner: Rc::new(Inner { servers, format, secret }), at: 0 }
    }

    /// Returns the endpoint for a connection, by its number: connections with numbers in a row go to all servers in turn.
    #[must_use]
    pub fn for_connection(&self, number: u64) -> Self {
        let servers = self.inner.servers.len() as u64;
        Self { inner: Rc::clone(&self.inner), at: usize::try_from(number % servers).expect("it is below a length") }
    }

    /// Finds the endpoint of a url, `ws://HOST:PORT` with or without a path.
    ///
    /// # Errors
    /// Where the url is none of these, its host has no address, or the secret cannot be read.
    pub async fn find(url: &str, format: Format, secret_file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("ws://") else {
            bail!("`{url}` does not begin with ws://: the harness speaks to servers without TLS alone");
        };
        let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        ensure!(!host.is_empty(), "`{url}` names no host");
        let host = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = tokio::net::lookup_host(&host)
            .await
            .with_context(|| format!("failed to find the host of `{url}`"))?
            .next()
            .ok_or_else(|| anyhow!("the host of `{url}` has no address"))?;
        let url = match path {
            None | Some("") => format!("ws://{host}{PATH}"),
            Some(path) => format!("ws://{host}/{path}"),
        };
        let secret = match secret_file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("failed to read the secret {}", path.display()))?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Some(EncodingKey::from_secret(text.as_bytes()))
            }
            None => None,
        };
        Ok(Self { inner: Rc::new(Inner { servers: vec![(url, address)], format, secret }), at: 0 })
    }

    /// Returns the url of the WebSocket endpoint.
    pub fn url(&self) -> &str {
        &self.inner.servers[self.at].0
    }

    /// Returns the address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.inner.servers[self.at].1
    }

    /// Returns the format that is spoken.
    pub fn format(&self) -> Format {
        self.inner.format
    }

    /// Makes a user's token; none where no secret is known, and the user will be a guest.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub fn token_of(&self, user: &str) -> anyhow::Result<Option<String>> {
        let Some(secret) = &self.inner.secret else { return Ok(None) };
        let until = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + TOKEN_TTL;
        let claims = Claims { sub: user, exp: until.as_secs() };
        let token = jsonwebtoken::encode(&Header::default(), &claims, secret).context("failed to sign a token")?;
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(url: &str) -> anyhow::Result<Endpoint> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Endpoint::find(url, Format::Json, None))
    }

    #[test]
    fn a_url_without_a_path_means_the_endpoint() {
        for url in ["ws://127.0.0.1:7400", "ws://127.0.0.1:7400/", "ws://127.0.0.1:7400/v1/ws"] {
            let endpoint = find(url).unwrap();
            assert_eq!((endpoint.url(), endpoint.address().port()), ("ws://127.0.0.1:7400/v1/ws", 7400));
            assert!(endpoint.token_of("u1").unwrap().is_none());
        }
        assert!(find("wss://127.0.0.1:7400").is_err());
        assert!(find("ws:///v1/ws").is_err());
    }

    #[test]
    fn connections_go_to_all_servers_in_turn() {
        let addresses = [7400, 7500, 7600].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let endpoint = Endpoint::local_cluster(&addresses, Format::Json, "secret");
        let ports: Vec<u16> = (0..5).map(|number| endpoint.for_connection(number).address().port()).collect();
        assert_eq!(ports, [7400, 7500, 7600, 7400, 7500]);
        assert_eq!(endpoint.for_connection(4).url(), "ws://127.0.0.1:7500/v1/ws");
    }

    #[test]
    fn a_token_names_its_user_and_when_it_expires() {
        let endpoint = Endpoint::local(SocketAddr::from(([127, 0, 0, 1], 7400)), Format::Json, "secret");
        let token = endpoint.token_of("u1").unwrap().unwrap();
        let key = jsonwebtoken::DecodingKey::from_secret(b"secret");
        let claims: jsonwebtoken::TokenData<serde_json::Value> =
            jsonwebtoken::decode(&token, &key, &jsonwebtoken::Validation::default()).unwrap();
        assert_eq!(claims.claims["sub"], "u1");
    }
}
