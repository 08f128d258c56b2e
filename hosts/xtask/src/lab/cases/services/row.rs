//! A row of the matrix: a service, how its elements and clients are started, and what they say.

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    Ours,
    Rsplibs,
}

/// A service.
pub(super) struct Row {
    /// As our programs call it.
    pub(super) service: &'static str,
    pub(super) pool: &'static str,
    /// Flags of our element.
    pub(super) our_element: &'static str,
    /// Flags of rspserver.
    pub(super) rspserver: &'static str,
    pub(super) our_client: Client,
    /// `None`: there is none without a screen.
    pub(super) rsplib_client: Option<Client>,
}

/// A client.
pub(super) struct Client {
    pub(super) words: &'static str,
    /// What it says when it is at work.
    pub(super) is_at_work: &'static str,
    /// What it says, one after the other, when another element has gone on; with `{}` for that
    /// element's digits.
    pub(super) has_gone_on: &'static [&'static str],
}

impl Made {
    pub(super) const BOTH: [Self; 2] = [Self::Ours, Self::Rsplibs];

    /// What the element of a row is called.
    pub(super) fn element(self, row: &Row) -> String {
        match self {
            Self::Ours => format!("rsp serve {}", row.service),
            Self::Rsplibs => {
                format!("rspserver {}", row.rspserver.split(' ').next().unwrap_or(""))
            }
        }
    }

    /// What the client of a row is called.
    pub(super) fn client(self, row: &Row) -> String {
        match (self, &row.rsplib_client) {
            (Self::Rsplibs, Some(client)) => {
                let word = client.words.split(' ').find(|word| !word.contains('('));
                let names = ["rspterminal", "scriptingclient", "calcappclient", "pingpongclient"];
                let name = names.into_iter().find(|name| client.words.contains(name));
                name.or(word).unwrap_or("RSPLIB's client").to_owned()
            }
            _ => format!("rsp call {}", row.service),
        }
    }
}

impl Row {
    /// Whose clients there are.
    pub(super) fn clients(&self) -> impl Iterator<Item = Made> {
        let is_there = |made: &Made| *made == Made::Ours || self.rsplib_client.is_some();
        Made::BOTH.into_iter().filter(is_there)
    }

    /// A client of the row.
    pub(super) fn client(&self, made: Made) -> &Client {
        match (made, &self.rsplib_client) {
            (Made::Rsplibs, Some(client)) => client,
            _ => &self.our_client,
        }
    }
}

/// All services that have sessions to lose. What our clients say in the end holds only if no
/// reply, job, pixel or echo was lost.
pub(super) const ROWS: [Row; 5] = [
    Row {
        service: "pingpong",
        pool: "PingPongPool",
        our_element: "",
        rspserver: "-pingpong",
        our_client: Client {
            words: "--count 100 --interval 100ms",
            is_at_work: "pong 5: reply 5",
            has_gone_on: &["pongs       100"],
        },
        rsplib_client: Some(Client {
            words: "pingpongclient -interval=200",
            is_at_work: "(reply #5)",
            has_gone_on: &["from PE ${} (reply #"],
        }),
    },
    Row {
        service: "calcapp",
        pool: "CalcAppPool",
        our_element: "--cookie-interval 500ms",
        rspserver: "-calcapp -capcookiemaxtime=1 -capvector=OUT.vec -capscalar=OUT.sca",
        our_client: Client {
            words: "--jobs 2 --size 12000000 --interval 1ms",
            is_at_work: "cookie element=",
            has_gone_on: &["jobs        2 complete"],
        },
        rsplib_client: Some(Client {
            words: "calcappclient -jobsize=12000000 -jobinterval=1 \
                    -vector=OUT.vec -scalar=OUT.sca",
            is_at_work: "Got cookie",
            has_gone_on: &["pool element ${}", "Sending Cookie Echo", "Got cookie"],
        }),
    },
    Row {
        service: "fractal",
        pool: "FractalGeneratorPool",
        our_element: "",
        rspserver: "-fractal",
        our_client: Client {
            words: "--check --size 300x200 --span 3 --iterations 25000",
            is_at_work: "cookie element=",
            has_gone_on: &["pixels      60000"],
        },
        rsplib_client: None,
    },
    Row {
        service: "echo",
        pool: "EchoPool",
        our_element: "",
        rspserver: "-echo",
        our_client: Client {
            words: "hello --count 3000",
            is_at_work: "hello",
            has_gone_on: &["echoes      3000"],
        },
        rsplib_client: Some(Client {
            words: "sh -c 'for i in $(seq 150); do sleep 0.3; echo hello; done \
                    | rspterminal REGISTRAR'",
            is_at_work: "> hello",
            has_gone_on: &["{}> hello"],
        }),
    },
    Row {
        service: "scripting",
        pool: "ScriptingPool",
        our_element: "--scripts anyone",
        rspserver: "-scripting",
        our_client: Client {
            words: "PACKAGE --out OUT",
            is_at_work: "the script runs",
            has_gone_on: &["output      ", ", 5 bytes", "status      0, 0 failures"],
        },
        rsplib_client: Some(Client {
            words: "scriptingclient -input=PACKAGE -output=OUT -retrydelay=500",
            is_at_work: "Trying connection to pool element",
            has_gone_on: &["Trying connection to pool element ${}"],
        }),
    },
];
