use super::*;

/// Returns the size of a future that is never made.
fn future_bytes<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

/// The task of every connection is as large as what it waits in at most, whether it is there or not. A large thing that is held over
/// an await belongs into a box of its own.
#[test]
fn an_idle_connection_takes_little_memory() {
    let bytes = future_bytes(|mut connection: Connection| async move { connection.run().await });
    println!("a connection has {} bytes, its task {bytes}", size_of::<Connection>());
    assert!(bytes <= 1_100, "the task of a connection has {bytes} bytes");
}
