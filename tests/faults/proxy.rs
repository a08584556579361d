//! A wire to Postgres that can be cut, or go dead, at the n-th exchange.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::TestResult;
use crate::crashes::FaultPoint;
use frames::Frames;

mod frames;

/// Passes on what clients and a server tell each other. An exchange is what a client sends until it
/// waits for an answer.
pub(crate) struct Proxy {
    /// Of the server, but over this wire.
    pub(crate) url: String,
    step_fault: Arc<StepFault>,
    listener: JoinHandle<()>,
}

/// What happens to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionFault {
    /// The connection breaks before the server has heard a word of it.
    RequestLost,
    /// The server does what it was asked, and then the connection breaks.
    AnswerLost,
    /// The request is held until the client goes away.
    RequestHeld,
    /// The server does what it was asked; the answer is held until the client goes away.
    AnswerHeld,
}

#[derive(Default)]
struct StepFault {
    plan: Mutex<Option<(usize, ConnectionFault)>>,
    triggered: watch::Sender<bool>,
    silent: watch::Sender<bool>,
}

impl Proxy {
    /// To the server at this URL, which is reached through a socket.
    pub(crate) async fn to(url: &str) -> TestResult<Self> {
        let (_, place) = url.split_once('@').ok_or("a user is in it")?;
        let (folder, database) = place.split_once('/').ok_or("a database is in it")?;
        let socket = format!("{}/.s.PGSQL.5432", folder.replace("%2F", "/"));
        let clients = TcpListener::bind("127.0.0.1:0").await?;
        let address = clients.local_addr()?;
        let step_fault = Arc::new(StepFault::default());
        let listening = step_fault.clone();
        let listener = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = clients.accept().await {
                let (socket, step_fault) = (socket.clone(), listening.clone());
                connections.spawn(async move {
                    let Ok(server) = UnixStream::connect(socket).await else {
                        return;
                    };
                    // An end that went away is no news.
                    let _ = carry(client, server, &step_fault).await;
                });
            }
        });
        Ok(Self {
            url: format!("postgres://housekeeper@{address}/{database}"),
            step_fault,
            listener,
        })
    }

    /// Drops all packets of both ends from now on, even of a close, and of new connections.
    pub(crate) fn go_silent(&self) {
        self.step_fault.silent.send_replace(true);
    }

    /// Forwards new connections from now on.
    pub(crate) fn resume(&self) {
        self.step_fault.silent.send_replace(false);
    }

    /// This mishap, to be set.
    pub(crate) fn fault(&self, fault: ConnectionFault) -> ConnectionFaultPoint {
        let step_fault = self.step_fault.clone();
        ConnectionFaultPoint { step_fault, fault }
    }
}

/// A mishap of a wire.
pub(crate) struct ConnectionFaultPoint {
    step_fault: Arc<StepFault>,
    fault: ConnectionFault,
}

#[async_trait]
impl FaultPoint for ConnectionFaultPoint {
    fn set(&self, point: usize) {
        self.step_fault.triggered.send_replace(false);
        *self.step_fault.plan() = Some((point, self.fault));
    }

    async fn triggered(&self) {
        // Fails only without a sender, and we hold it.
        let mut triggered = self.step_fault.triggered.subscribe();
        let _ = triggered.wait_for(|triggered| *triggered).await;
    }

    fn clear(&self) -> bool {
        *self.step_fault.plan() = None;
        *self.step_fault.triggered.borrow()
    }

    fn needs_a_kill(&self) -> bool {
        matches!(
            self.fault,
            ConnectionFault::RequestHeld | ConnectionFault::AnswerHeld
        )
    }

    fn is_a_crash(&self) -> bool {
        self.needs_a_kill()
    }

    /// The store asks the server what became of a commit.
    fn may_lose_a_batch(&self) -> bool {
        false
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl StepFault {
    fn plan(&self) -> std::sync::MutexGuard<'_, Option<(usize, ConnectionFault)>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to the exchange that begins now.
    fn next(&self) -> Option<ConnectionFault> {
        let mut plan = self.plan();
        let (left, fault) = plan.take()?;
        if left > 1 {
            *plan = Some((left - 1, fault));
            return None;
        }
        Some(fault)
    }

    /// On a silent wire, for ever.
    async fn silence(&self) {
        if *self.silent.borrow() {
            std::future::pending::<()>().await;
        }
    }

    fn spring(&self) {
        self.triggered.send_replace(true);
    }
}

/// Carries one connection until an end goes away or a mishap ends it.
async fn carry(
    client: TcpStream,
    server: UnixStream,
    step_fault: &StepFault,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (mut client, mut server) = (Frames::of_client(client), Frames::of_server(server));
    let mut unanswered_requests = 0_usize;
    loop {
        tokio::select! {
            request = client.exchange() => {
                let Some(request) = request? else { return Ok(()) };
                step_fault.silence().await;
                unanswered_requests += 1;
                let Some(fault) = (if request.is_asking { step_fault.next() } else { None }) else {
                    server.send(&request.bytes).await?;
                    continue;
                };
                if matches!(fault, ConnectionFault::AnswerLost | ConnectionFault::AnswerHeld) {
                    server.send(&request.bytes).await?;
                    while unanswered_requests > 0 {
                        let Some(answer) = server.frame().await? else { break };
                        unanswered_requests -= usize::from(answer.is_last);
                    }
                }
                step_fault.spring();
                match fault {
                    ConnectionFault::RequestLost | ConnectionFault::AnswerLost => return Ok(()),
                    ConnectionFault::RequestHeld | ConnectionFault::AnswerHeld => while client.exchange().await?.is_some() {},
                }
                return Ok(());
            }
            answer = server.frame() => {
                let Some(answer) = answer? else { return Ok(()) };
                step_fault.silence().await;
                unanswered_requests = unanswered_requests.saturating_sub(usize::from(answer.is_last));
                client.send(&answer.bytes).await?;
            }
        }
    }
}
