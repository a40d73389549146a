//! A terminal for tests: what a program does to it and writes to it.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both ends of a terminal of 100 columns and 30 lines.
pub struct Pty {
    /// Where keys are pressed.
    pub user: File,
    program: OwnedFd,
    written: Arc<Mutex<String>>,
}

impl Pty {
    pub fn open() -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&user).unwrap();
        unlockpt(&user).unwrap();
        let name = ptsname(&user, Vec::new()).unwrap();
        let path = std::ffi::OsStr::from_bytes(name.to_bytes());
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
        let program = OwnedFd::from(options.open(path).unwrap());
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&program, size).unwrap();
        let user = File::from(user);
        let written = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (user.try_clone().unwrap(), Arc::clone(&written));
        // It ends when the last program has closed the terminal.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut bytes) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Pty { user, program, written }
    }

    /// Starts a program that reads keys and writes its errors here.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let end = || self.program.try_clone().unwrap();
        command.stdin(end()).stderr(end()).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.spawn().unwrap()
    }

    /// Whether the terminal echoes and edits lines, as a shell expects to find it.
    pub fn is_ordinary(&self) -> bool {
        let modes = tcgetattr(&self.user).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    /// What was written so far.
    pub fn text(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    /// Waits until the text has this part.
    pub fn wait_for(&self, part: &str) {
        let start = Instant::now();
        while !self.text().contains(part) {
            assert!(start.elapsed() < PATIENCE, "no {part:?} in {:?}", self.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Waits for the end of a program, and ends it if it takes too long.
pub fn ended(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("the program does not end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
