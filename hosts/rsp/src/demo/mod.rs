//! `rsp demo`: a registrar, elements and a job on this machine, and the death of some elements.

mod boards;
mod children;
mod report;

use std::time::{Duration, Instant};

use rserpool::job::{FractalJob, FractalView, RunnerConfig, compute_locally};
use rserpool::transport::{Transport, TransportConfig};
use rserpool::{JobHandle, JobSnapshot, PoolUser, PoolUserConfig};
use rserpool_core::association::Endpoint;
use rserpool_core::compute::kernels::FractalKind;
use rserpool_core::identifier::{PeId, PoolHandleBuf};

use self::boards::{Bench, Microcontroller, await_boards, transport_of};
use self::children::Process;
use self::report::Report;
use crate::address::{ASAP_PORT, Address};
use crate::cli::DemoOptions;
use crate::failure::Failure;
use crate::picture::{Palette, check_writable, read_png, write_png};
use crate::run::{checked_iterations, checked_span, fractal_job};
use crate::scope::{CLOSE_PATIENCE, pool_handle, start_failure, stop_signal};
use crate::transport::by;
use crate::values::PoolKey;
use crate::view::JobView;

/// Shows it.
pub(crate) async fn demo(options: DemoOptions, log: Option<String>) -> Result<(), Failure> {
    let stopped = stop_signal(false)?;
    check(&options)?;
    let mut stage = Stage::default();
    let result = tokio::select! {
        result = play(&options, log.as_deref(), &mut stage) => result,
        () = stopped => Err(Failure::interrupted("interrupted: all processes are stopped")),
    };
    stage.clear().await;
    result
}

fn check(options: &DemoOptions) -> Result<(), Failure> {
    checked_span(options.span)?;
    checked_iterations(options.iterations)?;
    check_writable(&options.out)?;
    let (kill, kill_board) = (kill_count(options), kill_board_count(options));
    let (elements, boards) = (options.elements, options.boards);
    if kill_board > boards {
        return Err(Failure::usage(format!("--kill-board {kill_board} of --boards {boards}")));
    }
    if kill > elements || kill + kill_board >= elements + boards {
        let of = match boards {
            0 => format!("--kill {kill} of --elements {elements}"),
            _ => format!("--kill {kill} --kill-board {kill_board}"),
        };
        return Err(Failure::usage(format!("{of} leaves nobody"))
            .hint("leave at least one element alive, or it cannot be completed"));
    }
    Ok(())
}

/// How many of the elements that are processes to kill.
fn kill_count(options: &DemoOptions) -> u16 {
    options.kill.unwrap_or(u16::from(options.boards == 0))
}

/// How many of the boards to kill.
fn kill_board_count(options: &DemoOptions) -> u16 {
    options.kill_board.unwrap_or(u16::from(options.boards > 0))
}

/// All processes that the demo has started.
#[derive(Default)]
struct Stage {
    registrar: Option<Process>,
    elements: Vec<Cast>,
    network: Option<rserpool_qemu::Network>,
}

/// An element and its process.
struct Cast {
    name: String,
    identifier: PeId,
    body: Body,
    is_killed: bool,
}

/// What an element runs on.
enum Body {
    Process(Process),
    Board(Microcontroller),
}

impl Body {
    fn id(&self) -> u32 {
        match self {
            Self::Process(process) => process.id(),
            Self::Board(board) => board.id(),
        }
    }

    async fn kill(&mut self) -> Result<(), Failure> {
        match self {
            Self::Process(process) => process.kill().await,
            Self::Board(board) => board.kill(),
        }
    }

    fn ask_to_stop(&mut self) {
        match self {
            Self::Process(process) => process.ask_to_stop(),
            Self::Board(board) => board.ask_to_stop(),
        }
    }

    async fn end(self) {
        match self {
            Self::Process(process) => process.end().await,
            Self::Board(board) => board.end().await,
        }
    }
}

impl Stage {
    /// Ends all processes, the elements first, so that they can say goodbye.
    async fn clear(self) {
        let Self { registrar, mut elements, network } = self;
        for element in &mut elements {
            element.body.ask_to_stop();
        }
        for element in elements {
            element.body.end().await;
        }
        drop(network);
        if let Some(registrar) = registrar {
            registrar.end().await;
        }
    }

    async fn start(
        &mut self,
        options: &DemoOptions,
        log: Option<&str>,
    ) -> Result<Endpoint, Failure> {
        let firmware = match options.boards {
            0 => None,
            _ => Some(boards::firmware(options.firmware.as_deref()).await?),
        };
        let log = log.unwrap_or("error");
        let transport = options.transport.word();
        let common = ["--exit-with-stdin", "--listen", "127.0.0.1:0/0", "--log", log];
        let common = [&common[..], &["--transport", transport]].concat();
        let arguments = [&["registrar", "--announces", "off"], &common[..]].concat();
        let registrar = self.registrar.insert(Process::start("the registrar", &arguments, None)?);
        let place = registrar.ready_at().await?;
        note!("registrar   process {:<8} at {place}", registrar.id());
        let key = random_key()?;
        let arguments = [&["serve", "--grace", "0s", "--registrar", &place], &common[..]].concat();
        let mut processes = Vec::new();
        for number in 1..=options.elements {
            processes.push(Process::start(&format!("element {number}"), &arguments, Some(&key))?);
        }
        for mut process in processes {
            let place = process.ready_at().await?;
            let identifier = identifier_of(&process.ready)?;
            let (name, id) = (process.name.clone(), process.id());
            note!("{name:<11} process {id:<8} at {place}   {identifier}");
            self.elements.push(Cast::new(name, identifier, Body::Process(process)));
        }
        if let Some(firmware) = &firmware {
            let network = self.network.insert(boards::network()?);
            let bench = Bench { network, firmware, registrar: &place, key: &key };
            for number in 1..=options.boards {
                let identifier = random_identifier()?;
                let board = Microcontroller::start(&bench, number, identifier)?;
                let (name, id, address) = (format!("board {number}"), board.id(), board.address());
                let transport = transport_of(number);
                note!("{name:<11} process {id:<8} at {address} {transport}   {identifier}");
                self.elements.push(Cast::new(name, identifier, Body::Board(board)));
            }
        }
        endpoint_of(&place)
    }

    /// Waits until the boards are in the pool.
    async fn await_boards(&mut self, user: &PoolUser, pool: PoolHandleBuf) -> Result<(), Failure> {
        let boards = self.elements.iter_mut().filter_map(|cast| match &mut cast.body {
            Body::Board(board) => Some((cast.identifier, cast.name.as_str(), board)),
            Body::Process(_) => None,
        });
        await_boards(user, pool, boards).await
    }

    /// Kills elements that take part, the busiest ones first.
    async fn kill(
        &mut self,
        options: &DemoOptions,
        snapshot: &JobSnapshot,
        view: &JobView,
    ) -> Result<(), Failure> {
        let busy = |identifier: PeId| {
            let element = snapshot.elements.iter().find(|it| it.element == identifier);
            element.map_or(0, |element| element.in_flight_count)
        };
        for (count, are_boards) in
            [(kill_count(options), false), (kill_board_count(options), true)]
        {
            for _ in 0..count {
                let alive = self.elements.iter_mut().filter(|element| {
                    !element.is_killed && matches!(element.body, Body::Board(_)) == are_boards
                });
                let Some(element) = alive.max_by_key(|element| busy(element.identifier)) else {
                    break;
                };
                element.is_killed = true;
                view.say(&format!("  ! kill -9 {}: {}", element.body.id(), element.name));
                element.body.kill().await?;
            }
        }
        Ok(())
    }
}

impl Cast {
    fn new(name: String, identifier: PeId, body: Body) -> Self {
        Self { name, identifier, body, is_killed: false }
    }
}

async fn play(options: &DemoOptions, log: Option<&str>, stage: &mut Stage) -> Result<(), Failure> {
    let fractal = FractalView {
        kind: FractalKind::Mandelbrot,
        width: options.size.width,
        height: options.size.height,
        center: (options.center.re, options.center.im),
        span: options.span,
        iterations_max: options.iterations,
    };
    let registrar = stage.start(options, log).await?;
    let (job, report) = compute(options, fractal, registrar, stage).await?;

    let palette = Palette::for_pixels(job.pixels(), options.iterations);
    write_png(&options.out, options.size, &palette.paint(job.pixels()))?;
    note!(
        "picture     {}, {} pixels; now the same on one thread ...",
        options.out.display(),
        options.size
    );
    let (local, local_time) = render_locally(fractal).await?;
    let (size, colours) = read_png(&options.out)?;
    let is_same = local.pixels() == job.pixels()
        && size == options.size
        && colours == palette.paint(local.pixels());
    report.print(local_time);
    if !is_same {
        let wrong = local.pixels().iter().zip(job.pixels()).filter(|(a, b)| a != b).count();
        return Err(Failure::failed(format!(
            "the picture differs from the local render in {wrong} pixels"
        )));
    }
    note!("check       equal to the local render, pixel for pixel");
    Ok(())
}

/// Lets the elements compute the picture, and kills some of them halfway.
async fn compute(
    options: &DemoOptions,
    fractal: FractalView,
    registrar: Endpoint,
    stage: &mut Stage,
) -> Result<(FractalJob, Report), Failure> {
    let at = TransportConfig::at(std::net::Ipv4Addr::LOCALHOST.into());
    let mut transport_config = by(Some(options.transport), at);
    transport_config.receive_buffer_len = 1 << 20;
    let transport = Transport::start(transport_config);
    let pool = pool_handle(crate::scope::POOL_DEFAULT)?;
    let started = PoolUser::start(&transport, PoolUserConfig::new(vec![registrar])).await;
    let user = started.map_err(|error| start_failure(&error))?;
    stage.await_boards(&user, pool).await?;
    let packages = if options.boards > 0 { PACKAGES_WITH_BOARDS } else { PACKAGES };
    let job = fractal_job(fractal, Some(packages));
    let mut view = JobView::new("computing", true);
    for element in &stage.elements {
        view.name(element.identifier, element.name.clone());
    }
    let started = JobHandle::start(&transport, user, pool, job, RunnerConfig::default()).await;
    let mut handle = started.map_err(|error| start_failure(&error))?;
    let mut report = Report::start();
    let mut ticks = tokio::time::interval(TICK);
    let mut to_kill = kill_count(options) + kill_board_count(options);
    loop {
        tokio::select! {
            event = handle.next_event() => match event {
                Some(event) => {
                    view.tell(&event);
                    report.on_event(&event);
                }
                None => break,
            },
            _ = ticks.tick() => {
                let snapshot = handle.snapshot();
                view.show(&snapshot);
                if to_kill > 0 && is_halfway(&snapshot) {
                    stage.kill(options, &snapshot, &view).await?;
                    report.on_kill(to_kill);
                    to_kill = 0;
                }
            }
        }
    }
    view.close();
    let outcome = handle.finish().await;
    outcome.result.map_err(|error| Failure::failed(format!("the job failed: {error}")))?;
    transport.close(CLOSE_PATIENCE).await;
    if to_kill > 0 {
        // A job that small is over before anybody can be killed.
        note!("note        the job was over before anybody could be killed; try a larger --size");
    }
    report.finish(outcome.last, view);
    Ok((outcome.job, report))
}

fn is_halfway(snapshot: &JobSnapshot) -> bool {
    let statistics = snapshot.statistics;
    statistics.package_count > 0 && statistics.done_count * 2 >= statistics.package_count
}

/// Renders the picture alone, in one go, on one thread.
async fn render_locally(fractal: FractalView) -> Result<(FractalJob, Duration), Failure> {
    let render = move || {
        let began = Instant::now();
        let mut job = FractalJob::new(fractal, fractal.width, fractal.height);
        let result = compute_locally(&mut job);
        result.map(|()| (job, began.elapsed()))
    };
    let rendered = tokio::task::spawn_blocking(render).await;
    let rendered = rendered.map_err(|error| Failure::failed(format!("local render: {error}")))?;
    rendered.map_err(|error| Failure::failed(format!("local render: {error}")))
}

fn random_key() -> Result<PoolKey, Failure> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|error| Failure::failed(format!("no random numbers for a pool key: {error}")))?;
    Ok(PoolKey(key))
}

/// An identifier for a board: any but 0.
fn random_identifier() -> Result<PeId, Failure> {
    let number = getrandom::u32()
        .map_err(|error| Failure::failed(format!("no random number for a board: {error}")))?;
    Ok(PeId(number.max(1)))
}

/// The identifier in `element 0x1234abcd in ComputePool ready at ...`.
fn identifier_of(ready: &str) -> Result<PeId, Failure> {
    let word = ready.split_whitespace().nth(1).and_then(|word| word.strip_prefix("0x"));
    let number = word.and_then(|digits| u32::from_str_radix(digits, 16).ok());
    number.map(PeId).ok_or_else(|| Failure::failed(format!("an element said \"{ready}\"")))
}

fn endpoint_of(place: &str) -> Result<Endpoint, Failure> {
    let address: Address = place.parse().map_err(Failure::failed)?;
    let ip = address.host.parse().map_err(|error| Failure::failed(format!("{place}: {error}")))?;
    let port = address.port.unwrap_or(ASAP_PORT);
    let mut endpoint = Endpoint::new(std::net::SocketAddr::new(ip, port));
    endpoint.udp_port = address.udp_port;
    Ok(endpoint)
}

/// Packages of the picture: large enough that one is half done when its element dies.
const PACKAGES: u32 = 96;

/// More of them, so that one is not too much for a board.
const PACKAGES_WITH_BOARDS: u32 = 900;

/// How often the bar moves.
const TICK: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_known_by_its_ready_line() {
        let line = "element 0x00c0ffee in ComputePool ready at 127.0.0.1:4/4";
        assert_eq!(identifier_of(line).unwrap(), PeId(0x00c0_ffee));
        assert!(identifier_of("nonsense").is_err());
    }

    #[test]
    fn an_endpoint_is_read_from_where_it_is_ready() {
        let endpoint = endpoint_of("127.0.0.1:40/50").unwrap();
        assert_eq!(endpoint.to_string(), "127.0.0.1:40/50");
    }
}
