//! Where a request of the CQL native protocol begins and ends (version 4: no checksums, and we ask for no compression).

/// The opcode of a batch: a conditional append of the log is one.
pub const BATCH: u8 = 0x0d;

/// Version, flags, two bytes of stream, opcode, four bytes of length.
const HEADER_BYTES: usize = 9;

/// Cuts the bytes of one direction into frames, however they come.
#[derive(Debug, Default)]
pub struct CqlFrames {
    begun: Vec<u8>,
}

impl CqlFrames {
    /// Takes the next bytes, and returns the frames that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.begun.extend_from_slice(bytes);
        let mut frames = Vec::new();
        while let Some(length) = self.frame_bytes().filter(|&length| length <= self.begun.len()) {
            let rest = self.begun.split_off(length);
            frames.push(std::mem::replace(&mut self.begun, rest));
        }
        frames
    }

    /// Returns the bytes of a frame that was begun and never completed.
    pub fn rest(self) -> Vec<u8> {
        self.begun
    }

    fn frame_bytes(&self) -> Option<usize> {
        let length: [u8; 4] = self.begun.get(HEADER_BYTES - 4..HEADER_BYTES)?.try_into().ok()?;
        Some(HEADER_BYTES + usize::try_from(u32::from_be_bytes(length)).ok()?)
    }
}

/// Returns the opcode of a frame.
pub fn opcode(frame: &[u8]) -> Option<u8> {
    frame.get(4).copied()
}

#[cfg(test)]
pub(crate) fn frame(opcode: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[4, 0, 0, 1, opcode][..], &length, body].concat()
}

#[cfg(test)]
mod tests {
    use super::{BATCH, CqlFrames, frame, opcode};

    #[test]
    fn frames_are_found_however_their_bytes_come() {
        let sent = [frame(7, b"select"), frame(BATCH, b""), frame(10, &[9; 300])];
        let stream = sent.concat();
        for size in [1, 2, 8, 9, 10, 15, stream.len()] {
            let mut frames = CqlFrames::default();
            let found: Vec<Vec<u8>> = stream.chunks(size).flat_map(|bytes| frames.push(bytes)).collect();
            assert_eq!(found, sent, "in chunks of {size}");
            assert_eq!(frames.rest(), b"");
        }
        assert_eq!(sent.map(|frame| opcode(&frame)), [Some(7), Some(BATCH), Some(10)]);
    }

    #[test]
    fn what_was_begun_is_kept() {
        let mut frames = CqlFrames::default();
        let sent = frame(7, b"select");
        assert!(frames.push(&sent[..sent.len() - 1]).is_empty());
        assert_eq!(frames.rest(), &sent[..sent.len() - 1]);
    }
}
