//! QEMU's control socket: one command at a time (QEMU Machine Protocol).

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::BenchError;

/// A connection to QEMU's control socket.
#[derive(Debug)]
pub(crate) struct Qmp {
    replies: BufReader<UnixStream>,
    commands: UnixStream,
}

impl Qmp {
    /// Connects to the socket at `path`, once QEMU listens there, and says hello.
    pub(crate) fn connect(path: &Path) -> Result<Self, BenchError> {
        let open = || {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok((stream.try_clone()?, stream))
        };
        let (replies, commands) =
            open().map_err(BenchError::system("reach QEMU's control socket"))?;
        let mut qmp = Self { replies: BufReader::new(replies), commands };
        qmp.read(|value| value.get("QMP").is_some())?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns what it says.
    pub(crate) fn execute(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<Value, BenchError> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        let sent = self.commands.write_all(line.as_bytes());
        sent.map_err(BenchError::system(format!("send \"{command}\" to QEMU")))?;
        let is_reply = |value: &Value| value.get("return").or(value.get("error")).is_some();
        let mut reply = self.read(is_reply)?;
        match reply.get("error") {
            Some(error) => Err(BenchError::Control { what: format!("{command}: {error}") }),
            None => Ok(reply["return"].take()),
        }
    }

    /// The next object that is wanted; events in between are nobody's business.
    fn read(&mut self, is_wanted: impl Fn(&Value) -> bool) -> Result<Value, BenchError> {
        for _ in 0..OBJECT_COUNT_MAX {
            let mut line = String::new();
            let len = self.replies.read_line(&mut line);
            if len.map_err(BenchError::system("read QEMU's answer"))? == 0 {
                break;
            }
            match serde_json::from_str::<Value>(&line) {
                Ok(value) if is_wanted(&value) => return Ok(value),
                Ok(_) => {}
                Err(error) => return Err(BenchError::Control { what: error.to_string() }),
            }
        }
        Err(BenchError::Control { what: "no answer".into() })
    }
}

/// How long QEMU may take to answer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Objects that are read before the wanted one is given up.
const OBJECT_COUNT_MAX: usize = 1_000;
