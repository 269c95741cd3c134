//! The text of packed files. A decoder takes megabytes (of zstd the window, of gzip some 100 KiB), and of thousands of files that
//! are read one after the other most are only begun, or through.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flate2::bufread::MultiGzDecoder;

use super::{BytesRead, Counted, Packing, Shared};
use crate::limits::{READ_BUFFER_BYTES, UNPACK_AGAIN_BYTES};

/// What lines are read from.
pub(in crate::io::source) trait Text: BufRead + Send {
    /// Gives back the memory that it takes to read on, if it can be had again, and soon: reading on begins anew then, and passes over
    /// what was read.
    fn rest(&mut self) {}
}

impl Text for BufReader<Box<dyn Read + Send>> {}

impl<R: Read + Send> Text for BufReader<Counted<R>> {}

impl Text for BufReader<Unpacked> {
    fn rest(&mut self) {
        self.get_mut().rest();
    }
}

/// What comes as it comes, straight into the memory of whoever reads it.
pub(in crate::io::source) fn flowing(from: impl Read + Send + 'static) -> Box<dyn Text> {
    let from: Box<dyn Read + Send> = Box::new(from);
    Box::new(BufReader::with_capacity(0, from))
}

/// The text of what is packed in a certain way.
///
/// # Errors
///
/// When there is no memory for it.
pub(in crate::io::source) fn unpack(
    packing: Packing,
    packed: impl BufRead + Send + 'static,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match packing {
        Packing::Plain => Box::new(packed),
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Packing::Zstd => Box::new(zstd::Decoder::with_buffer(packed)?),
    })
}

/// The text of a packed file.
pub(in crate::io::source) struct Unpacked {
    file: Arc<File>,
    /// Where it begins in the file.
    from: u64,
    packing: Packing,
    /// Adds up what is read of all files.
    bytes: BytesRead,
    /// What was read of this one.
    own: BytesRead,
    /// `None` before the first read, and while it rests.
    decoder: Option<Box<dyn Read + Send>>,
    /// Bytes of text that were read.
    given: u64,
}

impl Unpacked {
    /// A file's text, from this place in it on. `bytes` is added to while reading.
    pub(in crate::io::source) fn new(
        file: Arc<File>,
        from: u64,
        packing: Packing,
        bytes: &BytesRead,
    ) -> Self {
        Self {
            file,
            from,
            packing,
            bytes: Arc::clone(bytes),
            own: BytesRead::default(),
            decoder: None,
            given: 0,
        }
    }

    fn rest(&mut self) {
        if self.given > UNPACK_AGAIN_BYTES {
            return;
        }
        self.decoder = None;
        // It is read again.
        let own = self.own.swap(0, Ordering::Relaxed);
        self.bytes.fetch_sub(own, Ordering::Relaxed);
    }

    fn begin(&self) -> io::Result<Box<dyn Read + Send>> {
        (&*self.file).seek(SeekFrom::Start(self.from))?;
        let counted = Counted::new(Shared(Arc::clone(&self.file)), &self.bytes);
        let counted = Counted::new(counted, &self.own);
        let packed = BufReader::with_capacity(READ_BUFFER_BYTES, counted);
        let mut text = unpack(self.packing, packed)?;
        let passed = io::copy(
            &mut Read::by_ref(&mut text).take(self.given),
            &mut io::sink(),
        )?;
        if passed < self.given {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(text)
    }
}

impl Read for Unpacked {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => self.decoder.insert(self.begin()?),
        };
        let read = decoder.read(to)?;
        self.given += read as u64;
        Ok(read)
    }
}
