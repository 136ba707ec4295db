//! Logs as the text that they hold, whatever they are packed in.
//!
//! Invariant: a stream, whose memory is bounded: what asks for more is an error that says so.

use std::fs::File;
use std::io::{BufRead, BufReader, Error, Read, Result};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// KiB that xz may take, and bytes that zstd looks back: both programs write less unless told otherwise.
const XZ: u32 = 100 << 10;
const ZSTD: u64 = 32 << 20;

/// What is in the log at `path`, or in standard input.
pub(super) fn unpacked(path: &str) -> anyhow::Result<Box<dyn Read>> {
    let raw: Box<dyn Read> = match path {
        "-" => Box::new(std::io::stdin()),
        path => Box::new(File::open(path)?),
    };
    let mut raw = BufReader::with_capacity(256 << 10, raw);
    Ok(match raw.fill_buf()? {
        [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(raw)),
        [b'B', b'Z', b'h', ..] => Box::new(MultiBzDecoder::new(raw)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(XzReader::new_mem_limit(raw, true, XZ)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(Frames::new(raw))
        }
        [b'L', b'P', b'K', b'S', b'H', b'H', b'R', b'H', ..] => {
            anyhow::bail!(
                "it is a journal's own file; pipe `journalctl --file ... -o export` to `hunt -`"
            )
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            anyhow::bail!("lz4 is not unpacked; pipe what comes out of it to `hunt -`")
        }
        _ => Box::new(raw),
    })
}

/// The frames of zstd, one after the other: logs are appended to by whole frames.
struct Frames<R> {
    raw: R,
    decoder: FrameDecoder,
}

impl<R: BufRead> Frames<R> {
    fn new(raw: R) -> Frames<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD);
        Frames { raw, decoder }
    }

    /// Begins the next frame that has data; whether there is one.
    fn next(&mut self) -> Result<bool> {
        let (said, seen) = (
            self.decoder.get_checksum_from_data(),
            self.decoder.get_calculated_checksum(),
        );
        if said.is_some() && said != seen {
            return Err(Error::other("the checksum of zstd does not fit"));
        }
        while !self.raw.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.raw) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = (&mut self.raw).take(length.into());
                    std::io::copy(&mut { skipped }, &mut std::io::sink())?;
                }
                Err(error) => return Err(Error::other(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while self.decoder.can_collect() == 0 && !out.is_empty() {
            if self.decoder.is_finished() && !self.next()? {
                return Ok(0);
            }
            let some = BlockDecodingStrategy::UptoBlocks(1);
            self.decoder
                .decode_blocks(&mut self.raw, some)
                .map_err(Error::other)?;
        }
        self.decoder.read(out)
    }
}
