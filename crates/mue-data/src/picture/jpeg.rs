//! Whether a JPEG is all there: a decoder makes up what a truncated one lacks.

/// End of image (ITU-T T.81, table B.1).
const EOI: u8 = 0xd9;

/// Whether a JPEG goes on up to its end marker.
///
/// Segments are stepped over by their lengths, so that the end of a thumbnail inside is none.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((marker, behind)) = next_marker(rest) {
        rest = match marker {
            EOI => return true,
            0x01 | 0xd0..=0xd8 => behind, // TEM, restarts and SOI have no segment
            _ => behind_segment(behind),
        };
    }
    false
}

/// The next marker, be it behind entropy-coded data, and what follows it.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    // Behind 0xff, 0 makes it data and 0xff padding.
    let place =
        bytes.windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))?;
    Some((bytes[place + 1], &bytes[place + 2..]))
}

/// What follows a segment that begins with its length; nothing where it breaks off.
fn behind_segment(bytes: &[u8]) -> &[u8] {
    let length =
        bytes.first_chunk().map_or(usize::MAX, |length| u16::from_be_bytes(*length).into());
    bytes.get(length..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{ImageError, ImageLimits, Orientation, decode_image};

    /// Of 24 x 16 pixels, by Pillow; the baseline one has restart markers.
    const BASELINE: &[u8] = include_bytes!("jpeg/baseline.jpg");
    const PROGRESSIVE: &[u8] = include_bytes!("jpeg/progressive.jpg");

    fn is_truncated(bytes: &[u8]) -> bool {
        let decoded = decode_image(bytes, ImageLimits::default(), Orientation::Apply);
        matches!(decoded, Err(ImageError::Truncated))
    }

    /// Where the first scan begins.
    fn scan(jpeg: &[u8]) -> usize {
        jpeg.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap()
    }

    /// With a whole JPEG as its thumbnail, in a segment behind the first marker.
    fn with_thumbnail(jpeg: &[u8]) -> Vec<u8> {
        let length = (BASELINE.len() as u16 + 2).to_be_bytes();
        [&jpeg[..2], &[0xff, 0xe1], &length, BASELINE, &jpeg[2..]].concat()
    }

    #[test]
    fn a_jpeg_that_breaks_off_is_refused_wherever_it_does() {
        for jpeg in [BASELINE, PROGRESSIVE, &with_thumbnail(BASELINE)] {
            assert!(decode_image(jpeg, ImageLimits::default(), Orientation::Apply).is_ok());
            for length in scan(jpeg)..jpeg.len() {
                let cut = &jpeg[..length];
                let decoded = decode_image(cut, ImageLimits::default(), Orientation::Apply);
                assert!(decoded.is_err(), "{length} of {} bytes", jpeg.len());
            }
            assert!(is_truncated(&jpeg[..jpeg.len() - 1]) && is_truncated(&jpeg[..jpeg.len() - 2]));
        }
    }

    #[test]
    fn what_follows_the_end_does_not_matter() {
        for jpeg in [BASELINE, PROGRESSIVE] {
            for behind in [&b"\0\0\0"[..], b"\xff", b"a second picture", jpeg] {
                let bytes = [jpeg, behind].concat();
                assert!(decode_image(&bytes, ImageLimits::default(), Orientation::Apply).is_ok());
            }
        }
    }

    #[test]
    fn padding_before_a_marker_is_allowed() {
        let (head, end) = BASELINE.split_at(BASELINE.len() - 2);
        assert!(is_complete(&[head, &[0xff, 0xff], end].concat()));
    }
}
