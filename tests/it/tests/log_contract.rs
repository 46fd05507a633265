//! The contract of the `Log` port, shown of every adapter.
#![expect(clippy::unwrap_used, reason = "a test: an unwrap is the assertion")]

use std::sync::Arc;

use rollcall::log::{EmbeddedLog, EmbeddedOptions, MemoryLog};
use rollcall_actors::ports::{Log, Takeovers};
use rollcall_it::log_contract::LogUnderTest;
use tempfile::TempDir;

struct Memory(Arc<MemoryLog>);

impl Memory {
    fn fresh() -> Self {
        Self(Arc::new(MemoryLog::new()))
    }
}

impl LogUnderTest for Memory {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(&self.0) as Arc<dyn Log>
    }

    fn reopen(&mut self) {}
}

struct Embedded {
    folder: TempDir,
    options: EmbeddedOptions,
    log: Option<Arc<EmbeddedLog>>,
}

impl Embedded {
    fn fresh(options: EmbeddedOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(EmbeddedLog::open(folder.path(), options.clone()).unwrap());
        Self { folder, options, log: Some(log) }
    }
}

impl LogUnderTest for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        Arc::clone(self.log.as_ref().unwrap()) as Arc<dyn Log>
    }

    fn reopen(&mut self) {
        let log = Arc::into_inner(self.log.take().unwrap()).expect("nobody else holds the log");
        log.close();
        self.log = Some(Arc::new(EmbeddedLog::open(self.folder.path(), self.options.clone()).unwrap()));
    }
}

#[tokio::test]
async fn nodes_that_share_a_memory_log_tell_one_another_of_takeovers() {
    let log = Arc::new(MemoryLog::new());
    rollcall_it::takeovers_contract::check(Arc::clone(&log) as Arc<dyn Takeovers>, log, "").await;
}

rollcall_it::log_contract!(memory, Memory::fresh());
rollcall_it::log_contract!(embedded, Embedded::fresh(EmbeddedOptions::default()));
rollcall_it::log_contract!(
    embedded_with_a_group_for_each_command,
    Embedded::fresh(EmbeddedOptions { group_entries_max: 1, group_bytes_max: 1, ..EmbeddedOptions::default() })
);
