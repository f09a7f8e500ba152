//! One file: resumed where an earlier attempt stopped, and verified at the end.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::Path;

use ureq::Body;
use ureq::http::Response;
use ureq::http::header::CONTENT_RANGE;

use super::checksum::Hasher;
use super::client::RequestError;
use super::error::PullError;
use super::hub::{Hub, RemoteFile};
use super::progress::Progress;
use super::retry::Retry;

const BUFFER_BYTES: usize = 256 << 10;

/// Where the bytes of a download come from and what shows them.
pub(super) struct Source<'a> {
    pub(super) hub: &'a Hub,
    pub(super) commit: &'a str,
    pub(super) progress: &'a Progress,
}

/// Brings `path` to the full, verified content of `file`, going on from what is there.
///
/// # Errors
///
/// Leaves what arrived at `path` for the next run, but removes it when its checksum is wrong.
pub(super) fn fetch(source: &Source<'_>, file: &RemoteFile, path: &Path) -> Result<(), PullError> {
    source.progress.start_file(&file.name, file.size);
    let mut download = Download::resume(file, path)?;
    source.progress.resume_at(download.received);

    let mut retry = Retry::new(source.progress);
    let mut furthest = download.received;
    while download.received < file.size {
        if let Err(error) = download.receive(source) {
            if download.received > furthest {
                furthest = download.received;
                retry.reset();
            }
            retry.pause(error)?;
        }
    }
    download.verify()
}

/// A file on its way: the bytes on disk and their running checksum.
struct Download<'a> {
    file: &'a RemoteFile,
    path: &'a Path,
    disk: File,
    hasher: Hasher,
    received: u64,
}

impl<'a> Download<'a> {
    fn resume(file: &'a RemoteFile, path: &'a Path) -> Result<Self, PullError> {
        let disk = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let disk = disk.map_err(PullError::disk("open", path))?;
        let hasher = file.checksum.hasher(file.size);
        let mut download = Self { file, path, disk, hasher, received: 0 };

        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match download.disk.read(&mut buffer).map_err(PullError::disk("read", path))? {
                0 => break,
                count => {
                    download.hasher.update(&buffer[..count]);
                    download.received += count as u64;
                }
            }
        }
        if download.received > file.size {
            download.restart()?;
        }
        Ok(download)
    }

    /// Receives as much as one answer of the hub brings.
    fn receive(&mut self, source: &Source<'_>) -> Result<(), PullError> {
        let mut response = match source.hub.open(source.commit, &self.file.name, self.received) {
            Err(error) if is_unsatisfiable(&error) => {
                self.restart()?;
                return Err(error);
            }
            answer => answer?,
        };
        let start = first_byte(&response);
        if start != Some(self.received) {
            self.restart()?;
        }
        if start != Some(self.received) {
            return Err(self.interrupted(None));
        }
        self.copy(&mut response.body_mut().as_reader(), source.progress)?;
        if self.received < self.file.size { Err(self.interrupted(None)) } else { Ok(()) }
    }

    /// Takes no more than the size of the file, whatever the hub sends.
    fn copy(&mut self, body: &mut impl Read, progress: &Progress) -> Result<(), PullError> {
        let mut body = body.take(self.file.size - self.received);
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = body.read(&mut buffer).map_err(|error| self.interrupted(Some(error)))?;
            if count == 0 {
                return Ok(());
            }
            let bytes = &buffer[..count];
            self.disk.write_all(bytes).map_err(PullError::disk("write", self.path))?;
            self.hasher.update(bytes);
            self.received += count as u64;
            progress.at(self.received);
        }
    }

    /// Forgets what has arrived.
    fn restart(&mut self) -> Result<(), PullError> {
        self.disk.set_len(0).map_err(PullError::disk("empty", self.path))?;
        self.disk.rewind().map_err(PullError::disk("rewind", self.path))?;
        self.hasher = self.file.checksum.hasher(self.file.size);
        self.received = 0;
        Ok(())
    }

    fn verify(self) -> Result<(), PullError> {
        self.disk.sync_all().map_err(PullError::disk("write", self.path))?;
        let (expected, actual) = (self.file.checksum.hex(), self.hasher.finish());
        if actual == expected {
            return Ok(());
        }
        fs::remove_file(self.path).map_err(PullError::disk("remove", self.path))?;
        let (name, expected) = (self.file.name.clone(), expected.to_owned());
        Err(PullError::Damaged { name, expected, actual })
    }

    fn interrupted(&self, source: Option<std::io::Error>) -> PullError {
        let (name, received) = (self.file.name.clone(), self.received);
        PullError::Interrupted { name, received, source }
    }
}

/// Whether the hub says that the file has no byte at the offset asked for.
fn is_unsatisfiable(error: &PullError) -> bool {
    let PullError::Hub { source: RequestError::Refused { status, .. }, .. } = error else {
        return false;
    };
    *status == 416
}

/// The offset in the file of the first byte of an answer.
fn first_byte(response: &Response<Body>) -> Option<u64> {
    match response.status().as_u16() {
        200 => Some(0),
        206 => {
            let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
            range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
        }
        _ => None,
    }
}
