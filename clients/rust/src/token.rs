//! Where tokens come from.

use std::pin::Pin;

/// A token on its way, or why there is none.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Gives tokens when they are needed: before the first connection, before one expires, after one was refused.
///
/// Every function that returns a future of a token is a provider:
/// ```
/// # use rollcall_client::TokenProvider;
/// fn provider() -> impl TokenProvider {
///     || async { Ok::<_, std::io::Error>("a token from my own backend".to_owned()) }
/// }
/// ```
/// A failure is tried again: with backoff while there is no connection, else well before the token in use expires.
pub trait TokenProvider: Send + Sync + 'static {
    /// Gets a token.
    fn token(&self) -> TokenFuture;
}

impl<F, T, E> TokenProvider for F
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = Result<String, E>> + Send + 'static,
    E: std::fmt::Display,
{
    fn token(&self) -> TokenFuture {
        let token = self();
        Box::pin(async move { token.await.map_err(|error| error.to_string()) })
    }
}
