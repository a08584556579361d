//! The faults of a wire to Postgres, at the n-th exchange.

use std::sync::Arc;

use async_trait::async_trait;
use ractor_housekeeper::testing::PostgresProxy;
pub(crate) use ractor_housekeeper::testing::WireFault as ConnectionFault;

use crate::TestResult;
use crate::crashes::FaultPoint;

/// A wire to a server.
pub(crate) struct Proxy {
    /// Of the server, but over this wire.
    pub(crate) url: String,
    wire: Arc<PostgresProxy>,
}

impl Proxy {
    /// To the server at this URL, which is reached through a socket.
    pub(crate) async fn to(url: &str) -> TestResult<Self> {
        let wire = PostgresProxy::start(url).await?;
        Ok(Self {
            url: wire.url().to_owned(),
            wire: Arc::new(wire),
        })
    }

    pub(crate) fn go_silent(&self) {
        self.wire.go_silent();
    }

    pub(crate) fn resume(&self) {
        self.wire.resume();
    }

    /// This fault, to be set.
    pub(crate) fn fault(&self, fault: ConnectionFault) -> ConnectionFaultPoint {
        let wire = self.wire.clone();
        ConnectionFaultPoint { wire, fault }
    }
}

/// A fault of a wire.
pub(crate) struct ConnectionFaultPoint {
    wire: Arc<PostgresProxy>,
    fault: ConnectionFault,
}

#[async_trait]
impl FaultPoint for ConnectionFaultPoint {
    fn set(&self, point: usize) {
        self.wire.fail(point, self.fault);
    }

    async fn triggered(&self) {
        self.wire.failed().await;
    }

    fn clear(&self) -> bool {
        self.wire.clear()
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
