//! What a failure lets a caller conclude, and that no limit is passed.

use super::super::limits::{CALLS_IN_FLIGHT_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX};
use super::*;

fn begin(outstanding: &mut Outstanding, payload: Bytes) -> (u64, oneshot::Receiver<Outcome>) {
    let (reply, answer) = oneshot::channel();
    (outstanding.begin(Bytes::from_static(b"grid"), payload, reply).unwrap(), answer)
}

fn answer(correlation: u64) -> Frame {
    Frame { correlation, grid: Bytes::new(), content: Some(Content::Payload(Bytes::from_static(b"yes"))) }
}

fn loss(refused: bool) -> Loss {
    Loss { reason: "cut".to_owned(), refused }
}

fn settle(ended: Vec<(Reply, Outcome)>) {
    for (reply, outcome) in ended {
        let _ = reply.send(outcome);
    }
}

#[test]
fn nothing_is_sent_before_the_other_side_agreed() {
    let mut outstanding = Outstanding::new();
    let (correlation, mut waiting) = begin(&mut outstanding, Bytes::new());
    assert!(outstanding.gather().is_empty());
    assert!(outstanding.answer(answer(correlation)).is_none(), "an answer to what was not sent");
    settle(outstanding.end(&loss(false)));
    assert_eq!(waiting.try_recv(), Ok(Outcome::NotSent("cut".to_owned())));
    let (reply, _) = oneshot::channel();
    assert_eq!(outstanding.begin(Bytes::new(), Bytes::new(), reply), Err(NotBegun::Ended));
}

#[test]
fn a_loss_tells_what_was_sent_from_what_was_not() {
    let mut outstanding = Outstanding::new();
    outstanding.open();
    let (_, mut sent) = begin(&mut outstanding, Bytes::new());
    assert_eq!(outstanding.gather().len(), 1);
    let (_, mut unsent) = begin(&mut outstanding, Bytes::new());
    settle(outstanding.end(&loss(true)));
    assert_eq!(sent.try_recv(), Ok(Outcome::Lost));
    assert_eq!(unsent.try_recv(), Ok(Outcome::Refused("cut".to_owned())));
    assert!(outstanding.gather().is_empty() && outstanding.has_ended());
}

#[test]
fn what_was_given_up_is_never_sent() {
    let mut outstanding = Outstanding::new();
    outstanding.open();
    let (first, _kept) = begin(&mut outstanding, Bytes::new());
    let (second, _kept_too) = begin(&mut outstanding, Bytes::new());
    assert_eq!(outstanding.abandon(first), Some(false));
    let sent: Vec<u64> = outstanding.gather().iter().map(|frame| frame.correlation).collect();
    assert_eq!(sent, [second]);
    assert_eq!((outstanding.abandon(second), outstanding.abandon(second)), (Some(true), None));
    assert!(outstanding.answer(answer(second)).is_none(), "nobody waits");
}

#[test]
fn messages_stay_within_their_limits_and_in_order() {
    let mut outstanding = Outstanding::new();
    outstanding.open();
    let mut receivers = Vec::new();
    for _ in 0..300 {
        receivers.push(begin(&mut outstanding, Bytes::new()));
    }
    assert_eq!(outstanding.gather().len(), FRAMES_PER_MESSAGE_MAX);
    assert_eq!(outstanding.gather().first().unwrap().correlation, 257);
    for _ in 0..3 {
        receivers.push(begin(&mut outstanding, Bytes::from(vec![0; PAYLOAD_BYTES_MAX])));
    }
    let message = proto::grid_transport::Frames { frames: outstanding.gather() };
    assert_eq!(message.frames.len(), 1, "one large frame closes a message");
    assert!(prost::Message::encoded_len(&message) <= MESSAGE_BYTES_MAX);
}

#[test]
fn calls_are_bounded_by_number_and_by_size_until_they_end() {
    for (payload, most) in [(0, CALLS_IN_FLIGHT_MAX), (PAYLOAD_BYTES_MAX, BYTES_IN_FLIGHT_MAX / PAYLOAD_BYTES_MAX)] {
        let mut outstanding = Outstanding::new();
        outstanding.open();
        let calls: Vec<_> = (0..most).map(|_| begin(&mut outstanding, Bytes::from(vec![0; payload]))).collect();
        let (reply, _) = oneshot::channel();
        assert_eq!(outstanding.begin(Bytes::new(), Bytes::new(), reply), Err(NotBegun::Full));
        while !outstanding.gather().is_empty() {}
        assert!(outstanding.answer(answer(calls[0].0)).is_some());
        outstanding.abandon(calls[1].0);
        let _ = begin(&mut outstanding, Bytes::from(vec![0; payload]));
    }
}
