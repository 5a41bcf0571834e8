//! Connections of callers, each on a task of its own, over HTTP/1.1. Whoever connects and says nothing, or does not come to an end of it, loses
//! the connection, and so does whoever keeps one that rests: nobody has shown a token yet by that. An answer may take as long as it takes.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::serve::Listener;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

/// How long callers may take for what they have to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// For the head of a request, from the connection or the last answer on.
    pub(crate) head: Duration,
    /// For its body, from its head on.
    pub(crate) body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(20),
            body: Duration::from_secs(20),
        }
    }
}

/// Answers until `end`, and then until those that have asked have their answers.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    patience: Patience,
    end: impl Future<Output = ()> + Send,
) {
    let (ending, ended) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut end = pin!(end);
    loop {
        tokio::select! {
            (stream, _) = listener.accept() => {
                connections.spawn(converse(stream, router.clone(), patience, ended.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = &mut end => break,
        }
    }
    drop((listener, ending));
    while connections.join_next().await.is_some() {}
}

/// One caller, until it has no more to ask, or `ended` has no other end any more.
async fn converse<S>(stream: S, router: Router, patience: Patience, mut ended: watch::Receiver<()>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    let served = tokio::select! {
        served = &mut connection => served,
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(error, "a connection for commands has ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{State, Tokens, router};
    use quittance_api::Scope;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What a caller hears who says so much and waits, and whether the connection has ended then.
    fn heard(folder: &std::path::Path, said: &str) -> String {
        let (mut state, _lifeline) = State::new(Tokens::read(folder).unwrap(), folder.to_owned());
        state.patience = Patience {
            head: Duration::from_millis(50),
            body: Duration::from_millis(50),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let (mut caller, stream) = tokio::io::duplex(4_096);
            let (_ending, ended) = watch::channel(());
            let patience = state.patience;
            tokio::spawn(converse(stream, router(state), patience, ended));
            caller.write_all(said.as_bytes()).await.unwrap();
            let mut heard = String::new();
            // It returns at the end of the connection, and not before.
            caller.read_to_string(&mut heard).await.unwrap();
            heard
        })
    }

    #[test]
    fn whoever_says_nothing_or_half_of_it_loses_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(heard(folder.path(), ""), "");
        assert_eq!(
            heard(folder.path(), "GET /openapi.json HTTP/1.1\r\nHost: x\r\nX-Slow: "),
            ""
        );
    }

    #[test]
    fn a_connection_that_rests_after_its_answer_ends() {
        let folder = tempfile::tempdir().unwrap();
        let answer = heard(folder.path(), "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    #[test]
    fn a_body_that_does_not_come_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let token = crate::files::token(folder.path(), Scope::Read).unwrap();
        let head = format!(
            "POST /v1/decode HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n{{"
        );
        let answer = heard(folder.path(), &head);
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("too_slow"),
            "{answer}"
        );
    }
}
