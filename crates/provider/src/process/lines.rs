//! Reading lines with a bound.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// How long one line may be.
///
/// A kubeconfig or an inventory of ten thousand things fits many times over; a program that never ends its line does
/// not take all memory.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// The next line without its newline; `None` at the end of the input. What stands behind the last newline is the half
/// line of a program that died while writing, and is dropped.
///
/// # Errors
/// `InvalidData` for a line longer than `longest`.
pub(super) async fn next<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    longest: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let buffer = reader.fill_buf().await?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(buffer.len());
        line.extend_from_slice(&buffer[..taken]);
        reader.consume(end.map_or(taken, |newline| newline + 1));
        if line.len() > longest {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line is longer than {longest} bytes"),
            ));
        }
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}
