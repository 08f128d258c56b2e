//! A path that is dead: nothing comes back any more, not even a refusal.

use rserpool_core::association::DownReason;

use super::{Net, OwnedInput, Transport, association_of, connect, data_of, end_of, next, send};

/// Only where a command is given that cuts loopback off, and one that ends that.
pub(super) async fn silence(net: Net) {
    let commands = ["LOOPBACK_CUT", "LOOPBACK_MEND"].map(std::env::var_os);
    let [Some(cut), Some(mend)] = commands else {
        println!("skipped: nothing is said that would cut loopback off");
        return;
    };
    let run = |command| {
        let status = std::process::Command::new("sh").arg("-c").arg(command).status();
        assert!(status.unwrap().success());
    };
    // It is given up after 1 + 2 + 4 + 8 seconds.
    let mut config = net.config();
    config.parameters.association_retransmissions_max = 3;
    let listening = Transport::start(config.clone()).open(0, Some(0), true).await.unwrap();
    let port = Transport::start(config).open(0, None, false).await.unwrap();
    let ours = association_of(connect(&port, net.endpoint(&listening)).await);
    send(&port, ours, b"ping").await;
    assert!(matches!(next(&listening).await, OwnedInput::Up { .. }));
    assert_eq!(data_of(&listening).await, b"ping");
    run(cut);
    send(&port, ours, b"anybody there?").await;
    let end = end_of(&port).await;
    run(mend);
    assert_eq!(end, DownReason::Lost);
}
