//! Pipes that hold more.

use std::os::fd::AsFd;

use nix::fcntl::{FcntlArg, fcntl};

/// What one pipe may hold without privileges (`/proc/sys/fs/pipe-max-size`), in bytes; by itself it holds 64 KiB.
const LARGEST: i32 = 1 << 20;

/// Lets a pipe hold as much as one may, for a writer that does not wait for its reader: programs of node and bun leave what
/// does not fit for later, and lose it when they exit. Where the system has given away too much for that already, it holds
/// what it held.
pub fn widen_pipe(pipe: impl AsFd) {
    let _ = fcntl(pipe, FcntlArg::F_SETPIPE_SZ(LARGEST));
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use nix::fcntl::OFlag;

    use super::*;

    #[test]
    fn who_writes_and_exits_before_anybody_reads_loses_nothing() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        widen_pipe(&reader);
        let long = vec![b'x'; 1 << 20];
        let written = writer.write(&long).unwrap();
        drop(writer);
        assert_eq!(written, long.len());
        assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap(), long.len());
    }
}
