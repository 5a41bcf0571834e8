//! Who may call what: a bearer token for each scope.

use std::io;
use std::path::Path;

use axum::extract::{Request, State as Extracted};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::Response;
use bitcoin::hashes::{Hash, sha256};
use quittance_api::{ErrorCode, Problem, Scope};

use super::{Refusal, State};
use crate::files;

/// The tokens' hashes: what is compared is as long as any, and tells nothing of a token by its time.
#[derive(Clone)]
pub(crate) struct Tokens(Vec<(Scope, sha256::Hash)>);

impl Tokens {
    /// Reads the tokens, or makes them.
    pub(crate) fn read(folder: &Path) -> io::Result<Self> {
        let token = |scope| Ok((scope, sha256::Hash::hash(files::token(folder, scope)?.as_bytes())));
        Ok(Self(Scope::ALL.into_iter().map(token).collect::<io::Result<_>>()?))
    }

    fn scope(&self, given: &str) -> Option<Scope> {
        let given = sha256::Hash::hash(given.as_bytes());
        self.0.iter().find(|(_, hash)| *hash == given).map(|(scope, _)| *scope)
    }
}

/// The least scope for a call.
fn needed(method: &Method, path: &str) -> Scope {
    if method == Method::GET {
        return Scope::Read;
    }
    match path {
        "/v1/decode" | "/v1/check" => Scope::Read,
        "/v1/invoices" | "/v1/held/claim" | "/v1/held/refuse" | "/v1/address" => Scope::Invoice,
        "/v1/payments" | "/v1/keysend" | "/v1/probe" | "/v1/events/handled" => Scope::Pay,
        path if path.starts_with("/v1/payments/") => Scope::Pay,
        _ => Scope::Admin,
    }
}

/// Lets a call through whose token allows it.
pub(crate) async fn check(
    Extracted(state): Extracted<State>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let scope = given
        .and_then(|value| value.strip_prefix("Bearer "))
        .and_then(|token| state.tokens.scope(token.trim()));
    let Some(scope) = scope else {
        let problem = Problem::new(
            ErrorCode::Unauthorised,
            "a token is needed, and this is none of this node's",
        );
        return Err(Refusal(problem.next(
            "send Authorization: Bearer …, with the content of one of the token-… files in the node's folder",
        )));
    };
    let needed = needed(request.method(), request.uri().path());
    if scope < needed {
        let what = format!(
            "this call needs a token for {}, and yours is for {}",
            needed.name(),
            scope.name()
        );
        return Err(Refusal(
            Problem::new(ErrorCode::Forbidden, what).next(format!("use the one in token-{}", needed.name())),
        ));
    }
    Ok(next.run(request).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_needs_the_scope_of_what_it_does() {
        for (method, path, scope) in [
            (Method::GET, "/v1/payments", Scope::Read),
            (Method::GET, "/v1/received", Scope::Read),
            (Method::GET, "/metrics", Scope::Read),
            (Method::POST, "/v1/invoices", Scope::Invoice),
            (Method::POST, "/v1/payments", Scope::Pay),
            (Method::POST, "/v1/payments/00/abandon", Scope::Pay),
            (Method::POST, "/v1/channels", Scope::Admin),
            (Method::POST, "/v1/onchain", Scope::Admin),
            (Method::POST, "/v1/check", Scope::Read),
            (Method::POST, "/v1/sign", Scope::Admin),
            (Method::POST, "/v1/backup", Scope::Admin),
            (Method::POST, "/v1/unlock", Scope::Admin),
            (Method::DELETE, "/v1/peers/00", Scope::Admin),
            (Method::POST, "/v1/what/comes/later", Scope::Admin),
        ] {
            assert_eq!(needed(&method, path), scope, "{method} {path}");
        }
    }
}
