//! What the node is doing, as far as calls are concerned. The interface is there from the first moment on: while the seed is locked, and while
//! the chain cannot be read, it says so, and lets somebody unlock or stop. Everything else has to wait for the node itself.

use std::path::PathBuf;

use quittance_api::{ErrorCode, Problem};
use quittance_node::Node;
use tokio::sync::{mpsc, oneshot, watch};

use super::access::Tokens;
use super::connections::Patience;

/// What the node is doing.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    /// It reads its files.
    Starting,
    /// Its seed is encrypted, and it waits for the passphrase.
    Locked,
    /// It waits for its chain source, which says this.
    AwaitingChain(String),
    /// It runs.
    Running(Node),
}

/// What a caller wants of whoever runs the node.
#[derive(Debug)]
pub(crate) enum Order {
    /// Open the seed by this passphrase.
    Unlock(String, oneshot::Sender<Result<(), Problem>>),
    /// Stop, in whatever state.
    Stop,
}

/// What calls work with.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) tokens: Tokens,
    pub(crate) folder: PathBuf,
    pub(crate) patience: Patience,
    life: watch::Receiver<Life>,
    orders: mpsc::Sender<Order>,
}

/// The other end of [`State`]: for whoever runs the node.
pub(crate) struct Lifeline {
    life: watch::Sender<Life>,
    orders: mpsc::Receiver<Order>,
}

/// Orders that may wait.
const ORDERS: usize = 16;

impl State {
    /// The two ends.
    pub(crate) fn new(tokens: Tokens, folder: PathBuf) -> (Self, Lifeline) {
        let (told, life) = watch::channel(Life::Starting);
        let (orders, orders_in) = mpsc::channel(ORDERS);
        let state = Self {
            tokens,
            folder,
            patience: Patience::default(),
            life,
            orders,
        };
        let lifeline = Lifeline {
            life: told,
            orders: orders_in,
        };
        (state, lifeline)
    }

    /// The node, once it runs.
    pub(crate) fn node(&self) -> Result<Node, Problem> {
        match &*self.life.borrow() {
            Life::Running(node) => Ok(node.clone()),
            Life::Starting => Err(Problem::new(ErrorCode::Starting, "the node reads its files").next("ask again")),
            Life::Locked => Err(Problem::new(
                ErrorCode::Locked,
                "the node is locked: its seed is encrypted, and nobody has given the passphrase since its start",
            )
            .next("quittance unlock")),
            Life::AwaitingChain(why) => Err(Problem::new(
                ErrorCode::ChainUnavailable,
                format!("the node waits for bitcoind before it does anything: {why}"),
            )
            .next("start bitcoind, or check its address in quittance.toml; the node goes on by itself")),
        }
    }

    /// The node, once it runs, for callers who have shown no token: where bitcoind and its files are is not their business.
    pub(crate) fn node_for_anyone(&self) -> Result<Node, Problem> {
        self.node().map_err(|problem| match problem.code {
            ErrorCode::ChainUnavailable => {
                Problem::new(problem.code, "the node waits for bitcoind before it does anything")
                    .next("any call with a token says why")
            }
            _ => problem,
        })
    }

    /// Opens the seed.
    pub(crate) async fn unlock(&self, passphrase: String) -> Result<(), Problem> {
        let (answer, answered) = oneshot::channel();
        self.order(Order::Unlock(passphrase, answer)).await?;
        answered.await.map_err(|_| stopping())?
    }

    /// Asks for the end.
    pub(crate) async fn stop(&self) -> Result<(), Problem> {
        self.order(Order::Stop).await
    }

    async fn order(&self, order: Order) -> Result<(), Problem> {
        self.orders.send(order).await.map_err(|_| stopping())
    }
}

impl Lifeline {
    /// What callers are told from now on.
    pub(crate) fn tell(&self, life: Life) {
        self.life.send_replace(life);
    }

    /// The next passphrase that somebody gives; nothing when the node is to stop instead.
    pub(crate) async fn passphrase(&mut self) -> Option<(String, oneshot::Sender<Result<(), Problem>>)> {
        match self.orders.recv().await? {
            Order::Unlock(passphrase, answer) => Some((passphrase, answer)),
            Order::Stop => None,
        }
    }

    /// Waits until the node is asked to stop. Whoever wants to unlock it is told that it is not locked.
    pub(crate) async fn asked_to_stop(&mut self) {
        while let Some((_, answer)) = self.passphrase().await {
            let problem = Problem::new(ErrorCode::Refused, "the node is not locked");
            // Whoever asked may be gone.
            let _ = answer.send(Err(problem));
        }
    }
}

/// Why nothing is done any more.
pub(super) fn stopping() -> Problem {
    Problem::new(ErrorCode::Stopping, "the node is stopping")
}
