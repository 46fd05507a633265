//! The session registry: one live connection per device. Of two connections, exactly one survives.

use std::collections::HashMap;
use std::sync::Arc;

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use rollcall_protocol::CloseCode;

use super::inbox::Inbox;
use crate::room::SenderKey;

/// Which process of a client a connection belongs to, and its place among that process's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Drawn once in the life of the client's process.
    pub id: Box<str>,
    /// The process's counter of connections.
    pub attempt: u64,
}

/// The registry of a node's live connections.
#[derive(Debug, Clone)]
pub struct Sessions {
    actor: ActorRef<SessionsMsg>,
}

#[derive(Debug)]
enum SessionsMsg {
    Hello(SenderKey, Live),
    Gone(SenderKey, Arc<Inbox>),
}

#[derive(Debug)]
struct Live {
    session: Session,
    inbox: Arc<Inbox>,
}

impl Sessions {
    /// Begins with nobody connected.
    ///
    /// # Errors
    /// Where the actor could not be started.
    pub async fn start() -> Result<Self, SpawnErr> {
        let (actor, _) = Actor::spawn(None, Registry, ()).await?;
        Ok(Self { actor })
    }

    /// Registers a connection that said hello. A connection of the same device is asked to close: an older one of the same session
    /// as superseded, one of another session as replaced. An older one that comes late is closed itself.
    pub fn hello(&self, key: SenderKey, session: Session, inbox: Arc<Inbox>) {
        let _ = self.actor.cast(SessionsMsg::Hello(key, Live { session, inbox }));
    }

    /// Forgets a connection that ended.
    pub fn gone(&self, key: SenderKey, inbox: Arc<Inbox>) {
        let _ = self.actor.cast(SessionsMsg::Gone(key, inbox));
    }

    /// Ends the registry.
    pub fn stop(&self) {
        self.actor.stop(None);
    }
}

struct Registry;

impl Actor for Registry {
    type Msg = SessionsMsg;
    type State = HashMap<SenderKey, Live>;
    type Arguments = ();

    async fn pre_start(
        &self,
        _myself: ActorRef<SessionsMsg>,
        (): (),
    ) -> Result<HashMap<SenderKey, Live>, ActorProcessingErr> {
        Ok(HashMap::new())
    }

    async fn handle(
        &self,
        _myself: ActorRef<SessionsMsg>,
        message: SessionsMsg,
        live: &mut HashMap<SenderKey, Live>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SessionsMsg::Hello(key, new) => {
                let Some(old) = live.get(&key) else {
                    live.insert(key, new);
                    return Ok(());
                };
                let same = old.session.id == new.session.id;
                if same && old.session.attempt > new.session.attempt {
                    new.inbox.request_close(CloseCode::Superseded);
                    return Ok(());
                }
                let code = if same { CloseCode::Superseded } else { CloseCode::Replaced };
                old.inbox.request_close(code);
                live.insert(key, new);
            }
            SessionsMsg::Gone(key, inbox) => {
                if live.get(&key).is_some_and(|current| Arc::ptr_eq(&current.inbox, &inbox)) {
                    live.remove(&key);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
