//! What goes wrong at producers, one frame of each kind.

/// Frames that do not count, each for another reason; `None` is a record without a value.
pub(super) fn frames() -> Vec<Option<Vec<u8>>> {
    let texts: [&[u8]; 13] = [
        b"",
        b"GET / HTTP/1.1",
        b"{\"uid\":\"u1\",\"ts\":1767225600",
        b"{\"uid\":\"u1\",\"ts\":1767225600} and more",
        b"{\"uid\":\"\xff\xfe\",\"ts\":1767225600}",
        b"[{\"uid\":\"u1\",\"ts\":1767225600}]",
        b"{\"ts\":1767225600}",
        b"{\"uid\":null,\"ts\":1767225600}",
        b"{\"uid\":\"\",\"ts\":1767225600}",
        b"{\"uid\":\"u1\"}",
        b"{\"uid\":\"u1\",\"ts\":\"yesterday\"}",
        b"{\"uid\":\"u1\",\"ts\":0}",
        b"{\"uid\":\"u1\",\"ts\":1e99}",
    ];
    let mut frames: Vec<_> = texts.into_iter().map(|text| Some(text.to_vec())).collect();
    frames.push(None);
    frames.push(Some(b"[".repeat(10_000)));
    // A second of 2026 with its highest bit flipped.
    frames.push(Some(b"{\"uid\":\"u1\",\"ts\":3914709248}".to_vec()));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::{Decoder, Fields};
    use crate::engine::frame::Verdict;

    #[test]
    fn all_of_it_is_rejected_but_the_last_which_is_for_the_clock_to_judge() {
        let mut decoder = Decoder::new(Fields::default());
        let mut frames = frames();
        let flipped = decoder.decode(frames.pop().unwrap().as_deref());
        assert!(matches!(flipped, Verdict::Seen(_, 3_914_709_248)));
        for frame in frames {
            let verdict = decoder.decode(frame.as_deref());
            assert!(
                matches!(verdict, Verdict::Rejected(_)),
                "{frame:?}: {verdict:?}"
            );
        }
    }
}
