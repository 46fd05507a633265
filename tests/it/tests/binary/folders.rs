//! A data folder that cannot be written: the program ends with a code, and says what to do.

use std::process::Command;

use rollcall_it::machine::SmallDisk;
use rollcall_it::process::{ServerProcess, binary};

#[tokio::test]
async fn a_read_only_data_folder_is_code_74_for_every_command_that_opens_it() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let folder = disk.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let reserve = "DATA__FREE_SPACE_RESERVE_BYTES";
    ServerProcess::build(&folder).set(reserve, "0").start().await.kill_9().await;
    disk.make_read_only();
    let addresses = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"];
    for (command, more) in [("serve", &addresses[..]), ("audit", &[]), ("compact", &[])] {
        let ended = Command::new(binary()).arg(command).args(more).arg("--data").arg(&folder).output().unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(74), "{command}: {errors}");
        assert!(errors.contains("is on a read-only file system: mount it writable"), "{command}: {errors}");
    }
}
