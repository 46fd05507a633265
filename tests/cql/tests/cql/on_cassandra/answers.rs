//! Answers as other servers and other moments give them: the driver maker's own proxy rewrites what Cassandra says.
//!
//! ScyllaDB itself was not run. What it answers to conditional statements, one row for each statement and nulls, is made of
//! what Cassandra answers, and the port's contract is shown of that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use rollcall::log::{CqlLog, CqlOptions};
use rollcall_actors::ports::{AppendOutcome, Log, NotCommitted};
use rollcall_cql_tests::{Keyspace, as_scylladb};
use rollcall_it::log_contract::LogUnderTest;
use rollcall_it::scribe::{Scribe, read_all};
use scylla::errors::{DbError, WriteType};
use scylla::statement::Consistency;
use scylla_proxy::{
    Action, Condition, Node, Proxy, RequestOpcode, RequestReaction, RequestRule, ResponseFrame, ResponseOpcode,
    ResponseReaction, ResponseRule, RunningProxy, ShardAwareness,
};
use tokio::runtime::Handle;

/// A log behind a proxy that understands what goes through it.
struct Behind {
    keyspace: Keyspace,
    proxy: RunningProxy,
    log: Option<Arc<CqlLog>>,
    address: SocketAddr,
}

impl Behind {
    async fn start(rewrites: Vec<ResponseRule>) -> Option<Self> {
        let keyspace = Keyspace::shared().await?;
        let free = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let node = Node::new(keyspace.address(), address, ShardAwareness::Unaware, None, Some(rewrites));
        let proxy = Proxy::new([node]).run().await.unwrap();
        let mut behind = Self { keyspace, proxy, log: None, address };
        behind.log = Some(Arc::new(behind.open().await));
        Some(behind)
    }

    async fn open(&self) -> CqlLog {
        let contact_points = vec![self.address.to_string()];
        self.keyspace.open(|options| CqlOptions { contact_points, ..options }).await
    }

    fn cql_log(&self) -> Arc<CqlLog> {
        Arc::clone(self.log.as_ref().unwrap())
    }

    /// From here on, in this order: what happens to each batch that is sent; those after it pass.
    fn batches(&mut self, reactions: Vec<RequestReaction>) {
        let is_batch = || Condition::RequestOpcode(RequestOpcode::Batch).and(Condition::TrueForLimitedTimes(1));
        let rules = reactions.into_iter().map(|reaction| RequestRule(is_batch(), reaction));
        self.proxy.running_nodes[0].change_request_rules(Some(rules.collect()));
    }

    /// From here on: what happens to the next answer to a conditional statement.
    fn next_conditional_answer(&mut self, reaction: ResponseReaction) {
        let rule = ResponseRule(is_conditional().and(Condition::TrueForLimitedTimes(1)), reaction);
        self.proxy.running_nodes[0].change_response_rules(Some(vec![rule]));
    }
}

impl LogUnderTest for Behind {
    fn log(&self) -> Arc<dyn Log> {
        self.cql_log()
    }

    fn room(&self, name: &str) -> String {
        self.keyspace.room(name)
    }

    fn reopen(&mut self) {
        drop(Arc::into_inner(self.log.take().unwrap()).expect("nobody else holds the log"));
        let opened = tokio::task::block_in_place(|| Handle::current().block_on(self.open()));
        self.log = Some(Arc::new(opened));
    }
}

fn is_conditional() -> Condition {
    Condition::ResponseOpcode(ResponseOpcode::Result)
        .and(Condition::BodyContainsCaseSensitive(Box::from(b"[applied]".as_slice())))
}

fn rewritten(rewrite: impl Fn(ResponseFrame) -> ResponseFrame + Send + Sync + 'static) -> ResponseReaction {
    ResponseReaction {
        to_addressee: Some(Action { delay: None, msg_processor: Some(Arc::new(rewrite)) }),
        to_sender: None,
        drop_connection: None,
        feedback_channel: None,
    }
}

/// What a server says when a round of Paxos took too long: the statement may have been carried out or not.
fn cas_timeout() -> DbError {
    let consistency = Consistency::LocalSerial;
    DbError::WriteTimeout { consistency, received: 1, required: 2, write_type: WriteType::Cas }
}

rollcall_it::log_contract!(answering_as_scylladb, {
    let rewrite = rewritten(|frame| ResponseFrame { body: as_scylladb(&frame.body).into(), ..frame });
    let Some(behind) = Behind::start(vec![ResponseRule(is_conditional(), rewrite)]).await else { return };
    behind
});

async fn append_of_two(behind: &Behind, scribe: &mut Scribe) -> AppendOutcome {
    let entries = scribe.messages(2);
    behind.cql_log().append(scribe.append(entries)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_timed_out_after_it_was_applied_is_found() {
    let Some(mut behind) = Behind::start(Vec::new()).await else { return };
    let mut scribe = Scribe::activate(&*behind.cql_log(), &behind.room("room"), 1).await;
    scribe.commit_messages(&*behind.cql_log(), 1).await;
    behind.next_conditional_answer(rewritten(|frame| {
        ResponseFrame::forged_error(frame.params.for_request(), cas_timeout(), None).unwrap()
    }));
    assert_eq!(append_of_two(&behind, &mut scribe).await, AppendOutcome::Committed);
    assert_eq!(read_all(&*behind.keyspace.log(), &scribe.room).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_that_timed_out_before_it_was_applied_is_tried_again() {
    let Some(mut behind) = Behind::start(Vec::new()).await else { return };
    let mut scribe = Scribe::activate(&*behind.cql_log(), &behind.room("room"), 1).await;
    scribe.commit_messages(&*behind.cql_log(), 1).await;
    let refuse = RequestReaction::forge_with_error;
    behind.batches(vec![refuse(cas_timeout()), refuse(DbError::Overloaded), refuse(cas_timeout())]);
    assert_eq!(append_of_two(&behind, &mut scribe).await, AppendOutcome::Committed);
    assert_eq!(read_all(&*behind.keyspace.log(), &scribe.room).await.len(), 3);
}

/// A first attempt that is refused was not carried out, so its numbers may be given to others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_of_the_first_attempt_is_definite() {
    let Some(mut behind) = Behind::start(Vec::new()).await else { return };
    let mut scribe = Scribe::activate(&*behind.cql_log(), &behind.room("room"), 1).await;
    scribe.commit_messages(&*behind.cql_log(), 1).await;
    for refusal in [DbError::Unauthorized, DbError::Invalid, DbError::SyntaxError] {
        behind.batches(vec![RequestReaction::forge_with_error(refusal)]);
        let outcome = append_of_two(&behind, &mut scribe.clone()).await;
        let is_refused = matches!(outcome, AppendOutcome::NotCommitted(NotCommitted::Refused(_)));
        assert!(is_refused, "{outcome:?}");
    }
    let entries = scribe.commit_messages(&*behind.cql_log(), 1).await;
    assert_eq!(read_all(&*behind.keyspace.log(), &scribe.room).await[1..], entries);
}

/// After an attempt whose outcome is unknown, a refusal of another one says nothing of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_after_an_unknown_attempt_settles_nothing() {
    let Some(mut behind) = Behind::start(Vec::new()).await else { return };
    let mut scribe = Scribe::activate(&*behind.cql_log(), &behind.room("room"), 1).await;
    scribe.commit_messages(&*behind.cql_log(), 1).await;
    let refuse = RequestReaction::forge_with_error;
    behind.batches(vec![refuse(cas_timeout()), refuse(DbError::Unauthorized), refuse(DbError::Invalid)]);
    assert_eq!(append_of_two(&behind, &mut scribe).await, AppendOutcome::Committed);
    assert_eq!(read_all(&*behind.keyspace.log(), &scribe.room).await.len(), 3);
}
