//! A wire to Postgres that can be cut, or go dead, at the n-th exchange.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Done;
use crate::crashes::Fault;
use frames::Frames;

mod frames;

/// Passes on what clients and a server tell each other. An exchange is what a client sends until it waits for an answer.
pub(crate) struct Wire {
    /// Of the server, but over this wire.
    pub(crate) url: String,
    trap: Arc<Trap>,
    listener: JoinHandle<()>,
}

/// What happens to an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
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
struct Trap {
    plan: Mutex<Option<(usize, Mishap)>>,
    sprung: watch::Sender<bool>,
    silent: watch::Sender<bool>,
}

impl Wire {
    /// To the server at this URL, which is reached through a socket.
    pub(crate) async fn to(url: &str) -> Done<Self> {
        let (_, place) = url.split_once('@').ok_or("a user is in it")?;
        let (folder, database) = place.split_once('/').ok_or("a database is in it")?;
        let socket = format!("{}/.s.PGSQL.5432", folder.replace("%2F", "/"));
        let clients = TcpListener::bind("127.0.0.1:0").await?;
        let address = clients.local_addr()?;
        let trap = Arc::new(Trap::default());
        let listening = trap.clone();
        let listener = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = clients.accept().await {
                let (socket, trap) = (socket.clone(), listening.clone());
                connections.spawn(async move {
                    let Ok(server) = UnixStream::connect(socket).await else {
                        return;
                    };
                    // An end that went away is no news.
                    let _ = carry(client, server, &trap).await;
                });
            }
        });
        Ok(Self {
            url: format!("postgres://housekeeper@{address}/{database}"),
            trap,
            listener,
        })
    }

    /// From now on nothing is heard of either end, not even that it went away; and whoever connects hears nothing.
    pub(crate) fn go_silent(&self) {
        self.trap.silent.send_replace(true);
    }

    /// Whoever connects from now on is heard.
    pub(crate) fn speak_again(&self) {
        self.trap.silent.send_replace(false);
    }

    /// This mishap, to be set.
    pub(crate) fn mishap(&self, mishap: Mishap) -> WireFault {
        let trap = self.trap.clone();
        WireFault { trap, mishap }
    }
}

/// A mishap of a wire.
pub(crate) struct WireFault {
    trap: Arc<Trap>,
    mishap: Mishap,
}

#[async_trait]
impl Fault for WireFault {
    fn set(&self, point: usize) {
        self.trap.sprung.send_replace(false);
        *self.trap.plan() = Some((point, self.mishap));
    }

    async fn sprung(&self) {
        // Fails only without a sender, and we hold it.
        let mut sprung = self.trap.sprung.subscribe();
        let _ = sprung.wait_for(|sprung| *sprung).await;
    }

    fn clear(&self) -> bool {
        *self.trap.plan() = None;
        *self.trap.sprung.borrow()
    }

    fn wants_a_kill(&self) -> bool {
        matches!(self.mishap, Mishap::RequestHeld | Mishap::AnswerHeld)
    }

    fn is_a_crash(&self) -> bool {
        self.wants_a_kill()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

impl Trap {
    fn plan(&self) -> std::sync::MutexGuard<'_, Option<(usize, Mishap)>> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to the exchange that begins now.
    fn next(&self) -> Option<Mishap> {
        let mut plan = self.plan();
        let (left, mishap) = plan.take()?;
        if left > 1 {
            *plan = Some((left - 1, mishap));
            return None;
        }
        Some(mishap)
    }

    /// On a silent wire, for ever.
    async fn silence(&self) {
        if *self.silent.borrow() {
            std::future::pending::<()>().await;
        }
    }

    fn spring(&self) {
        self.sprung.send_replace(true);
    }
}

/// Carries one connection until an end goes away or a mishap ends it.
async fn carry(client: TcpStream, server: UnixStream, trap: &Trap) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let (mut client, mut server) = (Frames::of_client(client), Frames::of_server(server));
    let mut ignore_reply = 0_usize;
    loop {
        tokio::select! {
            request = client.exchange() => {
                let Some(request) = request? else { return Ok(()) };
                trap.silence().await;
                ignore_reply += 1;
                let Some(mishap) = (if request.is_asking { trap.next() } else { None }) else {
                    server.send(&request.bytes).await?;
                    continue;
                };
                if matches!(mishap, Mishap::AnswerLost | Mishap::AnswerHeld) {
                    server.send(&request.bytes).await?;
                    while ignore_reply > 0 {
                        let Some(answer) = server.frame().await? else { break };
                        ignore_reply -= usize::from(answer.is_last);
                    }
                }
                trap.spring();
                match mishap {
                    Mishap::RequestLost | Mishap::AnswerLost => return Ok(()),
                    Mishap::RequestHeld | Mishap::AnswerHeld => while client.exchange().await?.is_some() {},
                }
                return Ok(());
            }
            answer = server.frame() => {
                let Some(answer) = answer? else { return Ok(()) };
                trap.silence().await;
                ignore_reply = ignore_reply.saturating_sub(usize::from(answer.is_last));
                client.send(&answer.bytes).await?;
            }
        }
    }
}
