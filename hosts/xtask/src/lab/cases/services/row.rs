//! A row of the matrix: a service, how its elements and clients are started, and what they say.

use std::fmt;

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Ours,
    Rsplibs,
}

impl Made {
    pub(super) const BOTH: [Self; 2] = [Self::Ours, Self::Rsplibs];
}

/// A cell: a service, and whose element and whose client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) row: &'static Row,
    pub(super) element: Made,
    pub(super) client: Made,
}

/// A service.
#[derive(Debug)]
pub(super) struct Row {
    /// As our programs call it.
    pub(super) service: &'static str,
    pub(super) pool: &'static str,
    /// Whether its elements give cookies.
    pub(super) has_cookies: bool,
    /// Flags of our element.
    pub(super) our_element: &'static str,
    /// Flags of rspserver.
    pub(super) rspserver: &'static str,
    our_client: Client,
    rsplib_client: Client,
}

/// A client. In its words stand `PACKAGE` for a package of scripts, `FRACTALS` for a folder of
/// pictures to compute, `OUT` for a file of its own, `POOL` and `REGISTRAR` for flags, which stand
/// at the end otherwise.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) program: &'static str,
    pub(super) words: &'static str,
    /// What it says when it is at work.
    pub(super) is_at_work: &'static str,
    /// What it says, one after the other, when another element has gone on; with `{}` for that
    /// element's digits.
    pub(super) has_gone_on: &'static [&'static str],
    /// What is in its file then.
    pub(super) output: Option<&'static str>,
}

impl Cell {
    /// All of them, service by service.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().flat_map(|row| {
            let pairs = Made::BOTH.map(|element| Made::BOTH.map(|client| (element, client)));
            pairs.into_iter().flatten().map(move |(element, client)| Self { row, element, client })
        })
    }

    /// Its client.
    pub(super) fn client(&self) -> &'static Client {
        match self.client {
            Made::Ours => &self.row.our_client,
            Made::Rsplibs => &self.row.rsplib_client,
        }
    }

    /// Whether its element and its client are started without a pool's name: they agree on the
    /// service's usual one.
    pub(super) fn has_usual_pool(&self) -> bool {
        (self.element, self.client) == (Made::Ours, Made::Rsplibs)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.element {
            Made::Ours => write!(f, "rsp serve {}", self.row.service)?,
            Made::Rsplibs => {
                write!(f, "rspserver {}", self.row.rspserver.split(' ').next().unwrap_or(""))?;
            }
        }
        write!(f, " and {}", self.client().program)
    }
}

/// All services that have sessions to lose. What our clients say in the end holds only if no
/// reply, job, pixel or echo was lost.
pub(super) static ROWS: [Row; 5] = [
    Row {
        service: "pingpong",
        pool: "PingPongPool",
        has_cookies: true,
        our_element: "",
        rspserver: "-pingpong",
        our_client: Client {
            program: "rsp call pingpong",
            words: "--count 60 --interval 100ms",
            is_at_work: "pong 5: reply 5",
            has_gone_on: &["pongs       60"],
            output: None,
        },
        rsplib_client: Client {
            program: "pingpongclient",
            words: "pingpongclient -interval=200",
            is_at_work: "(reply #5)",
            has_gone_on: &["from PE ${} (reply #"],
            output: None,
        },
    },
    Row {
        service: "calcapp",
        pool: "CalcAppPool",
        has_cookies: true,
        our_element: "--cookie-interval 500ms",
        rspserver: "-calcapp -capcookiemaxtime=1 -capvector=OUT.vec -capscalar=OUT.sca",
        our_client: Client {
            program: "rsp call calcapp",
            words: "--jobs 1 --size 12000000 --keep-alive-interval 1s \
                    --keep-alive-timeout 2s",
            is_at_work: "cookie element=",
            has_gone_on: &["jobs        1 complete"],
            output: None,
        },
        rsplib_client: Client {
            program: "calcappclient",
            words: "calcappclient -jobsize=12000000 -jobinterval=1 \
                    -keepalivetransmissioninterval=1000 -keepalivetimeoutinterval=2000 \
                    -vector=OUT.vec -scalar=OUT.sca",
            is_at_work: "Got cookie",
            has_gone_on: &["pool element ${}", "Sending Cookie Echo", "Got cookie"],
            output: None,
        },
    },
    Row {
        service: "fractal",
        pool: "FractalGeneratorPool",
        has_cookies: true,
        our_element: "",
        rspserver: "-fractal",
        our_client: Client {
            program: "rsp call fractal",
            words: "--check --size 300x200 --span 3 --iterations 12000 --timeout 3s --out OUT.png",
            is_at_work: "cookie element=",
            has_gone_on: &["pixels      60000"],
            output: None,
        },
        rsplib_client: Client {
            program: "fractalpooluser",
            words: "env QT_QPA_PLATFORM=offscreen XDG_RUNTIME_DIR=/run HOME=/run fractalpooluser \
                    -configdir=FRACTALS -width=300 -height=200 -threads=1 -recvtimeout=3000",
            is_at_work: "Got cookie",
            has_gone_on: &["pool element ${}", "Sending Cookie Echo", "Got cookie"],
            output: None,
        },
    },
    Row {
        service: "echo",
        pool: "EchoPool",
        has_cookies: false,
        our_element: "",
        rspserver: "-echo",
        our_client: Client {
            program: "rsp call echo",
            words: "hello --count 1500",
            is_at_work: "hello",
            has_gone_on: &["echoes      1500"],
            output: None,
        },
        rsplib_client: Client {
            program: "rspterminal",
            words: "sh -c 'for i in $(seq 150); do sleep 0.3; echo hello; done \
                    | rspterminal POOL REGISTRAR'",
            is_at_work: "> hello",
            has_gone_on: &["{}> hello"],
            output: None,
        },
    },
    Row {
        service: "scripting",
        pool: "ScriptingPool",
        has_cookies: false,
        our_element: "--scripts anyone",
        rspserver: "-scripting",
        our_client: Client {
            program: "rsp call scripting",
            words: "PACKAGE --out OUT --keep-alive-interval 1s --keep-alive-timeout 2s",
            is_at_work: "the script runs",
            has_gone_on: &["output      ", ", 5 bytes", "status      0, 0 failures"],
            output: Some("done\n"),
        },
        rsplib_client: Client {
            program: "scriptingclient",
            words: "scriptingclient -input=PACKAGE -output=OUT -retrydelay=500 \
                    -keepaliveinterval=1000 -keepalivetimeout=2000",
            is_at_work: "is processing ...",
            has_gone_on: &["pool element ${}", "is processing ...", "Download completed!"],
            output: Some("done\n"),
        },
    },
];
