//! ASAP messages: what is accepted is written again as it came, and what can be read of it is
//! enough to write it anew.

use rserpool_core::wire::asap::{
    BusinessCardBuilder, HandleResolutionResponseBuilder, Registration,
};
use rserpool_core::wire::{AsapMessage, Layout, OperationError};

/// Parses `data`, and checks all that must hold of it.
///
/// # Panics
///
/// If something does not hold.
pub(super) fn run(data: &[u8]) {
    let message = match AsapMessage::parse(data) {
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
        AsapMessage::Registration(message) => check_registration(message),
        AsapMessage::HandleResolutionResponse(message) => {
            let mut buf = vec![0; data.len()];
            let built = HandleResolutionResponseBuilder::new(&mut buf, message.pool_handle);
            let Ok(mut builder) = built else { return };
            if let Some(policy) = message.policy {
                builder.policy(policy).expect("no longer than it came");
            }
            for element in message.elements {
                builder.element(&element).expect("no longer than it came");
            }
            let len = builder.accept(message.accept).finish();
            let Ok(AsapMessage::HandleResolutionResponse(again)) = AsapMessage::parse(&buf[..len])
            else {
                panic!("what is built can be parsed");
            };
            assert!(again.elements.iter().eq(message.elements), "the same elements");
        }
        AsapMessage::BusinessCard(message) => {
            let mut buf = vec![0; data.len()];
            let mut builder = BusinessCardBuilder::new(&mut buf, message.pool_handle)
                .expect("no longer than it came");
            for element in message.elements {
                builder.element(&element).expect("no longer than it came");
            }
            let len = builder.finish();
            assert!(AsapMessage::parse(&buf[..len]).is_ok(), "what is built can be parsed");
        }
        AsapMessage::Error(message) => super::check_error(&message.error),
        _ => {}
    }
}

/// Forgets how the message came and writes it our way: the fields must stay.
fn check_registration(mut message: Registration<'_>) {
    message.layout = Layout::OURS;
    message.element.layout = Layout::OURS;
    let mut buf = vec![0; message.encoded_len()];
    let len = message.emit(&mut buf).expect("the buffer has the right size");
    let again = Registration::parse(&buf[..len]).expect("what is written can be parsed");
    assert_eq!(again.pool_handle, message.pool_handle);
    assert_eq!(again.element.id, message.element.id);
    assert_eq!(again.element.policy, message.element.policy);
    assert_eq!(again.element.user_transport, message.element.user_transport);
    assert_eq!(again.element.asap_transport, message.element.asap_transport);
}
