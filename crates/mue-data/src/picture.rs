//! Bytes to pixels.

mod jpeg;

use std::io::Cursor;

use image::metadata::Orientation as ExifOrientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// An 8-bit RGB picture, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `height * width * 3` samples.
    pub samples: Vec<u8>,
}

/// What may be decoded. Both are checked before any pixel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageLimits {
    /// Most bytes of an encoded picture.
    pub bytes_max: usize,
    /// Most pixels, height times width, of neither more than 65,535.
    pub pixels_max: u64,
}

impl Default for ImageLimits {
    /// 16 MiB and 50 megapixels.
    fn default() -> Self {
        Self { bytes_max: 16 << 20, pixels_max: 50_000_000 }
    }
}

/// What to do about the orientation that a camera notes in EXIF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// Turn the picture upright, as people see it.
    #[default]
    Apply,
    /// Take the pixels as they are stored, as OFA's own pipeline does.
    Ignore,
}

/// Why bytes are not a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The encoded picture is too large.
    #[error("the image has {bytes} bytes; at most {bytes_max} are allowed")]
    Bytes {
        /// Found.
        bytes: usize,
        /// Allowed.
        bytes_max: usize,
    },
    /// The decoded picture would be too large.
    #[error(
        "the image has {width} x {height} pixels; at most {pixels_max} in all, and {SIDE_MAX} on a side, \
         are allowed"
    )]
    Pixels {
        /// Found.
        width: u32,
        /// Found.
        height: u32,
        /// Allowed.
        pixels_max: u64,
    },
    /// The bytes are none of the formats.
    #[error("the image is not a PNG, JPEG, WebP, GIF, BMP or TIFF")]
    Format,
    /// The picture has no pixels.
    #[error("the image is empty")]
    Empty,
    /// A JPEG breaks off.
    #[error("the image is truncated: the JPEG ends before its end marker")]
    Truncated,
    /// The format is known, the content broken.
    #[error("the image cannot be decoded")]
    Decode(#[source] image::ImageError),
}

/// Most pixels of a side, as a JPEG can have. Resizing takes memory by the longer side, so that a line of
/// few bytes, as compression leaves of it, could take gigabytes.
const SIDE_MAX: u32 = 65_535;

/// Bytes of memory per pixel that a decoder may take: 16-bit RGBA and a copy.
const BYTES_PER_PIXEL_MAX: u64 = 16;

/// Decodes a PNG, JPEG, WebP, GIF (first frame), BMP or TIFF to 8-bit RGB.
///
/// As Pillow's `convert("RGB")`: alpha is dropped without compositing, palettes are looked up and
/// grey becomes three equal channels. Samples of 16 bits are scaled to 8. A JPEG without its end marker
/// is refused, as Pillow does, even if nothing but the marker is missing; what follows the marker is
/// not looked at.
///
/// # Errors
///
/// If the bytes or pixels exceed the limits, the format is unknown, or the content is broken.
pub fn decode_image(
    bytes: &[u8],
    limits: ImageLimits,
    orientation: Orientation,
) -> Result<RgbImage, ImageError> {
    if bytes.len() > limits.bytes_max {
        return Err(ImageError::Bytes { bytes: bytes.len(), bytes_max: limits.bytes_max });
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| ImageError::Decode(error.into()))?;
    let format = reader.format().ok_or(ImageError::Format)?;
    let mut memory = Limits::no_limits();
    memory.max_alloc = Some(limits.pixels_max.saturating_mul(BYTES_PER_PIXEL_MAX));
    reader.limits(memory);
    let mut decoder = reader.into_decoder().map_err(|error| unreadable(format, error))?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels_max || width.max(height) > SIDE_MAX {
        return Err(ImageError::Pixels { width, height, pixels_max: limits.pixels_max });
    }
    if pixels == 0 {
        return Err(ImageError::Empty);
    }
    if format == ImageFormat::Jpeg && !jpeg::is_complete(bytes) {
        return Err(ImageError::Truncated);
    }
    let turn = match orientation {
        Orientation::Apply => decoder.orientation().unwrap_or(ExifOrientation::NoTransforms),
        Orientation::Ignore => ExifOrientation::NoTransforms,
    };
    let mut picture = DynamicImage::from_decoder(decoder).map_err(ImageError::Decode)?;
    picture.apply_orientation(turn);
    let picture = picture.into_rgb8();
    let (width, height) = picture.dimensions();
    Ok(RgbImage { height: height as usize, width: width as usize, samples: picture.into_raw() })
}

fn unreadable(format: ImageFormat, error: image::ImageError) -> ImageError {
    match error {
        image::ImageError::Unsupported(_) if !format.reading_enabled() => ImageError::Format,
        other => ImageError::Decode(other),
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];

    /// A red picture with a transparent blue pixel at the top left.
    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut picture = RgbaImage::from_pixel(6, 4, Rgba([200, 0, 0, 255]));
        picture.put_pixel(0, 0, Rgba([0, 0, 200, 0]));
        let picture = DynamicImage::ImageRgba8(picture);
        let picture = match format {
            ImageFormat::Jpeg => DynamicImage::ImageRgb8(picture.into_rgb8()),
            _ => picture,
        };
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn decode(bytes: &[u8]) -> Result<RgbImage, ImageError> {
        decode_image(bytes, ImageLimits::default(), Orientation::Apply)
    }

    #[test]
    fn every_format_decodes() {
        for format in FORMATS {
            let picture = decode(&encoded(format)).unwrap();
            assert_eq!((picture.height, picture.width), (4, 6), "{format:?}");
            let last = &picture.samples[picture.samples.len() - 3..];
            assert!(last[0] > 180 && last[1] < 40 && last[2] < 40, "{format:?}: {last:?}");
        }
    }

    #[test]
    fn alpha_is_dropped_and_not_blended() {
        let picture = decode(&encoded(ImageFormat::Png)).unwrap();
        assert_eq!(picture.samples[..3], [0, 0, 200]);
    }

    #[test]
    fn grey_and_sixteen_bits_become_rgb() {
        let grey = image::ImageBuffer::from_pixel(2, 2, image::Luma([0xffffu16]));
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::ImageLuma16(grey).write_to(&mut bytes, ImageFormat::Png).unwrap();
        assert_eq!(decode(&bytes.into_inner()).unwrap().samples, [255; 12]);
    }

    #[test]
    fn limits_are_checked_before_decoding() {
        // A header of 40,000 x 40,000 pixels with nothing behind it.
        let mut bytes = encoded(ImageFormat::Bmp);
        bytes[18..22].copy_from_slice(&40_000u32.to_le_bytes());
        bytes[22..26].copy_from_slice(&40_000u32.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(ImageError::Pixels { .. })));
        let limits = ImageLimits { bytes_max: 10, ..Default::default() };
        let error = decode_image(&bytes, limits, Orientation::Apply).unwrap_err();
        assert!(matches!(error, ImageError::Bytes { .. }));
    }

    #[test]
    fn a_line_may_not_be_longer_than_any_picture() {
        let decoded = |[width, height]: [u32; 2]| {
            let mut bytes = Cursor::new(Vec::new());
            let picture = DynamicImage::new_luma8(width, height);
            picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
            decode(&bytes.into_inner())
        };
        for size in [[SIDE_MAX + 1, 1], [1, SIDE_MAX + 1]] {
            let error = decoded(size).unwrap_err();
            assert!(matches!(error, ImageError::Pixels { .. }), "{size:?}: {error}");
        }
        assert!(decoded([SIDE_MAX, 1]).is_ok());
    }

    #[test]
    fn what_is_no_picture_says_so() {
        assert!(matches!(decode(b"hello"), Err(ImageError::Format)));
        assert!(matches!(decode(b""), Err(ImageError::Format)));
        // A bitmap of no rows is a bitmap.
        let mut bitmap = b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
        bitmap.extend([1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 24, 0]);
        bitmap.resize(54, 0);
        let error = decode(&bitmap).unwrap_err();
        assert!(matches!(error, ImageError::Decode(_) | ImageError::Empty), "{error:?}");
    }

    #[test]
    fn orientation_is_applied_or_ignored() {
        // EXIF orientation 6 (turn right) in an APP1 segment behind the JPEG's first marker.
        let jpeg = encoded(ImageFormat::Jpeg);
        let mut exif =
            b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
        let mut bytes = jpeg[..2].to_vec();
        bytes.extend([0xff, 0xe1]);
        bytes.extend((exif.len() as u16 + 2).to_be_bytes());
        bytes.append(&mut exif);
        bytes.extend(&jpeg[2..]);
        let upright = decode(&bytes).unwrap();
        assert_eq!((upright.height, upright.width), (6, 4));
        let stored = decode_image(&bytes, ImageLimits::default(), Orientation::Ignore).unwrap();
        assert_eq!((stored.height, stored.width), (4, 6));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn damage_is_an_error_or_a_picture_and_never_a_panic(
            format in 0usize..6,
            cut in 0.0f64..1.0,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        ) {
            let mut bytes = encoded(FORMATS[format]);
            for (place, value) in flips {
                let place = place.index(bytes.len());
                bytes[place] ^= value;
            }
            bytes.truncate((bytes.len() as f64 * (1.0 - cut * cut)) as usize);
            let _ = decode(&bytes);
        }
    }
}
