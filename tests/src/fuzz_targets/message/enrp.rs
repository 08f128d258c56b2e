//! ENRP messages: what is accepted is written again as it came, and what can be read of it is
//! enough to write it anew.

use rserpool_core::wire::enrp::{HandleTableResponseBuilder, HandleUpdate, ListResponseBuilder};
use rserpool_core::wire::{EnrpMessage, Layout, OperationError};

/// Parses `data`, and checks all that must hold of it.
///
/// # Panics
///
/// If something does not hold.
pub(super) fn run(data: &[u8]) {
    let message = match EnrpMessage::parse(data) {
        Ok(message) => message,
        Err(error) => return super::check_refusal(&error),
    };
    let mut buf = vec![0xff; data.len() + 4];
    assert_eq!(message.encoded_len(), data.len());
    assert_eq!(message.emit(&mut buf), Ok(data.len()));
    assert_eq!(&buf[..data.len()], data, "written again as it came");
    assert!(message.emit(&mut buf[..data.len() - 1]).is_err(), "one byte too few");
    for parameter in message.unrecognized() {
        assert!(parameter[0] >= 0xc0, "only such types are reported");
    }
    if let Some(error) = OperationError::unrecognized(message.unrecognized()) {
        super::check_error(&error);
    }
    match message {
        EnrpMessage::HandleTableResponse(message) => {
            let mut buf = vec![0; data.len()];
            let mut builder =
                HandleTableResponseBuilder::new(&mut buf, message.sender, message.receiver)
                    .expect("no longer than it came");
            for (pool, element) in message.entries {
                builder.element(pool, &element).expect("no longer than it came");
            }
            let len = builder.more(message.more).finish();
            let Ok(EnrpMessage::HandleTableResponse(again)) = EnrpMessage::parse(&buf[..len])
            else {
                panic!("what is built can be parsed");
            };
            assert!(again.entries.iter().eq(message.entries), "the same entries");
        }
        EnrpMessage::ListResponse(message) => {
            let mut buf = vec![0; data.len()];
            let mut builder = ListResponseBuilder::new(&mut buf, message.sender, message.receiver)
                .expect("no longer than it came");
            for server in message.servers {
                builder.server(&server).expect("no longer than it came");
            }
            let len = builder.finish();
            let Ok(EnrpMessage::ListResponse(again)) = EnrpMessage::parse(&buf[..len]) else {
                panic!("what is built can be parsed");
            };
            assert!(again.servers.iter().eq(message.servers), "the same registrars");
        }
        EnrpMessage::HandleUpdate(message) => check_update(message),
        EnrpMessage::Error(message) => super::check_error(&message.error),
        _ => {}
    }
}

/// Forgets how the message came and writes it our way: the fields must stay.
fn check_update(mut message: HandleUpdate<'_>) {
    message.layout = Layout::OURS;
    message.element.layout = Layout::OURS;
    let mut buf = vec![0; message.encoded_len()];
    let len = message.emit(&mut buf).expect("the buffer has the right size");
    let again = HandleUpdate::parse(&buf[..len]).expect("what is written can be parsed");
    assert_eq!(again.pool_handle, message.pool_handle);
    assert_eq!((again.sender, again.receiver), (message.sender, message.receiver));
    assert_eq!((again.action, again.element.id), (message.action, message.element.id));
    assert_eq!(again.element.policy, message.element.policy);
    assert_eq!(again.element.user_transport, message.element.user_transport);
    assert_eq!(again.element.asap_transport, message.element.asap_transport);
}
