//! A proxy in front of Postgres that can break a connection or go silent.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

mod frames;

use frames::{Exchange, Frames};

/// A proxy in front of a Postgres server. A test can make it fail one exchange, or go silent.
///
/// An exchange is all that a client sends before it waits for an answer. Dropping the proxy closes
/// its connections.
///
/// # Examples
///
/// ```no_run
/// use ractor_housekeeper::PostgresStore;
/// use ractor_housekeeper::testing::{PostgresProxy, PrivatePostgres, WireFault};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let Some(server) = PrivatePostgres::shared()? else { return Ok(()) };
/// let proxy = PostgresProxy::start(&server.fresh_database()?).await?;
/// let store = PostgresStore::connect(proxy.url())?;
///
/// // The server commits, and the client receives no answer.
/// proxy.fail_commit(1, WireFault::AnswerLost);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PostgresProxy {
    url: String,
    state: Arc<State>,
    listener: JoinHandle<()>,
}

/// The fault of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireFault {
    /// The connection breaks before the server receives the request.
    RequestLost,
    /// The server handles the request, and then the connection breaks.
    AnswerLost,
    /// The proxy holds the request until the client goes away.
    RequestHeld,
    /// The server handles the request, and the proxy holds the answer until the client goes away.
    AnswerHeld,
}

#[derive(Debug, Default)]
struct State {
    plan: Mutex<Option<Plan>>,
    triggered: watch::Sender<bool>,
    silent: watch::Sender<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    only_commits: bool,
    /// Exchanges up to and including the one that fails.
    left: usize,
    fault: WireFault,
}

impl PostgresProxy {
    /// Starts a proxy to a database of a [`PrivatePostgres`](super::PrivatePostgres), by its URL.
    ///
    /// # Errors
    ///
    /// Fails if the URL is not one of a private server, or if no port is free.
    pub async fn start(url: &str) -> io::Result<Self> {
        let place = url.split_once('@').map_or(url, |(_, place)| place);
        let (folder, database) = place
            .split_once('/')
            .filter(|(folder, _)| folder.starts_with("%2F"))
            .ok_or_else(|| {
                io::Error::other("give the URL of a private server, whose host is a folder")
            })?;
        let socket = format!("{}/.s.PGSQL.5432", folder.replace("%2F", "/"));
        let clients = TcpListener::bind("127.0.0.1:0").await?;
        let address = clients.local_addr()?;
        let state = Arc::new(State::default());
        let shared = state.clone();
        let listener = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = clients.accept().await {
                let (socket, state) = (socket.clone(), shared.clone());
                connections.spawn(async move {
                    let Ok(server) = UnixStream::connect(socket).await else {
                        return;
                    };
                    // An error only means that an end went away.
                    let _ = forward(client, server, &state).await;
                });
            }
        });
        let user = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'));
        let user = user.map_or("housekeeper", |(user, _)| user);
        Ok(Self {
            url: format!("postgres://{user}@{address}/{database}"),
            state,
            listener,
        })
    }

    /// Returns the URL of the database through this proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Fails one exchange, counted from now: 1 is the next.
    pub fn fail(&self, exchange: usize, fault: WireFault) {
        self.set(false, exchange, fault);
    }

    /// Fails one `COMMIT`, counted from now: 1 is the next.
    pub fn fail_commit(&self, commit: usize, fault: WireFault) {
        self.set(true, commit, fault);
    }

    /// Removes the fault. Returns whether it has occurred.
    #[expect(
        clippy::must_use_candidate,
        reason = "it is called for what it does, too"
    )]
    pub fn clear(&self) -> bool {
        *self.state.plan() = None;
        *self.state.triggered.borrow()
    }

    /// Waits until the fault occurs.
    pub async fn failed(&self) {
        // Fails only without a sender, which `self` holds.
        let mut triggered = self.state.triggered.subscribe();
        let _ = triggered.wait_for(|triggered| *triggered).await;
    }

    /// Drops all packets of both ends from now on, including those that close a connection, and
    /// those of new connections.
    pub fn go_silent(&self) {
        self.state.silent.send_replace(true);
    }

    /// Forwards again. A connection that had packets while the proxy was silent stays silent.
    pub fn resume(&self) {
        self.state.silent.send_replace(false);
    }

    fn set(&self, only_commits: bool, number: usize, fault: WireFault) {
        self.state.triggered.send_replace(false);
        *self.state.plan() = Some(Plan {
            only_commits,
            left: number,
            fault,
        });
    }
}

impl Drop for PostgresProxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl State {
    fn plan(&self) -> MutexGuard<'_, Option<Plan>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the fault of the exchange that begins now.
    fn next(&self, request: &Exchange) -> Option<WireFault> {
        let mut plan = self.plan();
        let set = plan.as_mut()?;
        if set.only_commits && !request.is_commit() {
            return None;
        }
        if set.left > 1 {
            set.left -= 1;
            return None;
        }
        plan.take().map(|plan| plan.fault)
    }

    /// Returns at once, or never if the proxy is silent.
    async fn silence(&self) {
        if *self.silent.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

/// Forwards one connection until an end goes away or a fault ends it.
async fn forward(client: TcpStream, server: UnixStream, state: &State) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut client, mut server) = (Frames::of_client(client), Frames::of_server(server));
    let mut unanswered_requests = 0_usize;
    loop {
        tokio::select! {
            request = client.exchange() => {
                let Some(request) = request? else { return Ok(()) };
                state.silence().await;
                unanswered_requests += 1;
                let Some(fault) = (if request.is_asking { state.next(&request) } else { None }) else {
                    server.send(&request.bytes).await?;
                    continue;
                };
                if matches!(fault, WireFault::AnswerLost | WireFault::AnswerHeld) {
                    server.send(&request.bytes).await?;
                    while unanswered_requests > 0 {
                        let Some(answer) = server.frame().await? else { break };
                        unanswered_requests -= usize::from(answer.is_last);
                    }
                }
                state.triggered.send_replace(true);
                match fault {
                    WireFault::RequestLost | WireFault::AnswerLost => return Ok(()),
                    WireFault::RequestHeld | WireFault::AnswerHeld => while client.exchange().await?.is_some() {},
                }
                return Ok(());
            }
            answer = server.frame() => {
                let Some(answer) = answer? else { return Ok(()) };
                state.silence().await;
                unanswered_requests = unanswered_requests.saturating_sub(usize::from(answer.is_last));
                client.send(&answer.bytes).await?;
            }
        }
    }
}
